"""Makes a record of what a caller gives: named, dated, and free of secrets.

It must not know where records are kept.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from engram_agent.errors import AgentError, must_be_words
from engram_agent.privacy import redact, redact_all
from engram_agent.records import COLUMNS, Record, clean_tags

CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def must_be_agent(agent_id: object, name: str = "agent_id") -> None:
    """Raise InvalidValue unless this is the name of an agent: words on one line, and no secret."""
    must_be_words(name, agent_id)
    if not _is_name(str(agent_id)):
        raise AgentError(
            "InvalidValue", f"{name} must be a name on one line without a secret in it, got {redact(str(agent_id))!r}"
        )


@lru_cache(maxsize=1_024)
def _is_name(text: str) -> bool:
    return bool(text.strip()) and not CONTROL.search(text) and redact(text) == text


def safe_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags as a record has them, secrets taken out of each.

    Raises:
        AgentError: InvalidValue if they are no texts, or one text, whose letters would be the tags.
    """
    if isinstance(tags, str):
        raise AgentError("InvalidValue", f"tags must be a list of texts, got {tags!r}")
    safe = [redact(tag) for tag in tags]
    for tag in safe:
        must_be_words("a tag", tag)
    return clean_tags(safe)


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
    unknown = more.keys() - set(COLUMNS)
    if unknown:
        raise AgentError("InvalidValue", f"there is no field {min(unknown)!r}", f"known are {', '.join(COLUMNS)}")
    must_be_agent(agent_id)
    for name, text in (("context", context), ("action", action), ("result", result)):
        must_be_words(name, text)
    if "source_ids" in more and not isinstance(more["source_ids"], str):
        more["source_ids"] = tuple(more["source_ids"])
    if not isinstance(fields, Mapping | None):
        raise AgentError("InvalidValue", f"fields must be values by name, got {fields!r}")
    now = time.time()
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
