"""A growing table of unit vectors that is searched by cosine.

It must not know what the rows stand for.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engram_model.errors import ConfigError

BLOCKS = 32
LONG = 16_384
PARTS = 4


def highest(scores: Float[Tensor, " n"], k: int) -> tuple[Float[Tensor, " found"], Int[Tensor, " found"]]:
    """The k highest scores, best first, and their places: `topk`, as fast on a few thousand, five times so on 100,000.

    Every 32 scores that stand a fixed stride apart have one highest; k of these maxima are at least as high as the k-th
    highest of them, so nothing below that one is among the k best, and little else is left to sort. NumPy does it.
    """
    count = scores.shape[0]
    stride = count // BLOCKS
    if not 0 < k < stride:
        values, places = scores.topk(min(k, count))
        return values, places
    row = scores.detach().numpy()
    maxima = row[: stride * BLOCKS].reshape(BLOCKS, stride).max(axis=0)
    found = (row >= np.partition(maxima, stride - k)[stride - k]).nonzero()[0]
    best = found[(-row[found]).argsort(kind="stable")[:k]]
    return torch.from_numpy(row[best]), torch.from_numpy(best)


def products(query: Float[Tensor, " dim"], columns: Float[Tensor, "dim n"]) -> Float[Tensor, " n"]:
    """The product of a vector with each of many columns; long tables are cut into parts, so that all cores work."""
    count = columns.shape[1]
    if count < LONG or torch.get_num_threads() == 1:
        return query @ columns
    size = count // PARTS
    whole, found = PARTS * size, columns.new_empty(count)
    parts = columns[:, :whole].unflatten(1, (PARTS, size)).transpose(0, 1)
    torch.bmm(query.expand(PARTS, 1, -1), parts, out=found[:whole].view(PARTS, 1, size))
    found[whole:] = query @ columns[:, whole:]
    return found


class NearestRows:
    """Unit vectors by row, searched by cosine: every row is compared, so that none is missed.

    The table is kept with its long side contiguous. One query against 100,000 rows of 96 numbers then reads memory
    in order and takes a millisecond on one core, a quarter of what the usual layout takes and less than bounds that
    leave rows out did.
    """

    def __init__(self, rows: Float[Tensor, "rows dim"]) -> None:
        """Start from a copy of these unit vectors; their dimension stays fixed."""
        self._columns = rows.detach().to(torch.float32).T.clone(memory_format=torch.contiguous_format)
        self._length = len(rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    @property
    def rows(self) -> Float[Tensor, "rows dim"]:
        """All rows, a view. Writing to it writes to the table; an append may leave an older view behind."""
        return self._columns[:, : self._length].T

    def extend(self, rows: Float[Tensor, "new dim"]) -> None:
        """Append unit vectors; the capacity doubles, so that n appends copy O(n) rows in all."""
        needed = self._length + len(rows)
        dim, capacity = self._columns.shape
        if needed > capacity:
            columns = self._columns.new_empty(dim, max(needed, 2 * capacity, 16))
            columns[:, : self._length] = self.rows.T
            self._columns = columns
        self._columns[:, self._length : needed] = rows.T
        self._length = needed

    def replace(self, rows: Float[Tensor, "rows dim"]) -> None:
        """Put copies of other vectors in the place of all, as many and as large.

        Raises:
            ConfigError: if their shape differs.
        """
        if rows.shape != self.rows.shape:
            raise ConfigError(f"expected rows of shape {tuple(self.rows.shape)}, got {tuple(rows.shape)}")
        self._columns = NearestRows(rows)._columns

    def keep(self, kept: Bool[Tensor, " rows"]) -> None:
        """Keep only the rows where this mask is true, in their order."""
        self._columns = self.rows.T[:, kept]
        self._length = self._columns.shape[1]

    def search(
        self,
        query: Float[Tensor, " dim"],
        k: int,
        hidden: Bool[Tensor, " rows"] | None = None,
        lifted: tuple[Int[Tensor, " some"], Float[Tensor, " some"]] | None = None,
    ) -> tuple[Float[Tensor, " found"], Int[Tensor, " found"]]:
        """Return the cosines of the k rows closest to a unit query, highest first, and their indices.

        Args:
            query: a unit vector.
            k: how many; fewer are returned if there are fewer.
            hidden: rows that must not be found.
            lifted: rows that are ranked, each once, as if their cosines were higher by so much.
        """
        cosines = products(query, self._columns[:, : self._length])
        if hidden is not None:
            cosines.masked_fill_(hidden, -torch.inf)
        ranks, places = highest(cosines if lifted is None else cosines.index_add(0, *lifted), k)
        if hidden is not None:
            places = places[ranks > -torch.inf]
        return cosines[places], places
