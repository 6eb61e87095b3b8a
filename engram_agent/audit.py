"""A log of what was written and shared, in which each entry seals all before it.

It must not know why anything happened.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from engram_agent.database import Database

BEGINNING = "0" * 64


def append(database: Database, agent_id: str, event: str, subject: str, detail: Mapping[str, Any] | None = None) -> None:
    """Write an entry, in the transaction that does what it tells of.

    Args:
        database: An open memory.
        agent_id: Who did it.
        event: What was done: "store", "delete", "share", "revoke", "export", ...
        subject: The id of what it was done to.
        detail: More, free of secrets.
    """
    with database.transaction():
        last = database.rows("SELECT hash FROM audit ORDER BY number DESC LIMIT 1")
        previous = last[0]["hash"] if last else BEGINNING
        entry = [time.time(), agent_id, event, subject, json.dumps(dict(detail or {}), sort_keys=True)]
        database.execute(
            "INSERT INTO audit (happened_at, agent_id, event, subject, detail, previous, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [*entry, previous, seal(previous, entry)],
        )


def seal(previous: str, entry: list[Any]) -> str:
    """The hash of an entry: SHA-256 over the hash before it and the entry's values."""
    return hashlib.sha256(json.dumps([previous, *entry]).encode()).hexdigest()
