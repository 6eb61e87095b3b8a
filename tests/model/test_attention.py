"""One attention block: against the formulas, its algebra, and shapes that are checked at every call."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from torch.nn import functional as F
from toys import DIM, HEADS, WINDOW, few, seeded, woken

from engram_model.attention import Block, Dropout, causal_mask, rms_norm, rotary_turns, rotate, unit
from engram_model.errors import ConfigError

BATCH, TIME, HEAD_DIM = 2, 11, 10


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=seeded(seed))


def block(share: float = 0.0) -> Block:
    torch.manual_seed(0)
    return Block(DIM, HEADS, Dropout(share, seeded()))


def run(layer: Block, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The block over a whole row, every word seeing the places where the mask is 0."""
    turns, stream = rotary_turns(0, x.shape[1], HEAD_DIM), x.flatten(0, 1)
    result: torch.Tensor = layer.update(stream, *layer.remember(stream, turns), mask)
    return result.view(x.shape)


def additive(mask: torch.Tensor) -> torch.Tensor:
    return torch.zeros(mask.shape).masked_fill(~mask, -math.inf)


# ------------------------------------------------------------------------------------------- rms norm


@few
@given(st.integers(1, 97), st.floats(1.0, 1e4), st.integers(0, 99))
def test_rms_norm_gives_norm_sqrt_dim_whatever_the_length(dim: int, length: float, seed: int) -> None:
    x = length * torch.nn.functional.normalize(normal(5, dim, seed=seed), dim=-1) * dim**0.5
    normed = rms_norm(x)
    torch.testing.assert_close(normed.norm(dim=-1), torch.full((5,), dim**0.5))
    torch.testing.assert_close(normed, F.rms_norm(x, (dim,)))
    torch.testing.assert_close(unit(x), F.normalize(x, dim=-1))


def test_rms_norm_of_nothing_is_nothing() -> None:
    assert rms_norm(torch.zeros(3, 7)).eq(0).all() and unit(torch.zeros(3, 7)).eq(0).all()


# ------------------------------------------------------------------------------------------- rotary positions


@few
@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 500), st.integers(1, 17))
def test_turned_vectors_know_their_distance_only(first: int, second: int, shift: int, half: int) -> None:
    query, key = normal(1, 1, 1, 2 * half), normal(1, 1, 1, 2 * half, seed=1)

    def product(at: int, other: int) -> float:
        turned = [rotate(x, rotary_turns(p, 1, 2 * half)) for x, p in ((query, at), (key, other))]
        return float((turned[0] * turned[1]).sum())

    assert product(first, second) == pytest.approx(product(first + shift, second + shift), abs=2e-3)


def test_another_distance_gives_another_product() -> None:
    query, key = normal(1, 1, 1, 14), normal(1, 1, 1, 14, seed=2)
    turned = rotate(key.expand(1, 1, 5, 14), rotary_turns(0, 5, 14))
    products = (query * turned).sum(-1)[0, 0]
    assert torch.cdist(products[:, None], products[:, None]).fill_diagonal_(9).min() > 0.05


def test_rotation_is_that_of_complex_numbers_and_keeps_the_norm() -> None:
    half, positions = 7, torch.arange(0, 1_000)
    x = normal(2, 3, len(positions), 2 * half)
    rates = 10_000.0 ** (-2 * torch.arange(half, dtype=torch.float64) / (2 * half))
    turn = torch.exp(1j * positions[:, None] * rates)
    expected = torch.complex(x[..., ::2].double(), x[..., 1::2].double()) * turn
    found = rotate(x, rotary_turns(0, len(positions), 2 * half))
    torch.testing.assert_close(found, torch.view_as_real(expected).flatten(-2).float(), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(rotary_turns(990, 10, 2 * half), rotary_turns(0, 1_000, 2 * half)[990:])
    torch.testing.assert_close(found.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(found[:, :, 0], x[:, :, 0])


# ------------------------------------------------------------------------------------------- mask


@few
@given(st.lists(st.lists(st.integers(0, 2), min_size=5, max_size=5), min_size=1, max_size=3), st.integers(1, 7))
def test_the_mask_is_that_of_a_naive_loop(segments: list[list[int]], window: int) -> None:
    mask = causal_mask(torch.tensor(segments), window)
    for row, texts in enumerate(segments):
        for at in range(5):
            for other in range(5):
                seen = other <= at and at - other < window and texts[at] == texts[other]
                assert bool(mask[row, 0, at, other]) == seen


def test_a_brain_that_has_talked_can_learn() -> None:
    x = normal(BATCH, HEADS, 641, HEAD_DIM).requires_grad_()
    with torch.inference_mode():
        rotary_turns(0, 641, HEAD_DIM)
    rotate(x, rotary_turns(0, 641, HEAD_DIM)).square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * x.detach())


# ------------------------------------------------------------------------------------------- dropout


def test_dropout_zeroes_its_share_scales_the_rest_and_repeats_with_its_generator() -> None:
    x = torch.full((31, 37, 41), 3.0)
    dropped = Dropout(0.25, seeded(5))(x)
    assert dropped.unique().tolist() == [0.0, 4.0]
    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert torch.equal(dropped, Dropout(0.25, seeded(5))(x))
    assert not torch.equal(dropped, Dropout(0.25, seeded(6))(x))


def test_dropout_draws_anew_at_each_call_and_rests_in_evaluation() -> None:
    x, layer = torch.ones(31, 37), Dropout(0.5, seeded())
    assert not torch.equal(layer(x), layer(x))
    assert layer.eval()(x) is x
    assert Dropout(0.0, seeded())(x) is x


def test_more_activations_than_the_pool_holds_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match="batch_words"):
        Dropout(0.5, seeded())(torch.empty(Dropout.POOL // 64, 64))


# ------------------------------------------------------------------------------------------- block


def test_a_fresh_block_is_a_no_op_and_a_woken_one_is_not() -> None:
    x, layer = normal(BATCH, TIME, DIM), block()
    assert torch.equal(run(layer, x), x)
    assert (run(woken(layer), x) - x).abs().amin(-1).min() > 0


def test_a_block_is_its_formula() -> None:
    x, layer = normal(BATCH, TIME, DIM), woken(block())
    mask = causal_mask(torch.zeros(BATCH, TIME, dtype=torch.int64), WINDOW)
    weights = {name: value.double() for name, value in layer.named_parameters()}
    weights["query.weight"], weights["key.weight"], weights["value.weight"] = weights["seek"]

    def norm(y: torch.Tensor) -> torch.Tensor:
        return y / y.square().mean(-1, keepdim=True).sqrt()

    def heads(name: str, y: torch.Tensor) -> torch.Tensor:
        made = torch.einsum("btd,ed->bte", norm(y), weights[f"{name}.weight"])
        return made.unflatten(-1, (HEADS, HEAD_DIM)).movedim(2, 1)

    turns = rotary_turns(0, TIME, HEAD_DIM).to(torch.complex128)
    y = x.double()
    query, key = (rotate(norm(heads(name, y)).contiguous(), turns) for name in ("query", "key"))
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) * 2 / HEAD_DIM**0.5
    shares = scores.masked_fill(~mask, -math.inf).softmax(-1)
    seen = torch.einsum("bhqk,bhkd->bqhd", shares, heads("value", y)).flatten(2)
    y = y + seen @ weights["mix.weight"].T
    hidden = torch.relu(norm(y) @ weights["expand.weight"].T) ** 2
    expected = y + hidden @ weights["contract.weight"].T
    torch.testing.assert_close(run(layer, x, additive(mask)), expected.float(), atol=1e-4, rtol=1e-4)


def test_every_parameter_of_a_block_gets_a_gradient() -> None:
    layer = woken(block())
    run(layer, normal(BATCH, TIME, DIM)).square().sum().backward()
    assert {name for name, p in layer.named_parameters() if p.grad is None or not p.grad.any()} == set()


def test_a_row_alone_and_in_a_batch_is_the_same() -> None:
    x, layer = normal(5, TIME, DIM), woken(block())
    torch.testing.assert_close(run(layer, x)[3:4], run(layer, x[3:4]), atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------------- executed shapes


def test_a_wrong_shape_or_type_is_refused_while_tests_run() -> None:
    x, turns = normal(BATCH, HEADS, TIME, HEAD_DIM), rotary_turns(0, TIME, HEAD_DIM)
    assert rotate(x, turns).shape == x.shape
    for wrong in ((x, turns[:-1]), (x[0], turns), (x.long(), turns), (x, turns.real)):
        with pytest.raises(TypeCheckError):
            rotate(*wrong)
