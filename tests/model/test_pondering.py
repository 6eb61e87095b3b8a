"""When to stop thinking: shares sum to one, the gate cannot bend its target, the threshold keeps its promise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import DIM, LOOPS, brain, few, seeded, unit_vectors, woken, word_ids

from engram_model.pondering import HaltGate, calibrate_thresholds, halt_loss, halting_loop, halting_weights

lambdas = st.integers(1, 5).flatmap(
    lambda loops: st.lists(st.lists(st.floats(0, 1), min_size=loops, max_size=loops), min_size=1, max_size=3)
)


def sweep(words: int = 199, loops: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses that fall with loops by different amounts, and gains that guess those amounts with an error."""
    drops = torch.rand(words, loops - 1, generator=seeded()).square()
    after = torch.cat((drops.flip(1).cumsum(1).flip(1), torch.zeros(words, 1)), dim=1)
    losses = 2 + after + 0.1 * torch.randn(words, loops, generator=seeded(1))
    return after[:, :-1] + 0.2 * torch.randn(words, loops - 1, generator=seeded(2)), losses


# ------------------------------------------------------------------------------------------- shares of the loops


@few
@given(lambdas)
def test_the_shares_of_the_loops_sum_to_one(rows: list[list[float]]) -> None:
    weights = halting_weights(torch.tensor(rows, dtype=torch.float64))
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(rows), dtype=torch.float64))


@few
@given(lambdas)
def test_the_shares_are_those_of_a_naive_loop(rows: list[list[float]]) -> None:
    for found, row in zip(halting_weights(torch.tensor(rows, dtype=torch.float64)).tolist(), rows, strict=True):
        left = 1.0
        for share, halting in zip(found, [*row[:-1], 1.0], strict=True):
            assert share == pytest.approx(left * halting)
            left *= 1.0 - halting


def test_the_last_loop_takes_the_rest_and_certainty_takes_all() -> None:
    weights = halting_weights(torch.tensor([[0.0, 0.0, 0.3], [0.0, 1.0, 0.3], [0.5, 0.5, 0.9]]))
    assert weights.tolist() == [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25]]


# ------------------------------------------------------------------------------------------- the gate


def test_the_gate_halts_exactly_where_its_probability_crosses_one_half() -> None:
    gate = woken(HaltGate(DIM, LOOPS))
    gate.thresholds.copy_(torch.tensor([0.25, -9.0])[: LOOPS - 1])
    gains = torch.linspace(-1, 1, 41)
    assert torch.equal(gate.goes_on(gains, 1), gate.probability(gains, 1) < 0.5)
    assert float(gate.probability(torch.tensor(0.25), 1)) == 0.5
    assert (gate.probability(gains, 1).diff() <= 0).all()
    far = [float(gate.probability(torch.tensor(gain), 1)) for gain in (1.0, -1.0)]
    assert far[0] < 1e-9 < 1 - 1e-9 < far[1]
    assert gate.goes_on(gains, 2).all(), "each loop has a threshold of its own"


@pytest.mark.parametrize("loops", [1, 2, 3, 5])
def test_halting_loop_is_where_a_naive_walk_stops(loops: int) -> None:
    gains, _ = sweep(97, loops)
    for row, found in zip(gains.tolist(), halting_loop(gains, 0.3).tolist(), strict=True):
        walk = 0
        while walk < loops - 1 and row[walk] > 0.3:
            walk += 1
        assert found == walk


def test_the_target_is_what_was_observed_clipped_to_one_nat() -> None:
    losses, final = torch.tensor([2.0, 2.0, 9.0, 1.0]), torch.tensor([1.5, 2.25, 2.0, 7.0])
    assert float(halt_loss(torch.tensor([0.5, -0.25, 1.0, -1.0]), losses, final)) == 0.0
    assert float(halt_loss(torch.tensor([0.5, -0.25, 1.0, 1.0]), losses, final)) == pytest.approx(4 / 4)


def test_the_gradient_of_halting_reaches_the_whole_gate_and_nothing_else() -> None:
    thinker, ids = brain(), word_ids(2, 5)
    vectors = unit_vectors().requires_grad_()
    output = thinker(ids, vectors, loops=LOOPS)
    losses = [state.square().sum(-1) * (loop + 1) for loop, state in enumerate(output.states)]
    torch.stack([halt_loss(g, a, losses[-1]) for g, a in zip(output.gains, losses, strict=False)]).sum().backward()
    reached = {name for name, p in thinker.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == {f"halt.{name}" for name, _ in thinker.halt.named_parameters()}
    assert vectors.grad is None
    losses[-1].sum().backward()  # the losses themselves do reach the brain and the words
    assert thinker.get_parameter("blocks.0.seek").grad is not None and vectors.grad is not None


def test_a_fresh_gate_expects_nothing_and_learns_to_tell_hard_words_from_easy_ones() -> None:
    torch.manual_seed(0)
    gate, state = HaltGate(DIM, LOOPS), torch.randn(61, DIM, generator=seeded())
    assert gate(state, 1).eq(0).all() and gate(state, 2).eq(0).all()
    hard = state[:, 0] > 0
    losses, final = 1.0 + 0.5 * hard, torch.ones(61)
    optimizer = torch.optim.Adam(gate.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        halt_loss(gate(state, 1), losses, final).backward()
        optimizer.step()
    gate.thresholds.fill_(0.25)
    assert torch.equal(gate.goes_on(gate(state, 1), 1), hard)
    assert gate(state, 2).eq(0).all()  # each loop has its own output


# ------------------------------------------------------------------------------------------- the thresholds


def cost_and_loops(gains: torch.Tensor, losses: torch.Tensor, thresholds: torch.Tensor | float) -> tuple[float, float]:
    halted = halting_loop(gains, thresholds)
    cost = losses.gather(1, halted[:, None]).mean() - losses[:, -1].mean()
    return float(cost), float(halted.float().mean()) + 1


@settings(few, max_examples=20)
@given(st.floats(0, 1), st.floats(0.2, 1))
def test_the_thresholds_keep_to_the_allowed_cost(allowed: float, share: float) -> None:
    gains, losses = sweep()
    thresholds, loops = calibrate_thresholds(gains, losses, allowed, share)
    cost, mean = cost_and_loops(gains, losses, thresholds)
    assert cost <= allowed + 1e-6 and mean == pytest.approx(loops)
    assert thresholds.shape == (gains.shape[1],)


def test_they_reach_the_target_and_both_ends() -> None:
    gains, losses = sweep()
    assert calibrate_thresholds(gains, losses, 9.0, 0.2)[1] == pytest.approx(1.0, abs=0.02)
    never, all_loops = calibrate_thresholds(gains, losses - 9 * torch.eye(5)[-1], 0.0, 0.2)
    assert all_loops == 5.0 and bool((never < gains).all())
    for share in (0.4, 0.6, 0.8):
        assert calibrate_thresholds(gains, losses, 9.0, share)[1] == pytest.approx(5 * share, abs=0.25)


def test_at_the_same_cost_they_save_no_less_than_one_threshold_for_all_loops() -> None:
    gains, losses = sweep()
    tried = [cost_and_loops(gains, losses, float(t)) for t in gains.flatten().quantile(torch.linspace(0, 1, 201))]
    for allowed in (0.05, 0.1, 0.2):
        _, loops = calibrate_thresholds(gains, losses, allowed, 0.2)
        assert loops <= min(mean for cost, mean in tried if cost <= allowed) + 0.1


def test_a_loop_that_never_pays_is_left_out_and_one_that_does_is_kept() -> None:
    gains, losses = torch.zeros(97, 2), torch.tensor([[3.0, 1.0, 1.0]]).expand(97, 3)
    thresholds, loops = calibrate_thresholds(gains, losses, 0.01, 0.7)
    assert loops == 2.0 and halting_loop(gains, thresholds).eq(1).all()
