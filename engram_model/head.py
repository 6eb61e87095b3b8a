"""From concept vectors to words: the one output rule, and its memory-light log-probability for training.

It must not know how a concept vector came about, nor anything of other sources of words.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from engram_model.nearest import products

# Rows of logits that are worked on at once: 128 x 4,000 floats stay in the processor's cache, a whole batch does not.
CHUNK_FLOATS = 500_000
# Probabilities that are kept for the backward pass, 256 MB; what goes beyond is made again, in half as much time more.
KEPT_FLOATS = 64_000_000
MAX_SCALE = 40.0


def closeness(
    concepts: Float[Tensor, "*batch dim"], scale: Float[Tensor, ""], vectors: Float[Tensor, "words dim"]
) -> Float[Tensor, "*batch words"]:
    """s <c, v(w)>: cosine similarity with every word, scaled."""
    scaled = scale * concepts
    if torch.is_grad_enabled() or scaled.shape[:-1] != (1,):
        return scaled @ vectors.T
    return products(scaled[0], vectors.T)[None]


def word_logits(
    concepts: Float[Tensor, "*batch dim"],
    scale: Float[Tensor, ""],
    vectors: Float[Tensor, "words dim"],
    resting: Float[Tensor, " words"],
) -> Float[Tensor, "*batch words"]:
    """logit(w) = s <c, v(w)> + b(w): closeness to every word, plus the word's resting level."""
    return closeness(concepts, scale, vectors) + resting


class _TargetLogProbs(torch.autograd.Function):
    """log softmax(h V^T + b)[target], row chunk by row chunk.

    No row maximum is taken: vectors are unit vectors, so |h| + max b bounds every logit, and `MAX_SCALE` keeps that
    bound within what exp can hold.
    """

    @staticmethod
    def _chunks(rows: int, words: int) -> list[slice]:
        size = max(1, CHUNK_FLOATS // words)
        return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]

    @staticmethod
    def forward(ctx: Any, scaled: Tensor, vectors: Tensor, resting: Tensor, targets: Tensor) -> Tensor:
        totals = scaled.new_empty(scaled.shape[0])
        shift = MAX_SCALE + float(resting.max())
        level = resting - shift
        chosen = (scaled * vectors[targets]).sum(-1) + resting[targets]
        kept: list[Tensor] = []
        for rows in _TargetLogProbs._chunks(scaled.shape[0], vectors.shape[0]):
            raised = torch.addmm(level, scaled[rows], vectors.T).exp_()
            totals[rows] = raised.sum(1)
            if any(ctx.needs_input_grad) and rows.stop * vectors.shape[0] <= KEPT_FLOATS:
                kept.append(raised)
        ctx.save_for_backward(scaled, vectors, level, targets, totals, *kept)
        return chosen - shift - totals.log()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        (grad,) = grads
        scaled, vectors, level, targets, totals, *kept = ctx.saved_tensors
        grad_scaled = torch.empty_like(scaled)
        grad_vectors = torch.zeros_like(vectors)
        grad_resting = torch.zeros_like(level)
        for number, rows in enumerate(_TargetLogProbs._chunks(scaled.shape[0], vectors.shape[0])):
            raised = kept[number] if number < len(kept) else torch.addmm(level, scaled[rows], vectors.T).exp_()
            probs = raised * (-grad[rows] / totals[rows])[:, None]
            probs[torch.arange(probs.shape[0]), targets[rows]] += grad[rows]
            torch.mm(probs, vectors, out=grad_scaled[rows])
            grad_vectors.addmm_(probs.T, scaled[rows])
            grad_resting += probs.sum(0)
        return grad_scaled, grad_vectors, grad_resting, None


def target_log_probs(
    concepts: Float[Tensor, "rows dim"],
    scale: Float[Tensor, ""],
    vectors: Float[Tensor, "words dim"],
    resting: Float[Tensor, " words"],
    targets: Int[Tensor, " rows"],
) -> Float[Tensor, " rows"]:
    """log p(target) under softmax of `word_logits`, without ever holding all rows times all words."""
    result: Tensor = _TargetLogProbs.apply(scale * concepts, vectors, resting, targets)  # type: ignore[no-untyped-call]
    return result
