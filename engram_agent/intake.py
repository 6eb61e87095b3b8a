"""Makes a record of what a caller gives: named, dated, and free of secrets.

It must not know where records are kept.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from engram_agent.errors import AgentError, must_be_words
from engram_agent.privacy import redact, redact_all
from engram_agent.records import COLUMNS, Record, clean_tags, is_number

LATEST = 1e11
"""Seconds since 1970 that are a date: the year 5138."""
LONGEST_NAME = 1_000
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def must_be_agent(agent_id: object, name: str = "agent_id") -> None:
    """Raise InvalidValue unless this is the name of an agent: words on one line, and no secret."""
    must_be_words(name, agent_id)
    if not is_name(agent_id):
        raise AgentError(
            "InvalidValue", f"{name} must be a name on one line without a secret in it, got {redact(str(agent_id))!r}"
        )


def is_name(text: object) -> bool:
    """Whether this can be the name of an agent."""
    return isinstance(text, str) and _names(text)


@lru_cache(maxsize=1_024)
def _names(text: str) -> bool:
    return bool(text.strip()) and len(text) <= LONGEST_NAME and not CONTROL.search(text) and redact(text) == text


def safe_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags as a record has them, secrets taken out of each.

    Raises:
        AgentError: InvalidValue if they are no texts, or one text, whose letters would be the tags.
    """
    return clean_tags([redact(tag) for tag in _texts("tags", tags)])


def _texts(name: str, given: object) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise AgentError("InvalidValue", f"{name} must be a list of texts, got {given!r}")
    found = tuple(given)
    for each in found:
        must_be_words(f"each of {name}", each)
    return found


def _fitted(more: Mapping[str, Any]) -> dict[str, Any]:
    """Other fields of a record as they are kept; InvalidValue for what they cannot be."""
    for name in ("project", "conversation", "parent_id", "insight_type", "superseded_by", "origin"):
        must_be_words(name, more.get(name) or "")
    times = ("created_at", "updated_at", "last_accessed")
    for name in times:
        value = more.get(name)
        if value is not None and not (is_number(value) and abs(value) < LATEST):
            raise AgentError("InvalidValue", f"{name} must be seconds since 1970, got {value!r}")
    numbers = {name: float(more[name]) for name in ("score", "confidence", *times) if is_number(more.get(name))}
    lists = {name: _texts(name, more[name]) for name in ("source_ids",) if name in more}
    return {**more, **numbers, **lists}


def new_record(
    context: str,
    action: str,
    result: str,
    *,
    agent_id: str,
    memory_type: str,
    tags: Sequence[str] = (),
    fields: Mapping[str, Any] | None = None,
    **more: Any,
) -> Record:
    """A record that nobody has stored yet; secrets are taken out of every text in it.

    Raises:
        AgentError: InvalidValue if a field is not what it must be.
    """
    unknown = more.keys() - (set(COLUMNS) - {"id"})
    if unknown:
        raise AgentError("InvalidValue", f"there is no field {min(unknown)!r}", f"known are {', '.join(COLUMNS)}")
    must_be_agent(agent_id)
    for name, text in (("context", context), ("action", action), ("result", result)):
        must_be_words(name, text)
    if not isinstance(fields, Mapping | None):
        raise AgentError("InvalidValue", f"fields must be values by name, got {fields!r}")
    more, now = _fitted(more), time.time()
    return Record(
        id=f"m{uuid.uuid4().hex[:16]}",
        agent_id=agent_id,
        memory_type=memory_type,
        context=redact(context),
        action=redact(action),
        result=redact(result),
        tags=safe_tags(tags),
        fields=redact_all(dict(fields or {})),
        **({"created_at": now, "updated_at": now} | redact_all(more)),
    )
