"""When to stop thinking: shares sum to one, the gate cannot bend its target, the threshold keeps its promise."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import DIM, LOOPS, brain, few, seeded, unit_vectors, woken, word_ids

from engram_model.pondering import HaltGate, calibrate_threshold, halt_loss, halting_loop, halting_weights

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
    gate.threshold.fill_(0.25)
    gains = torch.linspace(-1, 1, 41)
    assert torch.equal(gate.goes_on(gains), gate.probability(gains) < 0.5)
    assert float(gate.probability(torch.tensor(0.25))) == 0.5
    assert (gate.probability(gains).diff() <= 0).all()
    assert float(gate.probability(torch.tensor(1.0))) < 1e-9 < 1 - 1e-9 < float(gate.probability(torch.tensor(-1.0)))


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
    assert thinker.get_parameter("blocks.0.query.weight").grad is not None and vectors.grad is not None


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
    gate.threshold.fill_(0.25)
    assert torch.equal(gate.goes_on(gate(state, 1)), hard)
    assert gate(state, 2).eq(0).all()  # each loop has its own output


# ------------------------------------------------------------------------------------------- the threshold


def cost_and_loops(gains: torch.Tensor, losses: torch.Tensor, threshold: float) -> tuple[float, float]:
    halted = halting_loop(gains, threshold)
    cost = losses.gather(1, halted[:, None]).mean() - losses[:, -1].mean()
    return float(cost), float(halted.float().mean()) + 1


@settings(few, max_examples=5)
@given(st.floats(0, 1), st.floats(0, 1))
def test_the_threshold_keeps_to_the_allowed_cost_and_a_larger_one_saves_no_less(one: float, other: float) -> None:
    gains, losses = sweep()
    found = []
    for allowed in sorted((one, other)):
        threshold, loops = calibrate_threshold(gains, losses, allowed)
        cost, mean = cost_and_loops(gains, losses, threshold)
        assert cost <= allowed + 1e-6 and mean == pytest.approx(loops)
        found.append((threshold, loops))
    assert found[0][0] <= found[1][0] and found[0][1] >= found[1][1]


def test_the_threshold_reaches_both_ends() -> None:
    gains, losses = sweep()
    assert calibrate_threshold(gains, losses, 9.0)[1] == 1.0
    never, all_loops = calibrate_threshold(gains, losses - 9 * torch.eye(5)[-1], 0.0)
    assert all_loops == 5.0 and never < gains.min()
    assert 1.0 < calibrate_threshold(gains, losses, 0.05)[1] < 4.5


def test_no_allowed_threshold_saves_more() -> None:
    gains, losses = sweep()
    _, loops = calibrate_threshold(gains, losses, 0.1)
    tried = [cost_and_loops(gains, losses, float(t)) for t in gains.flatten().quantile(torch.linspace(0, 1, 201))]
    assert loops == pytest.approx(min(mean for cost, mean in tried if cost <= 0.1), abs=0.02)
