"""Chooses how a search is done, writes down what it chose and why, and learns from judgements: the fast loop.

It must not know how a ranking is made, nor where a judgement comes from.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engram_agent.credit import DECISIONS, DEFAULTS, STRATEGY, Evidence, Routing, rewards, weight
from engram_agent.database import Database
from engram_agent.errors import AgentError, must_be_text
from engram_agent.hits import Hit
from engram_agent.requests import kind
from engram_agent.search import FLOORS, STRATEGIES

ALPHA = 0.1
"""Step of learning, at first."""
LEAST_ALPHA = 0.02
"""And in the end, so that what is long past is forgotten."""
SETTLED_AFTER = 20
"""Updates of a value after which its step has fallen to half, so that noise is averaged out."""
EPSILON = 0.15
"""Share of searches that try any action, at first."""
LEAST_EPSILON = 0.005
"""And in the end: a memory changes, and what was worse may become better."""
HALF_AFTER = {STRATEGY: 0.2, "llm": 100, "contextualisation": 100, "proactivity": 100}
"""Searches of one kind after which exploration has fallen to half. Strategies need next to none: they are tried in the last
place of a list (PROBING), and each judgement tells of all."""
PROBING = 0.5
"""Share of searches whose last place goes to what another strategy would have served, at first."""
LEAST_PROBING = 0.1
"""And in the end."""
PROBED_HALF = 40
"""Searches of one kind after which it has fallen to half."""
PROBED = 5
"""Fewest results of which the last is given away."""
MARGIN = 0.01
"""By how much an action must be worth more than the default: noise alone, and seeing mostly what is served, leave less."""
PRIOR = 0.5
"""What an action is worth before anything is known."""


class Found(list[Hit]):
    """The hits of a search, best first.

    Attributes:
        query_id: Name of the search, for `judge`.
        routing: What was decided; of the model to use it is an advice to the caller.
        suggestions: What has worked in such situations, where it was decided to say so unasked.
    """

    def __init__(self, hits: Iterable[Hit], query_id: str, routing: Routing) -> None:
        super().__init__(hits)
        self.query_id, self.routing = query_id, routing
        self.suggestions: tuple[Any, ...] = ()


@dataclass
class Router:
    """Four contextual bandits over one table of values, each with its own exploration.

    Values follow Q += alpha (r - Q); an action is chosen greedily, or with probability epsilon uniformly at random
    (Sutton & Barto 2018, section 2.2). Searches count down epsilon for each decision and kind of request.

    Three decisions learn only from the action that was taken, whose reward is the score of the judgement (bandit
    feedback). The strategy learns more: see `credit`.

    Args:
        database: An open memory.
        explore: Whether to try what is not thought best; without, the same table always gives the same choice.
        chance: Where random numbers come from; by default seeded by the system.
        defaults: The action of each decision before anything is known.
    """

    database: Database
    explore: bool = True
    chance: random.Random = field(default_factory=random.Random)
    defaults: Mapping[str, str] = field(default_factory=lambda: DEFAULTS)

    def choose(self, query: str, strategy: str | None = None, floor: str | None = None) -> Routing:
        """Decide how a search is done.

        Args:
            query: What is asked.
            strategy: The strategy that the caller demands.
            floor: The floor that the caller demands.

        Raises:
            AgentError: InvalidValue if there is no such strategy or floor, or the query is no text.
        """
        must_be_text("query", query)
        allowed = dict(DECISIONS) | {STRATEGY: _allowed(strategy, floor)}
        state = kind(query)
        values, searches, tries = self.values(state), self._searches(state), self.explore and self._judged()
        actions, propensities, policy = {}, {}, {}
        for decision, known in values.items():
            share = epsilon(decision, searches[decision]) if tries else 0.0
            chances = self._chances(decision, {name: known[name] for name in allowed[decision]}, share)
            action = self.chance.choices(list(chances), list(chances.values()))[0] if tries else _first(chances)
            actions[decision], propensities[decision] = action, chances[action]
            if decision == STRATEGY:
                policy = {name: chance for name, chance in chances.items() if chance > 0.0}
        free = tries and strategy is None and floor is None
        share = max(LEAST_PROBING, PROBING / (1.0 + searches[STRATEGY] / PROBED_HALF)) if free else 0.0
        return Routing(state=state, actions=actions, propensities=propensities, policy=policy, probing=share)

    def probe(
        self, routing: Routing, served: Sequence[str], orders: Mapping[str, Sequence[str]]
    ) -> tuple[Routing, str]:
        """Draw what is tried in the last place: the first memory that a strategy has and that is not served.

        What the chosen strategy does not serve nobody can judge. To show one memory of another costs the last place of the
        list, not the list; it is the cheapest way to see what is missed (interleaving, Radlinski et al. 2008, "How Does
        Clickthrough Data Reflect Retrieval Quality?").

        Args:
            routing: What was decided.
            served: Ids of what is served.
            orders: Ids of the candidates in the order of each strategy.

        Returns:
            The routing with the chance of each memory to be tried; the one that is, or "".
        """
        missed = [next((name for name in order if name not in served), "") for order in orders.values()]
        names = [name for name in missed if name]
        if not routing.probing or not names or len(served) < PROBED:
            return routing, ""
        probes = {name: routing.probing * names.count(name) / len(names) for name in names}
        tried = self.chance.choice(names) if self.chance.random() < routing.probing else ""
        return replace(routing, probes=probes), tried

    def values(self, state: str) -> dict[str, dict[str, float]]:
        """What each action of each decision is thought to be worth for a kind of request.

        A kind of which nothing is known yet borrows from the others (their mean, weighted by updates). An action that
        was never tried is worth what the default is: it neither wins nor loses by not being known.
        """
        own: dict[str, dict[str, float]] = {decision: {} for decision in DECISIONS}
        sums: dict[str, dict[str, tuple[float, int]]] = {decision: {} for decision in DECISIONS}
        for row in self.database.rows("SELECT decision, state, action, value, updates FROM q_values"):
            decision, action = row["decision"], row["action"]
            if action not in DECISIONS.get(decision, ()):
                continue
            if row["state"] == state:
                own[decision][action] = row["value"]
            total, updates = sums[decision].get(action, (0.0, 0))
            sums[decision][action] = (total + row["updates"] * row["value"], updates + row["updates"])
        found = {}
        for decision, actions in DECISIONS.items():
            known = own[decision] or {action: total / n for action, (total, n) in sums[decision].items() if n}
            other = known.get(self.defaults[decision], PRIOR)
            found[decision] = {action: known.get(action, other) for action in actions}
        return found

    def count(self, state: str, demanded: bool) -> None:
        """Note that a search of this kind was routed; what the caller demanded, or nobody judges, explored nothing."""
        if not self._judged():
            return
        explored = [decision for decision in DECISIONS if not (demanded and decision == STRATEGY)]
        self.database.execute(
            f"INSERT INTO explorations VALUES {', '.join(['(?, ?, 1)'] * len(explored))}"
            " ON CONFLICT (decision, state) DO UPDATE SET searches = searches + 1",
            [value for decision in explored for value in (decision, state)],
        )

    def learn(
        self,
        routing: Routing,
        evidence: Evidence,
        score: float,
        previous: float | None = None,
        now: float | None = None,
    ) -> None:
        """Move the values by one judgement of a memory that a search showed.

        Args:
            routing: What was decided for the search.
            evidence: What it showed of the memory.
            score: How helpful the memory was, 0 to 1.
            previous: The score of an earlier judgement of the same memory in the same search, which this one replaces:
                then only the difference counts.
            now: Seconds since 1970.
        """
        with self.database.transaction():
            values, updates = self.values(routing.state), self._updates(routing.state)
            for decision, action in routing.actions.items():
                if decision == STRATEGY:
                    targets = rewards(evidence, score)
                    before = None if previous is None else rewards(evidence, previous)
                    heavy = weight(routing, evidence)
                else:
                    targets, heavy = {action: score}, 1.0
                    before = None if previous is None else {action: previous}
                for name, target in targets.items():
                    value = values[decision][name]
                    error = target - (value if before is None else before[name])
                    step = 1.0 - (1.0 - alpha(updates.get((decision, name), 0))) ** heavy
                    moved = min(1.0, max(0.0, value + step * error))
                    self._keep(decision, routing.state, name, moved, now or time.time(), before is None)

    def _keep(self, decision: str, state: str, action: str, value: float, now: float, fresh: bool) -> None:
        self.database.execute(
            "INSERT INTO q_values VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (decision, state, action)"
            " DO UPDATE SET value = excluded.value, updates = updates + ?, updated_at = excluded.updated_at",
            [decision, state, action, value, now, int(fresh)],
        )
        self.database.execute(
            "INSERT INTO q_history (decision, state, action, value, learned_at) VALUES (?, ?, ?, ?, ?)",
            [decision, state, action, value, now],
        )

    def _updates(self, state: str) -> dict[tuple[str, str], int]:
        rows = self.database.rows("SELECT decision, action, updates FROM q_values WHERE state = ?", [state])
        return {(row["decision"], row["action"]): row["updates"] for row in rows}

    def _searches(self, state: str) -> dict[str, int]:
        rows = self.database.rows("SELECT decision, searches FROM explorations WHERE state = ?", [state])
        return dict.fromkeys(DECISIONS, 0) | {row["decision"]: row["searches"] for row in rows}

    def _judged(self) -> bool:
        """Whether anybody judges: where nobody does, there is nothing to be learned from trying."""
        return bool(self.database.rows("SELECT 1 FROM q_values LIMIT 1"))

    def _chances(self, decision: str, values: Mapping[str, float], share: float) -> dict[str, float]:
        """Probability of each action, epsilon-greedy; the default is left for what beats it by MARGIN."""
        default = self.defaults[decision]
        best = max(values, key=lambda name: values[name] + MARGIN * (name == default))
        spread = share / len(values)
        return {name: spread + (1.0 - spread * len(values)) * (name == best) for name in values}


def epsilon(decision: str, searches: int) -> float:
    """Share of searches that explore after so many: EPSILON / (1 + n / HALF_AFTER), at least LEAST_EPSILON."""
    return max(LEAST_EPSILON, EPSILON / (1.0 + searches / HALF_AFTER[decision]))


def alpha(updates: int) -> float:
    """Step of learning after so many updates: ALPHA / (1 + n / SETTLED_AFTER), at least LEAST_ALPHA."""
    return max(LEAST_ALPHA, ALPHA / (1.0 + updates / SETTLED_AFTER))


def _allowed(strategy: str | None, floor: str | None) -> tuple[str, ...]:
    _known("strategy", strategy, STRATEGIES)
    _known("floor", floor, tuple(FLOORS))
    strategies, floors = [strategy] if strategy else STRATEGIES, [floor] if floor else FLOORS
    return tuple(f"{one}/{other}" for one in strategies for other in floors)


def _known(name: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise AgentError("InvalidValue", f"{name} must be one of {', '.join(known)}, got {value!r}")


def _first(chances: Mapping[str, float]) -> str:
    return max(chances, key=lambda name: chances[name])
