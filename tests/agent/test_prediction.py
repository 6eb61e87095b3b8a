"""Rates and predictions: intervals cover what they say, rates lean on what is above, words help only where they tell."""

from __future__ import annotations

import math
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engram_agent.intervals import below, interval, quantile
from engram_agent.memory import Memory
from engram_agent.prediction import FEW, Model, Trial

SHAPE = st.floats(0.3, 60.0)


@settings(max_examples=60, deadline=None)
@given(SHAPE, SHAPE, st.floats(0.01, 0.99))
@example(15.0, 0.375, 0.984375)
def test_the_beta_function_is_symmetric_and_inverted_by_its_quantile(a: float, b: float, x: float) -> None:
    assert below(x, a, b) == pytest.approx(1.0 - below(1.0 - x, b, a), abs=1e-9)
    assert below(quantile(x, a, b), a, b) == pytest.approx(x, abs=1e-4)


@pytest.mark.parametrize(("k", "n", "p"), [(2, 5, 0.3), (7, 11, 0.65), (1, 13, 0.04), (40, 97, 0.5)])
def test_the_beta_function_is_a_sum_of_binomials(k: int, n: int, p: float) -> None:
    tail = sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1))
    assert below(p, k, n - k + 1) == pytest.approx(tail, abs=1e-9)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.83])
def test_intervals_cover_the_rate_as_often_as_they_say(rate: float) -> None:
    chance = np.random.default_rng(7)
    bounds = [interval(int(count), 23) for count in chance.binomial(23, rate, 2_000)]
    assert 0.92 <= np.mean([low <= rate <= high for _, low, high in bounds]) <= 0.99


def test_intervals_reach_their_ends_and_shrink_with_trials() -> None:
    assert interval(0, 3).low == 0.0 and interval(3, 3).high == 1.0 and interval(0, 0) == (0.5, 0.0, 1.0)
    widths = [interval(n / 2, n).high - interval(n / 2, n).low for n in (4, 16, 64, 100_000)]
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.01
    for bad in ((-1, 3), (4, 3), (1, 3, 0.0)):
        with pytest.raises(ValueError, match="successes"):
            interval(*bad)


def test_without_trials_anything_is_possible() -> None:
    found = Model([]).predict("login", "retry")
    assert (found.probability, found.low, found.high, found.trials) == (0.5, 0.0, 1.0, 0)


def test_few_trials_give_the_rates_computed_by_hand() -> None:
    known: list[Trial] = [
        ("login", "retry", 1.0),
        ("login", "retry", 1.0),
        ("login", "wait", 0.0),
        ("deploy", "retry", 0.0),
    ]
    agent = (2 + 0.5) / (4 + 1)
    context = (2 + 2 * agent) / (3 + 2)
    context = (2 + 2 * context) / (3 + 2)
    assert Model(known).predict("login").probability == pytest.approx(context)
    assert Model(known).predict("login", "retry").probability == pytest.approx((2 + 2 * context) / (2 + 2))
    assert Model(known).predict("never seen").probability == pytest.approx(agent)


def test_rates_lean_on_the_level_above_as_much_as_they_vary() -> None:
    chance = random.Random(5)
    same = [(f"job {'abcdefghijkl'[n % 12] * 3}", "go", float(chance.random() < 0.5)) for n in range(240)]
    apart = [(context, "go", float("abcdefghijkl".index(context[-1]) % 2)) for context, _, _ in same]
    assert Model(same).strengths[0] > Model(apart).strengths[0]
    assert Model(apart).predict("job bbb").probability > 0.9 > 0.1 > Model(apart).predict("job aaa").probability


def test_a_word_that_tells_is_learned_and_one_that_does_not_is_not() -> None:
    chance = random.Random(3)
    telling, plain = [], []
    for number in range(6 * FEW):
        careful, outcome = chance.random() < 0.5, chance.random() < 0.5
        context = f"job {chance.choice('abcdefgh') * 3}"
        action = f"{'carefully' if careful else 'quickly'} do {number * 7919}"
        telling.append((context, action, float(careful)))
        plain.append((context, action, float(outcome)))
    careful, quick = (Model(telling).predict("job aaa", f"{how} do 1").probability for how in ("carefully", "quickly"))
    assert careful > 0.9 and quick < 0.1
    careful, quick = (Model(plain).predict("job aaa", f"{how} do 1").probability for how in ("carefully", "quickly"))
    assert abs(careful - quick) < 0.2


def test_a_memory_predicts_as_the_model_does_after_reopening(tmp_path: Path) -> None:
    known = [(f"job {n % 5} of {'xyz'[n % 3] * 3}", f"do {'pq'[n % 2] * 3}", float(n % 3 != 0)) for n in range(47)]
    with Memory(tmp_path / "m.db") as memory:
        for context, action, outcome in known:
            memory.record(context, action, outcome)
        before = memory.predict("job 1 of xxx", "do ppp")
    with Memory(tmp_path / "m.db") as memory:
        assert memory.predict("job 1 of xxx", "do ppp") == before == Model(known).predict("job 1 of xxx", "do ppp")
        memory.record("job 1 of xxx", "do ppp", "success")
        assert memory.predict("job 1 of xxx", "do ppp").probability > before.probability
        assert memory.predict("job 1 of xxx", agent_id="bob").trials == 0
