"""How the contexts of episodes end and how often each word came next, kept up to date as episodes come.

It must not know what an episode is; it sees rows, the ids of words, and -1 where there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor


class Endings:
    """Finds the episodes that share the last two words, and counts all next words, without looking at all episodes.

    Episodes whose next word is -1 are passed over.

    Args:
        suffixes: The last words of each episode's context, latest first.
        next_ids: The word that came next.
    """

    def __init__(self, suffixes: Int[Tensor, "episodes places"], next_ids: Int[Tensor, " episodes"]) -> None:
        self.total = 0
        self._rows: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        self._counts = np.zeros(0, dtype=np.float32)
        for row, (suffix, next_id) in enumerate(zip(suffixes[:, :2].tolist(), next_ids.tolist(), strict=True)):
            self.add(row, suffix, next_id)

    def add(self, row: int, suffix: list[int], next_id: int) -> None:
        """Take in one more episode."""
        if next_id < 0:
            return
        if min(suffix[:2]) >= 0:
            self._rows[suffix[0], suffix[1]].append(row)
        self._reach(next_id + 1)
        self._counts[next_id] += 1
        self.total += 1

    def sharing(self, suffix: Sequence[int]) -> list[int]:
        """Rows of the episodes whose contexts end in the same two words, in order."""
        return self._rows.get((suffix[0], suffix[1]), [])

    def counts(self, words: int) -> Float[np.ndarray, " words"]:
        """How often each word came next; a view that later episodes change."""
        self._reach(words)
        return self._counts[:words]

    def _reach(self, words: int) -> None:
        if words > len(self._counts):
            counts = np.zeros(max(words, 2 * len(self._counts)), dtype=np.float32)
            counts[: len(self._counts)] = self._counts
            self._counts = counts
