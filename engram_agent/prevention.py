"""Checks that keep a failure from coming back: what to verify before acting, and how often that held.

It must not know how failures are mined; it runs nothing: a check is data for whoever acts.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engram_agent.errors import AgentError
from engram_agent.intervals import interval
from engram_agent.outcomes import SUCCESS, Outcome, trials
from engram_agent.patterns import Pattern, find
from engram_agent.phrases import words
from engram_agent.store import Store

FLOOR = 0.5
"""A check whose rate is below this even at the upper bound of its interval fails more often than it holds: demoted."""
LEAST = 3
"""Results from which a check can be demoted."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What to verify before acting.

    Attributes:
        id: Its name, the same for the same pattern and agent.
        pattern: Name of the failure it guards against.
        spec: `when` (words of the situation and of the error), `verify` (what must hold before acting), `prefer` and
            `avoid` (actions).
        state: "active", or "demoted" once it has failed too often.
        held: Times the failure stayed away.
        failed: Times it came all the same.
        estimate: Rate at which it holds.
        low: Lower bound of the 95 % interval.
        high: Upper bound of the 95 % interval.
    """

    id: str
    pattern: str
    spec: Mapping[str, Any]
    state: str
    held: int
    failed: int
    estimate: float
    low: float
    high: float


def prevent(store: Store, pattern: str, *, agent_id: str, now: float | None = None) -> Check:
    """The check against a failure, made or brought up to date from what is known about it; its results are kept.

    Args:
        store: The records.
        pattern: Name of a failure pattern, or most of its words.
        agent_id: Who asks.
        now: Seconds since 1970.

    Raises:
        AgentError: NotFound if there is no such failure pattern.
    """
    moment = time.time() if now is None else now
    with store.database.transaction():
        found = find(store, pattern, agent_id=agent_id, kind="failure")
        check_id = "c" + hashlib.sha256(json.dumps([agent_id, found.record_id]).encode()).hexdigest()[:16]
        text = json.dumps(_spec(store, found, agent_id), ensure_ascii=False)
        known = store.database.rows("SELECT spec FROM checks WHERE id = ?", [check_id])
        if not known:
            store.database.execute(
                "INSERT INTO checks (id, agent_id, pattern, spec, state, created_at, updated_at) "
                "VALUES (?, ?, ?, ?, 'active', ?, ?)",
                [check_id, agent_id, found.record_id, text, moment, moment],
            )
        elif known[0]["spec"] != text:
            store.database.execute("UPDATE checks SET spec = ?, updated_at = ? WHERE id = ?", [text, moment, check_id])
        return _get(store, check_id, agent_id)


def check_result(store: Store, check_id: str, held: bool, *, agent_id: str, now: float | None = None) -> Check:
    """Count whether a check held; after three results it is demoted if even the upper bound of its rate is below 1/2.

    A check that holds again comes back once that bound has risen to 1/2.

    Raises:
        AgentError: NotFound if this agent has no such check.
    """
    with store.database.transaction():
        known = _get(store, check_id, agent_id)
        counts = known.held + bool(held), known.failed + (not held)
        rate = interval(counts[0], sum(counts))
        state = "demoted" if sum(counts) >= LEAST and rate.high < FLOOR else "active"
        store.database.execute(
            "UPDATE checks SET held = ?, failed = ?, state = ?, updated_at = ? WHERE id = ?",
            [*counts, state, time.time() if now is None else now, check_id],
        )
        return _get(store, check_id, agent_id)


def against(store: Store, patterns: Sequence[Pattern], *, agent_id: str, state: str = "active") -> list[Check]:
    """This agent's checks against these failure patterns, as what is known of them by now makes them."""
    known = {pattern.record_id: pattern for pattern in patterns}
    marks = ", ".join("?" * len(known))
    rows = store.database.rows(
        f"SELECT * FROM checks WHERE agent_id = ? AND state = ? AND pattern IN ({marks}) ORDER BY created_at, id",
        [agent_id, state, *known],
    )
    return [replace(_check(row), spec=_spec(store, known[row["pattern"]], agent_id)) for row in rows]


def _get(store: Store, check_id: str, agent_id: str) -> Check:
    rows = store.database.rows("SELECT * FROM checks WHERE id = ? AND agent_id = ?", [check_id, agent_id])
    if not rows:
        raise AgentError(
            "NotFound", f"there is no check {check_id!r} of {agent_id!r}", "`prevention generate` makes one"
        )
    return _check(rows[0])


def _check(row: sqlite3.Row) -> Check:
    spec, rate = json.loads(row["spec"]), interval(row["held"], row["held"] + row["failed"])
    return Check(
        id=row["id"], pattern=spec["pattern"], spec=spec, state=row["state"], held=row["held"], failed=row["failed"],
        estimate=rate.estimate, low=rate.low, high=rate.high,
    )  # fmt: skip


def _spec(store: Store, pattern: Pattern, agent_id: str) -> dict[str, Any]:
    """What tells failures from successes where the failure happens."""
    marks = ", ".join("?" * len(pattern.members))
    failed = trials(store, agent_id, f"signature IN ({marks}) AND outcome < {SUCCESS}", pattern.members)
    keys, tasks = sorted({one.context_key for one in failed}), sorted({one.task for one in failed if one.task})
    inside = f"context_key IN ({', '.join('?' * len(keys))}) OR task IN ({', '.join('?' * len(tasks))})"
    worked = [one for one in trials(store, agent_id, inside, [*keys, *tasks]) if one.outcome > SUCCESS]
    tried, good = _actions(failed), _actions(worked)
    avoid = [action for action in tried if action not in good]
    verify = [f"the action is not one that failed here: {action}" for action in avoid]
    verify += [f"what helped is done: {pattern.action}"] if pattern.action else []
    return {
        "pattern": pattern.name,
        "when": {"signature": pattern.signature, "context": sorted(set(words(pattern.context)))},
        "verify": verify or [f"nothing leads to: {pattern.signature}"],
        "prefer": [pattern.action] if pattern.action else good[:1],
        "avoid": avoid,
    }


def _actions(tried: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(one.action for one in tried if one.action))
