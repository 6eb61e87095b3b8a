"""Grants: who may read which of whose records, what for and until when.

It must not know how records are read; `access` puts the grants into the condition of every read.
"""

from __future__ import annotations

import math
import sqlite3
import time
import uuid
from dataclasses import dataclass
from numbers import Real

from engram_agent import audit
from engram_agent.access import ACTIVE, COVERED, SCOPES
from engram_agent.errors import AgentError, must_be_words
from engram_agent.intake import is_name, must_be_agent
from engram_agent.privacy import redact
from engram_agent.records import TYPES
from engram_agent.store import Store

DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Leave to read, never to change or delete.

    Attributes:
        id: Its name, for `revoke`.
        from_agent: Whose records may be read.
        to_agent: Who may read them.
        scope: One of `access.SCOPES`.
        value: The type, tag, domain, pattern name or record id that it is for; empty for "all".
        purpose: What for, in words.
        created_at: Seconds since 1970.
        expires_at: Seconds since 1970; None if it holds until it is revoked.
        revoked_at: Seconds since 1970; None if it was not revoked.
        active: Whether it holds now.
        matches: How many records can be read by it now; 0 also for a pattern that is yet to come.
    """

    id: str
    from_agent: str
    to_agent: str
    scope: str
    value: str
    purpose: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None
    active: bool
    matches: int


def share(
    store: Store,
    from_agent: str,
    to_agent: str,
    *,
    scope: str = "pattern",
    value: str = "",
    purpose: str = "",
    days: float | None = None,
    agent_id: str | None = None,
    now: float | None = None,
) -> Grant:
    """Let another agent read some records, those that are yet to come among them.

    There is at most one active grant of the same records to the same agent: a second takes the place of the first.

    Args:
        store: The records.
        from_agent: Whose records they are.
        to_agent: Who may read them.
        scope: One of `access.SCOPES`.
        value: The type, tag, domain, pattern name or record id; empty for "all".
        purpose: What for, in words; secrets are taken out.
        days: How long it holds; None for until it is revoked.
        agent_id: Who asks; by default the owner.
        now: The present time, in seconds since 1970; by default the clock's.

    Raises:
        AgentError: InvalidValue if an argument is not what it must be, or another than the owner asks.
    """
    now = time.time() if now is None else now
    if agent_id is not None and agent_id != from_agent:
        raise AgentError(
            "InvalidValue", f"{agent_id!r} cannot share what belongs to {from_agent!r}", "only its owner can share it"
        )
    _check(from_agent, to_agent, scope, value, days)
    days = None if days is None else float(days)
    grant_id = f"g{uuid.uuid4().hex[:16]}"
    what = [from_agent, to_agent, scope, redact(value)]
    with store.database.transaction():
        store.database.execute(
            "UPDATE grants SET revoked_at = ? WHERE from_agent = ? AND to_agent = ? AND scope = ? AND value = ?"
            f" AND {ACTIVE}",
            [now, *what, now],
        )
        store.database.execute(
            "INSERT INTO grants (id, from_agent, to_agent, scope, value, purpose, created_at, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [grant_id, *what, redact(purpose), now, None if days is None else now + days * DAY],
        )
        detail = {"to": to_agent, "scope": scope, "value": what[3], "days": days}
        audit.append(store.database, from_agent, "share", grant_id, detail)
    return _select(store, "grants.id = ?", [grant_id], now)[0]


def revoke(store: Store, grant_id: str, *, agent_id: str, now: float | None = None) -> Grant:
    """Take a grant back, at once; one that was taken back before stays as it is.

    Args:
        store: The records.
        grant_id: The grant's.
        agent_id: Who asks; only the owner of the records may.
        now: The present time, in seconds since 1970; by default the clock's.

    Raises:
        AgentError: NotFound if this agent has given no such grant.
    """
    now = time.time() if now is None else now
    with store.database.transaction():
        found = _select(store, "grants.id = ? AND grants.from_agent = ?", [grant_id, agent_id], now)
        if not found:
            raise AgentError(
                "NotFound", f"there is no grant {grant_id!r} given by {agent_id!r}", "only who shared can revoke"
            )
        if found[0].revoked_at is None:
            store.database.execute("UPDATE grants SET revoked_at = ? WHERE id = ?", [now, grant_id])
            audit.append(store.database, agent_id, "revoke", grant_id)
        return _select(store, "grants.id = ?", [grant_id], now)[0]


def grants(store: Store, *, agent_id: str, now: float | None = None) -> list[Grant]:
    """All grants an agent has given or received, the newest first, those that hold no more among them.

    Args:
        store: The records.
        agent_id: Who asks.
        now: The present time, in seconds since 1970; by default the clock's.
    """
    now = time.time() if now is None else now
    return _select(store, "(grants.from_agent = ? OR grants.to_agent = ?)", [agent_id, agent_id], now)


def _select(store: Store, where: str, values: list[str], now: float) -> list[Grant]:
    counted = f"SELECT count(*) FROM records WHERE records.superseded_by IS NULL AND {COVERED}"
    rows = store.database.rows(
        f"SELECT grants.*, {ACTIVE} AS active, CASE WHEN {ACTIVE} THEN ({counted}) ELSE 0 END AS matches"
        f" FROM grants WHERE {where} ORDER BY created_at DESC, rowid DESC",
        [now, now, *values],
    )
    return [_grant(row) for row in rows]


def _grant(row: sqlite3.Row) -> Grant:
    return Grant(**({name: row[name] for name in Grant.__dataclass_fields__} | {"active": bool(row["active"])}))


def _check(from_agent: str, to_agent: str, scope: str, value: str, days: float | None) -> None:
    def require(holds: bool, name: str, expected: str, came: object) -> None:
        if not holds:
            raise AgentError("InvalidValue", f"{name} must be {expected}, got {came!r}")

    must_be_agent(from_agent, "from_agent")
    must_be_words("to_agent", to_agent)
    require(bool(to_agent.strip()) and to_agent != from_agent, "to_agent", "the name of another agent", to_agent)
    require(is_name(to_agent), "to_agent", "a name on one line without a secret in it", redact(to_agent))
    require(scope in SCOPES, "scope", f"one of {', '.join(SCOPES)}", scope)
    if scope == "all":
        require(not value, "value", "empty for scope 'all'", value)
    else:
        require(bool(value.strip()), "value", f"the {scope} that is shared", value)
    if scope == "type":
        require(value in TYPES, "value", f"one of {', '.join(TYPES)}", value)
    require(
        days is None or (isinstance(days, Real) and math.isfinite(days) and days > 0.0), "days", "more than 0", days
    )
