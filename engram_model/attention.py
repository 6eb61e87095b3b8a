"""One attention block: rotary positions, RMS-normed queries and keys, ReLU² feed-forward.

It must not know about words, vocabularies, memories or how often it is called.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from engram_model.errors import ConfigError


def rms_norm(x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """Scale each vector to root mean square 1, that is to norm sqrt(dim) (Zhang & Sennrich 2019), without a gain."""
    return F.rms_norm(x, (x.shape[-1],), eps=1e-6)


def rotary_angles(
    positions: Int[Tensor, " time"], head_dim: int, base: float = 10_000.0
) -> tuple[Float[Tensor, "time half"], Float[Tensor, "time half"]]:
    """Cosines and sines of the rotary position code, theta_i = position * base^(-2i/head_dim) (Su et al. 2021, eq. 15)."""
    rates = base ** (-torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = positions.to(torch.float32)[:, None] * rates
    return angles.cos(), angles.sin()


def rotate(
    x: Float[Tensor, "batch heads time head_dim"],
    cos: Float[Tensor, "time half"],
    sin: Float[Tensor, "time half"],
) -> Float[Tensor, "batch heads time head_dim"]:
    """Turn each pair (x_i, x_{i+half}) by the angle of its position; the product of two turned vectors depends on their distance only."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), dim=-1)


def causal_mask(segments: Int[Tensor, "batch time"], window: int) -> Bool[Tensor, "batch 1 time time"]:
    """True where a word may look: at itself and earlier words of its own text, at most `window` words in all."""
    time = segments.shape[1]
    distance = torch.arange(time)[:, None] - torch.arange(time)[None, :]
    near = (distance >= 0) & (distance < window)
    return (near & (segments[:, :, None] == segments[:, None, :]))[:, None]


class Dropout(nn.Module):
    """Zeroes a share of the activations in training, scaling up the rest (Srivastava et al. 2014).

    Masks are cut at random offsets from one pool of random numbers: drawing two hundred thousand fresh ones for
    every layer costs a processor more than the layer's attention.

    Args:
        share: Share of activations to drop.
        generator: Source of the pool and the offsets; the same state gives the same masks.
    """

    POOL = 1 << 22

    def __init__(self, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.share = share
        self.generator = generator
        self._pool: Tensor | None = None

    def forward(self, x: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """x with a share of its entries zeroed while training; x itself otherwise."""
        if not self.training or not self.share:
            return x
        if self._pool is None:
            fixed = torch.Generator().manual_seed(0)
            self._pool = (torch.rand(self.POOL, generator=fixed) >= self.share).float() / (1.0 - self.share)
        size = x.numel()
        if size >= self.POOL:
            raise ConfigError(f"batch_words must be below {self.POOL // x.shape[-1]:,}, got {size // x.shape[-1]:,}")
        offset = int(torch.randint(self.POOL - size, (1,), generator=self.generator))
        return x * self._pool[offset : offset + size].view(x.shape)


class Block(nn.Module):
    """Pre-norm transformer block, x + Attention(norm x), then x + FeedForward(norm x).

    Keys and values are made by `remember`, the update by `forward`, so that pondering can think again
    over the keys and values of its first loop. Output projections start at zero: a fresh block is a no-op.

    Args:
        dim: Size of a concept vector.
        heads: Attention heads; dim / heads must be even.
        dropout: Applied to each branch's output; shared by all blocks of a brain.
    """

    def __init__(self, dim: int, heads: int, dropout: Dropout) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        # Queries and keys have norm sqrt(head_dim); this scale lets a head attend sharply (logits up to 2 sqrt(head_dim)).
        self.scale = 2.0 / (dim // heads) ** 0.5
        self.query = nn.Linear(dim, dim, bias=False)
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.mix = nn.Linear(dim, dim, bias=False)
        self.expand = nn.Linear(dim, 4 * dim, bias=False)
        self.contract = nn.Linear(4 * dim, dim, bias=False)
        for layer in (self.mix, self.contract):
            nn.init.zeros_(layer.weight)

    def _split(self, x: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch heads time head_dim"]:
        batch, time, dim = x.shape
        return x.view(batch, time, self.heads, dim // self.heads).transpose(1, 2)

    def remember(
        self, x: Float[Tensor, "batch time dim"], angles: tuple[Tensor, Tensor]
    ) -> tuple[Float[Tensor, "batch heads time head_dim"], Float[Tensor, "batch heads time head_dim"]]:
        """The keys (turned to their positions) and values by which later words find these."""
        normed = rms_norm(x)
        return rotate(rms_norm(self._split(self.key(normed))), *angles), self._split(self.value(normed))

    def forward(
        self,
        x: Float[Tensor, "batch time dim"],
        keys: Float[Tensor, "batch heads seen head_dim"],
        values: Float[Tensor, "batch heads seen head_dim"],
        angles: tuple[Tensor, Tensor],
        mask: Float[Tensor, "batch 1 time seen"] | None,
    ) -> Float[Tensor, "batch time dim"]:
        """One update of the residual stream.

        Args:
            x: The stream at the words that think now.
            keys: Turned keys of every word they may look at.
            values: The values beside those keys.
            angles: Rotary cosines and sines of the positions of x.
            mask: 0 where a word may look, -inf elsewhere; None lets it look everywhere (one word after its cache).
        """
        query = rotate(rms_norm(self._split(self.query(rms_norm(x)))), *angles)
        seen = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=self.scale)
        x = x + self.dropout(self.mix(seen.transpose(1, 2).reshape(x.shape)))
        hidden = F.relu(self.expand(rms_norm(x)))
        return x + self.dropout(self.contract(hidden * hidden))
