"""From concepts to words: the output rule, and its chunked log-probability against PyTorch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import few, seeded, unit_vectors

from engram_model import head
from engram_model.head import MAX_SCALE, target_log_probs, word_logits

ROWS, WORDS, DIM = 23, 41, 7


def example(rows: int = ROWS, seed: int = 0, scale: float = 5.0, dtype: Any = torch.float32) -> list[torch.Tensor]:
    """Concepts, scale, vectors, resting levels, targets."""
    concepts, vectors = unit_vectors(rows, DIM, seed), unit_vectors(WORDS, DIM, seed + 1)
    resting = torch.randn(WORDS, generator=seeded(seed + 2)) - 3
    floats = [x.to(dtype) for x in (concepts, torch.tensor(scale), vectors, resting)]
    return [*floats, torch.randint(WORDS, (rows,), generator=seeded(seed + 3))]


def by_torch(
    concepts: torch.Tensor, scale: torch.Tensor, vectors: torch.Tensor, resting: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    return word_logits(concepts, scale, vectors, resting).log_softmax(-1).gather(1, targets[:, None])[:, 0]


def test_a_logit_is_the_scaled_cosine_plus_the_resting_level() -> None:
    concepts, scale, vectors, resting, _ = example()
    cosines = torch.nn.functional.cosine_similarity(concepts[:, None], vectors[None], dim=-1)
    torch.testing.assert_close(word_logits(concepts, scale, vectors, resting), scale * cosines + resting)


@few
@given(st.integers(0, 999), st.floats(0.1, MAX_SCALE))
def test_chunked_log_probabilities_are_those_of_log_softmax(seed: int, scale: float) -> None:
    values = example(seed=seed, scale=scale)
    torch.testing.assert_close(target_log_probs(*values), by_torch(*values), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("rows_at_once", [1, 5, ROWS - 1, ROWS, ROWS + 1, 2])
@pytest.mark.parametrize("rows", [1, ROWS])
@pytest.mark.parametrize("kept_rows", [0, 11, ROWS])
def test_values_and_gradients_are_those_of_autograd_at_every_chunk_boundary(
    rows_at_once: int, rows: int, kept_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head, "CHUNK_FLOATS", rows_at_once * WORDS + 3)
    monkeypatch.setattr(head, "KEPT_FLOATS", kept_rows * WORDS)
    values = example(rows, dtype=torch.float64)
    upstream = torch.randn(rows, generator=seeded(9), dtype=torch.float64)
    found = []
    for function in (target_log_probs, by_torch):
        floats = [x.clone().requires_grad_() for x in values[:4]]
        result = function(*floats, values[4])
        found.append((result.detach(), *torch.autograd.grad(result @ upstream, floats)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert ours.any(), "nothing to compare"


def test_a_chunk_holds_at_least_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "CHUNK_FLOATS", 3)
    values = example()
    torch.testing.assert_close(target_log_probs(*values), by_torch(*values))


def test_probabilities_of_all_words_sum_to_one() -> None:
    concepts, scale, vectors, resting, _ = example(1)
    log_probs = target_log_probs(concepts.expand(WORDS, DIM), scale, vectors, resting, torch.arange(WORDS))
    assert float(log_probs.exp().sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("levels", [(-30.0, 0.0), (0.0, 30.0), (-30.0, -29.0), (-0.1, 0.0)], ids=str)
def test_the_most_extreme_concepts_and_levels_stay_finite_and_exact(levels: tuple[float, float]) -> None:
    vectors = torch.eye(DIM)[:1].repeat(WORDS, 1)
    vectors[WORDS // 2 :] *= -1
    resting = torch.linspace(*levels, WORDS)
    concepts = torch.stack((vectors[0], -vectors[0]))
    scale = torch.tensor(MAX_SCALE, requires_grad=True)
    for word in (0, WORDS - 1):
        targets = torch.full((2,), word)
        found = target_log_probs(concepts, scale, vectors, resting, targets)
        exact = by_torch(*(x.detach().double() for x in (concepts, scale, vectors, resting)), targets)
        torch.testing.assert_close(found.double(), exact, atol=1e-4, rtol=1e-4)
        (gradient,) = torch.autograd.grad(found.sum(), scale)
        assert gradient.isfinite()


def test_all_words_opposite_to_the_concept_do_not_underflow() -> None:
    vectors = torch.eye(DIM)[:1].repeat(WORDS, 1)
    values = (-vectors[:1], torch.tensor(MAX_SCALE), vectors, torch.full((WORDS,), -30.0), torch.tensor([3]))
    assert float(target_log_probs(*values)) == pytest.approx(-torch.tensor(float(WORDS)).log().item(), abs=1e-4)


def test_a_removed_word_takes_no_share() -> None:
    concepts, scale, vectors, resting, targets = example()
    resting[5] = -torch.inf
    kept = torch.tensor([word for word in range(WORDS) if word != 5])
    targets = kept[targets % len(kept)]
    found = target_log_probs(concepts, scale, vectors, resting, targets)
    without = target_log_probs(concepts, scale, vectors[kept], resting[kept], torch.searchsorted(kept, targets))
    torch.testing.assert_close(found, without)
