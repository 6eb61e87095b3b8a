"""What a brain is trained for: cross-entropy at every place, weighted and summed over loops as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from toys import LOOPS, WORDS, few, learner, seeded, some_texts, unit_vectors, woken

from engram_model.brain import concept
from engram_model.config import BrainConfig
from engram_model.corpus import Batch, Corpus
from engram_model.head import word_logits
from engram_model.objective import (
    EARLY_DECAY,
    EARLY_SHARE,
    EARLY_WEIGHT,
    Learner,
    held_out_losses,
    step_loss,
    surprise_weights,
)
from engram_model.pondering import halt_loss

ROWS, TIME = 17, 13
surprises = st.lists(st.floats(0.0, 20.0), min_size=2, max_size=23).filter(lambda found: sum(found) > 0.1)


def held_out_loss(pupil: Learner, corpus: Corpus, loops: int | None = None) -> float:
    """Mean loss in nats a word."""
    return float(held_out_losses(pupil, corpus, loops).double().mean())


def batch(rows: int = ROWS) -> Batch:
    return next(Corpus(some_texts((29, 31, 37, 41, 43, 47))).shuffled(seeded(), rows, TIME))


def cross_entropy(pupil: Learner, state: torch.Tensor, rows: Batch) -> torch.Tensor:
    """Loss of every word, by PyTorch."""
    logits = word_logits(concept(state), pupil.brain.scale, pupil.unit_vectors(), pupil.resting)
    return F.cross_entropy(logits.flatten(0, 1), rows.targets.flatten(), reduction="none").view_as(rows.targets)


# ------------------------------------------------------------------------------------------- surprise


@few
@given(surprises, st.floats(0.0, 1.0), st.floats(1.0, 5.0))
def test_surprise_weights_have_mean_one_and_grow(found: list[float], strength: float, clip: float) -> None:
    loss = torch.tensor(found, dtype=torch.float64)
    weights = surprise_weights(loss, strength, clip)
    assert float(weights.mean()) == pytest.approx(1.0) and (weights >= 0).all()
    assert (weights[loss.argsort()].diff() >= -1e-9).all()
    naive = (1 - strength) + strength * torch.tensor([min(x / float(loss.mean()), clip) for x in found])
    torch.testing.assert_close(weights, (naive / naive.mean()).double(), atol=1e-5, rtol=1e-5)


def test_no_strength_is_the_plain_loss_and_full_strength_is_not() -> None:
    loss = torch.tensor([0.5, 1.0, 4.5, 0.1])
    assert surprise_weights(loss, 0.0, 3.0).eq(1).all()
    assert surprise_weights(loss, 1.0, 3.0).tolist() == pytest.approx((loss / loss.mean()).tolist())


def test_surprise_beyond_the_clip_counts_no_more() -> None:
    loss = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 50.0, 90.0])
    weights = surprise_weights(loss, 0.5, 3.0)
    assert weights[7] == weights[8] and float(weights[7] / weights[0]) == pytest.approx(
        (0.5 + 1.5) / (0.5 + 0.5 / float(loss.mean())), rel=1e-5
    )


def test_surprise_weights_carry_no_gradient() -> None:
    loss = torch.rand(7, generator=seeded()).requires_grad_()
    assert not surprise_weights(loss, 1.0, 3.0).requires_grad


# ------------------------------------------------------------------------------------------- one step


@torch.no_grad()
def test_the_loss_of_every_word_is_its_cross_entropy() -> None:
    pupil, rows = woken(learner()), batch()
    output = pupil.brain(rows.inputs, pupil.unit_vectors(), segments=rows.segments, loops=LOOPS)
    for state in output.states:
        found = pupil.losses(state, rows, pupil.unit_vectors())
        torch.testing.assert_close(found, cross_entropy(pupil, state, rows), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_one_loop_without_surprise_is_the_mean_cross_entropy_at_every_place() -> None:
    pupil, rows = woken(learner()).eval(), batch()
    found = step_loss(pupil, rows, 1, 0.0, 3.0)
    state = pupil.brain(rows.inputs, pupil.unit_vectors(), segments=rows.segments, loops=1).state
    plain = float(cross_entropy(pupil, state, rows).mean())
    assert float(found.total) == pytest.approx(plain, rel=1e-5) and float(found.last) == pytest.approx(plain, rel=1e-5)
    assert float(found.halt) == 0.0
    assert float(step_loss(pupil, rows, 1, 1.0, 3.0).total) > plain * 1.001
    assert float(step_loss(pupil, rows, 1, 1.0, 3.0).last) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("rows", [ROWS, 2])
@torch.no_grad()
def test_a_step_sums_the_last_loop_the_early_loops_on_their_rows_and_the_halt_gate(rows: int) -> None:
    pupil, part = woken(learner()).eval(), batch(rows)
    output = pupil.brain(part.inputs, pupil.unit_vectors(), segments=part.segments, loops=LOOPS)
    by_loop = [cross_entropy(pupil, state, part) for state in output.states]
    half = max(1, round(EARLY_SHARE * rows))
    expected = (by_loop[-1] * surprise_weights(by_loop[-1], 0.7, 2.0)).mean()
    for loop in range(LOOPS - 1):
        chosen = slice(rows) if loop == LOOPS - 2 else slice(half)
        early = by_loop[loop][chosen]
        weight = EARLY_WEIGHT * EARLY_DECAY ** (LOOPS - 2 - loop)
        expected += weight * early.mean() + halt_loss(output.gains[loop][chosen], early, by_loop[-1][chosen])
    found = step_loss(pupil, part, None, 0.7, 2.0)
    assert float(found.total) == pytest.approx(float(expected), rel=1e-5)
    assert float(found.last) == pytest.approx(float(by_loop[-1].mean()), rel=1e-5)


def without_gradient(pupil: Learner) -> set[str]:
    pupil.zero_grad()
    step_loss(pupil, batch(), None, 0.5, 3.0).total.backward()
    return {name for name, p in pupil.named_parameters() if p.grad is None or not p.grad.any()}


def test_every_parameter_gets_a_gradient_once_the_projections_that_start_at_zero_have_moved() -> None:
    pupil = learner()
    blocked = without_gradient(pupil)
    assert {"brain.blocks.0.seek", "brain.memory.key.weight", "brain.halt.expand.weight"} <= blocked
    assert not {"table", "resting", "brain.log_scale", "brain.loop_code", "brain.blocks.2.mix.weight"} & blocked
    optimizer = torch.optim.SGD(pupil.parameters(), lr=0.1)
    for _ in range(2):  # the first step wakes the projections, the second the keys whose values were all alike
        step_loss(pupil, batch(), None, 0.5, 3.0).total.backward()
        optimizer.step()
    assert without_gradient(pupil) == set()


def test_early_loops_reach_the_brain_and_the_halt_gate_alone_does_not() -> None:
    pupil, rows = woken(learner()), batch()
    output = pupil.brain(rows.inputs, pupil.unit_vectors(), segments=rows.segments, loops=LOOPS)
    early = pupil.losses(output.states[0], rows, pupil.unit_vectors())
    halt_loss(output.gains[0], early, early - 1).backward()
    assert pupil.table.grad is None and pupil.brain.log_scale.grad is None
    assert pupil.brain.halt.contract.weight.grad is not None


# ------------------------------------------------------------------------------------------- a fresh learner


def test_unit_vectors_are_the_directions_of_the_table() -> None:
    pupil = learner()
    torch.testing.assert_close(pupil.unit_vectors(), unit_vectors())
    torch.testing.assert_close(pupil.table.norm(dim=-1), torch.full((WORDS,), 0.1))


@torch.no_grad()
def test_an_untrained_brain_is_no_worse_than_guessing() -> None:
    words, corpus = 1_009, Corpus(some_texts((101,) * 101, words=1_009))
    shares = np.bincount(corpus.targets.numpy(), minlength=words) + 1.0
    torch.manual_seed(0)
    vectors, frequencies = unit_vectors(words, 96), torch.from_numpy(np.log(shares / shares.sum())).float()
    pupil = Learner(BrainConfig(), vectors, torch.full((words,), 0.1), torch.full((words,), -math.log(words)))
    assert held_out_loss(pupil, corpus) == pytest.approx(math.log(words), abs=0.2)
    pupil.resting.copy_(frequencies)
    entropy = -float((frequencies.exp() * frequencies).sum())
    assert entropy < held_out_loss(pupil, corpus) < min(entropy + 0.5, math.log(words))
    pupil.brain.log_scale.fill_(math.log(25.0))  # with the scale of a trained brain it repeats its input instead
    assert held_out_loss(pupil, corpus) > 2 * math.log(words)


# ------------------------------------------------------------------------------------------- held-out loss


def by_hand(pupil: Learner, texts: list[np.ndarray], loops: int | None = None) -> float:
    """The loss of texts read one after the other."""
    found = []
    for text in texts:
        corpus = Corpus([text])
        rows = Batch(corpus.inputs[None], corpus.targets[None], torch.zeros(1, len(text), dtype=torch.int64))
        state = pupil.brain(rows.inputs, pupil.unit_vectors(), loops=loops or LOOPS).state
        found.append(cross_entropy(pupil, state, rows).flatten())
    return float(torch.cat(found).mean())


@pytest.mark.parametrize("loops", [None, 1])
@torch.no_grad()
def test_the_held_out_loss_is_that_of_each_text_alone(loops: int | None) -> None:
    pupil, texts = woken(learner()), some_texts()
    assert held_out_loss(pupil, Corpus(texts), loops) == pytest.approx(by_hand(pupil.eval(), texts, loops), rel=1e-5)
    alone = torch.cat([held_out_losses(pupil, Corpus([text]), loops) for text in texts])
    torch.testing.assert_close(held_out_losses(pupil, Corpus(texts), loops), alone, atol=1e-4, rtol=1e-4)
    assert held_out_loss(pupil, Corpus(texts), 1) != pytest.approx(held_out_loss(pupil, Corpus(texts)), rel=1e-3)


@torch.no_grad()
def test_the_held_out_loss_knows_no_dropout_and_no_order_of_texts() -> None:
    pupil, texts = woken(learner(dropout=0.5)).train(), some_texts()
    found = held_out_loss(pupil, Corpus(texts))
    assert found == held_out_loss(pupil, Corpus(texts))
    assert found == pytest.approx(held_out_loss(pupil, Corpus(texts[::-1])), rel=1e-5)


@torch.no_grad()
def test_the_held_out_loss_of_a_text_longer_than_a_row_is_that_of_reading_on() -> None:
    for window in (293, 1_031):
        pupil, text = woken(learner(context_size=window)), some_texts((2_003,))
        assert held_out_loss(pupil, Corpus(text)) == pytest.approx(by_hand(pupil.eval(), text), rel=1e-6)
