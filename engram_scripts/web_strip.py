"""How an answer came about, as HTML: one chip a word with who spoke, loops and surprise, and a card of details.

It must not know about Gradio or sessions. Whatever people or brains say is escaped here, in `safe`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from engram_model.chat import Turn
from engram_model.episodes import Episode
from engram_model.generation import RecalledEpisode, Thought
from engram_model.text import END, UNK, join_words

SOURCES = {"brain": "brain", "phrase": "phrase memory", "episode": "episodes", "lesson": "lessons"}
COLOURS = {"brain": (79, 110, 247), "phrase": (224, 142, 11), "episode": (16, 160, 116), "lesson": (192, 70, 160)}
SHOWN = {END: "end of answer", UNK: "unknown word"}
MOST_SURPRISING = 8.0
"""The surprise, in nats, that fills the bar: a word of probability 1 in 3,000."""

CONTEXT_SHOWN = 6
_TEMPLATE_MARKS = str.maketrans({mark: f"&#{ord(mark)};" for mark in "{}$`"})


def safe(text: str) -> str:
    """Text as inert HTML, in content and attributes, and inert in a page template (`${...}`, `{{...}}`) as well."""
    return html.escape(text, quote=True).translate(_TEMPLATE_MARKS)


def percent(share: float) -> str:
    """A share from 0 to 1 for reading: "43 %", or "< 1 %"."""
    return "&lt;&thinsp;1&thinsp;%" if 0 < share < 0.01 else f"{100 * share:.0f}&thinsp;%"


def blended(credit: Mapping[str, float]) -> str:
    """The colours of the sources, mixed by their share in the word, as "r g b"."""
    mixed = (sum(credit[source] * COLOURS[source][channel] for source in SOURCES) for channel in range(3))
    return " ".join(str(round(value)) for value in mixed)


def strip_item(thought: Thought, shown: str, moments: Mapping[str, Episode], forms: Mapping[str, str]) -> str:
    """One word of the strip: its chip, and the card that appears on hovering, tapping or focusing it.

    Args:
        thought: The word and how it came about.
        shown: The word as it stands in the answer.
        moments: Known episodes by id.
        forms: Usual written forms.
    """
    surprise = min(thought.surprise / MOST_SURPRISING, 1.0)
    segments = "".join(f'<i class="{source}" style="flex-grow:{thought.credit[source]:.4f}"></i>' for source in SOURCES)
    described = f"{shown}: {SOURCES[thought.spoken_by]}, {_loops(thought.loops)}, surprise {thought.surprise:.1f} nats"
    return (
        '<span class="item">'
        f'<button type="button" class="chip" style="--tint:{blended(thought.credit)}" aria-label="{safe(described)}">'
        f'<span class="loops">{"•" * thought.loops}</span><b>{safe(shown)}</b>'
        f'<span class="credit">{segments}</span>'
        f'<span class="surprise"><i style="width:{100 * surprise:.1f}%"></i></span></button>'
        f"{_card(thought, shown, moments, forms)}</span>"
    )


def strip_end(turn: Turn) -> str:
    """What closes the strip when the answer is complete: how long it took, what is remembered, what was thought of."""
    words, stored = len(turn.thoughts), len(turn.stored)
    new = f" · learned {safe(', '.join(turn.learned))}" if turn.learned else ""
    thought_of = "".join(f'<span class="took">thought of “{safe(told)}”</span>' for told in turn.recollected)
    return (
        f'<span class="took">{words} word{"" if words == 1 else "s"} in {turn.seconds:.2f} s · '
        f"{stored} moment{'' if stored == 1 else 's'} remembered{new}</span>{thought_of}"
    )


def _loops(count: int) -> str:
    return "1 loop" if count == 1 else f"{count} loops"


def _card(thought: Thought, shown: str, moments: Mapping[str, Episode], forms: Mapping[str, str]) -> str:
    facts = f"{percent(thought.probability)} likely · surprise {thought.surprise:.2f} nats · {_loops(thought.loops)}"
    near = ", ".join(safe(forms.get(word, word)) for word, _ in thought.nearest)
    return (
        f'<span class="card"><span class="title"><b>{safe(shown)}</b> <span>{facts} · phrase tables '
        f"{percent(thought.gate)} open</span></span>"
        f'<span class="part"><em>who spoke</em>{_speakers(thought)}</span>'
        f'<span class="part"><em>five best candidates</em>{_candidates(thought, forms)}'
        f"<small>the predicted concept is near {near}</small></span>"
        f'<span class="part"><em>episodes in mind, believed {percent(thought.episode_share)}</em>'
        f"{_episodes(thought.recalled, moments, forms)}</span></span>"
    )


def _bar(name: str, share: float, css: str) -> str:
    return (
        f'<span class="bar"><span>{name}</span><span class="track"><i class="{css}" style="width:{100 * share:.1f}%">'
        f"</i></span><span>{percent(share)}</span></span>"
    )


def _speakers(thought: Thought) -> str:
    return "".join(_bar(name, thought.credit[source], source) for source, name in SOURCES.items())


def _candidates(thought: Thought, forms: Mapping[str, str]) -> str:
    return "".join(
        _bar(safe(SHOWN.get(word, forms.get(word, word))), probability, "said" if word == thought.word else "unsaid")
        for word, probability in thought.candidates
    )


def _episodes(recalled: Sequence[RecalledEpisode], moments: Mapping[str, Episode], forms: Mapping[str, str]) -> str:
    known = [(found, moments[found.id]) for found in recalled if found.id in moments]
    if not known:
        return "<small>none</small>"
    return "".join(
        f'<span class="moment"><span>… {safe(join_words(episode.context[-CONTEXT_SHOWN:], forms))} → '
        f"<b>{safe(forms.get(found.word, found.word))}</b></span>"
        f"<small>{percent(found.weight)} · cosine {found.similarity:.2f} · {safe(found.id)}</small></span>"
        for found, episode in known
    )


def legend() -> str:
    """What colours, dots and bars of the strip mean."""
    sources = "".join(f'<span><i class="swatch {source}"></i>{name}</span>' for source, name in SOURCES.items())
    return (
        f'<span class="legend">{sources}<span><span class="loops">•••</span>loops it pondered</span>'
        '<span><span class="surprise"><i style="width:60%"></i></span>surprise</span></span>'
    )
