"""Kneser-Ney smoothing at one phrase length: counts by context, their discounts, one step of interpolation.

It must not know of texts, or of the lengths above and below.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

WORD_BITS = 32
WORD_MASK = (1 << WORD_BITS) - 1
MAX_IDS = 1 << 31
ABSENT = -1


def join_keys(contexts: Int[np.ndarray, "*n"], words: Int[np.ndarray, "*n"]) -> Int[np.ndarray, "*n"]:
    """Keys of phrases: the context's id above, the word's below.

    Exact, not hashed: both ids stay below 2^31, so two phrases can never share a key, and the key of a word
    after an ABSENT context is negative, which no phrase has.
    """
    return (contexts << WORD_BITS) | words


def estimate_discounts(counts: Int[np.ndarray, " phrases"]) -> Float[np.ndarray, " four"]:
    """What to take off phrases counted 0, 1, 2 and 3 or more times: 0, D1, D2, D3+.

    D_c = c - (c+1) Y n_{c+1} / n_c with Y = n_1 / (n_1 + 2 n_2), n_c the number of phrases counted c times
    (Chen & Goodman 1998, section 3). Where a tiny text leaves D_c undefined or outside (0, c), c / 2 stands
    in: so every phrase seen keeps something, and every context leaves something to words never seen in it.
    """
    seen = np.bincount(np.minimum(counts, 5), minlength=6).astype(np.float64)
    y = seen[1] / max(seen[1] + 2 * seen[2], 1.0)
    discounts = np.zeros(4)
    for c in (1, 2, 3):
        estimate = c - (c + 1) * y * seen[c + 1] / seen[c] if seen[c] else 0.0
        discounts[c] = estimate if 0.0 < estimate < c else c / 2
    return discounts


class Level:
    """All phrases of one length, each a context and the word after it.

    A phrase's id is its rank among the sorted keys, so the phrases of one context lie side by side. Every
    table of counts ends with a slot for ABSENT (index -1), where all are zero.

    Args:
        keys: Sorted keys (`join_keys`).
        raw: How often each phrase was seen.
        counts: How Kneser-Ney counts each phrase: as often as it was seen, or once a word it was seen after.
        plain: Whether a phrase is counted as often as it was seen.
        contexts: Number of contexts there are, followed or not.

    Attributes:
        discounts: 0, D1, D2, D3+.
        totals, freed: Per context, the sum of its counts and the sum of their discounts.
        uses, followers: Per context, how often a word followed it and how many different ones.
    """

    def __init__(
        self,
        keys: Int[np.ndarray, " phrases"],
        raw: Int[np.ndarray, " phrases"],
        counts: Int[np.ndarray, " phrases"],
        plain: Bool[np.ndarray, " phrases"],
        contexts: int,
    ) -> None:
        """Sum counts and discounts by context."""
        self.keys = np.append(keys, np.iinfo(np.int64).max)
        self.raw, self.counts, self.plain = np.append(raw, 0), np.append(counts, 0), np.append(plain, False)
        self.words = keys & WORD_MASK
        self.discounts = estimate_discounts(counts)
        self.starts = np.searchsorted(keys, np.arange(contexts + 1, dtype=np.int64) << WORD_BITS)
        self.followers = np.append(np.diff(self.starts), 0)
        owners = keys >> WORD_BITS
        # Weighted sums are float64 (int64 if there is nothing to sum), exact for whole numbers below 2^53.
        self.totals = np.bincount(owners, counts, minlength=contexts + 1).astype(np.int64)
        self.uses = np.bincount(owners, raw, minlength=contexts + 1).astype(np.int64)
        self.freed = np.bincount(owners, self.discount(counts), minlength=contexts + 1).astype(np.float64)

    def find(self, contexts: Int[np.ndarray, " n"], words: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Ids of the phrases made of these contexts and words; ABSENT where there is no such phrase."""
        keys = join_keys(contexts, words)
        found = np.searchsorted(self.keys, keys)
        return np.where(self.keys[found] == keys, found, ABSENT)

    def find_one(self, context: int, word: int) -> int:
        """`find` of a single phrase, ten times as fast."""
        key = (context << WORD_BITS) | word
        found = int(self.keys.searchsorted(key))
        return found if self.keys[found] == key else ABSENT

    def discount(self, counts: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """D(c) of each count c, with D(0) = 0."""
        return self.discounts[np.minimum(counts, 3)]

    def probs(
        self,
        contexts: Int[np.ndarray, " n"],
        phrases: Int[np.ndarray, " n"],
        lower: Float[np.ndarray, " n"],
    ) -> Float[np.ndarray, " n"]:
        """(c - D(c)) / total + (freed / total) lower for each phrase; lower alone where the total is 0.

        Args:
            contexts: Ids of the contexts, ABSENT allowed.
            phrases: Ids of the phrases, ABSENT allowed.
            lower: Probability of each word after the context less its first word.
        """
        counts, totals = self.counts[phrases], self.totals[contexts]
        shared = (counts - self.discount(counts) + self.freed[contexts] * lower) / np.maximum(totals, 1)
        return np.where(totals > 0, shared, lower)

    def spread(self, context: int) -> tuple[Int[np.ndarray, " followers"], Float[np.ndarray, " followers"], float]:
        """A context's followers, (c - D(c)) / total of each, and the share freed for all words; none and 1 if
        new."""
        total = self.totals[context]
        if total == 0:
            return self.words[:0], self.freed[:0], 1.0
        inside = slice(self.starts[context], self.starts[context + 1])
        counts = self.counts[inside]
        kept = (counts - self.discount(counts)) / total
        return self.words[inside], kept, float(self.freed[context] / total)
