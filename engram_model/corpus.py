"""Which texts are kept back, and the others as one stream of ids, packed into batches of rows.

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
FEWEST_TEXTS = 20


def split_held_out(
    found: Sequence[list[str]], share: float, generator: torch.Generator
) -> tuple[list[list[str]], list[list[str]]]:
    """Keep back a share of the texts, drawn at random; the end of each where there are fewer than 20.

    Copies of a text stay together, so that none is both learned and kept back, and are drawn after the texts that
    stand there once. What is longer than all that is to be kept, copies included, is never drawn: it could be all
    that there is to learn. If nothing can be drawn, the end of each text is kept too.
    """
    if not share:
        return list(found), []
    budget = share * sum(map(len, found))
    places: dict[tuple[str, ...], list[int]] = {}
    for index in torch.randperm(len(found), generator=generator).tolist() if len(found) >= FEWEST_TEXTS else []:
        places.setdefault(tuple(found[index]), []).append(index)
    drawn = [same for text, same in places.items() if len(text) * len(same) <= budget]
    if not drawn:
        cuts = [(text, len(text) - int(share * len(text))) for text in found]
        return [text[:cut] for text, cut in cuts], [text[cut:] for text, cut in cuts if cut < len(text)]
    kept: set[int] = set()
    for same in sorted(drawn, key=lambda same: len(same) > 1):
        if budget <= 0:
            break
        kept.update(same)
        budget -= len(found[same[0]]) * len(same)
    return [t for i, t in enumerate(found) if i not in kept], [t for i, t in enumerate(found) if i in kept]


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
        together: Texts (by their place) that `shuffled` reads as one, in random order; each text once at most.
    """

    def __init__(self, texts: Sequence[WordIds], together: Sequence[Sequence[int]] = ()) -> None:
        grouped = {text for group in together for text in group}
        self.units = [*map(list, together), *([text] for text in range(len(texts)) if text not in grouped)]
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

    def _take(self, index: Int[Tensor, "rows time"], begins: Int[Tensor, " words"]) -> Batch:
        # Counted along the row: a text that a row holds twice is two texts there.
        return Batch(self.inputs[index], self.targets[index], begins[index].cumsum(dim=1))

    def shuffled(self, generator: torch.Generator, rows: int, time: int) -> Iterator[Batch]:
        """One epoch: the texts in random order, cut from a random offset into full batches of rows x time."""
        order: list[int] = []
        begins = self.begins.clone()
        for place in torch.randperm(len(self.units), generator=generator).tolist():
            unit = self.units[place]
            if len(unit) > 1:
                unit = [unit[member] for member in torch.randperm(len(unit), generator=generator).tolist()]
                begins[torch.from_numpy(self.starts[unit[1:]])] = 0
            order += unit
        spans = [np.arange(self.starts[text], self.starts[text] + self.lengths[text]) for text in order]
        stream = torch.from_numpy(np.concatenate(spans))
        offset = int(torch.randint(time, (1,), generator=generator))
        stream = torch.roll(stream, -offset)
        if len(stream) < rows * time:
            stream = stream.repeat(-(-rows * time // len(stream)))
        index = stream[: len(stream) // time * time].view(-1, time)
        index = index[torch.randperm(len(index), generator=generator)]
        for start in range(0, len(index) - rows + 1, rows):
            yield self._take(index[start : start + rows], begins)

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
        batch = self._take(index, self.begins)
        return Batch(batch.inputs, batch.targets, segments), places
