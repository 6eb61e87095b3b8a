"""The probability that an action succeeds in a situation, from earlier outcomes.

It must not know how outcomes are recorded. What it learns is refitted from them, and kept nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from engram_agent.errors import must_be_words
from engram_agent.intervals import interval
from engram_agent.outcomes import trials
from engram_agent.phrases import key, plain, words
from engram_agent.store import Store

STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0)
"""Trials that the level above may be worth."""
USUAL = 2.0
"""Trials that the level above is worth while there are too few to tell."""
FEW = 30
"""Trials from which strengths and words are fitted."""
LATEST = 2_000
"""Trials that are learned from, the latest."""
PRECISIONS = (1.0, 3.0, 10.0, 30.0, 100.0)
"""Precisions of the prior of a word's weight; the evidence chooses."""
WORDS = 100
SEEN = 3
"""Trials that must have a word, and lack it, for its weight to be fitted."""
EDGE = 1e-3

Trial = tuple[str, str, float]
"""Situation, action, outcome."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A probability of success.

    Attributes:
        probability: Of success.
        low: Lower bound of the 95 % interval of the rate behind it.
        high: Upper bound of the 95 % interval.
        trials: Outcomes in the nearest circle that has any: this action in this situation, the situation, those like it.
    """

    probability: float
    low: float
    high: float
    trials: int


class Model:
    """Rates that lean on the level above, and weights of the words of actions.

    The levels are all trials, situations that are the same but for numbers, the situation, the action in it. A rate is
    (s + k q) / (n + k), where q is the rate above and k its worth in trials; k has the best log likelihood with each
    trial left out of its own rate (empirical Bayes; Efron & Morris 1975). Then logit p = a + b logit(rate) + sum of the
    weights of the action's words, by penalised likelihood; every rate it is fitted on was made without the trial's own
    outcome, and the penalty is chosen by Laplace's evidence (MacKay 1992). Fewer than `FEW` trials: the rate alone.

    Args:
        known: Trials.
    """

    def __init__(self, known: Sequence[Trial]) -> None:
        self.outcomes = np.array([outcome for _, _, outcome in known], dtype=np.float64)
        places = [_levels(context, action) for context, action, _ in known]
        self.counts: list[dict[Hashable, tuple[float, int]]] = []
        self.strengths: list[float] = []
        rates = (self.outcomes.sum() - self.outcomes + 0.5) / (len(known) or 1)
        for level in range(3):
            rates = self._fit_level([place[level] for place in places], rates)
        self.words: list[str] = []
        self.weights = np.array([0.0, 1.0])
        if len(known) >= FEW:
            self._fit_words([set(words(action)) for _, action, _ in known], rates)

    def predict(self, context: str, action: str = "") -> Prediction:
        """The probability that an action, or whatever is done, succeeds in a situation."""
        count = len(self.outcomes)
        rate, near, strength = (self.outcomes.sum() + 0.5) / (count + 1), 0, USUAL
        for level, place in enumerate(_levels(context, action)[: 3 if action else 2]):
            successes, found = self.counts[level].get(place, (0.0, 0))
            rate = (successes + self.strengths[level] * rate) / (found + self.strengths[level])
            if found:
                near, strength = found, self.strengths[level]
        if action:
            have = set(words(action))
            features = np.array([1.0, _logit(rate), *(word in have for word in self.words)])
            rate = float(_logistic(features @ self.weights))
        rate = min(1.0 - EDGE, max(EDGE, float(rate)))
        _, low, high = interval(rate * near, near, rate, strength)
        return Prediction(probability=rate, low=low if near else 0.0, high=high, trials=near)

    def _fit_level(self, places: Sequence[Hashable], above: np.ndarray) -> np.ndarray:
        """Choose the worth of the level above; returns each trial's rate without itself."""
        sums: dict[Hashable, tuple[float, int]] = {}
        for place, outcome in zip(places, self.outcomes, strict=True):
            successes, count = sums.get(place, (0.0, 0))
            sums[place] = (successes + float(outcome), count + 1)
        self.counts.append(sums)
        others = np.array([sums[place] for place in places], dtype=np.float64).reshape(-1, 2)
        others -= np.stack([self.outcomes, np.ones_like(self.outcomes)], axis=1)
        rates = {worth: (others[:, 0] + worth * above) / (others[:, 1] + worth) for worth in STRENGTHS}
        best = USUAL
        if len(places) >= FEW:
            best = max(STRENGTHS, key=lambda worth: (_likelihood(rates[worth], self.outcomes), worth == USUAL))
        self.strengths.append(best)
        return np.clip(rates[best], EDGE, 1.0 - EDGE)

    def _fit_words(self, have: Sequence[set[str]], rates: np.ndarray) -> None:
        """Fit the weights of the words that enough trials have and lack."""
        seen = Counter(word for found in have for word in sorted(found)).most_common()
        self.words = [word for word, count in seen if SEEN <= count <= len(have) - SEEN][:WORDS]
        if not self.words:
            return
        features = np.array([[1.0, 0.0, *(word in found for word in self.words)] for found in have])
        features[:, 1] = _logit(rates)
        fits = [_penalised(features, self.outcomes, precision) for precision in PRECISIONS]
        self.weights = max(fits, key=lambda fit: fit[1])[0]


class Predictor:
    """Predicts from the trials of a store that an agent may see.

    Args:
        store: The records.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._models: dict[str, tuple[tuple[int, ...], Model]] = {}

    def predict(self, context: str, action: str = "", *, agent_id: str) -> Prediction:
        """The probability that an action succeeds in a situation; without an action that whatever is done there does."""
        must_be_words("context", context)
        must_be_words("action", action)
        recent = f"number > (SELECT coalesce(max(number), 0) FROM outcomes) - {LATEST}"
        seen = trials(self.store, agent_id, recent)
        stamp = tuple(one.number for one in seen)
        if self._models.get(agent_id, (None,))[0] != stamp:
            model = Model([(one.context, one.action, one.outcome) for one in seen])
            self._models[agent_id] = (stamp, model)
        return self._models[agent_id][1].predict(context, action)


def _levels(context: str, action: str) -> tuple[Hashable, Hashable, Hashable]:
    return key(context), plain(context), (plain(context), key(action))


def _likelihood(rates: np.ndarray, outcomes: np.ndarray) -> float:
    rates = np.clip(rates, EDGE, 1.0 - EDGE)
    return float(np.sum(outcomes * np.log(rates) + (1.0 - outcomes) * np.log1p(-rates)))


def _penalised(features: np.ndarray, outcomes: np.ndarray, precision: float) -> tuple[np.ndarray, float]:
    """Weights of a logistic regression by Newton's method, and its log evidence (Laplace).

    The prior holds that the rate alone is right: intercept 0 and slope 1 with precision 1, words 0 with `precision`.
    """
    mean = np.zeros(features.shape[1])
    mean[1] = 1.0
    penalty = np.full(len(mean), precision)
    penalty[:2] = 1.0
    weights = mean.copy()
    for _ in range(50):
        rates = _logistic(features @ weights)
        slope = features.T @ (outcomes - rates) - penalty * (weights - mean)
        curvature = (features.T * (rates * (1.0 - rates))) @ features + np.diag(penalty)
        step = np.linalg.solve(curvature, slope)
        weights = weights + step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-8:
            break
    fit = _likelihood(_logistic(features @ weights), outcomes) - 0.5 * float(penalty @ (weights - mean) ** 2)
    evidence = fit + 0.5 * float(np.log(penalty).sum()) - 0.5 * float(np.linalg.slogdet(curvature)[1])
    return weights, evidence


def _logit(rate: np.ndarray | float) -> np.ndarray:
    return np.log(rate) - np.log1p(-np.asarray(rate))


def _logistic(value: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(value, -35.0, 35.0)))
