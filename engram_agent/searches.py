"""The log of searches: what was asked, what was decided, and what each strategy would have served.

It must not know how anything was decided, nor what is learned from it.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from engram_agent.credit import Evidence, Routing
from engram_agent.database import Database
from engram_agent.errors import AgentError
from engram_agent.hits import Hit
from engram_agent.privacy import redact
from engram_agent.router import Found, Router

KEPT_DAYS = 90
KEPT = 20_000
"""Searches that are kept, at most; a search is judged soon or never."""
KEPT_STEPS = 100_000
"""Steps of learning that are kept in `q_history`."""
PRUNED_EVERY = 256
LOGGED = 50
"""Places of each strategy that are logged, at most."""
DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search of the log.

    Attributes:
        id: Its name.
        query: What was asked, without secrets.
        routing: What was decided.
        served: Relevance of each memory that was served, best first.
        candidates: Ids that each strategy would have served, best first, whatever its floor.
    """

    id: str
    query: str
    routing: Routing
    served: Mapping[str, float]
    candidates: Mapping[str, Sequence[str]]

    def evidence(self, record_id: str) -> Evidence | None:
        """What the search showed of a memory; None if it had nothing to do with it."""
        places = {name: found.index(record_id) + 1 for name, found in self.candidates.items() if record_id in found}
        probe = self.routing.probes.get(record_id, 0.0)
        if record_id in self.served and not probe:
            places.setdefault(self.routing.strategy, list(self.served).index(record_id) + 1)
        return Evidence(places=places, relevance=self.served.get(record_id), probe=probe) if places else None


class Searches:
    """The searches of one file.

    Args:
        database: An open memory.
        router: Counts the searches it has routed.
    """

    def __init__(self, database: Database, router: Router) -> None:
        self.database, self.router = database, router

    def keep(
        self,
        query: str,
        routing: Routing,
        hits: Sequence[Hit],
        orders: Mapping[str, Sequence[str]],
        limit: int,
        agent_id: str,
        demanded: bool = False,
        now: float | None = None,
    ) -> Found:
        """Log a search and note which memories it served; the hits come back with its name.

        Args:
            query: What was asked; secrets are taken out.
            routing: What was decided.
            hits: What is served.
            orders: Ids of the candidates in the order of each strategy.
            limit: Hits that were asked for.
            agent_id: Who asked.
            demanded: Whether the caller chose the strategy.
            now: Seconds since 1970.
        """
        now = now or time.time()
        query_id = f"q{uuid.uuid4().hex[:16]}"
        served = {hit.id: round(hit.relevance, 4) for hit in hits}
        candidates = {name: list(found[: min(limit, LOGGED)]) for name, found in orders.items()}
        values = [query_id, agent_id, redact(query), json.dumps(vars(routing)), json.dumps(served)]
        with self.database.transaction(light=True):
            kept = self.database.execute(
                "INSERT INTO searches (id, agent_id, query, routing, served, candidates, searched_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                [*values, json.dumps(candidates), now],
            ).lastrowid
            marks = ", ".join("?" * len(served))
            self.database.execute(  # by id: the plus keeps SQLite from walking all records of the agent
                "UPDATE records SET access_count = access_count + 1, last_accessed = ?"
                f" WHERE +agent_id = ? AND id IN ({marks})",
                [now, agent_id, *served],
            )
            self.router.count(routing.state, demanded)
            if kept is not None and kept % PRUNED_EVERY == 0:
                self.prune(kept, now)
        return Found([replace(hit, query_id=query_id) for hit in hits], query_id, routing)

    def prune(self, last: int, now: float) -> None:
        """Forget searches beyond the latest KEPT or older than KEPT_DAYS, and steps beyond KEPT_STEPS."""
        self.database.execute(
            "DELETE FROM searches WHERE rowid <= ? OR searched_at < ?", [last - KEPT, now - KEPT_DAYS * DAY]
        )
        self.database.execute(
            "DELETE FROM q_history WHERE number <= (SELECT max(number) FROM q_history) - ?", [KEPT_STEPS]
        )

    def get(self, query_id: str, *, agent_id: str) -> Search:
        """A search of this agent's.

        Raises:
            AgentError: NotFound if it has none of that name, or no more.
        """
        rows = self.database.rows("SELECT * FROM searches WHERE id = ? AND agent_id = ?", [query_id, agent_id])
        if not rows:
            raise AgentError(
                "NotFound",
                f"there is no search {query_id!r} of {agent_id!r}",
                f"searches are kept {KEPT_DAYS} days; leave query_id out to judge the memory alone",
            )
        return _from_row(rows[0])

    def latest(self, record_id: str, *, agent_id: str) -> Search | None:
        """The latest search of this agent's that served a memory."""
        rows = self.database.rows(
            "SELECT * FROM searches WHERE agent_id = ? AND instr(served, ?) ORDER BY searched_at DESC, rowid DESC LIMIT 1",
            [agent_id, json.dumps(record_id)],
        )
        return _from_row(rows[0]) if rows else None


def _from_row(row: sqlite3.Row) -> Search:
    return Search(
        id=row["id"],
        query=row["query"],
        routing=Routing(**json.loads(row["routing"])),
        served=json.loads(row["served"]),
        candidates=json.loads(row["candidates"]),
    )
