"""HTML that is safe by its making: every text is escaped unless it was built here.

It must not know what is shown.
"""

from __future__ import annotations

from html import escape
from typing import Any

from engram_agent.plain import clean

CLOSED = ("meta", "line", "circle", "polyline")
"""Elements without content; SVG in a page needs the stroke before the end."""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, /, *content: Any, **attributes: Any) -> Html:
    """An element; what is not `Html` is escaped, None is left out.

    Args:
        name: The element's.
        content: Texts, elements, or lists of them.
        attributes: By name; a trailing underscore is dropped and others become dashes (`class_`, `aria_label`).
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(clean(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{given} />" if name in CLOSED else f"<{name}{given}>{join(*content)}</{name}>")


def join(*content: Any) -> Html:
    """Contents one after another."""
    return Html("".join(_inner(each) for each in content))


def _inner(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, Html):
        return content
    if isinstance(content, list | tuple):
        return join(*content)
    return escape(clean(content))
