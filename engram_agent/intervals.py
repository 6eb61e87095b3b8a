"""A rate with what is not known about it: the estimate and its 95 % interval.

It must not know what succeeded or failed.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

TAIL = 0.025
_TINY = 1e-300
_EXACT = 1e-14


class Interval(NamedTuple):
    """A rate.

    Attributes:
        estimate: Mean of the posterior.
        low: Lower bound of the 95 % interval.
        high: Upper bound of the 95 % interval.
    """

    estimate: float
    low: float
    high: float


@lru_cache(maxsize=65_536)
def interval(successes: float, trials: float, prior: float = 0.5, weight: float = 1.0) -> Interval:
    """The rate behind so many successes in so many trials, by default with Jeffreys' prior, Beta(1/2, 1/2).

    The posterior is Beta(s + w p, n - s + w (1 - p)). The interval has equal tails; it reaches 0 without a success and 1
    without a failure, which gives it its coverage there (Brown, Cai & DasGupta 2001, section 4.3).

    Args:
        successes: 0 to `trials`; half a success is a partial one.
        trials: At least 0.
        prior: The rate expected before, above 0 and below 1.
        weight: Trials that the expectation is worth.

    Raises:
        ValueError: If the numbers are no such counts.
    """
    if not (0.0 <= successes <= trials and 0.0 < prior < 1.0 and weight > 0.0):
        raise ValueError(f"needs 0 <= successes <= trials and 0 < prior < 1, got {successes}, {trials} and {prior}")
    a, b = successes + weight * prior, trials - successes + weight * (1.0 - prior)
    low = quantile(TAIL, a, b) if successes > 0.0 else 0.0
    high = quantile(1.0 - TAIL, a, b) if successes < trials else 1.0
    return Interval(a / (a + b), low, high)


def quantile(share: float, a: float, b: float) -> float:
    """Where a Beta(a, b) variable stays below with probability `share`, by halving."""
    low, high = 0.0, 1.0
    while high - low > 1e-7 * min(high, 1.0 - low) and high > _TINY:
        middle = (low + high) / 2.0
        if middle in (low, high):  # nothing lies between two neighbouring numbers
            break
        low, high = (middle, high) if below(middle, a, b) < share else (low, middle)
    return (low + high) / 2.0


def below(x: float, a: float, b: float) -> float:
    """Probability that a Beta(a, b) variable is below x: the regularised incomplete beta function I_x(a, b).

    By its continued fraction (DLMF 8.17.22), which converges fast for x < (a + 1) / (a + b + 2); else by symmetry.
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - front * _fraction(1.0 - x, b, a) / b
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))), read from the front (Lentz 1976)."""
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(10_000):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        lower = 1.0 / _away(1.0 + term * lower)
        upper = _away(1.0 + term / upper)
        value *= upper * lower
        if abs(1.0 - upper * lower) < _EXACT:
            break
    return value - 1.0


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
