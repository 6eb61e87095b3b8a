"""Makes a record of what a caller gives: named, dated, and free of secrets.

It must not know where records are kept.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from engram_agent.errors import AgentError, must_be_words
from engram_agent.privacy import redact, redact_all
from engram_agent.records import COLUMNS, Record, clean_tags


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
    if redact(agent_id) != agent_id:
        raise AgentError("InvalidValue", "agent_id must be a name, got what looks like a secret")
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
