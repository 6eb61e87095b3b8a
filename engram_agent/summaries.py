"""Shortens a memory to the sentences that belong to a query.

It must not know why the query was asked. Nothing is written anew: every sentence stands in the record.
"""

from __future__ import annotations

import re

from engram_agent.index import terms
from engram_agent.records import Record

SHORT = 240
"""Characters that are not worth shortening."""
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|\n+")
_WORD = re.compile(r"\w+")


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
    words = [set(_WORD.findall(sentence.casefold())) for sentence in sentences]
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
