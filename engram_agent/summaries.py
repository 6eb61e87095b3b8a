"""Shortens a memory to the sentences that belong to a query, and what was found to a budget.

It must not know why the query was asked. Nothing is written anew: every sentence stands in the record.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from engram_agent.hits import Hit
from engram_agent.index import terms
from engram_agent.records import Record
from engram_agent.scripts import words as words_of

SHORT = 240
"""Characters that are not worth shortening."""
CHARACTERS = 4
"""Characters of a token, roughly, in English; of other alphabets half as many, and of scripts like Han one."""
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])(?![。！？」』])|\n+")


def summarise(query: str, record: Record, characters: int = SHORT) -> str:
    """The sentences of a record that together have the most words of a query, in their order.

    Each step takes the sentence that adds most words of the query not yet said (greedy cover, as in maximal marginal
    relevance, Carbonell & Goldstein 1998), until none adds any or the space is full. A record that has no word of the
    query is told by its first sentence.

    Args:
        query: What was asked.
        record: What was found.
        characters: Space; a record that fits is returned whole. The first sentence is taken even if it is longer.
    """
    text = "\n".join(part for part in (record.context, record.action, record.result) if part)
    if len(text) <= characters:
        return text
    sentences = [sentence.strip() for sentence in _SENTENCE.split(text) if sentence.strip()]
    words = [set(words_of(sentence.casefold())) for sentence in sentences]
    wanted, left = set(terms(query)), characters
    chosen: list[int] = []
    while left > 0:
        fitting = [n for n in range(len(sentences)) if n not in chosen and (not chosen or len(sentences[n]) < left)]
        best = max(fitting, key=lambda n: (len(wanted & words[n]), -n), default=None)
        if best is None or (chosen and not wanted & words[best]):
            break
        chosen.append(best)
        wanted -= words[best]
        left -= len(sentences[best]) + 1
    return " ".join(sentences[n] for n in sorted(chosen))


def within(hits: Sequence[Hit], tokens: int) -> list[Hit]:
    """The first hits that fit into so many tokens; the one that does not is cut at a word, if it is the first or half fits."""
    found: list[Hit] = []
    left = tokens * CHARACTERS
    for hit in hits:
        size = _told(hit.record)
        if size > left:
            cut = _cut(hit.record, left)
            if left > 0 and (not found or 2 * _told(cut) > size):
                found.append(replace(hit, record=cut))
            break
        found.append(hit)
        left -= size
    return found


def _told(record: Record) -> int:
    return _size(record.context) + _size(record.action) + _size(record.result)


def _size(text: str) -> int:
    """How much of a budget a text takes, in characters of English."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if character < "\u0250" or not character.isalpha():
        return 1
    return CHARACTERS // 2 if character < "\u0e00" else CHARACTERS


def _cut(record: Record, left: int) -> Record:
    """A record with the end of its texts left out, the last first."""
    cut = {}
    for name in ("context", "action", "result"):
        text = getattr(record, name)
        if _size(text) > left:
            fits = bisect_right(list(accumulate(map(_width, text))), left - 1)
            text = text[:fits].rsplit(" ", 1)[0] + "…" if left > 1 else ""
        cut[name], left = text, max(0, left - _size(text))
    return replace(record, **cut) if any(cut.values()) else replace(record, context="…", action="", result="")
