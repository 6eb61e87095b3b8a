"""Takes judgements of memories: the memory's own utility moves, and so does what the search that found it had chosen.

It must not know how a search chooses, nor who judges.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from numbers import Real
from typing import Any

from engram_agent.errors import AgentError
from engram_agent.index import terms
from engram_agent.intervals import interval
from engram_agent.privacy import redact
from engram_agent.records import Record
from engram_agent.router import Router
from engram_agent.searches import DAY, Search, Searches
from engram_agent.store import Store

RECENT_DAYS = 30.0
"""Days after which a memory's recency has fallen to 1 / e."""
OFTEN = 10
"""Uses from which on a memory counts as used often."""
USED = 0.5
"""Least score of a memory that was of use."""
SHOWN = 500
"""Latest rows of each table that `learned` shows."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a judgement of a memory came to.

    Attributes:
        record_id: The memory.
        score: How helpful it was, 0 to 1.
        utility: How helpful it is by now: the mean of its posterior, Beta(1 + helped, 1 + hindered).
        low: Lower end of the posterior's 95 % interval.
        high: Its upper end.
        query_id: The search that served it, which learned from this; None if there was none.
    """

    record_id: str
    score: float
    utility: float
    low: float
    high: float
    query_id: str | None


class Judge:
    """Takes judgements.

    Args:
        store: The records.
        router: Learns from them.
        searches: The log of what was served.
    """

    def __init__(self, store: Store, router: Router, searches: Searches) -> None:
        self.store, self.router, self.searches = store, router, searches

    def judge(
        self,
        record_id: str,
        score: float | None,
        *,
        agent_id: str,
        query_id: str | None = None,
        source: str = "agent",
        now: float | None = None,
    ) -> Judgement:
        """Take one judgement, in one transaction.

        A second judgement of the same memory in the same search takes the place of the first. Who was given leave to read
        a memory learns from judging it how to search; the memory's own utility is for its owner to move.

        Args:
            record_id: The memory.
            score: How helpful it was, 0 to 1; None for the heuristic.
            agent_id: Who judges; it must see the memory.
            query_id: The search it was found by; by default the latest of this agent's that served it.
            source: What the judgement comes from.
            now: Seconds since 1970.

        Raises:
            AgentError: InvalidValue if the score is not from 0 to 1; NotFound if there is no such memory or search.
        """
        if score is not None and not (isinstance(score, Real) and 0.0 <= score <= 1.0):
            raise AgentError(
                "InvalidValue", f"score must be from 0 to 1, got {score!r}", "leave it out for the heuristic"
            )
        score, now = None if score is None else float(score), now or time.time()
        with self.store.database.transaction():
            record = self.store.get(record_id, agent_id=agent_id)
            search = (
                self.searches.get(query_id, agent_id=agent_id)
                if query_id is not None
                else self.searches.latest(record_id, agent_id=agent_id)
            )
            if score is None:
                score, source = heuristic(record, search.query if search else "", now), "heuristic"
            previous = self._previous(record_id, search, agent_id)
            evidence = search.evidence(record_id) if search else None
            if search is not None and evidence is not None:
                self.router.learn(search.routing, evidence, score, previous, now)
            self.store.database.execute(
                "INSERT INTO judgements (search_id, record_id, agent_id, score, source, judged_at) VALUES (?, ?, ?, ?, ?, ?)",
                [search.id if search else None, record_id, agent_id, score, redact(source), now],
            )
            if record.agent_id == agent_id:
                self._count(record_id, score, previous, now)
            helped, hindered = self._counts(record_id)
        utility, low, high = interval(helped, helped + hindered, weight=2.0)
        found = search.id if search else None
        return Judgement(record_id=record_id, score=score, utility=utility, low=low, high=high, query_id=found)

    def learned(self, shown: int = SHOWN) -> dict[str, list[dict[str, Any]]]:
        """What was learned so far, the latest first: `q_values`, `q_history`, `utilities`, `judgements`."""
        orders = {
            "q_values": "decision, state, action",
            "q_history": "number DESC",
            "utilities": "updated_at DESC, record_id",
            "judgements": "number DESC",
        }
        return {
            name: [
                dict(row) for row in self.store.database.rows(f"SELECT * FROM {name} ORDER BY {order} LIMIT ?", [shown])
            ]
            for name, order in orders.items()
        }

    def _previous(self, record_id: str, search: Search | None, agent_id: str) -> float | None:
        """The score that this agent has given a memory in a search before."""
        rows = self.store.database.rows(
            "SELECT score FROM judgements WHERE record_id = ? AND search_id = ? AND agent_id = ? ORDER BY number DESC LIMIT 1",
            [record_id, search.id if search else None, agent_id],
        )
        return rows[0]["score"] if rows else None

    def _count(self, record_id: str, score: float, previous: float | None, now: float) -> None:
        """Count a judgement for and against a memory, in place of a previous one."""
        helped = score if previous is None else score - previous
        hindered = 1.0 - score if previous is None else previous - score
        self.store.database.execute(
            "INSERT INTO utilities VALUES (?, ?, ?, ?) ON CONFLICT (record_id) DO UPDATE SET helped = max(0, helped"
            " + excluded.helped), hindered = max(0, hindered + excluded.hindered), updated_at = excluded.updated_at",
            [record_id, helped, hindered, now],
        )
        if previous is None and score >= USED:
            self.store.database.execute("UPDATE records SET used_count = used_count + 1 WHERE id = ?", [record_id])

    def _counts(self, record_id: str) -> tuple[float, float]:
        rows = self.store.database.rows("SELECT helped, hindered FROM utilities WHERE record_id = ?", [record_id])
        return (rows[0]["helped"], rows[0]["hindered"]) if rows else (0.0, 0.0)


def heuristic(record: Record, query: str, now: float) -> float:
    """How helpful a memory may be where nobody says: 0.4 overlap + 0.3 exp(-days / 30) + 0.3 min(used / 10, 1).

    Args:
        record: The memory.
        query: What was asked; the overlap is the share of its words that stand in the memory.
        now: Seconds since 1970.
    """
    asked = set(terms(query))
    said = set(terms(f"{record.context} {record.action} {record.result}"))
    overlap = len(asked & said) / len(asked) if asked else 0.0
    days = max(0.0, now - record.created_at) / DAY
    return 0.4 * overlap + 0.3 * math.exp(-days / RECENT_DAYS) + 0.3 * min(record.used_count / OFTEN, 1.0)
