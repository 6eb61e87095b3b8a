"""Texts as one stream of ids, packed into batches of rows.

It must not know what is learned from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from engram_model.text import END_ID

WordIds = Sequence[int] | np.ndarray
"""Word ids of one text."""


@dataclass(frozen=True)
class Batch:
    """Rows of words: what is read, what comes next, and which text of its row it belongs to."""

    inputs: Int[Tensor, "rows time"]
    targets: Int[Tensor, "rows time"]
    segments: Int[Tensor, "rows time"]

    def rows(self, rows: slice) -> Batch:
        """Some of the rows."""
        return Batch(self.inputs[rows], self.targets[rows], self.segments[rows])


class Corpus:
    """Texts laid end to end. Each text is read from an <END> before its first word to the word before its last.

    Args:
        texts: Word ids of each text, each ending with <END>.
    """

    def __init__(self, texts: Sequence[WordIds]) -> None:
        self.lengths = np.array([len(text) for text in texts], dtype=np.int64)
        self.starts = np.concatenate(([0], np.cumsum(self.lengths)))[:-1]
        self.targets = torch.from_numpy(np.concatenate([np.asarray(text, dtype=np.int64) for text in texts]))
        self.inputs = torch.roll(self.targets, 1)
        self.inputs[torch.from_numpy(self.starts)] = END_ID
        self.begins = torch.zeros_like(self.targets)
        self.begins[torch.from_numpy(self.starts)] = 1

    def __len__(self) -> int:
        """Number of words."""
        return len(self.targets)

    def _take(self, index: Int[Tensor, "rows time"]) -> Batch:
        # Counted along the row: a text that a row holds twice is two texts there.
        return Batch(self.inputs[index], self.targets[index], self.begins[index].cumsum(dim=1))

    def shuffled(self, generator: torch.Generator, rows: int, time: int) -> Iterator[Batch]:
        """One epoch: the texts in random order, cut from a random offset into full batches of rows x time."""
        order = torch.randperm(len(self.lengths), generator=generator).numpy()
        spans = [np.arange(self.starts[text], self.starts[text] + self.lengths[text]) for text in order]
        stream = torch.from_numpy(np.concatenate(spans))
        offset = int(torch.randint(time, (1,), generator=generator))
        stream = torch.roll(stream, -offset)
        if len(stream) < rows * time:
            stream = stream.repeat(-(-rows * time // len(stream)))
        index = stream[: len(stream) // time * time].view(-1, time)
        index = index[torch.randperm(len(index), generator=generator)]
        for start in range(0, len(index) - rows + 1, rows):
            yield self._take(index[start : start + rows])

    def whole_texts(self, max_time: int, overlap: int, batch_words: int) -> Iterator[tuple[Batch, Tensor]]:
        """Every text once, as rows of at most `max_time` words, short beside short.

        Longer texts are cut; each further piece starts `overlap` words early for context.

        Yields:
            The batch, and the place in the stream of each of its words (-1: padding or mere context).
        """
        pieces = []
        for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True):
            for first in range(0, length, max_time - overlap) if length > max_time else (0,):
                end = min(first + max_time, length)
                pieces.append((start + first, start + end, start + (first + overlap if first else first)))
                if end == length:
                    break
        pieces.sort(key=lambda piece: piece[1] - piece[0])
        while pieces:
            longest = pieces[-1][1] - pieces[-1][0]
            count = max(1, batch_words // longest)
            group, pieces = pieces[-count:], pieces[:-count]
            yield self._padded(group, longest)

    def _padded(self, group: list[tuple[int, int, int]], longest: int) -> tuple[Batch, Tensor]:
        index = torch.zeros(len(group), longest, dtype=torch.int64)
        places = torch.full((len(group), longest), -1)
        segments = torch.full((len(group), longest), -1)
        for row, (start, end, scored) in enumerate(group):
            index[row, : end - start] = torch.arange(start, end)
            places[row, scored - start : end - start] = torch.arange(scored, end)
            segments[row, : end - start] = 0
        batch = self._take(index)
        return Batch(batch.inputs, batch.targets, segments), places
