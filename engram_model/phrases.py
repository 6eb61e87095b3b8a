"""Counted phrases: an interpolated modified Kneser-Ney model of the next word.

It must not know of vectors, of gates, or of how its predictions are blended with others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engram_model.errors import BrainError, ConfigError, TextError
from engram_model.smoothing import ABSENT, MAX_IDS, WORD_BITS, WORD_MASK, Level, join_keys
from engram_model.text import END_ID


@dataclass(frozen=True)
class PhraseScores:
    """What counted phrases say of each word of some texts, laid end to end.

    Attributes:
        probs: p(word | the words of its text before it), in (0, 1], float64.
        features: float32, known before the word: for each context of 1, 2, .. order-1 words, log(1 + times a
            word followed it) and log(1 + number of different words that did). Both 0 where the context is new
            or would begin before its text.
    """

    probs: Float[np.ndarray, " words"]
    features: Float[np.ndarray, "words features"]


@dataclass(frozen=True)
class _Found:
    """Ids of the phrases that end at each place of a stream, and of their contexts; row n - 1 for n words."""

    contexts: Int[np.ndarray, "order places"]
    phrases: Int[np.ndarray, "order places"]


def _stream(texts: Sequence[np.ndarray]) -> tuple[Int[np.ndarray, " places"], Bool[np.ndarray, " places"]]:
    """Texts end to end with one <END> before each, and which places hold words rather than that boundary."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    inside = np.ones(int((lengths + 1).sum()), dtype=bool)
    inside[np.cumsum(lengths + 1) - lengths - 1] = False
    words = np.full(len(inside), END_ID, dtype=np.int64)
    if len(texts):
        words[inside] = np.concatenate(texts)
    return words, inside


def _previous(ids: Int[np.ndarray, " places"], inside: Bool[np.ndarray, " places"]) -> Int[np.ndarray, " places"]:
    """The ids one place earlier; ABSENT at each boundary, so that no phrase reaches across it."""
    earlier = np.full_like(ids, ABSENT)
    earlier[1:] = ids[:-1]
    earlier[~inside] = ABSENT
    return earlier


class PhraseCounts:
    """Interpolated modified Kneser-Ney: p(word | the order-1 words before it).

    p_n(w | context) = (c - D(c)) / total + gamma p_{n-1}(w | context less its first word), where gamma is the
    share that the discounts freed, down to p_0 = 1 / vocab_size (Chen & Goodman 1998, section 3). At the
    highest order c is how often a phrase was seen; below, it is how many different words it was seen after.

    Before each text stands one <END>, which is never predicted. As in the common toolkits, phrases of two or
    more words that begin with <END> have nothing to their left and keep their raw counts at every order, and
    contexts reach back to that <END> and no further: more of them in front would only repeat the same
    evidence, and a `context` that has them is read the same. The <END> that closes a text is predicted like
    any word.

    Args:
        vocab_size: Number of words that p_0 spreads over, unless a call asks for more.
        keys: For phrases of 2, 3, .. order words, their sorted keys (`join_keys`). A context is the id of a
            phrase one word shorter; the id of a single word is its word id.
        raw: How often each phrase was seen.
    """

    def __init__(
        self,
        vocab_size: int,
        keys: Sequence[Int[np.ndarray, " _"]],
        raw: Sequence[Int[np.ndarray, " _"]],
    ) -> None:
        """Derive Kneser-Ney's counts, level by level, from the phrases seen."""
        self.vocab_size, self.order = vocab_size, len(keys) + 1
        first = here = np.arange(vocab_size, dtype=np.int64)
        times = np.bincount(keys[0] & WORD_MASK, raw[0], minlength=vocab_size).astype(np.int64)
        suffix, plain, contexts = np.zeros_like(here), np.zeros(vocab_size, dtype=bool), 1
        self._levels: list[Level] = []
        for above, times_above in zip(keys, raw, strict=True):
            prefix = above >> WORD_BITS
            suffix = np.searchsorted(here, join_keys(suffix[prefix], above & WORD_MASK))
            extensions = np.bincount(suffix, minlength=len(here))
            self._levels.append(Level(here, times, np.where(plain, times, extensions), plain, contexts))
            first, contexts = first[prefix], len(here)
            here, times, plain = above, times_above, first == END_ID
        self._levels.append(Level(here, times, times, np.ones(len(here), dtype=bool), contexts))
        _, self._base, self._base_left = self._levels[0].spread(0)

    @classmethod
    def fit(cls, texts: Sequence[np.ndarray], vocab_size: int, order: int = 5) -> PhraseCounts:
        """Count the phrases of some texts.

        Args:
            texts: Word ids of each text, closed by <END>.
            vocab_size: Number of words, seen or not.
            order: Length of the longest phrases in words, at least 2.

        Raises:
            TextError: There is no word to count.
            ConfigError: The order, the vocabulary or an id is out of range.
        """
        if order < 2 or not END_ID < vocab_size <= MAX_IDS:
            raise ConfigError(
                f"expected an order of at least 2 and {END_ID + 1} to {MAX_IDS} words, "
                f"got order {order} and {vocab_size} words"
            )
        words, inside = _stream(texts)
        if not inside.any():
            raise TextError("expected at least one word to count, found none; give a longer text")
        _check_ids(words, vocab_size)
        ids, keys, raw = words, [], []
        for _ in range(2, order + 1):
            contexts = _previous(ids, inside)
            places = np.flatnonzero(contexts != ABSENT)
            unique, ranks, times = np.unique(
                join_keys(contexts[places], words[places]), return_inverse=True, return_counts=True
            )
            ids = np.full_like(words, ABSENT)
            ids[places] = ranks
            keys.append(unique)
            raw.append(times.astype(np.int64))
        return cls(vocab_size, keys, raw)

    def merged(self, other: PhraseCounts) -> PhraseCounts:
        """What counting the texts of both together would give; word ids must mean the same in both.

        Raises:
            ConfigError: The orders differ.
        """
        if self.order != other.order:
            raise ConfigError(f"expected phrases of the same order, got {self.order} and {other.order}; train anew")
        size = max(self.vocab_size, other.vocab_size)
        maps, keys, raw = [np.arange(size), np.arange(size)], [], []
        for pair in zip(self._levels[1:], other._levels[1:], strict=True):
            old = [level.keys[:-1] for level in pair]
            new = [join_keys(ids[k >> WORD_BITS], k & WORD_MASK) for ids, k in zip(maps, old, strict=True)]
            unique, ranks = np.unique(np.concatenate(new), return_inverse=True)
            counts = np.concatenate([level.raw[:-1] for level in pair])
            keys.append(unique)
            raw.append(np.bincount(ranks, counts, minlength=len(unique)).astype(np.int64))
            maps = [ranks[: len(old[0])], ranks[len(old[0]) :]]
        return PhraseCounts(size, keys, raw)

    def _find(self, words: Int[np.ndarray, " places"], inside: Bool[np.ndarray, " places"]) -> _Found:
        contexts = [np.zeros_like(words)]
        phrases = [self._levels[0].find(contexts[0], words)]
        for level in self._levels[1:]:
            contexts.append(_previous(phrases[-1], inside))
            phrases.append(level.find(contexts[-1], words))
        return _Found(np.stack(contexts), np.stack(phrases))

    def score_texts(self, texts: Sequence[np.ndarray], vocab_size: int | None = None) -> PhraseScores:
        """Scores of every word of some texts given all before it in its text.

        Args:
            texts: Word ids of each text.
            vocab_size: Number of words there are by now; by default as many as at the fit.

        Raises:
            ConfigError: An id is not below the vocabulary's size.
        """
        words, inside = _stream(texts)
        _check_ids(words, self._size(vocab_size))
        found = self._find(words, inside)
        contexts, phrases = found.contexts[:, inside], found.phrases[:, inside]
        probs = np.full(phrases.shape[1], 1.0 / self._size(vocab_size))
        columns = []
        for n, level in enumerate(self._levels):
            probs = level.probs(contexts[n], phrases[n], probs)
            if n > 0:
                columns += [level.uses[contexts[n]], level.followers[contexts[n]]]
        return PhraseScores(probs, np.log1p(np.stack(columns, axis=1)).astype(np.float32))

    def score(self, ids: Int[np.ndarray, " words"], vocab_size: int | None = None) -> PhraseScores:
        """`score_texts` of one text."""
        return self.score_texts([ids], vocab_size)

    def perplexity(self, texts: Sequence[np.ndarray], vocab_size: int | None = None) -> float:
        """exp of the mean negative log-likelihood of all words of some texts, closing <END>s among them."""
        return float(np.exp(-np.log(self.score_texts(texts, vocab_size).probs).mean()))

    def after(
        self, context: Sequence[int] | np.ndarray, vocab_size: int | None = None
    ) -> tuple[Float[np.ndarray, " vocab"], Float[np.ndarray, " features"]]:
        """`distribution` and `features` after a context."""
        places = self._contexts(context)
        return self._distribution(places, self._size(vocab_size)), self._features(places)

    def distribution(
        self, context: Sequence[int] | np.ndarray, vocab_size: int | None = None
    ) -> Float[np.ndarray, " vocab"]:
        """p(. | context) of every word, float64; sums to one, all above zero.

        Args:
            context: The words of the text so far. The last order-1 count; fewer are taken for the whole text.
            vocab_size: Number of words there are by now; words added since the fit share in p_0.
        """
        return self._distribution(self._contexts(context), self._size(vocab_size))

    def features(self, context: Sequence[int] | np.ndarray) -> Float[np.ndarray, " features"]:
        """Features of the word after a context (see `PhraseScores`); `context` as for `distribution`."""
        return self._features(self._contexts(context))

    def _distribution(self, places: Sequence[int], size: int) -> Float[np.ndarray, " vocab"]:
        left, shares = 1.0, []
        for level, place in zip(self._levels[:0:-1], places[::-1], strict=True):
            followers, kept, freed = level.spread(place)
            shares.append((followers, left * kept))
            left *= freed
        probs = np.full(size, left * self._base_left / size)
        probs[: self.vocab_size] += left * self._base
        for followers, share in shares:
            probs[followers] += share
        return probs

    def _features(self, places: Sequence[int]) -> Float[np.ndarray, " features"]:
        pairs = zip(self._levels[1:], places, strict=True)
        counts = [count for level, place in pairs for count in (level.uses[place], level.followers[place])]
        return np.log1p(counts).astype(np.float32)

    def _contexts(self, context: Sequence[int] | np.ndarray) -> list[int]:
        """Ids of the last 1, 2, .. order-1 words, with <END> before a context that is shorter."""
        reach = self.order - 1
        words = [int(word) for word in context[-reach:]]
        if len(words) < reach:
            words.insert(0, END_ID)
        phrases: list[int] = []
        for word in words:
            phrases = [level.find_one(before, word) for level, before in zip(self._levels, [0, *phrases], strict=False)]
        return phrases + [ABSENT] * (reach - len(phrases))

    def _size(self, vocab_size: int | None) -> int:
        size = self.vocab_size if vocab_size is None else vocab_size
        if size < self.vocab_size:
            raise ConfigError(f"expected at least the {self.vocab_size} words of the fit, got {size}; fit again")
        return size

    def tensors(self) -> dict[str, Tensor]:
        """The whole state as int64 tensors: the counts seen. All else follows from them."""
        state = {"shape": torch.tensor([self.vocab_size, self.order])}
        for n, level in enumerate(self._levels[1:], start=2):
            state[f"keys_{n}"] = torch.from_numpy(level.keys[:-1].copy())
            state[f"raw_{n}"] = torch.from_numpy(level.raw[:-1].copy())
        return state

    @classmethod
    def from_tensors(cls, state: Mapping[str, Tensor]) -> PhraseCounts:
        """The inverse of `tensors`.

        Raises:
            BrainError: A tensor is missing, or keys and counts disagree in number.
        """
        try:
            vocab_size, order = state["shape"].tolist()
            keys = [state[f"keys_{n}"].numpy() for n in range(2, order + 1)]
            raw = [state[f"raw_{n}"].numpy() for n in range(2, order + 1)]
        except KeyError as error:
            raise BrainError(f"expected the tensor {error} of counted phrases, found none; train again") from error
        if any(len(a) != len(b) for a, b in zip(keys, raw, strict=True)):
            raise BrainError("expected one count for each phrase, found more or fewer; train again")
        return cls(vocab_size, keys, raw)


def _check_ids(words: Int[np.ndarray, " places"], vocab_size: int) -> None:
    if len(words) and not 0 <= words.min() <= words.max() < vocab_size:
        raise ConfigError(
            f"expected word ids from 0 to {vocab_size - 1}, got {words.min()} to {words.max()}; "
            "pass the size of the vocabulary that gave these ids"
        )
