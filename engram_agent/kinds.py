"""Kinds of experience by the names that people use, and the type of record each becomes.

It must not know where records are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engram_agent.errors import AgentError
from engram_agent.records import TYPES

KINDS = {
    "decision": "decision",
    "failure": "antipattern",
    "success": "pattern",
    "collaboration": "context",
    "knowledge": "context",
    "template": "decision",
}
"""The type of record of each kind; a failure whose solution is known is a bugfix."""


def record_type(kind: str, solved: bool = False) -> str:
    """The type of record that a kind becomes; a type of record is its own kind.

    Raises:
        AgentError: InvalidValue if it is neither.
    """
    if kind == "failure" and solved:
        return "bugfix"
    if kind not in KINDS and kind not in TYPES:
        known = ", ".join(dict.fromkeys([*KINDS, *TYPES]))
        raise AgentError("InvalidValue", f"there is no type {kind!r}", f"known are {known}")
    return KINDS.get(kind, kind)


def checked(kind: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a kind as they are kept: of the types its model says, only those that were given.

    Raises:
        AgentError: InvalidValue if a field is not what it must be.
    """
    if not isinstance(fields, Mapping):
        raise AgentError("InvalidValue", f"fields must be values by name, got {fields!r}")
    if not fields or kind not in KINDS:
        return dict(fields)
    from pydantic import ValidationError

    from engram_agent.kind_models import MODELS

    try:
        return MODELS[kind].model_validate(dict(fields)).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise AgentError(
            "InvalidValue", f"field {place!r} of a {kind}: {first['msg']}, got {first['input']!r}"
        ) from error
