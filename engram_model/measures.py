"""The measures themselves: perplexity, bits per byte, ranks, bands, comparisons, halting curves, copied runs.

It must not know where the log-probabilities come from: tensors in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engram_model.pondering import halting_loop

BLOCK_WORDS = 100
FEWEST_BLOCKS = 5
CURVE_POINTS = 21


@dataclass(frozen=True)
class Band:
    """A range of values with a name.

    Attributes:
        name: As it is shown.
        low: Smallest value inside.
        high: Smallest value above it; None where it has no end.
    """

    name: str
    low: float
    high: float | None

    def holds(self, values: Tensor) -> Bool[Tensor, " words"]:
        """Which values lie in [low, high)."""
        inside = values >= self.low
        return inside if self.high is None else inside & (values < self.high)


def bands(edges: Sequence[int] | Sequence[float], unit: str) -> list[Band]:
    """The bands between rising edges, the last one open: edges 1, 10 give "1 to 9 times" for whole numbers."""
    whole = all(isinstance(edge, int) for edge in edges)
    found = []
    for low, high in zip(edges, [*edges[1:], None], strict=True):
        if high is None:
            found.append(Band(f"{low:,}{unit} or more" if whole else f"{low:g}{unit} or more", float(low), None))
        elif whole:
            found.append(Band(f"{low:,} to {high - 1:,}{unit}", float(low), float(high)))
        else:
            found.append(Band(f"{low:g} to {high:g}{unit}", float(low), float(high)))
    return found


FREQUENCY_BANDS = bands([0, 10, 100, 1000], " times")
"""How often a word was met in training; unknown words make a band of their own."""

SURPRISE_BANDS = bands([0.0, 1.0, 2.0, 4.0, 8.0], " nats")
"""Negative log-likelihood of a word; 1 nat is a word at odds of 1 in 2.7, 8 nats of 1 in 3,000."""


def perplexity(log_probs: Float[Tensor, " words"]) -> float:
    """exp of the mean negative log-probability; V for uniform guessing among V words, 1 for certainty."""
    return math.exp(-float(log_probs.double().mean()))


def bits_per_byte(log_probs: Float[Tensor, " words"], size: int) -> float:
    """-sum log2 p(word) / bytes of the text as it stands in its file (UTF-8, white space counted).

    Approximate, and rather too low: capitals and layout are not predicted, and an unknown word costs only what
    <UNK> costs, not its spelling.

    Args:
        log_probs: Natural logarithms.
        size: Bytes of the text that the words were read from, at least 1.
    """
    return -float(log_probs.double().sum()) / math.log(2.0) / size


def ranks(probs: Float[Tensor, "words vocabulary"], targets: Int[Tensor, " words"]) -> Int[Tensor, " words"]:
    """How many words were held more probable than the one that came: 0 is a hit of the best word."""
    return (probs > probs.gather(1, targets[:, None])).sum(-1)


def accuracy(found: Int[Tensor, " words"], best: int) -> float:
    """Share of words that were among the `best` most probable ones."""
    return float((found < best).double().mean())


@dataclass(frozen=True)
class Comparison:
    """What one part changes, on the same words.

    Attributes:
        perplexity_with: With the part.
        perplexity_without: Without it.
        change_percent: 100 (with / without - 1); below zero the part helps.
        nats: Mean difference of the losses, with less without.
        standard_error: Of `nats`, in nats; None where there is too little text.
        percent_range: `change_percent` two standard errors below and above; None as before.
        verdict: "pays", "costs", "no effect", "no clear effect" or "too little text to tell".
    """

    perplexity_with: float
    perplexity_without: float
    change_percent: float
    nats: float
    standard_error: float | None
    percent_range: tuple[float, float] | None
    verdict: str


def compare(on: Float[Tensor, " words"], off: Float[Tensor, " words"]) -> Comparison:
    """Compare log-probabilities of the same words with and without a part.

    Neighbouring words are not independent, so the standard error is that of the means of blocks of 100 words.
    An effect is called clear from two standard errors on.
    """
    difference = (off - on).double()
    nats = float(difference.mean())
    whole = len(difference) // BLOCK_WORDS
    error = likely = None
    if whole >= FEWEST_BLOCKS:
        means = difference[: whole * BLOCK_WORDS].view(whole, BLOCK_WORDS).mean(1)
        error = float(means.std() / math.sqrt(whole))
        likely = (100.0 * math.expm1(nats - 2.0 * error), 100.0 * math.expm1(nats + 2.0 * error))
    if not difference.any():
        verdict = "no effect"
    elif error is None:
        verdict = "too little text to tell"
    elif abs(nats) < 2.0 * error:
        verdict = "no clear effect"
    else:
        verdict = "pays" if nats < 0 else "costs"
    return Comparison(perplexity(on), perplexity(off), 100.0 * math.expm1(nats), nats, error, likely, verdict)


@dataclass(frozen=True)
class HaltingPoint:
    """What one threshold of the halt gate gives: mean loops a word, and perplexity."""

    threshold: float
    mean_loops: float
    perplexity: float


def halting_curve(gains: Float[Tensor, "words early"], by_loop: Float[Tensor, "words loops"]) -> list[HaltingPoint]:
    """Mean loops and perplexity for thresholds from "always to the end" to "always after the first loop".

    Args:
        gains: The halt gate's expected gains after each loop but the last, in nats.
        by_loop: Log-probability of each word had the brain stopped after each loop.
    """
    if not gains.shape[1]:  # quantiles of nothing are not defined
        return [HaltingPoint(0.0, 1.0, perplexity(by_loop[:, 0]))]
    inner = np.quantile(gains.double().numpy(), np.linspace(0.0, 1.0, CURVE_POINTS))
    points = []
    for threshold in [float(inner[0]) - 1.0, *inner.tolist()]:
        halted = halting_loop(gains.double(), threshold)
        chosen = by_loop.gather(1, halted[:, None])[:, 0]
        points.append(HaltingPoint(threshold, float(halted.double().mean()) + 1.0, perplexity(chosen)))
    return points


def longest_run(words: Sequence[int], text: Int[np.ndarray, " place"]) -> tuple[int, int]:
    """The longest run of `words` that stands in `text` as well: its length, and where in `words` it starts.

    Dynamic programming over both: run(i, j) = run(i-1, j-1) + 1 where the words agree, else 0.
    """
    best, start = 0, 0
    runs = np.zeros(len(text) + 1, dtype=np.int32)
    for place, word in enumerate(words):
        runs[1:] = np.where(text == word, runs[:-1] + 1, 0)
        longest = int(runs.max())
        if longest > best:
            best, start = longest, place - longest + 1
    return best, start


def histogram(values: Float[Tensor, " words"], width: float, high: float) -> tuple[list[float], list[int]]:
    """Edges and counts of equal bins from 0 to `high`; larger values are counted in the last one."""
    edges = torch.arange(round(high / width) + 1, dtype=torch.float64) * width
    counts = torch.histogram(values.double().clamp(max=high), edges).hist
    return edges.tolist(), [int(count) for count in counts]
