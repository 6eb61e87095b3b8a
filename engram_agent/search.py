"""Ranks what belongs to a query: by words, by vectors or by both, above a floor, shifted a little by what has helped.

It must not know who chooses the strategy, nor who asks: the store says what may be seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engram_agent.index import terms
from engram_agent.records import Record
from engram_agent.store import Store

STRATEGIES = ("lexical", "vector", "hybrid")
POOL = 5
"""Candidates of each list for one hit, so that what only one list knows is not lost."""
LEAST_POOL = 50
RRF_K = 60
"""Rank at which a list's say has fallen to half (Cormack et al. 2009, "Reciprocal Rank Fusion")."""
SHIFT = 0.1
"""How much a memory's utility can add to its score or take away; a tenth is some six ranks near the top."""
FLOORS = {"loose": 0.1, "strict": 0.35}
"""Least relevance of a hit."""
CHARACTERS = 4
"""Characters of a token, roughly, in English."""


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
    """

    id: str
    score: float
    relevance: float
    why: str
    record: Record
    query_id: str = ""
    ranks: Mapping[str, int]


@dataclass(frozen=True)
class Pool:
    """Candidates of one query: row, id and score of each, best first, by list; and what utilities they have."""

    lists: Mapping[str, list[tuple[int, str, float]]]
    utilities: Mapping[str, float]

    def ranks(self, name: str) -> dict[str, int]:
        """Place of each candidate in a list, from 1."""
        return {found: place for place, (_, found, _) in enumerate(self.lists.get(name, ()), 1)}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How lists are fused.

    Attributes:
        lexical: Say of the words.
        vector: Say of the vectors.
        rrf_k: Rank at which a list's say has fallen to half.
    """

    lexical: float = 1.0
    vector: float = 0.3
    rrf_k: float = RRF_K


def condition(
    memory_type: str | None = None,
    project: str | None = None,
    conversation: str | None = None,
    tags: Sequence[str] = (),
) -> tuple[str, list[Any]]:
    """A condition on `records` for these filters, with its values."""
    wanted = {"memory_type": memory_type, "project": project, "conversation": conversation}
    chosen = {f"records.{name} = ?": value for name, value in wanted.items() if value is not None}
    has_tag = "EXISTS (SELECT 1 FROM json_each(records.tags) WHERE json_each.value = ?)"
    return " AND ".join([*chosen, *[has_tag] * len(tags)]) or "1", [*chosen.values(), *tags]


class Searcher:
    """Finds records of a store.

    Args:
        store: The records.
        weights: How lists are fused.
    """

    def __init__(self, store: Store, weights: Weights | None = None) -> None:
        self.store, self.weights = store, weights or Weights()

    def pool(self, query: str, limit: int, agent_id: str, where: str, values: Sequence[Any]) -> Pool:
        """The candidates of both lists that an agent may see and that meet a condition."""
        seen, seen_values = self.store.seen_by(agent_id)
        count = max(LEAST_POOL, POOL * limit)
        asked = (query, f"{seen} AND ({where})", [*seen_values, *values], count)
        lists = {"lexical": self.store.words.search(*asked), "vector": self.store.vectors.search(*asked)}
        names = list({name for found in lists.values() for _, name, _ in found})
        known = self.store.database.rows(
            f"SELECT record_id, helped, hindered FROM utilities WHERE record_id IN ({', '.join('?' * len(names))})",
            names,
        )
        utilities = {row["record_id"]: (1 + row["helped"]) / (2 + row["helped"] + row["hindered"]) for row in known}
        return Pool(lists, utilities)

    def order(self, pool: Pool, strategy: str) -> list[tuple[str, float]]:
        """Candidates by a strategy, best first, with their scores.

        Reciprocal ranks, sum of w / (k + rank), divided by what the first of every list gets; then times
        1 + SHIFT (2 u - 1), where u is the memory's utility, so that relevance comes first.
        """
        weights = {"lexical": self.weights.lexical, "vector": self.weights.vector}
        if strategy != "hybrid":
            weights = {strategy: 1.0}
        k = self.weights.rrf_k
        full = sum(weights.values()) / (k + 1.0)
        scores: dict[str, float] = {}
        for name, weight in weights.items():
            for found, rank in pool.ranks(name).items():
                scores[found] = scores.get(found, 0.0) + weight / (k + rank) / full
        shifted = {
            name: score * (1.0 + SHIFT * (2.0 * pool.utilities.get(name, 0.5) - 1.0)) for name, score in scores.items()
        }
        return sorted(shifted.items(), key=lambda pair: -pair[1])

    def hits(self, query: str, pool: Pool, strategy: str, limit: int, agent_id: str, floor: float) -> list[Hit]:
        """The best candidates whose relevance reaches the floor."""
        best = self.order(pool, strategy)[: 2 * limit]
        if not best:
            return []
        ranks = {name: pool.ranks(name) for name in pool.lists}
        rows = {found: row for each in pool.lists.values() for row, found, _ in each}
        closeness = {found: score for _, found, score in pool.lists["vector"]}
        shared = self.store.words.shared(query, [rows[name] for name, _ in best])
        coverage = self._coverage(query, [rows[name] for name, _ in best])
        marks = ", ".join("?" * len(best))
        records = {
            record.id: record
            for record in self.store.select(agent_id, f"records.id IN ({marks})", [name for name, _ in best])
        }
        found = []
        for name, score in best:
            relevance = _relevance(coverage.get(rows[name], 0.0), closeness.get(name, 0.0))
            if relevance < floor or name not in records:
                continue
            places = {each: ranks[each][name] for each in ranks if name in ranks[each]}
            why = _why(shared.get(rows[name], []), places, closeness.get(name), pool.utilities.get(name))
            found.append(
                Hit(id=name, score=score, relevance=relevance, why=why, record=records[name], ranks=places)
            )
        return found[:limit]

    def _coverage(self, query: str, rows: Sequence[int]) -> dict[int, float]:
        """The share of a query's words that each row has, each word weighing what it tells (its idf)."""
        asked = terms(query)
        frequencies = self.store.words.frequencies(asked)
        total = self.store.database.rows("SELECT count(*) AS n FROM records")[0]["n"]
        idf = [math.log(1.0 + (max(0, total - n) + 0.5) / (n + 0.5)) for n in frequencies]
        have: dict[int, float] = dict.fromkeys(rows, 0.0)
        for word, weight, n in zip(asked, idf, frequencies, strict=True):
            if n:
                for row in self.store.words.having(word, rows):
                    have[row] += weight
        whole = sum(idf)
        return {row: weight / whole for row, weight in have.items()} if whole else have


def within(hits: Sequence[Hit], tokens: int) -> list[Hit]:
    """The first hits that fit into so many tokens; the one that does not fit whole is cut at a word, if half of it fits."""
    found, left = [], tokens * CHARACTERS
    for hit in hits:
        record = hit.record
        size = len(record.context) + len(record.action) + len(record.result)
        if size > left:
            spare = left - len(record.context) - len(record.action)
            if spare >= 0.5 * len(record.result) and spare > 0 and size - left < size / 2:
                cut = record.result[: max(0, spare - 1)].rsplit(" ", 1)[0] + "…"
                found.append(replace(hit, record=replace(record, result=cut)))
            break
        found.append(hit)
        left -= size
    return found


def _relevance(coverage: float, closeness: float) -> float:
    return max(0.0, min(1.0, max(coverage, closeness)))


def _why(words: Sequence[str], ranks: Mapping[str, int], closeness: float | None, utility: float | None) -> str:
    said = [f"shares {', '.join(words[:6])}"] if words else []
    if closeness is not None and "vector" in ranks:
        said.append(f"near in letters ({closeness:.2f})")
    places = ", ".join(f"{name} {rank}" for name, rank in ranks.items())
    said.append(f"place: {places}")
    if utility is not None:
        said.append(f"helped before ({utility:.2f})" if utility >= 0.5 else f"did not help before ({utility:.2f})")
    return "; ".join(said)
