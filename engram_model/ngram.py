"""The EngramModule: learned rows for the last two and three words, read into the hidden state through a gate.

It must not know where in the brain it sits, nor anything of counts or probabilities.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from engram_model.attention import rms_norm

# Odd 64-bit constants of the multiply-xor hash, one for each place in the phrase. They are part of the file format.
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
_FINAL = 0xD6E8FEB86659FD93


def _signed(constant: int) -> int:
    return constant - (1 << 64) if constant >= 1 << 63 else constant


def hash_phrases(phrases: Int[Tensor, "*batch length"], slots: int) -> Int[Tensor, "*batch"]:
    """Slot of each phrase: multiply each word id by its own odd constant, xor, mix the high bits down, take the remainder.

    Collisions follow the law of a random function, 1 - exp(-n/m) of m slots filled by n phrases; the naive
    31 a xor b fills far fewer because word ids are small.
    """
    mixed = torch.zeros_like(phrases[..., 0])
    for place in range(phrases.shape[-1]):
        mixed = mixed ^ ((phrases[..., place] + 1) * _signed(_MIX[place]))
        mixed = (mixed ^ (mixed >> 29)) * _signed(_FINAL)
    mixed = mixed ^ (mixed >> 32)
    return torch.remainder(mixed, slots)


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
        self, hidden: Float[Tensor, "batch time dim"], phrases: Int[Tensor, "batch time 3"]
    ) -> tuple[Float[Tensor, "batch time dim"], Float[Tensor, "batch time"]]:
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
        gate = self.gate(hidden, self.key(rows))
        return gate[..., None] * self.value(rows), gate

    @staticmethod
    def gate(hidden: Float[Tensor, "*batch dim"], key: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """sigmoid(<rms(h), rms(k)> / sqrt(dim)), from sigmoid(-sqrt(dim)) to sigmoid(sqrt(dim))."""
        return torch.sigmoid((rms_norm(hidden) * rms_norm(key)).sum(-1) / hidden.shape[-1] ** 0.5)

    def _look_up(self, table: nn.Embedding, slots: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time row"]:
        rows = F.embedding(slots, table.weight)
        if self.training and self.row_dropout:
            rows = rows * (torch.rand(slots.shape, generator=self.generator) >= self.row_dropout)[..., None]
        return rows
