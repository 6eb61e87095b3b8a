"""The rows of a growing table of unit vectors that lie closest to a query: exact, and fast where that pays.

It must not know what the rows stand for.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engram_model.growing import GrowingTensor

PRUNED_FROM = 8_192
"""Fewer rows than this are simply all compared."""

BLOCK = 32
SEEDS = 4
"""For k rows, the best row of each of so many times k blocks is compared first, to know what is to be reached."""

SLACK = 1e-5
"""More than the rounding error of a bound, so that no row is missed for it."""

WASTED_SHARE = 1 / 8
"""If the bounds leave a larger share of the rows, comparing all is as fast."""

PATIENCE, PAUSE = 4, 60
"""After so many searches wasted in a row, the bounds are not tried for so many searches."""

CHUNK = 256


class NearestRows:
    """Unit vectors by row, searched by cosine.

    Comparing all n rows of D numbers reads n D numbers, unless a bound says which cannot be among the best.
    In the basis of the rows' principal axes, q = (q_p, q_r) and k = (k_p, k_r) with p the first D / 3 axes,
    and by Cauchy-Schwarz <q, k> <= <q_p, k_p> + |q_r| |k_r|. The right side is one product with a table of a
    third of the size, and only rows whose bound reaches the k-th best so far are compared in full: the result
    is that of comparing all. It pays where rows lie in clusters, as the states of a brain do; for directions
    without structure no bound is tight, and all rows are compared.
    """

    def __init__(self, rows: Float[Tensor, "rows dim"]) -> None:
        """Start from a copy of these unit vectors."""
        self._rows = GrowingTensor(rows)
        self._axes = torch.empty(0)
        self._bounds = torch.empty(0)
        self._fitted = False
        self._wasted = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    @property
    def rows(self) -> Float[Tensor, "rows dim"]:
        """All rows, a view."""
        return self._rows.rows

    def extend(self, rows: Float[Tensor, "new dim"]) -> None:
        """Append unit vectors."""
        start = len(self)
        self._rows.extend(rows)
        self._fitted = self._fitted and len(self) <= self._bounds.shape[1]
        if self._fitted:
            self._bounds[:, start : len(self)] = self._bound_columns(rows)

    def keep(self, kept: Bool[Tensor, " rows"]) -> None:
        """Keep only the rows where this mask is true, in their order."""
        self._rows.keep(kept)
        self._fitted = False

    def search(
        self, query: Float[Tensor, " dim"], k: int, hidden: Bool[Tensor, " rows"] | None = None
    ) -> tuple[Float[Tensor, " found"], Int[Tensor, " found"]]:
        """Return the cosines of the k rows closest to a unit query, highest first, and their indices.

        Args:
            query: a unit vector.
            k: how many; fewer are returned if there are fewer.
            hidden: rows that must not be found.
        """
        k = min(k, len(self))
        candidates = self._candidates(query, k, hidden)
        rows = self.rows if candidates is None else self.rows[candidates]
        cosines = rows @ query
        if hidden is not None:
            cosines = cosines.masked_fill(hidden if candidates is None else hidden[candidates], -torch.inf)
        best = cosines.topk(min(k, len(cosines)))
        found = best.values > -torch.inf
        indices = best.indices if candidates is None else candidates[best.indices]
        return best.values[found], indices[found]

    def search_batch(
        self, queries: Float[Tensor, "time dim"], k: int, visible: Int[Tensor, " time"]
    ) -> tuple[Float[Tensor, "time found"], Int[Tensor, "time found"]]:
        """Return the cosines and indices of the k closest rows for every query, each seeing the first few.

        Args:
            queries: unit vectors.
            k: how many; fewer are returned if there are fewer rows at all.
            visible: query t sees the rows below visible[t]. Where that is fewer than k, the last entries have
                cosine -inf and an index without meaning.
        """
        k = min(k, len(self))
        cosines, indices = queries.new_empty(len(queries), k), visible.new_empty(len(queries), k)
        places = torch.arange(len(self))
        for start in range(0, len(queries), CHUNK):
            part = slice(start, start + CHUNK)
            seen = max(k, int(visible[part].max()))
            all_cosines = queries[part] @ self.rows[:seen].T
            all_cosines.masked_fill_(places[:seen] >= visible[part, None], -torch.inf)
            torch.topk(all_cosines, k, dim=1, out=(cosines[part], indices[part]))
        return cosines, indices

    def _candidates(
        self, query: Float[Tensor, " dim"], k: int, hidden: Bool[Tensor, " rows"] | None
    ) -> Int[Tensor, " candidates"] | None:
        """Return the rows that may be among the k closest, or None for all of them."""
        n = len(self)
        if n < PRUNED_FROM or not 0 < k * SEEDS * BLOCK <= n:
            return None
        if self._wasted >= PATIENCE:
            self._wasted = (self._wasted + 1) % (PATIENCE + PAUSE)
            return None
        if not self._fitted:
            self._fit()
        leading = query @ self._axes
        rest = (1 - leading @ leading).clamp_(min=0).sqrt_()
        bounds = torch.cat((leading, rest[None])) @ self._bounds[:, :n]
        if hidden is not None:
            bounds.masked_fill_(hidden, -torch.inf)
        whole = n // BLOCK * BLOCK
        blocks = bounds[:whole].view(-1, BLOCK)
        tops = blocks.amax(dim=1)
        promising = tops.topk(k * SEEDS).indices
        seeds = promising * BLOCK + blocks[promising].argmax(dim=1)
        reached = (self.rows[seeds] @ query).topk(k).values[-1] - SLACK
        near = (tops >= reached).nonzero()[:, 0]
        inside = (blocks[near] >= reached).nonzero()
        if len(inside) > n * WASTED_SHARE:
            self._wasted += 1
            return None
        self._wasted = 0
        candidates = near[inside[:, 0]] * BLOCK + inside[:, 1]
        return candidates if whole == n else torch.cat((candidates, torch.arange(whole, n)))

    def _fit(self) -> None:
        """Find the principal axes of the rows and write the table of bounds, with room for as many again."""
        rows = self.rows
        axes = torch.linalg.eigh(rows.T @ rows).eigenvectors.flip(1)
        self._axes = axes[:, : max(1, rows.shape[1] // 3)].contiguous()
        self._bounds = rows.new_zeros(self._axes.shape[1] + 1, 2 * len(rows))
        self._bounds[:, : len(rows)] = self._bound_columns(rows)
        self._fitted = True

    def _bound_columns(self, rows: Float[Tensor, "rows dim"]) -> Float[Tensor, "prefix rows"]:
        """Return the leading coordinates of unit vectors and, in the last line, the norm of the rest."""
        leading = rows @ self._axes
        rest = (1 - leading.square().sum(dim=1)).clamp(min=0).sqrt()
        return torch.cat((leading, rest[:, None]), dim=1).T
