"""Values of the API as JSON has them, and texts that cannot steer a terminal.

It must not know which values there are; a dataclass is its fields, a list with attributes is those and its items.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

ITEMS = "hits"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def plain(value: Any) -> Any:
    """A value as dicts, lists, texts and finite numbers; what is not finite becomes None.

    Args:
        value: Anything that the memory returns. A search's result, a list with a query id, becomes a dict of its
            attributes with the list under "hits".
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list) and vars_of(value):
        return plain(vars_of(value)) | {ITEMS: [plain(item) for item in value]}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def vars_of(value: list[Any]) -> dict[str, Any]:
    """The attributes of a list of a class of its own."""
    return dict(getattr(value, "__dict__", {}))


def clean(text: Any) -> str:
    """A text that cannot steer a terminal or turn its own direction: control characters become the sign for unknown."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text).replace("\r\n", "\n"))


def counted(count: int, one: str, many: str = "") -> str:
    """A number of things as people say it: 1 record, 2 records."""
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def date(seconds: float | None, form: str = "%Y-%m-%d %H:%M") -> str:
    """A point in time as people here write it; one that no calendar has is "far away"."""
    try:
        return "never" if seconds is None else time.strftime(form, time.localtime(seconds))
    except (OverflowError, ValueError, OSError):
        return "far away"
