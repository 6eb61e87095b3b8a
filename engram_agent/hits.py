"""What a search gives: a record, how sure it is that it answers, and why it was chosen.

It must not know how it was found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from engram_agent.records import Record

RELEVANCE = (-3.0, 5.7, 9.0)
"""Logistic weights: one, coverage, closeness; fitted to tell evidence from what is found where there is none."""


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
