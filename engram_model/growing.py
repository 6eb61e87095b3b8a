"""A tensor that grows by rows without being copied at every row.

It must not know what its rows mean.
"""

import torch
from jaxtyping import Shaped
from torch import Tensor

from engram_model.errors import ConfigError


class GrowingTensor:
    """Rows in one block of memory whose capacity doubles, so that n appends cost O(n) row copies in all."""

    def __init__(self, rows: Shaped[Tensor, " rows *shape"]) -> None:
        """Start from a copy of these rows; their dtype and trailing shape stay fixed."""
        self._block = rows.detach().clone()
        self._length = len(rows)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    @property
    def rows(self) -> Shaped[Tensor, " rows *shape"]:
        """The rows as a view. Writing to it writes to the table; an append may leave an older view behind."""
        return self._block[: self._length]

    def extend(self, rows: Shaped[Tensor, " new *shape"]) -> None:
        """Append rows at the end."""
        needed = self._length + len(rows)
        if needed > len(self._block):
            block = self._block.new_empty((max(needed, 2 * len(self._block), 16), *self._block.shape[1:]))
            block[: self._length] = self.rows
            self._block = block
        self._block[self._length : needed] = rows
        self._length = needed

    def replace(self, rows: Shaped[Tensor, " rows *shape"]) -> None:
        """Put copies of other rows in the place of all, as many and as large.

        Raises:
            ConfigError: if their shape differs.
        """
        if rows.shape != self.rows.shape:
            raise ConfigError(f"expected rows of shape {tuple(self.rows.shape)}, got {tuple(rows.shape)}")
        self._block = rows.detach().to(self._block.dtype, copy=True)

    def keep(self, kept: Shaped[Tensor, " rows"]) -> None:
        """Keep only the rows where this mask is true, in their order."""
        self._block = self.rows[kept.to(torch.bool)]
        self._length = len(self._block)
