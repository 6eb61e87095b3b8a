"""Muon: orthogonal updates, and step for step those of `torch.optim.Muon`."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import few, seeded

from engram_model.muon import Muon, orthogonalize

SHAPES = [(7, 31), (31, 7), (97, 13), (23, 29), (1, 11)]


def normal(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=seeded(seed))


@few
@given(st.sampled_from(SHAPES), st.integers(0, 99), st.sampled_from((1e-3, 1.0, 1e5)))
def test_singular_values_come_near_one_and_directions_stay(size: tuple[int, int], seed: int, length: float) -> None:
    matrix = length * normal(1, *size, seed=seed)
    found = orthogonalize(matrix)
    values = torch.linalg.svdvals(found[0])
    assert values.min() > 0.6 and values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix[0], full_matrices=False)
    middle = left.T @ found[0] @ right.T  # diagonal, if the directions are those of the matrix
    assert (middle - middle.diag().diag()).abs().max() < 0.02


def test_a_matrix_in_a_batch_is_that_matrix_alone_and_its_transpose_transposed() -> None:
    matrices = normal(5, 7, 13)
    together = orthogonalize(matrices)
    for matrix, found in zip(matrices, together, strict=True):
        torch.testing.assert_close(orthogonalize(matrix[None])[0], found)
        torch.testing.assert_close(orthogonalize(matrix.T[None])[0].T, found)


def test_nothing_stays_nothing() -> None:
    assert orthogonalize(torch.zeros(2, 3, 5)).eq(0).all()


@pytest.mark.parametrize("size", SHAPES, ids=str)
def test_a_few_steps_are_those_of_torch_within_its_half_precision(size: tuple[int, int]) -> None:
    ours, theirs = (torch.nn.Parameter(normal(*size, seed=1)) for _ in range(2))
    start = ours.detach().clone()
    settings = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    reference = torch.optim.Muon([theirs], **settings, nesterov=True, adjust_lr_fn="original")
    both = (ours, Muon([ours], **settings)), (theirs, reference)
    for step in range(5):
        for parameter, optimizer in both:
            parameter.grad = normal(*size, seed=step) + 0.3 * start
            optimizer.step()
        moved = (theirs - start).norm()
        assert (ours - theirs).norm() < 0.03 * moved and moved > 0.01 * (step + 1)


def test_tall_matrices_take_larger_steps_by_the_root_of_rows_over_columns() -> None:
    steps = {}
    for rows, cols in ((31, 7), (7, 31), (13, 13)):
        matrix = torch.nn.Parameter(torch.zeros(rows, cols))
        matrix.grad = normal(rows, cols)
        Muon([matrix], lr=0.02).step()
        steps[rows, cols] = matrix.detach() / -0.02 / orthogonalize(normal(1, rows, cols))[0]
    torch.testing.assert_close(steps[31, 7], torch.full((31, 7), (31 / 7) ** 0.5), rtol=1e-3, atol=0.0)
    torch.testing.assert_close(steps[7, 31], torch.ones(7, 31), rtol=1e-3, atol=0.0)
    torch.testing.assert_close(steps[13, 13], torch.ones(13, 13), rtol=1e-3, atol=0.0)


def test_weight_decay_shrinks_by_rate_times_decay_and_no_gradient_means_no_step() -> None:
    still, decayed = (torch.nn.Parameter(normal(5, 7)) for _ in range(2))
    decayed.grad = torch.zeros(5, 7)
    Muon([still, decayed], lr=0.5, weight_decay=0.1).step()
    assert torch.equal(still, normal(5, 7))
    torch.testing.assert_close(decayed.detach(), 0.95 * normal(5, 7))


def test_matrices_together_step_as_each_alone() -> None:
    sizes = [(7, 11), (7, 11), (11, 7), (3, 5), (7, 11)]
    together, alone = ([torch.nn.Parameter(normal(*s, seed=i)) for i, s in enumerate(sizes)] for _ in range(2))
    optimizers = [Muon(together), *(Muon([matrix]) for matrix in alone)]
    for step in range(3):
        for matrices in (together, alone):
            for number, matrix in enumerate(matrices):
                matrix.grad = normal(*matrix.shape, seed=10 * step + number)
        for optimizer in optimizers:
            optimizer.step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other)


def test_a_stack_steps_as_its_matrices() -> None:
    stack = torch.nn.Parameter(normal(2, 5, 7))
    matrices = [torch.nn.Parameter(matrix.clone()) for matrix in stack.detach()]
    stack.grad = normal(2, 5, 7, seed=1)
    for matrix, grad in zip(matrices, stack.grad, strict=True):
        matrix.grad = grad.clone()
    Muon([stack]).step()
    Muon(matrices).step()
    torch.testing.assert_close(stack.detach(), torch.stack([matrix.detach() for matrix in matrices]))


def test_it_descends() -> None:
    matrix, aim = torch.nn.Parameter(torch.zeros(5, 7)), 0.3 * normal(5, 7)
    optimizer, losses = Muon([matrix], lr=0.02, weight_decay=0.0), []
    for _ in range(40):
        optimizer.zero_grad()
        loss = (matrix - aim).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.1 * losses[0]
