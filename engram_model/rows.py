"""What a collection holds: rows of an id, a unit vector, a readable document and a few named values.

It must not know where rows are kept, nor what a row means.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from engram_model.errors import ConfigError, StoreError

Scalar = str | int | float | bool

NORM_TOLERANCE = 1e-5
"""How far the norm of a float32 unit vector may lie from one."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of a collection, as given to a store or as read from it.

    Attributes:
        ids: one string a row, each once.
        vectors: unit vectors (float32), one a row.
        documents: what a person reads beside the vector; may be empty.
        metadatas: names to strings, numbers or truth values, at least one a row. Numbers must be finite
            (Chroma drops an infinite one silently) and may come back one unit in the 53rd bit away.
    """

    ids: Sequence[str]
    vectors: Float[Tensor, "rows dim"]
    documents: Sequence[str]
    metadatas: Sequence[Mapping[str, Scalar]]

    def __post_init__(self) -> None:
        """Check what must hold of all rows.

        Raises:
            StoreError: if the columns differ in length, an id is given twice, or a vector has not norm one.
        """
        lengths = [len(self.ids), len(self.vectors), len(self.documents), len(self.metadatas)]
        if len(set(lengths)) > 1:
            raise StoreError(f"each row needs an id, a vector, a document and metadata, got {lengths} of them")
        if len(set(self.ids)) < len(self.ids):
            raise StoreError("a row id is given twice; ids must be unique")
        problems = norm_problems(self.vectors)
        if problems:
            raise StoreError(f"{problems[0]}; restore the store from a copy, or divide the vectors by their norm")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)


def norm_problems(vectors: Float[Tensor, "rows dim"]) -> list[str]:
    """Return a line if there are vectors that are not finite or not of norm one."""
    sound = (vectors.norm(dim=-1) - 1).abs() < NORM_TOLERANCE
    wrong = int((~sound).sum())
    return [f"{wrong} of {len(vectors)} vectors are not unit vectors"] if wrong else []


def unit_vector(vector: Float[Tensor, " dim"], dim: int) -> Float[Tensor, " dim"]:
    """Return the direction of a vector, in float32.

    Raises:
        ConfigError: if it has not `dim` numbers, or has no direction.
    """
    exact = vector.detach().to(torch.float64)
    norm = float(exact.norm())
    if vector.shape != (dim,) or not 1e-12 < norm < math.inf:
        shape = tuple(vector.shape)
        raise ConfigError(f"expected a vector of {dim} finite numbers, not all zero; got {shape} of norm {norm}")
    return (exact / norm).to(torch.float32)
