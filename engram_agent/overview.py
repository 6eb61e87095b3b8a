"""What a memory holds, in numbers: records, searches, judgements, outcomes, grants and the log.

It must not show any text of a record.
"""

from __future__ import annotations

import time
from typing import Any

from engram_agent.access import ACTIVE
from engram_agent.store import Store

MINE = {
    "records": "agent_id = ?",
    "searches": "agent_id = ?",
    "judgements": "agent_id = ?",
    "outcomes": "agent_id = ?",
    "grants": "? IN (from_agent, to_agent)",
}


def status(store: Store, *, agent_id: str | None = None, check: bool = False) -> dict[str, Any]:
    """Numbers about a memory.

    Args:
        store: The records.
        agent_id: Only what is this agent's own; None for all of the file.
        check: Also let SQLite look through the whole file (`PRAGMA quick_check`).
    """
    database = store.database
    counts = {name: _count(store, name, agent_id) for name in ("searches", "judgements", "outcomes")}
    last = database.rows("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
    found = {
        "path": str(database.path),
        "bytes": _size(store),
        "agent": agent_id,
        "records": {
            "total": _count(store, "records", agent_id),
            "superseded": _count(store, "records", agent_id, "superseded_by IS NOT NULL"),
            "by_type": _grouped(store, "memory_type", agent_id),
            "by_agent": _grouped(store, "agent_id", agent_id),
        },
        "embedder": store.vectors.embedder.name,
        **counts,
        "grants": _count(store, "grants", agent_id, ACTIVE, [time.time()]),
        "audit": {"entries": last[0]["number"], "last": last[0]["hash"]} if last else {"entries": 0, "last": None},
    }
    if check:
        found["integrity"] = [row[0] for row in database.rows("PRAGMA quick_check")] == ["ok"]
    return found


def _count(store: Store, table: str, agent_id: str | None, where: str = "1", values: list[float] | None = None) -> int:
    mine, own = ("1", []) if agent_id is None else (MINE[table], [agent_id])
    asked = f"SELECT count(*) AS n FROM {table} WHERE {where} AND {mine}"
    return int(store.database.rows(asked, [*(values or []), *own])[0]["n"])


def _grouped(store: Store, column: str, agent_id: str | None) -> dict[str, int]:
    mine, own = ("1", []) if agent_id is None else (MINE["records"], [agent_id])
    asked = f"SELECT {column} AS name, count(*) AS n FROM records WHERE {mine} GROUP BY name ORDER BY n DESC, name"
    return {row["name"]: row["n"] for row in store.database.rows(asked, own)}


def _size(store: Store) -> int:
    path = store.database.path
    files = [path, path.with_name(path.name + "-wal")]
    return sum(file.stat().st_size for file in files if file.exists())
