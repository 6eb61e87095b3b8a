"""All settings, as frozen keyword-only dataclasses that are validated once.

It must not know how any setting is used; it only knows which values make sense.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from engram_model.errors import ConfigError


def _require(condition: bool, name: str, expected: str, got: object) -> None:
    if not condition:
        raise ConfigError(f"{name} must be {expected}, got {got!r}")


class _Settings:
    """Shared by the settings below: building from a mapping and overriding by name."""

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build from a mapping such as a JSON object; unknown names are a ConfigError."""
        known = {field.name for field in fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        _require(not unknown, "settings", f"among {', '.join(sorted(known))}", ", ".join(unknown))
        return cls(**values)

    def override(self, **values: Any) -> Self:
        """Return a copy with the given settings replaced; None means "leave as it is"."""
        given = {name: value for name, value in values.items() if value is not None}
        known = {field.name for field in fields(self)}  # type: ignore[arg-type]
        unknown = sorted(set(given) - known)
        _require(not unknown, "settings", f"among {', '.join(sorted(known))}", ", ".join(unknown))
        return replace(self, **given)  # type: ignore[type-var]


@dataclass(frozen=True, kw_only=True)
class BrainConfig(_Settings):
    """The shape of a brain.

    Attributes:
        embed_dim: Size of a concept vector (EMBED_DIM).
        n_layers: Attention layers; layer 0 runs once, the others are pondered.
        n_heads: Attention heads a layer; must divide `embed_dim` into even parts.
        context_size: Words one attention layer looks back on (CONTEXT_SIZE).
        max_ponder: Most loops through layers 1..n_layers-1.
        ngram_table_size: Slots of each hashed phrase table; a prime spreads the hashes evenly.
        ngram_dim: Size of one row of a phrase table; 0 leaves the EngramModule out.
        phrase_order: Longest phrase, in words, that the phrase memory counts: 5, or 0 for none.
        dropout: Share of activations dropped in training; None chooses from the length of the text
            (`learning.default_dropout`). 0 overfits small texts, above 0.4 the brain starves.
    """

    embed_dim: int = 96
    n_layers: int = 4
    n_heads: int = 4
    context_size: int = 128
    max_ponder: int = 3
    ngram_table_size: int = 20_011
    ngram_dim: int = 16
    phrase_order: int = 5
    dropout: float | None = None

    def __post_init__(self) -> None:
        """Validate; ConfigError names the setting, what it must be and what came."""
        _require(
            self.n_heads >= 1 and self.embed_dim % (2 * self.n_heads) == 0,
            "embed_dim",
            "a multiple of 2 x n_heads",
            (self.embed_dim, self.n_heads),
        )
        _require(self.n_layers >= 2, "n_layers", "at least 2 (one runs once, the rest loop)", self.n_layers)
        _require(self.context_size >= 2, "context_size", "at least 2 words", self.context_size)
        _require(1 <= self.max_ponder <= 8, "max_ponder", "from 1 to 8 loops", self.max_ponder)
        _require(self.ngram_table_size >= 2, "ngram_table_size", "at least 2 slots", self.ngram_table_size)
        _require(self.ngram_dim >= 0, "ngram_dim", "0 (off) or more", self.ngram_dim)
        _require(self.phrase_order in (0, 5), "phrase_order", "5 words, or 0 for none", self.phrase_order)
        _require(self.dropout is None or 0.0 <= self.dropout < 0.9, "dropout", "in [0, 0.9)", self.dropout)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(_Settings):
    """How a brain is trained.

    Attributes:
        epochs: Passes over the text; None chooses from its length (see `training.default_epochs`).
        minutes: Wall-clock budget; the number of steps is fixed from the speed of the first ones.
        batch_words: Words one optimiser step sees.
        row_words: Words a row of the batch holds; rows longer than the context fill its window.
        muon_rate: Learning rate of Muon for the matrices of the blocks.
        adam_rate: Learning rate of AdamW for tables, gains, biases and scale.
        weight_decay: Decoupled decay of the matrices; tables and scale have none.
        warmup_steps: Steps of linear warm-up; the rate then falls linearly to 2 % of its peak.
        held_out: Share of the texts kept for the held-out perplexity.
        min_count: Rarer words become <UNK>.
        pretokenized: Split on blanks and keep every word, one text a line.
        surprise_strength: How far the loss is weighted by surprise at first (annealed to 0).
        surprise_clip: The largest weight of one word, as a multiple of the mean.
        patience: Evaluations without a better held-out loss before training stops early.
        seed: Seed of everything random.
    """

    epochs: int | None = None
    minutes: float | None = None
    batch_words: int = 2048
    row_words: int = 128
    muon_rate: float = 0.02
    adam_rate: float = 3e-3
    weight_decay: float = 0.1
    warmup_steps: int = 50
    held_out: float = 0.05
    min_count: int = 2
    pretokenized: bool = False
    surprise_strength: float = 0.5
    surprise_clip: float = 3.0
    patience: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate; ConfigError names the setting, what it must be and what came."""
        _require(self.epochs is None or self.epochs >= 1, "epochs", "at least 1", self.epochs)
        _require(self.minutes is None or 0 < self.minutes < float("inf"), "minutes", "above 0 and finite", self.minutes)
        _require(self.row_words >= 2, "row_words", "at least 2", self.row_words)
        _require(self.batch_words >= self.row_words, "batch_words", "at least row_words", self.batch_words)
        _require(
            self.muon_rate > 0 and self.adam_rate > 0, "learning rates", "above 0", (self.muon_rate, self.adam_rate)
        )
        _require(self.weight_decay >= 0, "weight_decay", "0 (none) or more", self.weight_decay)
        _require(self.warmup_steps >= 0, "warmup_steps", "0 or more", self.warmup_steps)
        _require(0.0 <= self.held_out <= 0.5, "held_out", "from 0 to 0.5", self.held_out)
        _require(self.min_count >= 1, "min_count", "at least 1", self.min_count)
        _require(0.0 <= self.surprise_strength <= 1.0, "surprise_strength", "from 0 to 1", self.surprise_strength)
        _require(self.surprise_clip >= 1.0, "surprise_clip", "at least 1", self.surprise_clip)
        _require(self.patience >= 1, "patience", "at least 1", self.patience)
        _require(0 <= self.seed < 2**63, "seed", "from 0 to 2^63 - 1", self.seed)


@dataclass(frozen=True, kw_only=True)
class GenerationConfig(_Settings):
    """How words are drawn.

    Attributes:
        temperature: 1 is the trained distribution; towards 0 the best word always wins; above 1.5 it rambles.
        top_k: Draw among so many best words; 0 draws among all.
        max_words: An answer is cut after so many words when it has not ended by itself.
        exchanges: Earlier exchanges that stay in mind; 0 begins each afresh and leaves the rest to recollection. A brain
            that has read mostly single questions loses its thread with more.
        loops: A fixed number of loops, or None for the learned halting.
        ngram: Whether the phrase memory (tables and counts) takes part.
        episodes: Whether the episodic memory takes part.
        lessons: Whether exchanges that were read, and belong to what is said, are read again before the answer.
        seed: Seed of the draw; the same seed gives the same words.
    """

    temperature: float = 0.9
    top_k: int = 10
    max_words: int = 60
    exchanges: int = 0
    loops: int | None = None
    ngram: bool = True
    episodes: bool = True
    lessons: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        """Validate; ConfigError names the setting, what it must be and what came."""
        _require(self.temperature > 0, "temperature", "above 0", self.temperature)
        _require(self.top_k >= 0, "top_k", "0 (all words) or more", self.top_k)
        _require(self.max_words >= 1, "max_words", "at least 1", self.max_words)
        _require(self.exchanges >= 0, "exchanges", "0 or more", self.exchanges)
        _require(self.loops is None or self.loops >= 1, "loops", "at least 1", self.loops)
        _require(0 <= self.seed < 2**63, "seed", "from 0 to 2^63 - 1", self.seed)


SIZES: dict[str, BrainConfig] = {
    "nano": BrainConfig(embed_dim=48, n_layers=3, n_heads=2, context_size=64, ngram_table_size=4_999, ngram_dim=8),
    "small": BrainConfig(),
    "base": BrainConfig(embed_dim=192, n_layers=6, n_heads=6, context_size=256, ngram_table_size=49_999, ngram_dim=32),
}


def sized(size: str, **overrides: Any) -> BrainConfig:
    """The brain settings of one point of the size dial ("nano", "small", "base"), overridden by name."""
    _require(size in SIZES, "size", f"one of {', '.join(SIZES)}", size)
    return SIZES[size].override(**overrides)
