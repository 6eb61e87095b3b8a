"""What an agent has learned so far, in numbers.

It must not know how any of it was learned.
"""

from __future__ import annotations

from typing import Any

from engram_agent.intervals import interval
from engram_agent.outcomes import OWN, trials
from engram_agent.patterns import RECURRING, all_of
from engram_agent.store import Store

CUT = 20
"""Trials at most at either end that the trend compares."""


def stats(store: Store, *, agent_id: str) -> dict[str, Any]:
    """Trials, the success rate with its 95 % interval and trend, patterns by kind, checks by state.

    The trend is the success rate of the last trials less that of the first, at most 20 each and never the same ones.

    Args:
        store: The records.
        agent_id: Whose learning.
    """
    outcomes = [one.outcome for one in trials(store, agent_id, OWN, [agent_id])]
    rate = interval(sum(outcomes), len(outcomes))
    cut = min(CUT, len(outcomes) // 2)
    found = all_of(store, agent_id)
    failures = [pattern for pattern in found if pattern.kind == "failure"]
    states = store.database.rows(
        "SELECT state, count(*) AS n FROM checks WHERE agent_id = ? GROUP BY state", [agent_id]
    )
    return {
        "agent_id": agent_id,
        "trials": len(outcomes),
        "successes": sum(outcomes),
        "success_rate": {"estimate": rate.estimate, "low": rate.low, "high": rate.high},
        "trend": (sum(outcomes[-cut:]) - sum(outcomes[:cut])) / cut if cut else 0.0,
        "patterns": {kind: sum(one.kind == kind for one in found) for kind in ("decision", "failure", "success")},
        "recurring_failures": sum(pattern.trials >= RECURRING for pattern in failures),
        "recovered_failures": sum(bool(pattern.action) for pattern in failures),
        "checks": {row["state"]: row["n"] for row in states},
    }
