"""The measures: each number two ways, bounds, and controls that would show a measure that says nothing."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engram_model.measures import (
    FREQUENCY_BANDS,
    SURPRISE_BANDS,
    accuracy,
    bands,
    bits_per_byte,
    compare,
    halting_curve,
    histogram,
    longest_run,
    perplexity,
    ranks,
)

WORDS, VOCABULARY, LOOPS = 1103, 13, 3


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_log_probs(seed: int = 0, words: int = WORDS) -> torch.Tensor:
    return -torch.rand(words, generator=seeded(seed), dtype=torch.float64) * 5


def test_perplexity_reaches_its_bounds() -> None:
    assert perplexity(torch.zeros(7)) == pytest.approx(1.0)
    assert perplexity(torch.full((7,), -math.log(VOCABULARY))) == pytest.approx(VOCABULARY)


def test_bits_per_byte_is_the_code_length_over_the_bytes() -> None:
    probs = [0.5, 0.25, 0.125]
    found = bits_per_byte(torch.tensor(probs).log(), 12)
    assert found == pytest.approx((1 + 2 + 3) / 12)


def test_ranks_count_the_words_held_more_probable() -> None:
    probs = torch.rand(17, VOCABULARY, generator=seeded()).softmax(-1)
    targets = torch.randint(VOCABULARY, (17,), generator=seeded(1))
    naive = [sorted(row, reverse=True).index(row[word]) for row, word in zip(probs.tolist(), targets, strict=True)]
    found = ranks(probs, targets)
    assert found.tolist() == naive
    assert accuracy(found, 1) == pytest.approx(sum(rank == 0 for rank in naive) / 17)
    assert accuracy(found, 1) <= accuracy(found, 5) <= accuracy(found, VOCABULARY) == 1.0


@pytest.mark.parametrize("chosen", [FREQUENCY_BANDS, SURPRISE_BANDS])
@given(value=st.floats(0.0, 1e6))
def test_every_value_lies_in_one_band(chosen: list, value: float) -> None:
    value = math.floor(value) if chosen is FREQUENCY_BANDS else value
    assert sum(int(band.holds(torch.tensor([value], dtype=torch.float64))) for band in chosen) == 1


def test_bands_say_what_they_hold() -> None:
    assert [band.name for band in bands([0, 10, 1000], " times")] == ["0 to 9 times", "10 to 999 times",
                                                                      "1,000 times or more"]  # fmt: skip
    assert [band.name for band in bands([0.0, 2.5], " nats")] == ["0 to 2.5 nats", "2.5 nats or more"]


# ----------------------------------------------------------------------------------------- comparisons


def test_a_comparison_is_the_ratio_of_perplexities() -> None:
    on, off = some_log_probs(1), some_log_probs(2)
    found = compare(on, off)
    assert found.perplexity_with == pytest.approx(perplexity(on))
    assert found.change_percent == pytest.approx(100 * (perplexity(on) / perplexity(off) - 1))
    assert compare(off, on).nats == pytest.approx(-found.nats)


def test_the_standard_error_is_that_of_blocks_of_a_hundred() -> None:
    on, off = some_log_probs(1), some_log_probs(2)
    blocks = (off - on).numpy()[:1100].reshape(11, 100).mean(1)
    found = compare(on, off)
    assert found.standard_error == pytest.approx(blocks.std(ddof=1) / math.sqrt(11))
    assert found.percent_range is not None
    assert found.percent_range[0] < found.change_percent < found.percent_range[1]


def test_verdicts() -> None:
    base, noise = some_log_probs(1), torch.randn(WORDS, generator=seeded(3), dtype=torch.float64)
    assert compare(base + 0.5 + 0.1 * noise, base).verdict == "pays"
    assert compare(base - 0.5 + 0.1 * noise, base).verdict == "costs"
    assert compare(base + (noise - noise.mean()), base).verdict == "no clear effect"
    assert compare(base, base.clone()).verdict == "no effect"
    assert compare(base[:499] + 1.0, base[:499]).verdict == "too little text to tell"


# --------------------------------------------------------------------------------------------- halting


def test_the_halting_curve_agrees_with_halting_word_by_word() -> None:
    gains = torch.randn(101, LOOPS - 1, generator=seeded(4))
    by_loop = some_log_probs(5, 101 * LOOPS).view(101, LOOPS)
    for point in halting_curve(gains, by_loop):
        loops = []
        for word in gains.tolist():
            halts = [place for place, gain in enumerate(word) if gain <= point.threshold]
            loops.append(halts[0] if halts else LOOPS - 1)
        assert point.mean_loops == pytest.approx(1 + sum(loops) / 101)
        assert point.perplexity == pytest.approx(perplexity(by_loop[torch.arange(101), torch.tensor(loops)]))


def test_the_halting_curve_runs_from_all_loops_to_one() -> None:
    gains, by_loop = torch.randn(101, LOOPS - 1, generator=seeded(6)), some_log_probs(7, 101 * LOOPS).view(101, LOOPS)
    curve = halting_curve(gains, by_loop)
    assert curve[0].mean_loops == LOOPS
    assert curve[0].perplexity == pytest.approx(perplexity(by_loop[:, -1]))
    assert curve[-1].mean_loops == 1.0
    assert curve[-1].perplexity == pytest.approx(perplexity(by_loop[:, 0]))
    assert all(a.mean_loops >= b.mean_loops for a, b in pairwise(curve))
    assert len(halting_curve(gains[:, :0], by_loop[:, :1])) == 1, "a brain of one loop has nothing to sweep"


# -------------------------------------------------------------------------------------- runs, histogram


@given(st.lists(st.integers(0, 3), max_size=9), st.lists(st.integers(0, 3), max_size=23))
def test_the_longest_run_is_found_by_trying_all(words: list[int], text: list[int]) -> None:
    pieces = [
        words[start:end]
        for start in range(len(words))
        for end in range(start + 1, len(words) + 1)
        if any(text[place : place + end - start] == words[start:end] for place in range(len(text)))
    ]
    length, start = longest_run(words, np.array(text, dtype=np.int64))
    assert length == max(map(len, pieces), default=0)
    assert not length or words[start : start + length] in pieces


def test_the_histogram_counts_every_word() -> None:
    values = torch.tensor([0.0, 0.49, 0.5, 3.0, 77.0])
    edges, words = histogram(values, 0.5, 3.5)
    assert edges == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    assert words == [2, 1, 0, 0, 0, 0, 2]
