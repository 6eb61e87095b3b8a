"""Settings: validated once, frozen, overridden by name."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, asdict
from typing import Any

import pytest

from engram_model.config import SIZES, BrainConfig, GenerationConfig, TrainingConfig, sized
from engram_model.errors import ConfigError

ALL = (BrainConfig, TrainingConfig, GenerationConfig)
NAN = float("nan")

EDGES: list[tuple[type, dict[str, Any]]] = [
    (BrainConfig, {"embed_dim": 26, "n_heads": 13}),
    (BrainConfig, {"n_layers": 2}),
    (BrainConfig, {"context_size": 2}),
    (BrainConfig, {"max_ponder": 1}),
    (BrainConfig, {"max_ponder": 8}),
    (BrainConfig, {"ngram_table_size": 2}),
    (BrainConfig, {"ngram_dim": 0}),
    (BrainConfig, {"phrase_order": 0}),
    (BrainConfig, {"dropout": 0.0}),
    (BrainConfig, {"dropout": None}),
    (TrainingConfig, {"epochs": 1}),
    (TrainingConfig, {"minutes": 0.01}),
    (TrainingConfig, {"row_words": 2, "batch_words": 2}),
    (TrainingConfig, {"held_out": 0.0}),
    (TrainingConfig, {"held_out": 0.5}),
    (TrainingConfig, {"min_count": 1}),
    (TrainingConfig, {"surprise_strength": 1.0, "surprise_clip": 1.0}),
    (TrainingConfig, {"patience": 1}),
    (GenerationConfig, {"temperature": 1e-6, "top_k": 0, "max_words": 1, "loops": 1}),
]

BEYOND: list[tuple[type, dict[str, Any], str]] = [
    (BrainConfig, {"embed_dim": 26, "n_heads": 4}, "embed_dim"),
    (BrainConfig, {"embed_dim": 21, "n_heads": 3}, "embed_dim"),
    (BrainConfig, {"n_heads": 0}, "embed_dim"),
    (BrainConfig, {"n_layers": 1}, "n_layers"),
    (BrainConfig, {"context_size": 1}, "context_size"),
    (BrainConfig, {"max_ponder": 0}, "max_ponder"),
    (BrainConfig, {"max_ponder": 9}, "max_ponder"),
    (BrainConfig, {"ngram_table_size": 1}, "ngram_table_size"),
    (BrainConfig, {"ngram_dim": -1}, "ngram_dim"),
    (BrainConfig, {"phrase_order": 3}, "phrase_order"),
    (BrainConfig, {"dropout": 0.9}, "dropout"),
    (BrainConfig, {"dropout": NAN}, "dropout"),
    (TrainingConfig, {"epochs": 0}, "epochs"),
    (TrainingConfig, {"minutes": 0.0}, "minutes"),
    (TrainingConfig, {"row_words": 1}, "row_words"),
    (TrainingConfig, {"row_words": 7, "batch_words": 5}, "batch_words"),
    (TrainingConfig, {"muon_rate": 0.0}, "learning rates"),
    (TrainingConfig, {"adam_rate": NAN}, "learning rates"),
    (TrainingConfig, {"held_out": 0.51}, "held_out"),
    (TrainingConfig, {"min_count": 0}, "min_count"),
    (TrainingConfig, {"surprise_strength": 1.01}, "surprise_strength"),
    (TrainingConfig, {"surprise_clip": 0.99}, "surprise_clip"),
    (TrainingConfig, {"patience": 0}, "patience"),
    (TrainingConfig, {"weight_decay": -0.1}, "weight_decay"),
    (TrainingConfig, {"warmup_steps": -1}, "warmup_steps"),
    (GenerationConfig, {"temperature": 0.0}, "temperature"),
    (GenerationConfig, {"temperature": NAN}, "temperature"),
    (GenerationConfig, {"top_k": -1}, "top_k"),
    (GenerationConfig, {"max_words": 0}, "max_words"),
    (GenerationConfig, {"loops": 0}, "loops"),
]


@pytest.mark.parametrize(("kind", "values"), EDGES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_the_edges_of_every_range_are_inside(kind: Any, values: dict[str, Any]) -> None:
    made = kind(**values)
    assert {name: getattr(made, name) for name in values} == values


@pytest.mark.parametrize(("kind", "values", "name"), BEYOND, ids=str)
def test_beyond_the_edges_the_error_names_setting_and_value(kind: Any, values: dict[str, Any], name: str) -> None:
    with pytest.raises(ConfigError) as error:
        kind(**values)
    line = str(error.value)
    assert name in line and "got" in line and "\n" not in line
    assert any(repr(value) in line for value in values.values())


@pytest.mark.parametrize("kind", ALL)
def test_settings_survive_a_mapping_and_cannot_be_changed(kind: Any) -> None:
    made = kind().override(seed=5) if kind is not BrainConfig else kind().override(n_layers=5)
    assert kind.from_mapping(asdict(made)) == made != kind()
    with pytest.raises(FrozenInstanceError):
        made.seed = 6
    with pytest.raises(TypeError):
        kind(3)


@pytest.mark.parametrize("kind", ALL)
def test_unknown_names_are_refused_and_the_known_ones_told(kind: Any) -> None:
    for build in (lambda: kind.from_mapping({"sede": 1}), lambda: kind().override(sede=1)):
        with pytest.raises(ConfigError, match="sede") as error:
            build()
        assert next(iter(asdict(kind()))) in str(error.value)


def test_overriding_with_none_leaves_a_setting_and_validates_the_rest() -> None:
    settings = TrainingConfig(epochs=7)
    assert settings.override(epochs=None, seed=None) == settings
    assert settings.override(epochs=11).epochs == 11
    with pytest.raises(ConfigError, match="epochs"):
        settings.override(epochs=-1)


def test_the_size_dial_grows_and_takes_overrides() -> None:
    nano, small, base = (sized(size) for size in ("nano", "small", "base"))
    assert nano.embed_dim < small.embed_dim < base.embed_dim
    assert nano.n_layers < small.n_layers < base.n_layers
    assert small == BrainConfig() and list(SIZES) == ["nano", "small", "base"]
    assert sized("nano", n_layers=5, dropout=None) == nano.override(n_layers=5)
    with pytest.raises(ConfigError, match="nano, small, base"):
        sized("huge")


@pytest.mark.parametrize("size", SIZES)
def test_the_phrase_tables_have_a_prime_number_of_slots(size: str) -> None:
    slots = SIZES[size].ngram_table_size
    assert all(slots % divisor for divisor in range(2, int(slots**0.5) + 1))
