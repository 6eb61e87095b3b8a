"""Tidies an agent's memory without loss: nearly equal records become one, stale ones step back, and all of it can be undone.

It must not know how records are searched, and deletes none.
"""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from engram_agent import audit
from engram_agent.errors import AgentError
from engram_agent.merging import after, before, mark, restored
from engram_agent.records import Record
from engram_agent.store import Store
from engram_agent.twins import stale, twins

STALE_DAYS = 90.0
MIN_SCORE = 0.3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a consolidation would do, does or did.

    Attributes:
        id: Its name.
        state: "preview", "applied" or "undone".
        groups: The record that stays and those whose place it takes, by ids.
        archived: Stale records that step back: each is marked as superseded by itself.
        count: How many records are shown no more.
        created_at: Seconds since 1970.
        applied_at: Seconds since 1970, or None.
        undone_at: Seconds since 1970, or None.
    """

    id: str
    state: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    archived: tuple[str, ...]
    count: int
    created_at: float
    applied_at: float | None
    undone_at: float | None


def preview(
    store: Store,
    *,
    agent_id: str,
    stale_days: float = STALE_DAYS,
    min_score: float = MIN_SCORE,
    now: float | None = None,
) -> Plan:
    """Plan what to tidy, and change no record.

    Records are merged that say nearly the same in context, action and result (by the store's measure) and the same in
    all else they say. The oldest of them stays. Stale are those that nobody has written or found for so many
    days and whose score is below the least.

    Args:
        store: The records.
        agent_id: Whose records.
        stale_days: Days without use.
        min_score: Least score of a record that may stay however stale it is.
        now: The present time, in seconds since 1970; by default the clock's.

    Raises:
        AgentError: InvalidValue if `stale_days` is not above 0 or `min_score` is not from 0 to 1.
    """
    now = time.time() if now is None else now
    if not stale_days > 0.0:
        raise AgentError("InvalidValue", f"stale_days must be more than 0, got {stale_days!r}")
    if not 0.0 <= min_score <= 1.0:
        raise AgentError("InvalidValue", f"min_score must be from 0 to 1, got {min_score!r}")
    with store.database.transaction():
        records = store.select(agent_id, "records.agent_id = ?", [agent_id])
        groups = twins(store, records, agent_id)
        grouped = {name for keep, others in groups for name in (keep, *others)}
        old = [
            record.id for record in records if record.id not in grouped and stale(record, stale_days, min_score, now)
        ]
        marks = {record.id: mark(record) for record in records if record.id in grouped or record.id in set(old)}
        plan = {"groups": groups, "archived": old, "marks": marks, "stale_days": stale_days, "min_score": min_score}
        plan_id = f"c{uuid.uuid4().hex[:16]}"
        store.database.execute(
            "INSERT INTO consolidations (id, agent_id, state, plan, created_at) VALUES (?, ?, 'preview', ?, ?)",
            [plan_id, agent_id, json.dumps(plan), now],
        )
    return _plan(_row(store, plan_id, agent_id))


def apply(store: Store, plan_id: str, *, agent_id: str, now: float | None = None) -> Plan:
    """Do what a preview has planned.

    The record that stays gets the counts of the others added to its own, their tags, sources and judgements; the others
    are marked as superseded by it. What was there before is kept for `undo`.

    Args:
        store: The records.
        plan_id: The preview's.
        agent_id: Whose records.
        now: The present time, in seconds since 1970; by default the clock's.

    Raises:
        AgentError: NotFound if this agent has no such plan; ApplyFailed if it was applied before or fits no more.
    """
    now = time.time() if now is None else now
    with store.database.transaction():
        row = _row(store, plan_id, agent_id)
        if row["state"] != "preview":
            raise _failed(f"plan {plan_id!r} was applied on {_date(row['applied_at'])}", "make a new preview")
        plan = json.loads(row["plan"])
        records = _records(store, plan["marks"], agent_id)
        if not _fits(plan, records, now):
            raise _failed(f"plan {plan_id!r} does not fit what is remembered now", "make a new preview")
        kept = before(store, records)
        for changed in after(store, plan["groups"], plan["archived"], records, now):
            store.put(changed)
        changes = {"before": kept, "after": before(store, _records(store, plan["marks"], agent_id))}
        store.database.execute(
            "UPDATE consolidations SET state = 'applied', applied_at = ?, before = ? WHERE id = ?",
            [now, json.dumps(changes), plan_id],
        )
        audit.append(store.database, agent_id, "consolidate", plan_id, {"records": len(kept)})
    return _plan(_row(store, plan_id, agent_id))


def undo(store: Store, plan_id: str, *, agent_id: str, now: float | None = None) -> Plan:
    """Bring back what was there before a plan was applied.

    What has been counted, tagged or judged since then stays; a record that was deleted since then stays deleted.

    Args:
        store: The records.
        plan_id: The plan's.
        agent_id: Whose records.
        now: The present time, in seconds since 1970; by default the clock's.

    Raises:
        AgentError: NotFound if this agent has no such plan; ApplyFailed if it is not applied, or a later one that is
            applied touches the same records.
    """
    now = time.time() if now is None else now
    with store.database.transaction():
        row = _row(store, plan_id, agent_id)
        if row["state"] == "preview":
            raise _failed(f"plan {plan_id!r} was never applied", "there is nothing to undo")
        if row["state"] == "undone":
            raise _failed(f"plan {plan_id!r} was undone on {_date(row['undone_at'])}", "there is nothing to undo")
        _require_last(store, row, agent_id)
        changes = json.loads(row["before"])
        for changed in restored(store, changes, _records(store, changes["before"], agent_id)):
            store.put(changed)
        store.database.execute("UPDATE consolidations SET state = 'undone', undone_at = ? WHERE id = ?", [now, plan_id])
        audit.append(store.database, agent_id, "undo", plan_id, {"records": len(changes["before"])})
    return _plan(_row(store, plan_id, agent_id))


def log(store: Store, *, agent_id: str) -> list[Plan]:
    """All plans of an agent, the newest first."""
    asked = "SELECT * FROM consolidations WHERE agent_id = ? ORDER BY created_at DESC, rowid DESC"
    return [_plan(row) for row in store.database.rows(asked, [agent_id])]


def _fits(plan: Mapping[str, Any], records: Mapping[str, Record], now: float) -> bool:
    """Whether the records still say what they said, and those that were stale still are."""
    if any(name not in records or mark(records[name]) != marked for name, marked in plan["marks"].items()):
        return False
    return all(stale(records[name], plan["stale_days"], plan["min_score"], now) for name in plan["archived"])


def _require_last(store: Store, row: sqlite3.Row, agent_id: str) -> None:
    later = store.database.rows(
        "SELECT id, before FROM consolidations WHERE agent_id = ? AND state = 'applied' AND id != ?"
        " AND (applied_at > ? OR applied_at = ? AND rowid > (SELECT rowid FROM consolidations WHERE id = ?))"
        " ORDER BY applied_at DESC",
        [agent_id, row["id"], row["applied_at"], row["applied_at"], row["id"]],
    )
    touched = json.loads(row["before"])["before"].keys()
    for other in later:
        if touched & json.loads(other["before"])["before"].keys():
            raise _failed(f"plan {other['id']!r} has changed the same records since", "undo that one first")


def _records(store: Store, ids: Mapping[str, Any], agent_id: str) -> dict[str, Record]:
    """Those of these records that are there, superseded ones too."""
    where = "records.agent_id = ? AND records.id IN (SELECT value FROM json_each(?))"
    found = store.select(agent_id, where, [agent_id, json.dumps(list(ids))], superseded=True)
    return {record.id: record for record in found}


def _row(store: Store, plan_id: str, agent_id: str) -> sqlite3.Row:
    found = store.database.rows("SELECT * FROM consolidations WHERE id = ? AND agent_id = ?", [plan_id, agent_id])
    if not found:
        raise AgentError("NotFound", f"there is no plan {plan_id!r} of {agent_id!r}", "make a preview first")
    return found[0]


def _plan(row: sqlite3.Row) -> Plan:
    plan = json.loads(row["plan"])
    groups = tuple((keep, tuple(others)) for keep, others in plan["groups"])
    return Plan(
        id=row["id"],
        state=row["state"],
        groups=groups,
        archived=tuple(plan["archived"]),
        count=sum(len(others) for _, others in groups) + len(plan["archived"]),
        created_at=row["created_at"],
        applied_at=row["applied_at"],
        undone_at=row["undone_at"],
    )


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _failed(message: str, hint: str) -> AgentError:
    return AgentError("ApplyFailed", message, hint)
