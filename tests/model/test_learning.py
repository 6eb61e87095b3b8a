"""From text to a brain: what is kept back, what is chosen from the length, and a run that goes on bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_model import checkpoint
from engram_model.config import BrainConfig, TrainingConfig
from engram_model.corpus import split_held_out
from engram_model.engram import Engram
from engram_model.errors import BrainError, ConfigError, TextError
from engram_model.learning import Learning, default_dropout, default_epochs, prepare

SHAPE = BrainConfig(
    embed_dim=20, n_layers=2, n_heads=2, context_size=11, max_ponder=2, ngram_table_size=211, ngram_dim=5
)
TRAINING = TrainingConfig(epochs=2, batch_words=256, row_words=64, warmup_steps=5, held_out=0.2)


def lengths_of(lengths: list[int]) -> list[list[str]]:
    """Texts of these lengths, no word twice."""
    return [[f"t{text}w{word}" for word in range(length)] for text, length in enumerate(lengths)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------------------- what is kept back


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 97), min_size=1, max_size=53),
    copies=st.lists(st.integers(1, 5), min_size=53, max_size=53),
    share=st.floats(0.0, 0.5),
    seed=st.integers(0, 2**31),
)
def test_every_word_is_learned_or_kept_back(lengths: list[int], copies: list[int], share: float, seed: int) -> None:
    found = [text for text, often in zip(lengths_of(lengths), copies, strict=False) for _ in range(often)]
    learned, kept = split_held_out(found, share, seeded(seed))
    sides = [{word for text in side for word in text} for side in (learned, kept)]
    assert not sides[0] & sides[1], "nothing is in both: the same text is never learned and kept back"
    assert sides[0] | sides[1] == {word for text in found for word in text}
    assert sum(map(len, learned)) + sum(map(len, kept)) == (whole := sum(map(len, found)))
    assert sum(map(len, kept)) <= 2 * share * whole, "one text more than the share, which is no longer than the share"
    assert sides[0], "something is left to learn"
    if not share:
        assert kept == []


def test_the_share_is_met_and_drawn_by_the_seed() -> None:
    found = lengths_of([7] * 211)
    kept = split_held_out(found, 0.2, seeded(0))[1]
    assert abs(sum(map(len, kept)) / (7 * 211) - 0.2) < 7 / (7 * 211)
    assert kept == split_held_out(found, 0.2, seeded(0))[1] != split_held_out(found, 0.2, seeded(1))[1]
    assert all(text in found for text in kept), "whole texts"


def test_texts_that_stand_there_twice_are_kept_back_last_and_together() -> None:
    once, twice = lengths_of([7] * 50), [[f"again{number}"] * 7 for number in range(30)] * 2
    for seed in range(5):
        assert all(text in once for text in split_held_out([*twice, *once], 0.2, seeded(seed))[1])
        learned, kept = split_held_out(twice, 0.2, seeded(seed))
        assert len(kept) == 12 and all(kept.count(text) == 2 and text not in learned for text in kept)


def test_where_a_few_texts_are_repeated_the_end_of_each_is_kept() -> None:
    learned, kept = split_held_out(lengths_of([40, 60]) * 50, 0.1, seeded(0))
    assert {len(text) for text in learned} == {36, 54} and {len(text) for text in kept} == {4, 6}


def test_of_few_texts_the_ends_are_kept() -> None:
    learned, kept = split_held_out(lengths_of([100, 50, 3]), 0.1, seeded(0))
    assert [len(text) for text in learned] == [90, 45, 3] and [len(text) for text in kept] == [10, 5]
    assert kept[0] == [f"t0w{word}" for word in range(90, 100)]


def test_a_text_longer_than_the_share_is_not_kept_whole() -> None:
    found = lengths_of([100_003, *[5] * 40])
    for seed in range(20):
        learned, kept = split_held_out(found, 0.05, seeded(seed))
        assert found[0] in learned and sum(map(len, kept)) == 200
    learned, kept = split_held_out(lengths_of([1009] * 23), 0.01, seeded(0))
    assert [len(text) for text in kept] == [10] * 23, "where all are longer, the ends are kept"


# ------------------------------------------------------------------------------------------- chosen from the length


@given(words=st.integers(0, 10**9), more=st.integers(0, 10**9))
def test_passes_and_dropout_fall_with_the_length(words: int, more: int) -> None:
    assert 3 <= default_epochs(words + more) <= default_epochs(words) <= default_epochs(0)
    assert 0.1 <= default_dropout(words + more) <= default_dropout(words) <= 0.3


def test_their_bounds_are_reached() -> None:
    assert (default_epochs(3_000_000), default_epochs(200_000)) == (3, 10)
    assert default_epochs(0) == default_epochs(1000) > 10
    assert default_dropout(350_000) == pytest.approx(0.1) == default_dropout(10**9)
    assert default_dropout(250_000) == pytest.approx(0.3) == default_dropout(0)
    assert default_dropout(round((250_000 * 350_000) ** 0.5)) == pytest.approx(0.2, abs=1e-4)


# ------------------------------------------------------------------------------------------- preparing


def test_a_lesson_is_the_text(tiny_text: Path) -> None:
    lesson = prepare([tiny_text], SHAPE, TRAINING)
    again = prepare([tiny_text], SHAPE, TRAINING)
    other = prepare([tiny_text], SHAPE, TRAINING.override(seed=3))
    assert lesson.fingerprint == again.fingerprint != other.fingerprint
    assert torch.equal(lesson.vocabulary.vectors, again.vocabulary.vectors)
    held = sum(map(len, lesson.held_out))
    assert held / (held + lesson.words()) == pytest.approx(0.2, abs=0.02)
    assert lesson.vocabulary.forms["nils"] == "Nils"
    assert lesson.norms.shape == (len(lesson.vocabulary),)


@pytest.mark.parametrize(
    ("content", "says"), [("", "empty"), (" \n\n ", "empty"), ("hello", "only"), ("🙂 🙃", "only")]
)
def test_too_little_is_one_line(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "little.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(TextError) as error:
        prepare([path], SHAPE, TRAINING)
    assert says in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_brain_that_learns_on_keeps_its_shape(copy_of_brain: Path, tiny_text: Path) -> None:
    start = Engram.load(copy_of_brain)
    with pytest.raises(ConfigError, match="keeps its shape"):
        prepare([tiny_text], SHAPE, TRAINING, start)
    same = start.mind.brain.config.override(dropout=0.2)
    assert prepare([tiny_text], same, TRAINING, start).vocabulary is start.vocabulary, "dropout is no shape"
    start.close()


# ------------------------------------------------------------------------------------------- breaking off


def flat(found: Any, name: str = "") -> dict[str, Any]:
    """A nest of dicts and lists as one dict from path to leaf."""
    if isinstance(found, dict | list | tuple):
        pairs = found.items() if isinstance(found, dict) else enumerate(found)
        return {path: leaf for key, value in pairs for path, leaf in flat(value, f"{name}/{key}").items()}
    return {name: found}


def assert_same_state(one: dict[str, Any], other: dict[str, Any]) -> None:
    ours, theirs = flat(one), flat(other)
    assert ours.keys() == theirs.keys() and len(ours) > 50
    for path, value in ours.items():
        if path.endswith("/seconds"):
            continue
        same = torch.equal(value, theirs[path]) if isinstance(value, torch.Tensor) else value == theirs[path]
        assert same, f"{path} differs"


def broken_off(text: Path, steps: int) -> Learning:
    learning, seen = learning_of(text), 0

    def count(report: object) -> None:
        nonlocal seen
        seen += 1

    assert not learning.run(on_step=count, stop=lambda: seen == steps)
    return learning


def learning_of(text: Path, **changes: Any) -> Learning:
    training = TRAINING.override(**changes)
    return Learning(prepare([text], SHAPE, training), SHAPE, training)


@pytest.mark.parametrize("steps", [0, 3, 7])
def test_a_resumed_run_is_the_same_bit_for_bit(tiny_text: Path, tmp_path: Path, steps: int) -> None:
    whole = learning_of(tiny_text)
    assert whole.run()
    assert whole.trainer.progress.step > 7
    state = tmp_path / checkpoint.TRAINING_STATE
    checkpoint.write_tensors(state, broken_off(tiny_text, steps).state())
    resumed = learning_of(tiny_text)
    resumed.restore(checkpoint.read_tensors(state))
    assert resumed.trainer.progress.step == steps
    assert_same_state(resumed.state(), checkpoint.read_tensors(state))
    assert resumed.run()
    assert_same_state(resumed.state(), whole.state())


def test_a_state_of_another_run_is_one_line(tiny_text: Path, tmp_path: Path) -> None:
    state = learning_of(tiny_text).state()
    other = tmp_path / "other.txt"
    other.write_text(tiny_text.read_text(encoding="utf-8").replace("goat", "gnat"), encoding="utf-8")
    for learning, says in (
        (learning_of(other), "the text has changed"),
        (learning_of(tiny_text, row_words=32), r"row_words \(was 64, is 32\)"),
        (learning_of(tiny_text, seed=3), r"seed \(was 0, is 3\)"),
        (Learning(prepare([tiny_text], SHAPE, TRAINING), SHAPE.override(max_ponder=3), TRAINING), "max_ponder"),
    ):
        with pytest.raises(BrainError, match=says) as error:
            learning.restore(state)
        assert "\n" not in str(error.value)
    learning_of(tiny_text, minutes=5.0).restore(state)
    with pytest.raises(BrainError, match="damaged"):
        learning_of(tiny_text).restore({"hello": 1})
