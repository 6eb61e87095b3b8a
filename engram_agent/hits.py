"""What a search gives: a record, how sure it is that it answers, and why it was chosen.

It must not know how it was found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from engram_agent.records import Record

RELEVANCE = (-3.0, 5.7, 9.0)
"""Logistic weights: one, coverage, closeness; fitted to tell evidence from what is found where there is none."""

SHIFT = 0.1
"""How much a memory's utility can add to its score or take away, at most; a tenth is some six ranks near the top."""
LENIENCE = 0.15
"""How much of relevance a memory's utility can make up for or take away, at most."""


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A record that was found.

    Attributes:
        id: The record's.
        score: Where it stands: 1 is the first of every list and helpful; higher is closer.
        relevance: How much of the query it answers, 0 to 1, whatever else was found.
        why: Why it was chosen, in words.
        record: The record.
        query_id: The search that found it, for `judge`.
        ranks: Its place in each list that has it, from 1.
        summary: The sentences of a long text that belong to the query, where it was decided to shorten.
    """

    id: str
    score: float
    relevance: float
    why: str
    record: Record
    query_id: str = ""
    ranks: Mapping[str, int]
    summary: str = ""


def relevance_of(coverage: float, closeness: float) -> float:
    """How sure it is that a record answers a query, 0 to 1; a half is as sure as not.

    Args:
        coverage: Share of the query's words that it has, each weighing what it tells.
        closeness: Cosine of their vectors.
    """
    one, covers, close = RELEVANCE
    return 1.0 / (1.0 + math.exp(-(one + covers * coverage + close * closeness)))


def moved(hits: Sequence[Hit], utilities: Mapping[str, float]) -> list[Hit]:
    """Hits in their order, moved a little by what has helped before: relevance comes first.

    With u the memory's utility, its score is multiplied by 1 + SHIFT (2 u - 1), and its relevance counts for
    LENIENCE (2 u - 1) more. A hit goes up past those that are less in both, to the first that is not. So no judgements
    lift a memory over one that answers clearly more of the query.

    Args:
        hits: The best first.
        utilities: How often each has helped, 0 to 1, for those that were judged.
    """
    found: list[tuple[float, float, Hit]] = []
    for hit in hits:
        helped = 2.0 * utilities.get(hit.id, 0.5) - 1.0
        score, relevance = hit.score * (1.0 + SHIFT * helped), hit.relevance + LENIENCE * helped
        place = len(found)
        while place and found[place - 1][0] < score and found[place - 1][1] <= relevance:
            place -= 1
        found.insert(place, (score, relevance, hit))
    lowest = accumulate((score for score, _, _ in found), min)
    return [replace(hit, score=score) for score, (_, _, hit) in zip(lowest, found, strict=True)]


def why_chosen(words: Mapping[str, bool], ranks: Mapping[str, int], closeness: float, utility: float | None) -> str:
    """Why a record was chosen, for people to read.

    Args:
        words: Those of its words by which it was found, and whether they are the query's own or others for them.
        ranks: Its place in each list that has it.
        closeness: Cosine of its vector and the query's.
        utility: How often it has helped, 0 to 1; None if nobody said.
    """
    shared, related = ([word for word, same in words.items() if same == wanted][:6] for wanted in (True, False))
    said = [f"shares {', '.join(shared)}"] if shared else []
    said += [f"related: {', '.join(related)}"] if related else []
    if "vector" in ranks:
        said.append(f"near in meaning or spelling ({closeness:.2f})")
    if "linked" in ranks and not said:
        said.append("speaks of what the best of the others speak of")
    if "lexical" in ranks and not words:
        said.append("stands beside a turn that shares words")
    if utility is not None:
        said.append(f"{'helped' if utility >= 0.5 else 'did not help'} before ({utility:.0%})")
    return "; ".join(said)
