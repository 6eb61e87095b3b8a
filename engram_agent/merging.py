"""How records become one and come apart again: sums, unions and differences of what is counted and collected.

It must not know why records are merged, nor who asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from engram_agent.exchange_format import COUNTS, as_data
from engram_agent.records import Record
from engram_agent.store import Store

LISTS = ("tags", "source_ids")
REST = ("updated_at", "last_accessed", "superseded_by")
KEPT = (*COUNTS, *LISTS, *REST)
"""The fields that merging changes; none of them holds a text of the record."""
UTILITY = ("helped", "hindered")
SAID = (
    "memory_type", "context", "action", "result", "project", "conversation", "position", "parent_id", "insight_type",
    "fields", "superseded_by",
)  # fmt: skip


def mark(record: Record) -> str:
    """A hash of what a record says; the same as long as it says so, whatever is counted."""
    values = as_data(record)
    text = json.dumps([values[name] for name in SAID], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def before(store: Store, records: Mapping[str, Record]) -> dict[str, dict[str, Any]]:
    """The fields and the utilities of records that merging changes, by id."""
    utilities = _utilities(store, records)
    return {
        name: {field: as_data(record)[field] for field in KEPT} | {"utility": utilities.get(name)}
        for name, record in records.items()
    }


def after(
    store: Store,
    groups: Sequence[tuple[str, Sequence[str]]],
    archived: Sequence[str],
    records: Mapping[str, Record],
    now: float,
) -> Iterator[Record]:
    """The records as they are once merged, those that stay and those that step back; utilities are added up at once."""
    utilities = _utilities(store, records)
    for keep, others in groups:
        parts = [records[keep], *(records[name] for name in others)]
        found = [utilities[part.id] for part in parts if part.id in utilities]
        if found:
            _set_utility(store, keep, [sum(column) for column in zip(*found, strict=True)], now)
        yield _merged(parts, now)
        for name in others:
            yield replace(records[name], superseded_by=keep)
    for name in archived:
        yield replace(records[name], superseded_by=name)


def restored(store: Store, changes: Mapping[str, Any], records: Mapping[str, Record]) -> Iterator[Record]:
    """The records as they were, with what has come to them since; so are their utilities at once.

    A count becomes before + (present - after), a list loses what merging gave it, and any other field goes back if it
    is as merging left it.
    """
    utilities = _utilities(store, records)
    for name, record in records.items():
        old, new, present = changes["before"][name], changes["after"][name], as_data(record)
        values: dict[str, Any] = {field: old[field] + present[field] - new[field] for field in COUNTS}
        for field in LISTS:
            given = set(new[field]) - set(old[field])
            same = present[field] == new[field]
            values[field] = tuple(old[field] if same else [each for each in present[field] if each not in given])
        values |= {field: old[field] if present[field] == new[field] else present[field] for field in REST}
        _restore_utility(store, name, old["utility"], new["utility"], utilities.get(name))
        yield replace(record, **values)


def _merged(parts: Sequence[Record], now: float) -> Record:
    found = [part.last_accessed for part in parts if part.last_accessed is not None]
    values: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in COUNTS}
    for name in LISTS:
        values[name] = tuple(dict.fromkeys(each for part in parts for each in getattr(part, name)))
    values["last_accessed"] = max(found, default=None)
    values["updated_at"] = max(now, *(part.updated_at for part in parts))
    return replace(parts[0], **values)


def _utilities(store: Store, ids: Mapping[str, Any]) -> dict[str, list[float]]:
    rows = store.database.rows(
        "SELECT * FROM utilities WHERE record_id IN (SELECT value FROM json_each(?))", [json.dumps(list(ids))]
    )
    return {row["record_id"]: [row[name] for name in (*UTILITY, "updated_at")] for row in rows}


def _set_utility(store: Store, name: str, values: Sequence[float], now: float) -> None:
    store.database.execute(
        "INSERT OR REPLACE INTO utilities (record_id, helped, hindered, updated_at) VALUES (?, ?, ?, ?)",
        [name, *values[: len(UTILITY)], now],
    )


def _restore_utility(
    store: Store, name: str, old: Sequence[float] | None, new: Sequence[float] | None, present: Sequence[float] | None
) -> None:
    if present == new:
        if old is None:
            store.database.execute("DELETE FROM utilities WHERE record_id = ?", [name])
        else:
            _set_utility(store, name, old, old[-1])
    elif present is not None:
        counts = zip(old or (0.0, 0.0), present, new or (0.0, 0.0), strict=False)
        _set_utility(store, name, [then + now - given for then, now, given in counts], present[-1])
