"""One search from the question to what is served: decided by the router, ranked, tried out in the last place, logged.

It must not know how a ranking is made, nor what is learned from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from engram_agent.hits import Hit
from engram_agent.router import Found, Router
from engram_agent.search import FLOORS, STRATEGIES, Pool, Searcher
from engram_agent.searches import Searches
from engram_agent.suggest import suggest
from engram_agent.summaries import summarise, within


class Service:
    """Serves searches.

    Args:
        searcher: Ranks.
        router: Decides how.
        searches: The log.
    """

    def __init__(self, searcher: Searcher, router: Router, searches: Searches) -> None:
        self.searcher, self.router, self.searches = searcher, router, searches

    def search(
        self,
        query: str,
        limit: int,
        agent_id: str,
        where: str,
        values: Sequence[Any],
        *,
        strategy: str | None = None,
        floor: str | None = None,
        budget: int | None = None,
    ) -> Found:
        """What an agent remembers that belongs to a query, best first, and meets a condition: see `Memory.search`."""
        routing = self.router.choose(query, strategy, floor)
        pool = self.searcher.pool(query, limit, agent_id, where, values)
        hits = self.searcher.hits(pool, routing.strategy, limit, agent_id, FLOORS[routing.floor])
        orders = {name: [found for found, _ in self.searcher.best(pool, name, limit)] for name in STRATEGIES}
        routing, tried = self.router.probe(routing, [hit.id for hit in hits], orders)
        if tried:
            hits = self._with(tried, hits, pool, orders, limit, agent_id)
        served = hits if budget is None else within(hits, budget)
        found = self.searches.keep(query, routing, served, orders, limit, agent_id, strategy is not None)
        return self._shaped(query, found, agent_id)

    def _with(
        self,
        tried: str,
        hits: Sequence[Hit],
        pool: Pool,
        orders: Mapping[str, Sequence[str]],
        limit: int,
        agent_id: str,
    ) -> list[Hit]:
        """These hits, the last place taken by a memory that another strategy would have served, if it reaches the floor."""
        name = next(name for name, order in orders.items() if tried in order)
        floor = FLOORS["loose"]
        for hit in self.searcher.hits(pool, name, limit, agent_id, floor):
            if hit.id == tried and hit.relevance >= floor:
                kept = list(hits[: limit - 1])
                why = f"{hit.why}; tried, by {name} search alone"
                return [*kept, replace(hit, why=why, score=min(hit.score, kept[-1].score))]
        return list(hits)

    def _shaped(self, query: str, found: Found, agent_id: str) -> Found:
        """What was decided beside the ranking: to shorten long texts, and to say unasked what has worked."""
        if found.routing.actions["contextualisation"] == "summarise":
            found[:] = [replace(hit, summary=summarise(query, hit.record)) for hit in found]
        if found.routing.actions["proactivity"] == "proactive":
            tried = suggest(self.searcher, query, agent_id=agent_id, limit=2)
            found.suggestions = tuple(one for one in tried if one.enough)
        return found
