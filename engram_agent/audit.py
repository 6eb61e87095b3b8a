"""A log of what was written and shared, in which each entry seals all before it.

It must not know why anything happened.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engram_agent.database import Database

BEGINNING = "0" * 64


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What the log's hashes say.

    Attributes:
        entries: How many there are.
        sound: Whether each fits what stands before it.
        broken_at: Number of the first that does not; None if all do.
        last: The last hash. A log that was cut off at its end is sound in itself: only this hash, kept elsewhere, shows it.
    """

    entries: int
    sound: bool
    broken_at: int | None
    last: str


def append(
    database: Database, agent_id: str, event: str, subject: str, detail: Mapping[str, Any] | None = None
) -> None:
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


def verify(database: Database) -> Verified:
    """Compute the whole chain again (Haber & Stornetta 1991, section 5.1).

    An entry that was changed, taken out, put in or moved is found, and so is all that follows it.

    Args:
        database: An open memory.
    """
    previous, entries, broken = BEGINNING, 0, None
    for row in database.execute("SELECT * FROM audit ORDER BY number"):
        entries += 1
        values = [row[name] for name in ("happened_at", "agent_id", "event", "subject", "detail")]
        fits = not any(isinstance(value, bytes) for value in values) and row["hash"] == seal(previous, values)
        if broken is None and not (fits and row["previous"] == previous and row["number"] == entries):
            broken = entries
        previous = row["hash"]
    return Verified(entries=entries, sound=broken is None, broken_at=broken, last=str(previous))
