"""The words by which situations, actions and errors are taken for the same, and the names made from them.

It must not know what is learned from what is the same, nor keep anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from engram_agent.index import STOP_WORDS
from engram_agent.signatures import mask

NAMED = 6
"""Words of a name."""
LONG = 40
"""Letters of a word of a name."""
TELLING = 3
"""Words that the first lines of an error must have to stand for all of it."""
_MEASURE = re.compile(r"\b(?:after|within|since|until|for|at) <\*>(?: s\b)?")
UNNAMED = frozenset(["after", "before", "during", "while", "since", "until", "within"])
GENERIC = frozenset(["pattern", "strategy"])
_TRACEBACK = "Traceback (most recent call last)"
_STEP = re.compile(r"\s*(?:;|\n|&&|,?\s+and\s+then\s+|,?\s+then\s+)\s*")


def words(text: str) -> list[str]:
    """The words of a text that tell something, case folded, in order."""
    return [word for word in re.findall(r"[^\W_]+", text.casefold()) if word not in STOP_WORDS]


@lru_cache(maxsize=65_536)
def key(text: str) -> str:
    """What two texts share if they are the same but for numbers, ids, paths, case, punctuation and stop words."""
    return " ".join(words(_MEASURE.sub(" ", mask(text)))) or plain(text)


def plain(text: str) -> str:
    """A text without case and with single blanks: what is the same word for word."""
    return " ".join(text.casefold().split())


def signature(error: str) -> str:
    """The masked text of an error: the last line of a Python traceback, else the first lines that say enough."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    if lines and any(_TRACEBACK in line for line in lines):
        return mask(lines[-1])
    for count in range(1, len(lines) + 1):
        if len(words(" ".join(lines[:count]))) >= TELLING:
            return mask(" ".join(lines[:count]))
    return mask(" ".join(lines))


def name(text: str) -> str:
    """A name made of the first words that tell something: "npm install timed out after 30s" is npm-install-timed-out."""
    found = _telling(text) or words(text) or plain(text).split()
    return "-".join(word[:LONG] for word in found[:NAMED])


def tells(text: str) -> bool:
    """Whether anything of a text but its numbers, paths and the like could name it."""
    return bool(_telling(text))


def shared(asked: str, named: str) -> float:
    """The share of the words of a name that another name has; words such as "pattern" do not count.

    One word also stands for another that it begins (of four letters or more): auth for authentication.
    """
    wanted = [word for word in words(asked) if word not in GENERIC]
    have = words(named)
    return sum(any(_alike(word, other) for other in have) for word in wanted) / len(wanted) if wanted else 0.0


def overlap(one: Iterable[str], other: Iterable[str], weights: Mapping[str, float]) -> float:
    """The weight of the words that two sets share, over that of all their words (weighted Jaccard), 0 to 1."""
    first, second = set(one), set(other)
    whole = sum(weights.get(word, 1.0) for word in first | second)
    return sum(weights.get(word, 1.0) for word in first & second) / whole if whole else 0.0


def steps(action: str) -> list[str]:
    """The parts of an action that are done one after another."""
    return [part for part in _STEP.split(action.strip()) if part]


def _telling(text: str) -> list[str]:
    return [word for word in words(mask(text)) if word not in UNNAMED and len(word) > 1]


def _alike(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return one == other or (len(short) >= 4 and long.startswith(short))
