"""Where a word's vector goes when the word is met: near what was expected there, without losing its own direction.

It must not know about spelling tables, counts or stores.
"""

import math
import zlib

import torch
from jaxtyping import Float
from torch import Tensor

from engram_model.rows import unit_vector

CLOSENESS = 0.55
"""Cosine of a word's vector with the mean of the states where it was met."""


def own_direction(word: str, dim: int) -> Float[Tensor, " dim"]:
    """A random unit vector that is always the same for the same spelling."""
    generator = torch.Generator().manual_seed(zlib.crc32(word.encode()))
    return unit_vector(torch.randn(dim, generator=generator), dim)


def drawn_towards(mean: Float[Tensor, " dim"], own: Float[Tensor, " dim"]) -> Float[Tensor, " dim"]:
    """The unit vector at cosine 0.55 to a mean of states, on the side of a word's own direction.

    A trained word lies at cosine 0.3 to the states where it comes. One on the state itself would be said wherever a
    word of its kind may stand, and two words met in one place would be one.

    Raises:
        ConfigError: if the mean has no direction.
    """
    mean = unit_vector(mean, len(mean))
    across = own - (own @ mean) * mean
    across = across / across.norm().clamp(min=1e-6)
    return unit_vector(CLOSENESS * mean + math.sqrt(1 - CLOSENESS**2) * across, len(mean))
