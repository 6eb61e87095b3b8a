"""What was read as question and answer, kept word for word: which of it belongs to what is asked now.

It must not know where rows are kept, nor how the brain reads an exchange again.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch.nn.functional import normalize

from engram_model.errors import StoreError
from engram_model.rows import Rows
from engram_model.stores import Store
from engram_model.text import BOT, END, UNK_ID, USER, join_words
from engram_model.unpunctuated import OPENERS, after_greeting
from engram_model.vocabulary import Vocabulary

COLLECTION = "engram_lessons"
SIMILAR = 0.3
"""Least cosine of exchanges that belong together."""
COMPARED = 50
"""Exchanges with most words in common whose order is compared, too."""
ALIKE = 0.6
"""Least share of common words, in order, of two things that people tell of themselves in the same way."""
RECOLLECTED = 2
TOGETHER = 3
"""Exchanges that are read as one text in training, so that the later ones can be answered from the earlier."""
OWN = frozenset("i i'm i've my mine we we're our ours".split())  # noqa: SIM905
"""Words by which people speak of themselves."""
WISHING = frozenset("know need want wonder wondering curious ask tell".split())  # noqa: SIM905
"""Words by which people ask without a question: "I need the name of the river"."""
GIVING_BACK = frozenset("you you're your yours hello hi welcome".split())  # noqa: SIM905
"""Words by which an answer says again what it was told."""
LONGEST = 64
COMMON = 1_000
"""Words in more exchanges than this do not decide what is read together; it keeps the search short on long texts."""


@dataclass(frozen=True)
class Exchange:
    """What was said, mostly a question, and what was answered, as words."""

    said: tuple[str, ...]
    answer: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """All words of both."""
        return self.said + self.answer

    @property
    def text(self) -> tuple[str, ...]:
        """Both with the speakers' marks, as the exchange was read."""
        return (USER, *self.said, BOT, *self.answer, END)

    def told_as(self, said: Sequence[str]) -> tuple[float, Exchange]:
        """How like this is to what is said now, 0 to 1, and the exchange as it would be with the words said now.

        "My name is Ben. Hello Ben." becomes "My name is Ada. Hello Ada.". What differs must be one stretch of as many words:
        "my house is blue" and "my cat has a cold" are not said in the same way. Where the answer says more of the word than what
        it gives back to the speaker, it holds of that word only: "I am a nurse. A nurse helps people who are ill."
        """
        match = SequenceMatcher(None, self.said, list(said), autojunk=False)
        others = [places for kind, *places in match.get_opcodes() if kind == "replace"]
        if len(others) > 1 or any(end - start != to - at for start, end, at, to in others):
            return 0.0, self
        new = {
            old: word
            for start, end, at, to in others
            for old, word in zip(self.said[start:end], said[at:to], strict=True)
        }
        if GIVING_BACK.isdisjoint(self.answer) and not new.keys().isdisjoint(self.answer):
            return 0.0, self
        said_so, answered = (tuple(new.get(word, word) for word in words) for words in (self.said, self.answer))
        return match.ratio(), Exchange(said_so, answered)


def exchanges(text: Sequence[str]) -> list[Exchange]:
    """The exchanges of one text, in order: a user's turn and the answer that follows it."""
    turns: list[tuple[str, list[str]]] = []
    for word in text:
        if word in (USER, BOT):
            turns.append((word, []))
        elif turns and word != END:
            turns[-1][1].append(word)
    return [
        Exchange(tuple(said), tuple(answer))
        for (user, said), (bot, answer) in pairwise(turns)
        if (user, bot) == (USER, BOT) and said and answer
    ]


def tells(said: Sequence[str]) -> bool:
    """Whether people tell something of themselves: "my name is Ada"; not so "is my name Ada", "I need a name"."""
    words = [word for word in said if any(map(str.isalnum, word))]
    first = after_greeting(words)
    asks = "?" in said or (first < len(words) and words[first] in OPENERS)
    return not asks and not OWN.isdisjoint(said) and WISHING.isdisjoint(said)


def _terms(words: Iterable[str]) -> list[str]:
    """What exchanges are compared by: each word once, Ada's as Ada, no punctuation."""
    return sorted({word.removesuffix("'s") for word in words if any(map(str.isalnum, word))})


class _Index:
    """Which row has which terms; rows as near as the cosine of their terms.

    A term weighs ln(1 + n / (df + 1/2)), with df of n rows that have it (Robertson & Zaragoza 2009, the inverse document
    frequency of BM25, without its counts).

    Args:
        rows: Words of each row.
        every: The weight of every term instead.
    """

    def __init__(self, rows: Sequence[Sequence[str]], every: float | None = None) -> None:
        self._every = every
        found: defaultdict[str, list[int]] = defaultdict(list)
        for row, words in enumerate(rows):
            for term in _terms(words):
                found[term].append(row)
        self.rows = {term: np.array(having) for term, having in found.items()}
        self.count = len(rows)
        squares = np.zeros(self.count)
        for term, having in self.rows.items():
            squares[having] += self.weight(term) ** 2
        self._norms = np.sqrt(squares)

    def weight(self, term: str) -> float:
        return self._every or math.log1p(self.count / (len(self.rows.get(term, ())) + 0.5))

    def closeness(self, words: Iterable[str], common: int | None = None) -> Float[np.ndarray, " rows"]:
        """Cosine of every row with some words; words in more than `common` rows count for nothing."""
        found, square = np.zeros(self.count), 0.0
        for term in _terms(words):
            weight, rows = self.weight(term), self.rows.get(term)
            square += weight**2
            if rows is not None and (common is None or len(rows) <= common):
                found[rows] += weight**2
        return found / np.maximum(self._norms * math.sqrt(square), 1e-9)


class Lessons:
    """Exchanges that were read, found by the words they share with what is said now.

    Args:
        exchanges: What was read; each is kept once.
        ids: Id of each in the store; numbered unless given.
    """

    def __init__(self, exchanges: Iterable[Exchange], ids: Sequence[str] | None = None) -> None:
        self.exchanges = list(dict.fromkeys(exchanges) if ids is None else exchanges)
        self.ids = [f"l{row:09d}" for row in range(len(self))] if ids is None else list(ids)
        self._unsaved: set[int] = set()
        self._index()

    def _index(self) -> None:
        self._whole = _Index([exchange.words for exchange in self.exchanges])
        self._said = _Index([exchange.said for exchange in self.exchanges])
        self._telling = [each for each in self.exchanges if tells(each.said)]
        self._ways = _Index([each.said for each in self._telling], every=1.0)

    def __len__(self) -> int:
        """Return the number of exchanges."""
        return len(self.exchanges)

    def closeness(self, words: Iterable[str], common: int | None = None) -> Float[np.ndarray, " exchanges"]:
        """Cosine of every exchange with some words; words in more than `common` exchanges count for nothing."""
        return self._whole.closeness(words, common)

    def recollect(self, said: Sequence[str]) -> list[Exchange]:
        """The two exchanges that are nearest to what is said, if they are near at all; the best last.

        An answer often holds what a question is about, so question and answer are compared together. What was said in
        the very same words is found by itself, however long its answer was: its cosine counts squared (docs/log.md). What
        people tell of themselves is not looked up by its rare words: see `told_as`.
        """
        if tells(said):
            return self._told(said)
        close = np.maximum(self._whole.closeness(said), self._said.closeness(said) ** 2)
        best = (-close).argsort(kind="stable")[:RECOLLECTED]
        return [self.exchanges[row] for row in best[::-1] if close[row] >= SIMILAR]

    def _told(self, said: Sequence[str]) -> list[Exchange]:
        """What was answered when somebody told something in the most similar way, with the words said now."""
        near = (-self._ways.closeness(said)).argsort(kind="stable")[:COMPARED]
        found = [self._telling[row].told_as(said) for row in near]
        likeness, exchange = max(found, key=lambda pair: pair[0], default=(0.0, None))
        return [exchange] if exchange is not None and likeness >= ALIKE else []

    def rename_word(self, old: str, new: str) -> None:
        """Spell a word anew wherever it was read, as the vocabulary does."""
        for row, exchange in enumerate(self.exchanges):
            if old in exchange.words:
                said, answer = (
                    tuple(new if w == old else w for w in part) for part in (exchange.said, exchange.answer)
                )
                self.exchanges[row] = Exchange(said, answer)
                self._unsaved.add(row)
        self._index()

    def flush(self, store: Store, vocabulary: Vocabulary) -> None:
        """Write what was spelled anew since the last time."""
        if self._unsaved:
            store.upsert(COLLECTION, self.rows(vocabulary, sorted(self._unsaved)))
        self.mark_saved()

    def mark_saved(self) -> None:
        """Take all exchanges as written, after `rows()` was put into a store whole."""
        self._unsaved.clear()

    def rows(self, vocabulary: Vocabulary, chosen: Sequence[int] | None = None) -> Rows:
        """All exchanges, or some, as rows of a collection; the vector is the weighted mean of the words' vectors."""
        chosen = range(len(self)) if chosen is None else chosen
        found = [self.exchanges[row] for row in chosen]
        vectors = torch.zeros(len(found), vocabulary.dim)
        for row, exchange in enumerate(found):
            ids = {vocabulary.id_of(word): self._whole.weight(word.removesuffix("'s")) for word in exchange.words}
            known = [(number, weight) for number, weight in ids.items() if number != UNK_ID] or [(UNK_ID, 1.0)]
            numbers, weights = zip(*known, strict=True)
            vectors[row] = torch.tensor(weights) @ vocabulary.vectors[list(numbers)]
        return Rows(
            ids=[self.ids[row] for row in chosen],
            vectors=normalize(vectors.double(), dim=-1).float(),
            documents=[
                f"{join_words(e.said, vocabulary.forms)} → {join_words(e.answer, vocabulary.forms)}" for e in found
            ],
            metadatas=[{"said": " ".join(e.said), "answer": " ".join(e.answer)} for e in found],
        )

    @classmethod
    def from_rows(cls, rows: Rows) -> Lessons:
        """Build from the rows of a collection, in the order of their ids.

        Raises:
            StoreError: if a row lacks a field.
        """
        try:
            found = [(str(m["said"]).split(), str(m["answer"]).split()) for m in rows.metadatas]
        except KeyError as error:
            raise StoreError(f"a lesson in the store has no {error}; delete that row") from error
        return cls([Exchange(tuple(said), tuple(answer)) for said, answer in found], rows.ids)


def together(texts: Sequence[Sequence[str]], generator: torch.Generator) -> list[list[int]]:
    """Places of texts that are read as one: short exchanges of one subject, three by three, each text once at most.

    Args:
        texts: Words of each text.
        generator: Draws the order in which each chooses its nearest among those that are left.
    """
    single: dict[Exchange, int] = {}
    for place, text in enumerate(texts):
        found = exchanges(text) if len(text) <= LONGEST else []
        if len(found) == 1:
            single.setdefault(found[0], place)
    lessons, places = Lessons(single), list(single.values())
    free = np.ones(len(places), dtype=bool)
    groups = []
    for row in torch.randperm(len(places), generator=generator).tolist():
        if not free[row]:
            continue
        close = np.where(free, lessons.closeness(lessons.exchanges[row].words, COMMON), -1.0)
        close[row] = 2.0
        nearest = (-close).argsort(kind="stable")[:TOGETHER]
        group = nearest[close[nearest] >= SIMILAR]
        free[group] = False
        if len(group) > 1:
            groups.append([places[member] for member in group.tolist()])
    return groups
