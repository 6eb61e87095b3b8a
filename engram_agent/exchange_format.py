"""Knowledge as JSON, version 1: records, and what was experienced with them, as plain data and back with every field checked.

It must not know where knowledge comes from, nor what becomes of it.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Container, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Union, get_args, get_origin, get_type_hints

from engram_agent.errors import AgentError
from engram_agent.intake import is_name
from engram_agent.privacy import redact, redact_all
from engram_agent.records import Record, clean_tags

VERSION = 1
KIND = "engram"
BESIDE: dict[str, dict[str, Any]] = {
    "outcomes": {
        "record_id": str, "origin": str | None, "kind": str, "task": str | None, "context": str, "action": str,
        "outcome": float, "error": str, "signature": str, "happened_at": float,
    },
    "utilities": {"record_id": str, "helped": float, "hindered": float, "updated_at": float},
}  # fmt: skip
"""Tables whose rows belong to a record, with the columns that are exchanged."""
COUNTS = ("successes", "failures", "stored_count", "access_count", "used_count")
LARGEST = 2**63 - 1
"""Largest whole number that SQLite keeps."""
NAMES = {str: "a string", int: "a whole number", float: "a number", tuple: "a list of strings", dict: "an object"}
_HINTS = get_type_hints(Record)


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What a file of knowledge holds, checked and free of secrets.

    Attributes:
        agent_id: Who exported it.
        records: The records, each under its own id.
        beside: Rows of the tables of `BESIDE`, by table.
    """

    agent_id: str
    records: list[Record]
    beside: dict[str, list[dict[str, Any]]]


def as_data(record: Record) -> dict[str, Any]:
    """A record as JSON can say it: all fields by name."""
    values = {field.name: getattr(record, field.name) for field in fields(Record)}
    return values | {"tags": list(record.tags), "source_ids": list(record.source_ids), "fields": dict(record.fields)}


def without_secrets(record: Record, ids: Container[str]) -> Record:
    """A record with the secrets of all its texts taken out; its id, its owner and its type stay.

    Args:
        record: Any.
        ids: Records it may refer to; other references are texts like any.
    """
    values: dict[str, Any] = {}
    for name in ("context", "action", "result", "project", "conversation", "insight_type", "origin"):
        value = getattr(record, name)
        values[name] = None if value is None else redact(value)
    for name in ("parent_id", "superseded_by"):
        value = getattr(record, name)
        values[name] = value if value is None or value in ids else redact(value)
    values["source_ids"] = tuple(each if each in ids else redact(each) for each in record.source_ids)
    values["tags"] = clean_tags([redact(tag) for tag in record.tags])
    return replace(record, **values, fields=redact_all(dict(record.fields)))


def read(data: Any) -> Knowledge:
    """Knowledge out of plain data.

    Args:
        data: What JSON said.

    Raises:
        AgentError: ImportVersionMismatch if it is of another version; ImportFailed, with the path of the first field that
            is not what it must be.
    """
    _require(isinstance(data, Mapping), "$", "an object", data)
    version = data.get("version")
    _require(isinstance(version, int) and not isinstance(version, bool), "version", "a whole number", version)
    if version != VERSION:
        raise AgentError(
            "ImportVersionMismatch", f"version {VERSION} is expected, got {version}", "export it anew with this program"
        )
    _require(data.get("kind") == KIND, "kind", repr(KIND), data.get("kind"))
    agent_id = _value(data.get("agent_id"), str, "agent_id")
    _value(data.get("domain"), str | None, "domain")
    _value(data.get("exported_at", 0.0), float, "exported_at")
    known = {"version", "kind", "agent_id", "domain", "exported_at", "records", *BESIDE}
    _require(not data.keys() - known, str(min(data.keys() - known, default="")), "no field of version 1", "it")
    records = [_record(item, f"records[{number}]") for number, item in enumerate(_list(data.get("records"), "records"))]
    places: dict[str, int] = {}
    for number, record in enumerate(records):
        first = places.setdefault(record.id, number)
        _require(first == number, f"records[{number}].id", f"another than that of records[{first}]", record.id)
    beside = {
        table: [
            _beside(item, table, f"{table}[{number}]", places)
            for number, item in enumerate(_list(data.get(table, []), table))
        ]
        for table in BESIDE
    }
    counted = [row["record_id"] for row in beside["utilities"]]
    _require(len(counted) == len(set(counted)), "utilities", "one row for each record", "two of one")
    clean = [_clean(record, f"records[{number}]", places) for number, record in enumerate(records)]
    return Knowledge(agent_id=agent_id, records=clean, beside=beside)


def _record(item: Any, path: str) -> Record:
    _require(isinstance(item, Mapping), path, "an object", item)
    values = {}
    for field in fields(Record):
        if field.name in item:
            values[field.name] = _value(item[field.name], _HINTS[field.name], f"{path}.{field.name}")
        else:
            needed = field.default is MISSING and field.default_factory is MISSING
            _require(not needed, f"{path}.{field.name}", "given", None)
    unknown = item.keys() - _HINTS.keys()
    _require(not unknown, f"{path}.{min(map(str, unknown), default='')}", "a field of records", "an unknown one")
    for name in COUNTS:
        _require(values.get(name, 0) >= 0, f"{path}.{name}", "at least 0", values.get(name))
    _require(bool(values["id"].strip()), f"{path}.id", "a name", values["id"])
    try:
        return Record(**values)
    except AgentError as error:
        raise _failed(path, error.message) from error


def _clean(record: Record, path: str, ids: Container[str]) -> Record:
    try:
        return without_secrets(record, ids)
    except AgentError as error:
        raise _failed(path, error.message) from error
    except RecursionError as error:
        raise _failed(f"{path}.fields", "it is nested too deeply") from error


def _beside(item: Any, table: str, path: str, ids: Container[str]) -> dict[str, Any]:
    """A row of a table."""
    _require(isinstance(item, Mapping), path, "an object", item)
    columns = BESIDE[table]
    item = {"origin": None, **item} if "origin" in columns else item
    _require(
        item.get("origin") is None or is_name(item["origin"]),
        f"{path}.origin",
        "the name of an agent",
        item.get("origin"),
    )
    _require(item.keys() == columns.keys(), path, f"an object of {', '.join(columns)}", ", ".join(map(str, item)))
    row = {name: _value(item[name], kind, f"{path}.{name}") for name, kind in columns.items()}
    _require(row["record_id"] in ids, f"{path}.record_id", "the id of a record of the file", row["record_id"])
    for name in ("helped", "hindered"):
        _require(row.get(name, 0.0) >= 0.0, f"{path}.{name}", "at least 0", row.get(name))
    _require(0.0 <= row.get("outcome", 0.0) <= 1.0, f"{path}.outcome", "from 0 to 1", row.get("outcome"))
    return {
        name: redact(value) if isinstance(value, str) and name != "record_id" else value for name, value in row.items()
    }


def _value(value: Any, kind: Any, path: str) -> Any:
    """A value that is of a kind, as records hold it."""
    if get_origin(kind) in (Union, types.UnionType):
        if value is None:
            return None
        kind = next(each for each in get_args(kind) if each is not type(None))
    kind = {tuple: tuple, Mapping: dict}.get(get_origin(kind) or kind, kind)
    if get_origin(kind) is not None:
        kind = tuple if get_origin(kind) is tuple else dict
    if kind is float and isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST:
        value = float(value)
    holds = isinstance(value, list) if kind is tuple else isinstance(value, kind)
    _require(holds and not isinstance(value, bool), path, NAMES[kind], value)
    if kind is tuple:
        return tuple(_value(each, str, f"{path}[{number}]") for number, each in enumerate(value))
    if kind is float:
        _require(math.isfinite(value), path, "a finite number", value)
    if kind is int:
        _require(abs(value) <= LARGEST, path, f"at most {LARGEST}", value)
    if kind in (str, dict):
        _sayable(value, path)
    return value


def _sayable(value: Any, path: str) -> None:
    """Raise unless a text, or nested data, can be written as UTF-8 and JSON."""
    try:
        (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, allow_nan=False)).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise _failed(path, f"it cannot be written as JSON in UTF-8 ({type(error).__name__})") from error


def _list(value: Any, path: str) -> list[Any]:
    _require(isinstance(value, list), path, "a list", value)
    return list(value)


def _require(holds: bool, path: str, expected: str, came: object) -> None:
    if not holds:
        shown = repr(came)
        raise _failed(path, f"it must be {expected}, got {shown if len(shown) <= 60 else shown[:59] + '…'}")


def _failed(path: str, message: str) -> AgentError:
    return AgentError(
        "ImportFailed", f"{path}: {message}", "nothing was imported; correct the file and import it again"
    )
