"""What an agent may see: its own records, and those that another has granted it.

It must not know what is read; every read puts this one condition before its own.
"""

from __future__ import annotations

import time

SCOPES = {
    "all": "1",
    "type": "records.memory_type = grants.value",
    "tag": "EXISTS (SELECT 1 FROM json_each(records.tags) WHERE json_each.value = grants.value)",
    "domain": "(json_extract(records.fields, '$.domain') = grants.value"
    " OR EXISTS (SELECT 1 FROM json_each(records.tags) WHERE json_each.value = grants.value))",
    "pattern": "json_extract(records.fields, '$.name') = grants.value",
    "record": "records.id = grants.value",
}
"""What a grant may be for, and which records that means."""
ACTIVE = "(grants.revoked_at IS NULL AND (grants.expires_at IS NULL OR grants.expires_at > ?))"
"""Whether a grant holds; the question mark stands for the present time."""
COVERED = (
    "(records.agent_id = grants.from_agent AND CASE grants.scope "
    + " ".join(f"WHEN '{scope}' THEN {condition}" for scope, condition in SCOPES.items())
    + " END)"
)
"""Whether a grant is for a record."""


def visible(agent_id: str, now: float | None = None) -> tuple[str, list[str | float]]:
    """The condition on `records` of every read, with the values of its question marks.

    Args:
        agent_id: Who reads.
        now: The present time, in seconds since 1970; by default the clock's.
    """
    granted = f"EXISTS (SELECT 1 FROM grants WHERE grants.to_agent = ? AND {ACTIVE} AND {COVERED})"
    return f"(records.agent_id = ? OR {granted})", [agent_id, agent_id, time.time() if now is None else now]


def matching(scope: str, value: str) -> tuple[str, list[str]]:
    """The condition on `records` for one scope, as in a grant, with its values.

    Args:
        scope: One of `SCOPES`.
        value: What it is for.
    """
    condition = SCOPES[scope].replace("grants.value", "?")
    return condition, [value] * condition.count("?")
