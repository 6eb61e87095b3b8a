"""How the terminal shows a turn, the reasons of its words, and the memory; everything as text or as plain data.

It must not know where lines come from or what a command does.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from engram_model.chat import Turn
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.generation import SPEAKERS, RecalledEpisode, Thought
from engram_model.records import Episode
from engram_model.text import BOT, END, UNK, USER, join_words
from engram_scripts.common import paint, table

DIM, BOLD = "2", "1"
COLOURS = {"brain": "33", "phrase": "36", "episode": "35", "lesson": "32"}
HEIGHTS = "▁▃▅▇█"
BARS = 40
HAD_A_SAY = 0.01
"""An episode counts as recalled if it gave a word at least this share of its prediction."""

CONTEXT_SHOWN = 8
EPISODES_SHOWN = 8
_MARKERS = {END: "(end)", USER: "(you)", BOT: "(brain)", UNK: "(unknown)"}


def shown(word: str) -> str:
    """A word as a person reads it; markers by what they mean."""
    return _MARKERS.get(word, word)


def counted(count: int, thing: str) -> str:
    """A number of things: "1 episode", "2 episodes"."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


def mean(values: Sequence[float]) -> float:
    """The mean, 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def loop_bars(thoughts: Sequence[Thought]) -> str:
    """One small bar a word: the longer it was pondered, the higher."""
    bars = "".join(HEIGHTS[min(thought.loops, len(HEIGHTS)) - 1] for thought in thoughts[:BARS])
    return bars + "…" * (len(thoughts) > BARS)


def who_spoke(thoughts: Sequence[Thought]) -> dict[str, float]:
    """Mean share of brain, phrase memory, episodes and lessons in the words that were said."""
    return {source: mean([thought.credit[source] for thought in thoughts]) for source in SPEAKERS}


def recalled(thoughts: Sequence[Thought]) -> dict[str, tuple[float, RecalledEpisode]]:
    """The episodes that had a say: id -> largest share in any word's prediction, and the episode; largest first."""
    found: dict[str, tuple[float, RecalledEpisode]] = {}
    for thought in thoughts:
        for episode in thought.recalled:
            share = thought.remembered_share * episode.weight
            if share >= max(HAD_A_SAY, found.get(episode.id, (0.0,))[0]):
                found[episode.id] = (share, episode)
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def words_per_second(turn: Turn) -> float:
    """Words heard and said, a second."""
    return (len(turn.heard) + len(turn.thoughts)) / max(turn.seconds, 1e-9)


def summary(turn: Turn) -> str:
    """One line: surprise, memory, pondering, who spoke, speed."""
    thoughts = turn.thoughts
    memory = f"{len(turn.stored)} remembered, {len(recalled(thoughts))} recalled"
    noted = [f"new: {', '.join(turn.learned)}"] if turn.learned else []
    noted += [f"thought of “{told}”" for told in turn.recollected]
    said = [
        f"surprise {mean([thought.surprise for thought in thoughts]):.1f}",
        f"loops {mean([thought.loops for thought in thoughts]):.1f} {loop_bars(thoughts)}",
        " ".join(f"{source} {share:.0%}" for source, share in who_spoke(thoughts).items()),
    ]
    parts = [*said, memory] if thoughts else [memory]
    return " · ".join([*parts, *noted, f"{words_per_second(turn):.0f} words/s"])


def subconscious(turn: Turn) -> str:
    """What nearly came out: the runners-up of the most uncertain word, and the concepts nearest to its state."""
    if not turn.thoughts:
        return ""
    unsure = min(turn.thoughts, key=lambda thought: thought.candidates[0][1])
    others = [(word, p) for word, p in unsure.candidates if word != unsure.word][:3]
    nearly = ", ".join(f"{shown(word)} {p:.0%}" for word, p in others)
    near = ", ".join(word for word, _ in unsure.nearest)
    return f"least sure of “{unsure.word}” {unsure.probability:.0%}, not {nearly} · thinking near {near}"


def short_id(episode_id: str) -> str:
    """An episode's id without its zeros: e000000012 -> e12."""
    return f"e{int(episode_id[1:])}"


def moment(episode: Episode, forms: dict[str, str]) -> str:
    """The end of what was said before in the same turn, and the word that came: "My name is → Ada"."""
    turn = list(takewhile(lambda word: word not in (END, USER, BOT), reversed(episode.context)))[::-1]
    before = "… " * (len(turn) > CONTEXT_SHOWN) + join_words(turn[-CONTEXT_SHOWN:], forms)
    return f"{before} → {forms.get(episode.next_word, shown(episode.next_word))}".strip()


def why(turn: Turn, engram: Engram, memory: EpisodicMemory) -> str:
    """How each word of an answer came about, and the episodes that had a say."""
    rows = [
        [
            shown(thought.word),
            f"{thought.probability:.1%}",
            f"{thought.surprise:.2f}",
            str(thought.loops),
            f"{thought.gate:.2f}",
            f"{thought.spoken_by} {thought.credit[thought.spoken_by]:.0%}",
            " ".join(short_id(episode_id) for episode_id in recalled([thought])),
            ", ".join(f"{shown(word)} {p:.0%}" for word, p in thought.candidates),
        ]
        for thought in turn.thoughts
    ]
    header = ["word", "p", "surprise", "loops", "gate", "spoken by", "recalled", "candidates"]
    lines = [table(_left_aligned([header, *rows]))] if rows else ["the answer has no words"]
    found = {episode.id: episode for episode in memory.episodes}
    for episode_id, (share, at) in list(recalled(turn.thoughts).items())[:EPISODES_SHOWN]:
        if episode_id in found:
            told = moment(found[episode_id], engram.vocabulary.forms)
            lines.append(f"{short_id(episode_id)}  {told}  (share {share:.0%}, cosine {at.similarity:.2f})")
    return "\n".join(lines)


def _left_aligned(lines: list[list[str]]) -> list[list[str]]:
    """Fill the cells of columns of text up to one width, so that they line up at the left; the first line is the header."""
    header = lines[0]
    for column in (header.index("spoken by"), header.index("recalled"), header.index("candidates")):
        width = max(len(line[column]) for line in lines)
        lines = [[*line[:column], line[column].ljust(width), *line[column + 1 :]] for line in lines]
    return lines


def age(seconds: float) -> str:
    """A span of time in its largest whole unit."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return "just now"


def memory_list(engram: Engram, memory: EpisodicMemory, latest: int) -> str:
    """How much is remembered, and the latest episodes, newest first."""
    talks = counted(len(memory.conversations), "conversation")
    lines = [f"{counted(len(memory), 'episode')} of {talks}, {counted(len(engram.vocabulary.ids), 'word')}"]
    for episode in memory.episodes[: -latest - 1 : -1]:
        told = moment(episode, engram.vocabulary.forms)
        lines.append(
            f"{short_id(episode.id):>6}  {told}  (surprise {episode.surprise:.1f}, {age(time.time() - episode.time)})"
        )
    return "\n".join(lines)


def greeting(engram: Engram) -> str:
    """What is shown when a conversation at a terminal begins."""
    perplexity = engram.manifest.get("figures", {}).get("perplexity")
    facts = [counted(len(engram.vocabulary.ids), "word"), counted(len(engram.episodes), "episode")]
    facts += [f"perplexity {perplexity:.1f}"] if perplexity else []
    legend = ", ".join(paint(source, colour) for source, colour in COLOURS.items())
    title = f"{paint('engram', BOLD)}  {' · '.join(facts)} · /help, /quit"
    return f"{title}\n{paint('each word in the colour of who spoke it:', DIM)} {legend}"


def as_data(said: str, turn: Turn) -> dict[str, Any]:
    """A turn as one JSON object."""
    return {
        "said": said,
        "answer": turn.text,
        "mean_surprise": rounded(mean([thought.surprise for thought in turn.thoughts])),
        "mean_loops": rounded(mean([thought.loops for thought in turn.thoughts])),
        "spoken_by": {source: rounded(share) for source, share in who_spoke(turn.thoughts).items()},
        "stored": turn.stored,
        "recalled": list(recalled(turn.thoughts)),
        "recollected": turn.recollected,
        "learned": turn.learned,
        "seconds": rounded(turn.seconds),
        "words_per_second": rounded(words_per_second(turn)),
        "heard": [{"word": thought.word, "surprise": rounded(thought.surprise)} for thought in turn.heard],
        "words": [_word_data(thought) for thought in turn.thoughts],
    }


def _word_data(thought: Thought) -> dict[str, Any]:
    return {
        "word": thought.word,
        "probability": rounded(thought.probability),
        "surprise": rounded(thought.surprise),
        "loops": thought.loops,
        "gate": rounded(thought.gate),
        "spoken_by": thought.spoken_by,
        "shares": {source: rounded(share) for source, share in thought.shares.items()},
        "credit": {source: rounded(share) for source, share in thought.credit.items()},
        "candidates": [[word, rounded(p)] for word, p in thought.candidates],
        "nearest": [[word, rounded(cosine)] for word, cosine in thought.nearest],
        "recalled": [
            {
                "id": episode.id,
                "word": episode.word,
                "weight": rounded(episode.weight),
                "similarity": rounded(episode.similarity),
                "matched": episode.matched,
            }
            for episode in thought.recalled
        ],
    }


def rounded(value: float) -> float:
    """To six digits: more is noise."""
    return float(f"{value:.6g}")
