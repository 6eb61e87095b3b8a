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


def visible(agent_id: str) -> tuple[str, list[str | float]]:
    """The condition on `records` of every read, with the values of its question marks.

    Args:
        agent_id: Who reads.
    """
    inside = " ".join(f"WHEN '{scope}' THEN {condition}" for scope, condition in SCOPES.items())
    granted = (
        "EXISTS (SELECT 1 FROM grants WHERE grants.to_agent = ? AND grants.from_agent = records.agent_id"
        " AND grants.revoked_at IS NULL AND (grants.expires_at IS NULL OR grants.expires_at > ?)"
        f" AND CASE grants.scope {inside} END)"
    )
    return f"(records.agent_id = ? OR {granted})", [agent_id, agent_id, time.time()]
