"""How a value is read out of a text: from its first character to its closing quote, its sign or its blank.

It must not know what names promise, nor which values are secrets.
"""

from __future__ import annotations

import re

Span = tuple[int, int, str]
"""Start, end and kind of one secret."""

_SCHEME = re.compile(
    r"(?:Bearer|Basic|Token|Digest|Api-?Key|Bot|JWT|SSWS|GenieKey|Splunk|PRIVATE-TOKEN)[ \t]+|pbkdf2:", re.IGNORECASE
)
_QUOTE = re.compile(r"[rbufRBUF@$]{0,2}(\\{0,3}(?:\"\"\"|'''|[\"'`]))")
_INSIDE = {quote: re.compile(rf"(?:[^{quote}\\\n\0]|\\.){{0,4096}}+") for quote in "\"'`"}
_BARE = re.compile(
    r"(?:[a-z]{4} ){3}[a-z]{4}(?![\w ])|(?=[^\s\"'`\0])[^\s\"'`\0=:]{0,512}+(?:[=:]++[^\s\"'`\0=:]{0,64}+){0,3}+"
)
_REST = re.compile(r"[^\s\"'`\0<>&;,|.:)\]}\\#]*")
_CUT = re.compile(
    r"""[;,|&\\<>)\]}.:\#](?: (?<=[;,|&])(?=$|["'\w$.\-]{1,40}[=:]) | (?<=<)/
    | (?<=\\)\\{0,3}[nrt"'](?=$|\W|\w{1,40}[=:])
    | (?<=[)\]}>])[)\]}>;,.:]{0,20}$ | (?<=[.,;:])[.,;:]{0,20}$ | (?<=&)& | (?<=\|)\| | (?<=\w\#)(?=\w{1,40}=))""",
    re.VERBOSE,
)
INNER = re.compile(r"[\\\"'{ ]{0,3}([\w.\-]{2,60}+)[=:](?=.)")


def value_at(text: str, at: int) -> tuple[int, int, bool] | None:
    """Start and end of the value that begins here, and whether it is quoted."""
    quote = _QUOTE.match(text, at)
    if quote:
        mark, start = quote.group(1), quote.end()
        if len(mark) > 1:
            end = text.find(mark, start, start + 4096)
            line = text.find("\n", start, start + 4096)
            end = end if end >= 0 and (line < 0 or end < line or mark in ('"""', "'''")) else -1
        else:
            inside = _INSIDE[mark].match(text, start)
            end = inside.end() if inside and text[inside.end() : inside.end() + 1] == mark else -1
        if end >= 0:
            scheme = _SCHEME.match(text, start, end)
            return (scheme.end() if scheme else start), end, True
        at = start
    scheme = _SCHEME.match(text, at)
    bare = _BARE.match(text, scheme.end() if scheme else at)
    if not bare:
        return None
    end = cut_of(text, *bare.span())
    return (bare.start(), end, False) if end > bare.start() else None


def cut_of(text: str, start: int, end: int) -> int:
    """Where a value without quotes ends, when the signs behind it are taken off."""
    cut = _CUT.search(text[start:end])
    return start + cut.start() if cut else end


def whole_end(text: str, end: int) -> int:
    """Where a secret ends that goes on where the look at it ended."""
    rest = _REST.match(text, end)
    return rest.end() if rest and text[end - 1 : end] not in ")]}" else end
