"""Takes knowledge out of a memory and into one: by a file, or straight from another agent who has granted it.

It must not know the form of the file, nor ever write over what is there.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engram_agent import audit, outcomes
from engram_agent.access import matching
from engram_agent.errors import AgentError
from engram_agent.exchange_format import BESIDE, KIND, VERSION, Knowledge, as_data, read, without_secrets
from engram_agent.intake import must_be_agent
from engram_agent.privacy import redact
from engram_agent.records import Record
from engram_agent.store import Store

CONTENT = (
    "memory_type", "context", "action", "result", "tags", "project", "conversation", "position", "insight_type", "fields",
)  # fmt: skip
"""What a record says. Records of one id that say the same are one, whatever was counted here and there."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of records that came in.

    Attributes:
        added: How many are new here.
        known: How many were here already, word for word or nearly.
        kept_both: How many of the new ones have got an id of their own, as theirs says something else here.
        ids: Where each record is found now, in the order in which they came.
    """

    added: int
    known: int
    kept_both: int
    ids: tuple[str, ...]


def export(store: Store, *, agent_id: str, domain: str | None = None, now: float | None = None) -> dict[str, Any]:
    """An agent's own records with what was experienced with them, as plain data for JSON.

    What others have granted is not exported: `merge` makes it one's own, with its origin.

    Args:
        store: The records.
        agent_id: Whose records.
        domain: Only records of this `fields.domain` or with this tag; None for all, also those that are superseded.
        now: The present time, in seconds since 1970; by default the clock's.
    """
    must_be_agent(agent_id)
    where, values = ("1", []) if domain is None else matching("domain", domain)
    with store.database.transaction():
        found = store.select(agent_id, f"records.agent_id = ? AND ({where})", [agent_id, *values], superseded=True)
        ids = {record.id for record in found}
        beside = {
            table: [
                dict(row)
                for row in store.database.rows(
                    f"SELECT {', '.join(columns)} FROM {table}"
                    " WHERE record_id IN (SELECT value FROM json_each(?)) ORDER BY rowid",
                    [json.dumps(list(ids))],
                )
            ]
            for table, columns in BESIDE.items()
        }
        audit.append(store.database, agent_id, "export", redact(domain or ""), {"records": len(found)})
    return {
        "version": VERSION,
        "kind": KIND,
        "agent_id": agent_id,
        "domain": None if domain is None else redact(domain),
        "exported_at": time.time() if now is None else now,
        "records": [as_data(without_secrets(record, ids)) for record in reversed(found)],
        **beside,
    }


def import_(store: Store, data: Any, *, agent_id: str) -> Imported:
    """Take in what `export` gave, all of it or nothing.

    Nothing that is here is changed: a record that is here already is left as it is, and one whose id says something
    else here gets a new id, the same at each import. What was learned by another agent keeps that origin.

    Args:
        store: The records.
        data: What JSON said.
        agent_id: Whose memory takes it in.

    Raises:
        AgentError: ImportVersionMismatch, or ImportFailed with the path of the first wrong field.
    """
    knowledge = read(data)
    must_be_agent(agent_id)
    with store.database.transaction():
        taken = _take_in(store, knowledge.records, agent_id)
        _take_beside(store, knowledge, taken, agent_id)
        audit.append(store.database, agent_id, "import", redact(knowledge.agent_id), _counts(taken))
    return _imported(taken)


def merge(store: Store, from_agent: str, *, agent_id: str, domain: str | None = None) -> Imported:
    """Make one's own what another agent has granted; the other's records stay as they are.

    Only records are copied, with their counts: single experiences stay with whom they happened to.

    Args:
        store: The records.
        from_agent: Whose records.
        agent_id: Who takes them over; only what it may see is copied.
        domain: Only records of this `fields.domain` or with this tag.

    Raises:
        AgentError: InvalidValue if both are the same agent.
    """
    must_be_agent(agent_id)
    if from_agent == agent_id:
        raise AgentError(
            "InvalidValue", f"from_agent must be another than {agent_id!r}", "name whose knowledge to merge"
        )
    where, values = ("1", []) if domain is None else matching("domain", domain)
    with store.database.transaction():
        found = store.select(agent_id, f"records.agent_id = ? AND ({where})", [from_agent, *values])
        taken = _take_in(store, found[::-1], agent_id)
        audit.append(store.database, agent_id, "merge", redact(from_agent), _counts(taken))
    return _imported(taken)


@dataclass(frozen=True)
class _Taken:
    """What becomes of one record: the id it came with, that which it has here, and whether it is new."""

    came: str
    id: str
    new: bool
    both: bool = False


def _take_in(store: Store, records: Sequence[Record], agent_id: str) -> list[_Taken]:
    """Add what is not here. All are compared with what is here before any is added, so that none hides another."""
    taken = [_place(store, record, agent_id) for record in records]
    names = {each.came: each.id for each in taken}
    for record, each in zip(records, taken, strict=True):
        if each.new:
            store.put(_mine(record, each.id, names, agent_id))
    return taken


def _place(store: Store, record: Record, agent_id: str) -> _Taken:
    here = _own(store, record.id, agent_id)
    if here is not None and _said(here) == _said(record):
        return _Taken(record.id, record.id, False)
    twin = store.twin(replace(record, agent_id=agent_id))
    nearly = None if twin is None else _own(store, twin, agent_id)
    if nearly is not None and nearly.fields == record.fields:
        return _Taken(record.id, nearly.id, False)
    free = not store.database.rows("SELECT 1 FROM records WHERE id = ?", [record.id])
    if free and redact(record.id) == record.id:
        return _Taken(record.id, record.id, True)
    text = json.dumps([agent_id, record.id, _said(record)], sort_keys=True)
    name = f"m{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    new = _own(store, name, agent_id) is None
    return _Taken(record.id, name, new, new and here is not None)


def _own(store: Store, record_id: str, agent_id: str) -> Record | None:
    found = store.select(agent_id, "records.agent_id = ? AND records.id = ?", [agent_id, record_id], superseded=True)
    return found[0] if found else None


def _said(record: Record) -> list[Any]:
    """What a record says, in plain data."""
    values = as_data(record)
    return [values[name] for name in CONTENT]


def _mine(record: Record, name: str, names: Mapping[str, str], agent_id: str) -> Record:
    """A record as an agent takes it over: under its name here, with what it refers to, and where it comes from."""

    def here(other: str | None) -> str | None:
        return None if other is None else names.get(other, other)

    return replace(
        record,
        id=name,
        agent_id=agent_id,
        parent_id=here(record.parent_id),
        source_ids=tuple(names.get(each, each) for each in record.source_ids),
        superseded_by=here(record.superseded_by),
        origin=record.origin or (None if record.agent_id == agent_id else record.agent_id),
    )


def _take_beside(store: Store, knowledge: Knowledge, taken: Sequence[_Taken], agent_id: str) -> None:
    """Add the rows that belong to new records; those of known ones would count twice.

    A trial keeps the name of whom it happened to, so that it is no trial of one's own beside the pattern that counts it.
    """
    names = {each.came: each.id for each in taken if each.new}
    rows = {
        table: [row | {"record_id": names[row["record_id"]]} for row in found if row["record_id"] in names]
        for table, found in knowledge.beside.items()
    }
    for row in rows["outcomes"]:
        row["origin"] = row["origin"] or (None if knowledge.agent_id == agent_id else knowledge.agent_id)
        outcomes.add(store, outcomes.Outcome(agent_id=agent_id, **row))
    for row in rows["utilities"]:
        store.database.execute(
            f"INSERT INTO utilities ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values())
        )


def _counts(taken: Sequence[_Taken]) -> dict[str, int]:
    new = sum(each.new for each in taken)
    return {"added": new, "known": len(taken) - new, "kept_both": sum(each.both for each in taken)}


def _imported(taken: Sequence[_Taken]) -> Imported:
    return Imported(**_counts(taken), ids=tuple(each.id for each in taken))
