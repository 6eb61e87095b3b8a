"""What an agent remembers: the situation, what was done, what came of it, and what is kept beside.

It must not know where records are kept, nor how they are found.
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

from engram_agent.errors import AgentError

TYPES = ("decision", "pattern", "bugfix", "context", "antipattern", "insight")
LONGEST = 100_000
"""Characters of one field; a longer one is not a memory but a file."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """One memory.

    Attributes:
        id: Its name, given once and never again.
        agent_id: Whose memory it is.
        memory_type: One of `TYPES`.
        context: The situation.
        action: What was done.
        result: What came of it.
        tags: Words to filter by, in order, each once.
        project: Where it happened.
        conversation: The conversation whose turn it is.
        position: Number of the turn in it; what is stored without one follows the last.
        parent_id: The record it follows from.
        source_ids: Records an insight was drawn from.
        insight_type: What kind of insight it is.
        fields: What only its type has, by name.
        score: How useful it is thought to be, 0 to 1.
        confidence: How sure that is, 0 to 1.
        successes: Times it helped.
        failures: Times it did not.
        stored_count: Times it was stored, equal or nearly so.
        access_count: Times it was found.
        used_count: Times it was used.
        created_at: Seconds since 1970.
        updated_at: Seconds since 1970.
        last_accessed: Seconds since 1970; None if it was never found.
        superseded_by: The record that took its place.
        origin: The agent it was learned from, where that is another.
    """

    id: str
    agent_id: str
    memory_type: str
    context: str
    action: str
    result: str
    tags: tuple[str, ...] = ()
    project: str | None = None
    conversation: str | None = None
    position: int | None = None
    parent_id: str | None = None
    source_ids: tuple[str, ...] = ()
    insight_type: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    score: float = 0.5
    confidence: float = 0.5
    successes: int = 0
    failures: int = 0
    stored_count: int = 1
    access_count: int = 0
    used_count: int = 0
    created_at: float
    updated_at: float
    last_accessed: float | None = None
    superseded_by: str | None = None
    origin: str | None = None

    def __post_init__(self) -> None:
        """Check what must hold of every record.

        Raises:
            AgentError: InvalidValue; it names the field, what it must be and what came.
        """
        _require(self.memory_type in TYPES, "memory_type", f"one of {', '.join(TYPES)}", self.memory_type)
        _require(bool(self.agent_id.strip()), "agent_id", "a name", self.agent_id)
        _require(bool((self.context + self.action + self.result).strip()), "context", "some text", self.context)
        for name in ("context", "action", "result"):
            value = getattr(self, name)
            _require(len(value) <= LONGEST, name, f"at most {LONGEST:,} characters", f"{len(value):,}")
            _require("\0" not in value, name, "text without NUL", "a NUL character")
            _require(not _SURROGATE.search(value), name, "text that is Unicode", "half a surrogate pair")
        for name in ("score", "confidence"):
            value = getattr(self, name)
            _require(is_number(value) and 0.0 <= value <= 1.0, name, "from 0 to 1", value)
        _require(self.position is None or self.conversation is not None, "position", "given with conversation", "alone")
        whole = isinstance(self.position, int) and not isinstance(self.position, bool)
        _require(self.position is None or whole, "position", "a number", self.position)
        _require(abs(self.position or 0) < 2**62, "position", "a number of 62 bits", self.position)
        _require(isinstance(self.conversation, str | None), "conversation", "text", self.conversation)
        dated = is_number(self.created_at) and math.isfinite(self.created_at)
        _require(dated, "created_at", "seconds since 1970", self.created_at)


_SURROGATE = re.compile("[\ud800-\udfff]")
COLUMNS = tuple(Record.__dataclass_fields__)
_JSON = ("tags", "source_ids", "fields")


def to_row(record: Record) -> list[Any]:
    """The values of `COLUMNS`, as they are stored."""
    return [stored(name, getattr(record, name)) for name in COLUMNS]


def from_row(row: sqlite3.Row) -> Record:
    """The inverse of `to_row`."""
    values = {name: json.loads(row[name]) if name in _JSON else row[name] for name in COLUMNS}
    values |= {name: tuple(values[name]) for name in ("tags", "source_ids")}
    record = object.__new__(Record)  # unchecked: what was ever stored can be read, found, exported and deleted
    record.__dict__.update(values)
    return record


def clean_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags without blanks around them, none empty, each once, in order."""
    return tuple(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))


def stored(name: str, value: Any) -> Any:
    """A value of a record as the file keeps it: lists and dictionaries as JSON.

    Raises:
        AgentError: InvalidValue if it cannot be written as JSON, such as NaN.
    """
    if name not in _JSON:
        return value
    try:
        plain = list(value) if isinstance(value, tuple) else dict(value)
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        text.encode()
        return text
    except (TypeError, ValueError) as error:
        raise AgentError("InvalidValue", f"{name} must be what JSON can say ({error})") from error


def is_number(value: object) -> bool:
    """Whether a value is a number, of any library; truth values are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _require(holds: bool, name: str, expected: str, came: object) -> None:
    if not holds:
        raise AgentError("InvalidValue", f"{name} must be {expected}, got {came!r}")
