"""The EngramModule: learned rows for the last two and three words, read into the hidden state through a gate.

It must not know where in the brain it sits, nor anything of counts or probabilities.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from engram_model.attention import SMALLEST_NORM

# Odd 64-bit constants of the multiply-xor hash, one for each place in the phrase. They are part of the file format.
_MIX = np.array((0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9), dtype=np.uint64).view(np.int64)
_FINAL = np.array(0xD6E8FEB86659FD93, dtype=np.uint64).view(np.int64)


def hash_phrases(phrases: Int[Tensor, "*batch length"], slots: int) -> Int[Tensor, "*batch"]:
    """Slot of each phrase: multiply each word id by its own odd constant, xor, mix the high bits down, take the remainder.

    Collisions follow the law of a random function, 1 - exp(-n/m) of m slots filled by n phrases; the naive
    31 a xor b fills far fewer because word ids are small.
    """
    rows = phrases.numpy().reshape(-1, phrases.shape[-1])  # NumPy spends a fifth of PyTorch's time here
    return torch.from_numpy(slots_of(rows, slots)).view(phrases.shape[:-1])


def slots_of(phrases: Int[np.ndarray, "phrases length"], slots: int) -> Int[np.ndarray, " phrases"]:
    """`hash_phrases` of rows of an array."""
    mixed = np.zeros_like(phrases[:, 0])
    for column, odd in zip((phrases + 1).T, _MIX, strict=False):
        mixed = mixed ^ (column * odd)
        mixed = (mixed ^ (mixed >> 29)) * _FINAL
    slot: np.ndarray = np.remainder(mixed ^ (mixed >> 32), slots)
    return slot


class EngramModule(nn.Module):
    """Conditional memory: out = gate * W_V m, with m the rows of the phrases that end here (cf. Engram, 2026).

    k = W_K m, gate = sigmoid(<rms(h), rms(k)> / sqrt(dim)): both sides have norm sqrt(dim), so the gate spans
    sigmoid(+-sqrt(dim)) and can really open and close. W_V starts at zero: a fresh module is a no-op.

    Args:
        dim: Size of the hidden state.
        slots: Rows of each table (a prime).
        row_dim: Size of a row.
        generator: Source of the row dropout.
        row_dropout: Share of phrases whose rows are hidden in training, so that the brain can do without.
    """

    def __init__(
        self, dim: int, slots: int, row_dim: int, generator: torch.Generator, row_dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.slots = slots
        self.generator = generator
        self.row_dropout = row_dropout
        self.bigrams = nn.Embedding(slots, row_dim)
        self.trigrams = nn.Embedding(slots, row_dim)
        for table in (self.bigrams, self.trigrams):
            nn.init.normal_(table.weight, std=0.1)
        self.key = nn.Linear(2 * row_dim, dim, bias=False)
        self.value = nn.Linear(2 * row_dim, dim, bias=False)
        nn.init.zeros_(self.value.weight)

    def forward(
        self, hidden: Float[Tensor, "*batch dim"], phrases: Int[Tensor, "*batch 3"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch"]]:
        """What memory adds to the stream, and how far its gate is open.

        Args:
            hidden: The stream after layer 0.
            phrases: Ids of the last three words, the latest last.
        """
        rows = torch.cat(
            (
                self._look_up(self.bigrams, hash_phrases(phrases[..., 1:], self.slots)),
                self._look_up(self.trigrams, hash_phrases(phrases, self.slots)),
            ),
            dim=-1,
        )
        gate = self.gate(hidden, F.linear(rows, self.key.weight))
        return gate[..., None] * F.linear(rows, self.value.weight), gate

    @staticmethod
    def gate(hidden: Float[Tensor, "*batch dim"], key: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """sigmoid(<rms(h), rms(k)> / sqrt(dim)), from sigmoid(-sqrt(dim)) to sigmoid(sqrt(dim))."""
        return torch.sigmoid(EngramModule.gate_logit(hidden, key))

    @staticmethod
    def gate_logit(hidden: Float[Tensor, "*batch dim"], key: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """<rms(h), rms(k)> / sqrt(dim), from -sqrt(dim) to sqrt(dim)."""
        norms = torch.linalg.vector_norm(hidden, dim=-1) * torch.linalg.vector_norm(key, dim=-1)
        return torch.linalg.vecdot(hidden, key) / norms.clamp_min(SMALLEST_NORM) * hidden.shape[-1] ** 0.5

    def _look_up(self, table: nn.Embedding, slots: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch row"]:
        rows = F.embedding(slots, table.weight)
        if self.training and self.row_dropout:
            rows = rows * (torch.rand(slots.shape, generator=self.generator) >= self.row_dropout)[..., None]
        return rows
