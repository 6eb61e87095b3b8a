"""Recollecting what was told: which remembered statements belong to a question.

It must not know how the brain reads them again, or how episodes are found by their keys.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from engram_model.records import Episode
from engram_model.text import END, SPECIALS, USER
from engram_model.vocabulary import Vocabulary

COVERAGE = 0.4
NEAR_BEST = 0.8
MOST = 2
QUESTION = "?"


def statements(episodes: Iterable[Episode]) -> list[tuple[str, ...]]:
    """What people said in the remembered moments, as far as it was remembered; latest first, each once, no questions.

    A moment holds the words before it, so its statement runs from the speaker's mark to the word that came next. Of
    several moments of one statement the last holds it longest.
    """
    found: list[tuple[str, ...]] = []
    for episode in sorted(episodes, key=lambda e: e.time, reverse=True):
        said = (*episode.context, episode.next_word)
        starts = [place for place, word in enumerate(said) if word in (USER, END)]
        words = tuple(word for word in said[starts[-1] + 1 if starts else 0 :] if word not in SPECIALS)
        known = any(other[: len(words)] == words for other in found)
        if len(words) > 1 and QUESTION not in words and not known:
            found.append(words)
    return found


def information(vocabulary: Vocabulary, word: str) -> float:
    """-ln of the word's share in all that was read; marks of punctuation tell nothing."""
    if not any(map(str.isalnum, word)):
        return 0.0
    total = int(vocabulary.counts.sum())
    return math.log(total / max(1, int(vocabulary.counts[vocabulary.id_of(word)])))


def recollect(episodes: Iterable[Episode], question: Sequence[str], vocabulary: Vocabulary) -> list[tuple[str, ...]]:
    """The statements that share at least 40 % of a question's information with it, best last; at most two.

    One that shares much less than the best is left out: what is told of the dog does not answer the question of the name.

    Args:
        episodes: Remembered moments.
        question: Its words.
        vocabulary: How common each word is.
    """
    asked = {word: information(vocabulary, word) for word in question}
    whole = sum(asked.values())
    if QUESTION not in question or whole <= 0:
        return []
    scored = [(sum(asked.get(word, 0.0) for word in set(words)) / whole, words) for words in statements(episodes)]
    floor = max([COVERAGE, *(NEAR_BEST * score for score, _ in scored)])
    good = [(score, words) for score, words in scored if score >= floor]
    good.sort(key=lambda pair: -pair[0])
    return [words for _, words in good[:MOST]][::-1]
