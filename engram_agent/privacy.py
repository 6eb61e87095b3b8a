"""Takes passwords, tokens and keys out of texts and nested data before they are stored, indexed, logged or exported.

It must not know what the texts are for, and keeps no secret: what it reports is kind and place.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from engram_agent.errors import must_be_text
from engram_agent.secret_commands import calls, commands
from engram_agent.secret_formats import formats, key_blocks
from engram_agent.secret_names import kind_of_name
from engram_agent.secret_places import assigned, flagged, manifests
from engram_agent.secret_reading import Span
from engram_agent.secret_sentences import spoken
from engram_agent.secret_strings import alone, cards
from engram_agent.secret_values import is_placeholder
from engram_agent.secret_web import addresses, headers

_RULES = (
    key_blocks, formats, addresses, headers, manifests, assigned, flagged, spoken, commands, calls, cards, alone
)  # fmt: skip
_MARK = re.compile(r"\[redacted:[a-z-]+\]")


@dataclass(frozen=True)
class Secret:
    """Where a secret stands in a text; never the secret itself.

    Attributes:
        kind: password, token, key, secret, cookie, code, card, private-key or random (a long
            random string without a name).
        start: its first character.
        end: the place behind its last character.
    """

    kind: str
    start: int
    end: int


def found(text: str) -> list[Secret]:
    """The secrets of a text in order, none overlapping another.

    The text is searched again with what was found folded into one character, until nothing more is found; marks of
    an earlier redaction are folded alike. So a redacted text is searched as the very text that had nothing left.
    """
    gaps: list[Span] = [(match.start(), match.end(), "") for match in _MARK.finditer(text)]
    while True:
        folded, starts, shifts = _fold(text, gaps)
        spans = _merged([span for rule in _RULES for span in rule(folded)])
        if not spans:
            return [Secret(kind, start, end) for start, end, kind in gaps if kind]
        fresh = []
        for start, end, kind in spans:
            first = start + shifts[bisect_right(starts, start) - 1]
            last = end - 1 + shifts[bisect_right(starts, end - 1) - 1]
            fresh.append((first, last + 1, kind))
        gaps = _merged([*fresh, *gaps])


def redact(text: str) -> str:
    """A text with every secret replaced by a mark such as `[redacted:password]`; redacting twice changes no more.

    Raises:
        AgentError: InvalidValue if it is no text.
    """
    must_be_text("text", text)
    pieces, at = [], 0
    for secret in found(text):
        pieces += [text[at : secret.start], f"[redacted:{secret.kind}]"]
        at = secret.end
    return "".join([*pieces, text[at:]]) if pieces else text


def redact_all(value: Any) -> Any:
    """Nested data with all strings redacted, and whole the strings under keys such as `password`.

    Args:
        value: a string, a number, None, or lists, tuples and dicts of such; anything else is returned as it is.
    """
    return _redacted(value, None)


def _redacted(value: Any, kind: str | None) -> Any:
    if isinstance(value, str):
        clean = redact(value)
        if kind is None or clean != value or _MARK.search(value) or is_placeholder(value):
            return clean
        return f"[redacted:{kind}]"
    if isinstance(value, dict):
        return {_redacted(key, None): _redacted(item, _kind_of_key(key) or kind) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_redacted(item, kind) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return value


def _kind_of_key(key: Any) -> str | None:
    named = kind_of_name(key) if isinstance(key, str) else None
    return named[0] if named and named[1] else None


def _fold(text: str, gaps: list[Span]) -> tuple[str, list[int], list[int]]:
    """The text with one null in the place of each gap; where its pieces begin, and how far each had been further on."""
    pieces, starts, shifts = [], [0], [0]
    at = length = 0
    for start, end, _ in gaps:
        pieces += [text[at:start], "\0"]
        length += start - at
        starts += [length, length + 1]
        shifts += [start - length, end - length - 1]
        at, length = end, length + 1
    return "".join([*pieces, text[at:]]), starts, shifts


def _merged(spans: list[Span]) -> list[Span]:
    """Spans in order, those that overlap made one; the first in the list gives its kind."""
    ranked = sorted((start, end, rank) for rank, (start, end, _) in enumerate(spans))
    merged: list[tuple[int, int, int]] = []
    for start, end, rank in ranked:
        if merged and start < merged[-1][1]:
            first, last, best = merged[-1]
            merged[-1] = (first, max(last, end), min(best, rank))
        else:
            merged.append((start, end, rank))
    return [(start, end, spans[rank][2]) for start, end, rank in merged]
