"""Long conversations of two parties over months, and what is asked of them later, in other words.

It must not know how a search is done. The conversations are the project's own, written by those who had not seen the
code: two friends, and a user with an assistant. The loose floor, and how other words and vectors count beside the query's own,
were chosen with both in view (docs/log.md); the words themselves were written without sight of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.agent_search import STRATEGIES, found
from engram_agent.memory import Memory

FOLDER = Path(__file__).parent / "conversations"
NAMES = ("friends", "assistant")
Place = tuple[int, int]
Turn = tuple[Place, str]


@dataclass(frozen=True)
class Asked:
    """A question about a conversation.

    Attributes:
        kind: "single", "multi", "time" or "inference".
        text: The question.
        evidence: Session and turn, both from 1, of each turn that is needed for the answer.
    """

    kind: str
    text: str
    evidence: tuple[Place, ...]


def turns(name: str) -> Iterator[Turn]:
    """Place and text of every turn."""
    session, turn = 0, 0
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("# session "):
            session, turn = session + 1, 0
        elif line.strip():
            turn += 1
            yield (session, turn), line


def questions(name: str) -> list[Asked]:
    """What is asked of a conversation."""
    found = []
    for line in (FOLDER / f"{name}_questions.txt").read_text(encoding="utf-8").splitlines():
        kind, text, _, evidence = (part.strip() for part in line.split(" | "))
        places = [place.strip().removeprefix("S").split(":") for place in evidence.split(",")]
        found.append(Asked(kind, text, tuple((int(session), int(turn)) for session, turn in places)))
    return found


def measure(data: Path) -> dict[str, Any]:
    """Share of the evidence in the first ten of each conversation, turn by turn and session by session.

    Beside the strategies stands `alone`: the same words in a memory that does not know which turns are neighbours.

    Args:
        data: Not needed; the conversations lie beside this file.
    """
    del data
    figures = {}
    for name in NAMES:
        asked, said = questions(name), list(turns(name))
        recall = {strategy: _recall(said, asked, strategy) for strategy in STRATEGIES}
        recall["alone"] = _recall(said, asked, "lexical", neighbours=False)
        figures[name] = {"turns": len(said), "questions": len(asked), "recall_at_10": recall}
    return figures


def _recall(
    said: Sequence[Turn], asked: Sequence[Asked], strategy: str, *, neighbours: bool = True
) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, Memory(Path(folder) / "talk.db", explore=False) as memory:
        places = {}
        with memory.records.database.transaction():
            for (session, turn), text in said:
                known: dict[str, Any] = {"conversation": f"session {session}", "position": turn} if neighbours else {}
                places[memory.store(text, **known)] = session, turn
        shares: dict[str, list[float]] = {"turn": [], "session": []}
        for one in asked:
            first = {places[name] for name in found(memory, one.text, strategy)}
            shares["turn"].append(_share(set(one.evidence), first))
            shares["session"].append(
                _share({session for session, _ in one.evidence}, {session for session, _ in first})
            )
    return {name: float(np.mean(values)) for name, values in shares.items()}


def _share(wanted: set[Any], found: set[Any]) -> float:
    return len(wanted & found) / len(wanted)
