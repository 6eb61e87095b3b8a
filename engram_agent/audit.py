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
        sound: Whether each fits what stands before it, and the last is the one that the head knows.
        broken_at: Number of the first that does not fit or is missing; None if all is well.
        last: The last hash. Who can write the file can seal the whole log anew: only this hash, kept elsewhere, shows that.
        written: How many were ever written, by the head; None if there is no head.
    """

    entries: int
    sound: bool
    broken_at: int | None
    last: str
    written: int | None


def append(
    database: Database, agent_id: str, event: str, subject: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Write an entry, in the transaction that does what it tells of.

    The same transaction moves the head, the count and last hash of all entries, by a trigger of the file's own: every
    program that writes does it.

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
    """Compute the whole chain again (Haber & Stornetta 1991, section 5.1) and compare its end with the head.

    An entry that was changed, taken out, put in or moved is found, and so is all that follows it; the head shows what
    was cut off at the end.

    Args:
        database: An open memory.
    """
    previous, entries, broken = BEGINNING, 0, None
    with database.reading():  # what others write meanwhile is in both, the entries and the head, or in neither
        for row in database.execute("SELECT * FROM audit ORDER BY number"):
            entries += 1
            values = [row[name] for name in ("happened_at", "agent_id", "event", "subject", "detail")]
            fits = not any(isinstance(value, bytes) for value in values) and row["hash"] == seal(previous, values)
            if broken is None and not (fits and row["previous"] == previous and row["number"] == entries):
                broken = entries
            previous = row["hash"]
        head = database.rows("SELECT entries, hash FROM audit_head")
    written, last = tuple(head[0]) if head else (None, None)
    if broken is None and (written, last) != (entries, previous):
        broken = entries if written == entries else min(entries, written or 0) + 1
    return Verified(entries=entries, sound=broken is None, broken_at=broken, last=str(previous), written=written)
