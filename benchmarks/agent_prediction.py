"""Predicting whether an agent's run succeeds, each run left out in turn: Brier scores, the lower the better.

It must not know how the prediction is made. Runs are those of tau-bench's airline tasks (Yao et al. 2024), 50 tasks with
4 trials each. "before" knows the task and the outcomes of all other runs; "after" knows also which tools the run called,
whether one reported an error, and in how many messages, but not its outcome. Nothing is fitted on the run that is left out.
"""

from __future__ import annotations

import json
import math
import random
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import data_file
from engram_agent.prediction import Model, Trial

CELLS = 5
SEEDS = 3
"""Shufflings of the control, which shows that nothing of the run left out leaks."""


def measure(data: Path) -> dict[str, Any]:
    """Brier scores of the model and of four baselines, with calibration.

    Args:
        data: Folder that holds trajectories/airline_200.jsonl.
    """
    runs = [json.loads(line) for line in data_file(data, "trajectories", "airline_200.jsonl").read_text().splitlines()]
    known = [(f"airline task {run['task_id']}", actions(run), float(run["reward"])) for run in runs]
    truth = np.array([outcome for _, _, outcome in known])
    before, after = left_out(known)
    scores = {
        "base rate": brier(np.full(len(truth), truth.mean()), truth),
        "base rate of the other runs": brier((truth.sum() - truth) / (len(truth) - 1), truth),
        "mean of the task's other runs": brier(task_means(known), truth),
        "before the run": brier(before, truth),
        "after the run": brier(after, truth),
    }
    return {
        "runs": len(runs),
        "tasks": len({run["task_id"] for run in runs}),
        "brier": scores,
        "standard error": {
            name: float(np.std((rates - truth) ** 2, ddof=1) / math.sqrt(len(truth)))
            for name, rates in (("before the run", before), ("after the run", after))
        },
        "after the run, outcomes shuffled within each task": statistics.mean(
            brier(left_out(mixed)[1], np.array([outcome for _, _, outcome in mixed]))
            for mixed in (shuffled(known, seed) for seed in range(SEEDS))
        ),
        "skill after the run": 1.0 - scores["after the run"] / scores["base rate"],
        "calibration after the run": calibration(after, truth),
        "seeds": SEEDS,
    }


def left_out(known: Sequence[Trial]) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of each run by a model of all others: without its actions, and with them."""
    before, after = [], []
    for place, (context, action, _) in enumerate(known):
        model = Model([*known[:place], *known[place + 1 :]])
        before.append(model.predict(context).probability)
        after.append(model.predict(context, action).probability)
    return np.array(before), np.array(after)


def shuffled(known: Sequence[Trial], seed: int) -> list[Trial]:
    """The same runs with the outcomes of each task dealt anew among its runs, so that what a run did tells nothing."""
    chance, mixed = random.Random(seed), list(known)
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, (context, _, _) in enumerate(known):
        places[context].append(place)
    for own in places.values():
        for place, source in zip(own, chance.sample(own, len(own)), strict=True):
            mixed[place] = (*known[place][:2], known[source][2])
    return mixed


def task_means(known: Sequence[Trial]) -> np.ndarray:
    """The mean outcome of each run's task in its other runs."""
    sums: defaultdict[str, list[float]] = defaultdict(list)
    for context, _, outcome in known:
        sums[context].append(outcome)
    return np.array([(sum(sums[c]) - outcome) / (len(sums[c]) - 1) for c, _, outcome in known])


def actions(run: Mapping[str, Any]) -> str:
    """What a run did, in words: the tools it called, in order, whether one reported an error, and its length in tens."""
    said: list[str] = []
    for message in run["messages"]:
        said += [
            str(call.get("name") or call["function"]["name"]).replace("_", "") for call in message["tool_calls"] or []
        ]
        if message["role"] == "tool" and str(message["content"]).startswith("Error"):
            said.append("error")
    return " ".join([*dict.fromkeys(said), f"{'x' * (len(run['messages']) // 10)}long"])


def brier(rates: np.ndarray, truth: np.ndarray) -> float:
    """Mean squared difference between probabilities and outcomes (Brier 1950)."""
    return float(np.mean((rates - truth) ** 2))


def calibration(rates: np.ndarray, truth: np.ndarray) -> list[dict[str, float]]:
    """Mean prediction and share of successes in each fifth of the probabilities."""
    cells = np.minimum((rates * CELLS).astype(int), CELLS - 1)
    return [
        {
            "runs": int((cells == c).sum()),
            "predicted": float(rates[cells == c].mean()),
            "came": float(truth[cells == c].mean()),
        }
        for c in range(CELLS)
        if (cells == c).any()
    ]


if __name__ == "__main__":
    import sys

    print(json.dumps(measure(Path(sys.argv[1])), indent=2))
