"""One attention block: rotary positions, RMS-normed queries and keys, ReLU² feed-forward.

It must not know about words, vocabularies, memories or how often it is called.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from engram_model.errors import ConfigError

ROTARY_BASE = 10_000.0
SMALLEST_NORM = 1e-6


def unit(x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """x / |x|; a zero vector stays zero.

    Multiplying by the reciprocal norm takes half the time of PyTorch's own norms here, forwards and backwards.
    """
    return x * torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(SMALLEST_NORM).reciprocal()


def rms_norm(x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """Scale each vector to root mean square 1, that is to norm sqrt(dim) (Zhang & Sennrich 2019), without a gain."""
    root = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * x.shape[-1] ** -0.5
    return x / root.clamp_min(SMALLEST_NORM)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # a chat may be the first to ask for a table that training then needs
def _turn_table(length: int, head_dim: int) -> Complex[Tensor, "length half"]:
    # In double precision: a thousand turns in single precision are off by 1e-4.
    rates = ROTARY_BASE ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.complex(angles.cos().float(), angles.sin().float())


def rotary_turns(start: int, count: int, head_dim: int) -> Complex[Tensor, "count half"]:
    """The rotary position code e^(i theta) with theta = position * 10000^(-2j/head_dim) (Su et al. 2021, eq. 15).

    Args:
        start: First position.
        count: Number of positions.
        head_dim: Size of a head; even.
    """
    length = max(512, 1 << (start + count - 1).bit_length())
    return _turn_table(length, head_dim)[start : start + count]


def rotate(
    x: Float[Tensor, "batch heads time head_dim"], turns: Complex[Tensor, "time half"]
) -> Float[Tensor, "batch heads time head_dim"]:
    """Turn each pair (x_2j, x_2j+1) by the angle of its position; the product of two turned vectors depends on their distance only."""
    pairs = torch.view_as_complex(x.view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns).flatten(-2)


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

    Keys and values are made by `remember`, the update by `update`, so that pondering can think again
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
        # Queries and keys are RMS-normed, sqrt(head_dim) long, and the scale is 2 / sqrt(head_dim), so that a head
        # can attend sharply (logits up to 2 sqrt(head_dim)). Unit vectors and this scale are the same.
        self.scale = 2.0 * (dim // heads) ** 0.5
        self.seek = nn.Parameter(torch.empty(3, dim, dim).uniform_(-(dim**-0.5), dim**-0.5))  # queries, keys, values
        self.mix = nn.Linear(dim, dim, bias=False)
        self.expand = nn.Linear(dim, 4 * dim, bias=False)
        self.contract = nn.Linear(4 * dim, dim, bias=False)
        for layer in (self.mix, self.contract):
            nn.init.zeros_(layer.weight)

    def _look(
        self, found: Float[Tensor, "words width"], turns: Complex[Tensor, "time half"]
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Queries, keys or both: by heads, of length 1, turned to their positions."""
        by_head = found.view(-1, turns.shape[0], found.shape[1] // (2 * turns.shape[1]), 2 * turns.shape[1])
        return rotate(unit(by_head).transpose(1, 2), turns)

    def query(
        self, x: Float[Tensor, "words dim"], turns: Complex[Tensor, "time half"]
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """What words look for, turned to their positions. No pre-norm: its factor cancels in their own normalisation.

        Args:
            x: The stream of all words, row after row of a batch.
            turns: `rotary_turns` of one row.
        """
        return self._look(F.linear(x, self.seek[0]), turns)

    def remember(
        self, x: Float[Tensor, "words dim"], turns: Complex[Tensor, "time half"]
    ) -> tuple[Float[Tensor, "batch heads time head_dim"], ...]:
        """Queries as `query`, and the keys (turned to their positions) and values by which later words find these."""
        dim = x.shape[1]
        found = F.linear(x, self.seek.flatten(0, 1))
        queries, keys = self._look(found.narrow(1, 0, 2 * dim), turns).chunk(2, dim=1)
        root = torch.linalg.vector_norm(x, dim=1, keepdim=True) * dim**-0.5  # the values' pre-norm
        by_head = (found.narrow(1, 2 * dim, dim) / root).view(-1, turns.shape[0], self.heads, dim // self.heads)
        return queries, keys, by_head.transpose(1, 2)

    def update(
        self,
        x: Float[Tensor, "words dim"],
        queries: Float[Tensor, "batch heads time head_dim"],
        keys: Float[Tensor, "batch heads seen head_dim"],
        values: Float[Tensor, "batch heads seen head_dim"],
        mask: Float[Tensor, "batch 1 time seen"] | None,
    ) -> Float[Tensor, "words dim"]:
        """One update of the residual stream.

        Args:
            x: The stream of all words that think now, row after row of a batch.
            queries: What they look for.
            keys: Turned keys of every word they may look at.
            values: The values beside those keys.
            mask: 0 where a word may look, -inf elsewhere; None lets it look everywhere (one word after its cache).
        """
        # Weights are used by functions: calling a small module costs as much as its product.
        seen = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=self.scale)
        x = x + self._drop(F.linear(seen.transpose(1, 2).reshape(x.shape), self.mix.weight))
        # ReLU² of x / rms(x) is ReLU² of x, over the mean of x²: one division of the result instead of a norm before.
        hidden = F.relu(F.linear(x, self.expand.weight))
        added = self._drop(F.linear(hidden * hidden, self.contract.weight))
        return torch.addcdiv(x, added, torch.linalg.vecdot(x, x)[:, None], value=x.shape[1])

    def _drop(self, x: Tensor) -> Tensor:
        return self.dropout(x) if self.training else x
