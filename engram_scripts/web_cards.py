"""Small pieces of HTML around the strip: the head of the page, and what a lesson changed.

It must not know about Gradio.
"""

from __future__ import annotations

from engram_model.engram import Engram
from engram_scripts.web_session import FactLesson, WordLesson
from engram_scripts.web_strip import safe


def head(engram: Engram | None) -> str:
    """Title and, once there is a brain, its figures."""
    title = (
        '<div class="head"><h1>Engram</h1><p>A small language brain, trained from scratch on plain text. '
        "Talk to it, see who spoke each word, and open its memory.</p>"
    )
    if engram is None:
        return title + "</div>"
    figures = engram.manifest["figures"]
    facts = [
        (f"{figures['vocabulary']:,}", "words"),
        (f"{figures['parameters'] / 1e6:.1f} M", "parameters"),
        (f"{figures['perplexity']:.1f}", "perplexity on unseen text"),
    ]
    if figures["kneser_ney_perplexity"] is not None:
        facts.append((f"{figures['kneser_ney_perplexity']:.1f}", "that of a Kneser-Ney 5-gram"))
    return title + "<ul>" + "".join(f"<li><b>{value}</b> {name}</li>" for value, name in facts) + "</ul></div>"


def word_lesson(lesson: WordLesson) -> str:
    """The nearest words before and after."""
    before = _nearest(lesson.before) if lesson.before else "<p>unknown: it had no vector</p>"
    what = f"the words nearest to “{safe(lesson.word)}”"
    return _before_and_after(what, before, _nearest(lesson.after), lesson.stored)


def fact_lesson(lesson: FactLesson) -> str:
    """The answers before and after."""
    before, after = (f"<p>{safe(answer) or '…'}</p>" for answer in (lesson.before, lesson.after))
    return _before_and_after(f"“{safe(lesson.question)}”", before, after, lesson.stored)


def refused(reason: str) -> str:
    """Why a lesson was not possible."""
    return f'<div class="before-after failed"><p>{safe(reason)}</p></div>'


def _nearest(words: tuple[tuple[str, float], ...]) -> str:
    return "".join(
        f'<span class="bar"><span>{safe(word)}</span><span class="track"><i class="brain" '
        f'style="width:{100 * max(0.0, cosine):.0f}%"></i></span><span>{cosine:.2f}</span></span>'
        for word, cosine in words
    )


def _before_and_after(what: str, before: str, after: str, stored: int) -> str:
    moments = "1 new episode" if stored == 1 else f"{stored} new episodes"
    return (
        f'<div class="before-after"><p class="what">{what}</p><div><em>before</em>{before}</div>'
        f"<div><em>after</em>{after}</div><small>{moments} in your memory</small></div>"
    )
