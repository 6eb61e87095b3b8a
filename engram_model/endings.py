"""How the contexts of episodes end and how often each word came next, kept up to date as episodes come.

It must not know what an episode is; it sees rows, the ids of words, and -1 where there is none.
"""

from __future__ import annotations

from collections import defaultdict

import torch
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
        self._counts = torch.zeros(0)
        for row, (suffix, next_id) in enumerate(zip(suffixes[:, :2].tolist(), next_ids.tolist(), strict=True)):
            self.add(row, suffix, next_id)

    def add(self, row: int, suffix: list[int], next_id: int) -> None:
        """Take in one more episode."""
        if next_id < 0:
            return
        if min(suffix[:2]) >= 0:
            self._rows[suffix[0], suffix[1]].append(row)
        if next_id >= len(self._counts):
            counts = torch.zeros(max(next_id + 1, 2 * len(self._counts)))
            counts[: len(self._counts)] = self._counts
            self._counts = counts
        self._counts[next_id] += 1
        self.total += 1

    def sharing(self, suffix: list[int]) -> list[int]:
        """Rows of the episodes whose contexts end in the same two words, in order."""
        return self._rows.get((suffix[0], suffix[1]), [])

    def shares(self, words: int) -> Float[Tensor, " words"]:
        """Share of each word among all that came next; zeros where there is no episode."""
        found = torch.zeros(words)
        known = min(words, len(self._counts))
        torch.div(self._counts[:known], max(self.total, 1), out=found[:known])
        return found
