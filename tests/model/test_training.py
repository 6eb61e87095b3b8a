"""The training loop: its schedule, its optimisers, early stopping, and going on after a break to the same numbers."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import few, learner, seeded

from engram_model.config import TrainingConfig
from engram_model.corpus import Corpus
from engram_model.muon import Muon
from engram_model.objective import Learner, held_out_losses
from engram_model.sources import best_share
from engram_model.text import END_ID
from engram_model.training import (
    FINAL_RATE,
    TOLERANCE,
    EpochReport,
    StepReport,
    Trainer,
    build_optimizers,
    rate_factor,
)

WORDS, ROW, BATCH = 23, 11, 55
CONFIG = TrainingConfig(batch_words=BATCH, row_words=ROW, warmup_steps=3, patience=2)


def counting(count: int, seed: int = 0, words: int = WORDS) -> list[np.ndarray]:
    """Texts that count in steps of 1 or 2: after two words the rest can be known."""
    draw = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        start, step = draw.integers(words - 4), draw.integers(1, 3)
        texts.append(np.append((start + step * np.arange(9)) % (words - 4) + 4, END_ID))
    return texts


def nonsense(count: int, seed: int = 0) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [np.append(draw.integers(4, WORDS, 9), END_ID) for _ in range(count)]


def trainer(
    epochs: int = 2, held_out: list[np.ndarray] | None = None, config: TrainingConfig = CONFIG, **changes: Any
) -> Trainer:
    """A trainer of a toy brain with dropout, on 22 texts of ten words: four steps a pass."""
    pupil = learner(words=WORDS, **({"dropout": 0.2} | changes))
    return Trainer(pupil, Corpus(counting(22)), Corpus(held_out) if held_out else None, config, epochs)


def weights(learned: Trainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in learned.learner.state_dict().items()}


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    """As if it was written and read again: nothing is shared with the run that goes on."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


def assert_same_end(one: Trainer, other: Trainer) -> None:
    for name, value in weights(one).items():
        assert torch.equal(value, other.learner.state_dict()[name]), name
    for field in ("step", "epoch", "batch", "total_steps", "words", "best", "since_best", "history"):
        assert getattr(one.progress, field) == getattr(other.progress, field), field


# ------------------------------------------------------------------------------------------- schedule


@few
@given(st.integers(1, 5_000), st.integers(0, 100))
def test_the_rate_rises_then_falls_to_two_percent(total: int, warmup: int) -> None:
    factors = [rate_factor(step, total, warmup) for step in range(total)]
    peak = factors.index(max(factors))
    assert all(0 < factor <= 1 for factor in factors) and factors[peak] == 1.0
    assert peak <= min(warmup, max(1, total // 10))
    assert all(b > a for a, b in pairwise(factors[: peak + 1])) and all(b <= a for a, b in pairwise(factors[peak:]))
    assert rate_factor(total, total, warmup) == FINAL_RATE or total == 1
    assert factors[-1] <= FINAL_RATE + 1.0 / max(1, total - warmup) or total <= 2


def test_the_rate_of_a_known_schedule() -> None:
    found = [rate_factor(step, 1_000, 50) for step in (0, 24, 49, 50, 525, 1_000)]
    assert found == pytest.approx([0.02, 0.5, 1.0, 1.0, 0.51, 0.02])


# ------------------------------------------------------------------------------------------- optimisers


def test_muon_takes_the_matrices_of_the_blocks_and_adam_everything_else_without_decay() -> None:
    pupil = learner(words=WORDS)
    muon, adam = build_optimizers(pupil, CONFIG)
    names = {id(p): name for name, p in pupil.named_parameters()}
    taken = [[names[id(p)] for group in o.param_groups for p in group["params"]] for o in (muon, adam)]
    assert sorted(taken[0] + taken[1]) == sorted(names.values())
    assert isinstance(muon, Muon) and all(name.startswith("brain.blocks.") for name in taken[0])
    assert len(taken[0]) == 3 * 4 and {"table", "resting", "brain.log_scale"} <= set(taken[1])
    assert all(group["weight_decay"] == 0 for group in adam.param_groups)
    assert muon.param_groups[0]["weight_decay"] == CONFIG.weight_decay


def test_rates_follow_the_schedule_and_the_scale_has_its_own() -> None:
    learned, rates = trainer(epochs=5), []
    learned.run(lambda report: rates.append([g["lr"] for o in learned.optimizers for g in o.param_groups]))
    for step, (muon, rest, scale) in enumerate(rates):
        factor = rate_factor(step, 20, 3)
        assert (muon, rest, scale) == pytest.approx((0.02 * factor, 3e-3 * factor, 3e-2 * factor))


# ------------------------------------------------------------------------------------------- learning


def test_the_loss_falls_and_the_brain_learns_to_count() -> None:
    config = CONFIG.override(batch_words=110)
    learned = Trainer(learner(words=WORDS, context_size=11), Corpus(counting(99)), Corpus(counting(31, 1)), config, 8)
    losses: list[StepReport] = []
    epochs: list[EpochReport] = []
    before = float(held_out_losses(learned.learner, Corpus(counting(31, 1))).mean())
    assert learned.run(losses.append, epochs.append)
    assert before > 3.0 > 1.5 > epochs[-1].held_out and losses[-1].loss < 0.5 * losses[0].loss
    assert [report.epoch for report in epochs] == list(range(1, 9))
    assert [report.step for report in losses] == list(range(1, 73)) and losses[-1].total_steps == 72
    assert losses[-1].words == 72 * 110 and losses[-1].epoch == 7 and losses[-1].seconds > 0
    assert all(a.seconds < b.seconds for a, b in pairwise(losses))


def test_every_parameter_has_moved_after_a_few_steps() -> None:
    learned = trainer(epochs=3)
    before = weights(learned)
    learned.run()
    still = {name for name, value in weights(learned).items() if torch.equal(value, before[name])}
    assert still == {"brain.halt.thresholds"}


def test_the_same_seed_gives_the_same_brain_and_another_another() -> None:
    one, other, third = trainer(), trainer(), trainer(config=CONFIG.override(seed=1))
    for learned in (one, other, third):
        learned.run()
    assert_same_end(one, other)
    assert not torch.equal(weights(one)["table"], weights(third)["table"])


def test_surprise_weighs_the_loss_in_the_first_two_thirds_only() -> None:
    found = []
    for done in (0, 13, 14):
        for strength in (0.0, 1.0):
            learned = trainer(epochs=5, config=CONFIG.override(surprise_strength=strength), dropout=0.0)
            learned.progress.step = done
            learned.step(next(learned.corpus.shuffled(seeded(), 5, ROW)))
            found.append(weights(learned)["table"])
    assert not torch.equal(found[0], found[1]) and not torch.equal(found[2], found[3])
    assert torch.equal(found[4], found[5])


# ------------------------------------------------------------------------------------------- breaking off


def broken_off(at: int, build: Callable[[], Trainer]) -> tuple[bool, Trainer]:
    """A run that is asked to stop before step `at`, saved, and gone on with by a new trainer."""
    first = build()
    done = first.run(stop=lambda: first.progress.step >= at)
    second = build()
    second.load_state_dict(through_a_file(first.state_dict()))
    second.run()
    return done, second


def test_a_run_broken_off_before_any_step_ends_bit_for_bit_as_one_that_was_not() -> None:
    def build() -> Trainer:
        return trainer(held_out=counting(7, 1))

    straight = build()
    assert straight.run()
    assert straight.progress.step == straight.progress.total_steps == 8
    for at in range(9):  # inside both passes, between them, at the start and at the end
        done, resumed = broken_off(at, build)
        assert done == (at == 8)
        assert_same_end(straight, resumed)


def test_a_state_saved_in_any_callback_leads_to_the_same_end() -> None:
    straight = trainer(held_out=counting(7, 1))
    states: list[dict[str, Any]] = []

    def save(report: StepReport | EpochReport) -> None:
        states.append(through_a_file(straight.state_dict()))

    straight.run(save, save)
    assert len(states) == 8 + 2
    for state in states:
        resumed = trainer(held_out=counting(7, 1))
        resumed.load_state_dict(state)
        assert resumed.run()
        assert_same_end(straight, resumed)


def test_a_run_can_be_broken_off_again_and_again() -> None:
    straight, broken = trainer(), trainer()
    straight.run()
    for at in (1, 2, 3, 5, 7, 99):
        done = broken.run(stop=lambda broken=broken, at=at: broken.progress.step >= at)  # type: ignore[misc]
        assert done == (at == 99)
        state = through_a_file(broken.state_dict())
        broken = trainer()
        broken.load_state_dict(state)
    assert_same_end(straight, broken)


def test_without_its_random_state_a_resumed_run_ends_elsewhere() -> None:
    straight = trainer()
    straight.run()
    half = trainer()
    half.run(stop=lambda: half.progress.step >= 3)
    state = through_a_file(half.state_dict())
    state["noise"] = seeded(99).get_state()
    resumed = trainer()
    resumed.load_state_dict(state)
    resumed.run()
    assert not torch.equal(weights(straight)["table"], weights(resumed)["table"])


def test_stopping_before_the_first_step_changes_nothing() -> None:
    learned = trainer()
    before = weights(learned)
    assert learned.run(stop=lambda: True) is False
    assert all(torch.equal(value, before[name]) for name, value in weights(learned).items())


# ------------------------------------------------------------------------------------------- stopping early


def test_training_stops_when_nothing_gets_better_and_keeps_the_last_state_that_was_as_good_as_the_best() -> None:
    learned = trainer(epochs=50, held_out=nonsense(31), dropout=0.0)
    reports: list[EpochReport] = []
    states: list[dict[str, torch.Tensor]] = []

    def note(report: EpochReport) -> None:
        reports.append(report)
        states.append(weights(learned))

    assert learned.run(on_epoch=note)
    found = [report.held_out for report in reports]
    good = [loss < min(found[:epoch], default=math.inf) + TOLERANCE for epoch, loss in enumerate(found)]
    kept = max(epoch for epoch, as_good in enumerate(good) if as_good)
    assert [report.best for report in reports] == good and learned.progress.history == found
    assert len(found) == kept + 1 + CONFIG.patience < 50 and found[-1] > min(found) + TOLERANCE
    assert all(torch.equal(value, states[kept][name]) for name, value in weights(learned).items())
    assert not torch.equal(states[kept]["table"], states[-1]["table"])
    assert learned.progress.best == min(found)
    assert float(held_out_losses(learned.learner, Corpus(nonsense(31))).mean()) == pytest.approx(found[kept], rel=1e-6)


def test_training_is_judged_by_the_best_blend_with_the_phrase_memory() -> None:
    texts = counting(7, 1)
    words = len(Corpus(texts))
    phrases = 0.3 * torch.rand(words, generator=seeded(2), dtype=torch.float64)
    judged = Trainer(learner(words=WORDS), Corpus(counting(22)), Corpus(texts), CONFIG, 1, phrase_probs=phrases)
    reports: list[EpochReport] = []
    judged.run(on_epoch=reports.append)
    alone = torch.exp(-held_out_losses(judged.learner, Corpus(texts)).double())
    share = best_share(alone, phrases)
    blended = -float(((1 - share) * alone + share * phrases).log().mean())
    assert reports[0].held_out == pytest.approx(blended, rel=1e-5)
    assert blended < min(-float(alone.log().mean()), -float(phrases.log().mean()))


def test_a_run_that_stopped_early_is_not_taken_up_again() -> None:
    learned = trainer(epochs=50, held_out=nonsense(31), dropout=0.0)
    learned.run()
    steps, before = learned.progress.step, weights(learned)
    again = trainer(epochs=50, held_out=nonsense(31), dropout=0.0)
    again.load_state_dict(through_a_file(learned.state_dict()))
    assert again.run() and again.progress.step == steps < 200
    assert all(torch.equal(value, before[name]) for name, value in weights(again).items())


def test_without_held_out_text_the_last_weights_stay() -> None:
    learned = trainer()
    last: list[dict[str, torch.Tensor]] = []
    learned.run(lambda report: last.append(weights(learned)))
    assert learned.best_state is None and learned.progress.best == math.inf
    assert all(torch.equal(value, last[-1][name]) for name, value in weights(learned).items())


# ------------------------------------------------------------------------------------------- time


def test_a_budget_of_seconds_shortens_the_schedule_but_never_lengthens_it() -> None:
    learned = trainer(epochs=5)
    learned.limit_seconds(1e-9)
    assert learned.progress.total_steps == 20  # no step was seen yet
    learned.progress.step, learned.progress.seconds = 6, 3.0
    learned.limit_seconds(1e9)
    assert learned.progress.total_steps == 20
    learned.limit_seconds(4.0)
    assert learned.progress.total_steps == 8
    learned.limit_seconds(0.1)
    assert learned.progress.total_steps == 7


def test_a_shortened_run_ends_inside_an_epoch_is_judged_and_can_be_resumed() -> None:
    def build() -> Trainer:
        short = trainer(held_out=counting(7, 1))
        short.progress.total_steps = 6
        return short

    straight = build()
    assert straight.run() and straight.progress.step == 6 and len(straight.progress.history) == 2
    for at in range(7):
        assert_same_end(straight, broken_off(at, build)[1])


def test_fewer_words_than_a_batch_are_repeated_to_fill_it() -> None:
    learned = Trainer(learner(words=WORDS), Corpus(counting(3)), None, CONFIG, 2)
    assert learned.run() and learned.progress.step == 2 and learned.progress.words == 2 * BATCH


def test_a_fixed_number_of_loops_is_trained_alone() -> None:
    pupil: Learner = learner(words=WORDS)
    before = copy.deepcopy(pupil.brain.halt.state_dict())
    Trainer(pupil, Corpus(counting(22)), None, CONFIG, 2, loops=1).run()
    assert all(torch.equal(value, before[name]) for name, value in pupil.brain.halt.state_dict().items())
    assert pupil.brain.loop_code[1:].eq(0).all() and pupil.brain.loop_code[0].any()
