"""Grouping of log lines by the statement that wrote them: labelled lines of loghub (Zhu et al. 2023), system by system.

It must not know how lines are grouped.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import data_file
from engram_agent.signatures import group


def measure(data: Path) -> dict[str, Any]:
    """Grouping accuracy of each system (share of lines whose group is exactly the true one), and two plain rules beside.

    Args:
        data: Folder that holds logs/*.csv.
    """
    rules: dict[str, Callable[[Sequence[str]], Sequence[Any]]] = {
        "signatures": group,
        "numbers masked": lambda lines: [re.sub(r"\d+", "<*>", line) for line in lines],
        "same text": list,
    }
    systems: dict[str, dict[str, float]] = {}
    for path in sorted(data_file(data, "logs").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        messages, events = [row["message"] for row in rows], [row["event_id"] for row in rows]
        systems[path.stem] = {name: accuracy(rule(messages), events) for name, rule in rules.items()}
    mean = {name: float(np.mean([each[name] for each in systems.values()])) for name in rules}
    return {"systems": systems, "mean": mean}


def accuracy(groups: Sequence[Any], events: Sequence[str]) -> float:
    """Share of lines whose group holds exactly the lines of their event (He et al. 2016, "grouping accuracy")."""
    inside: dict[Any, Counter[str]] = defaultdict(Counter)
    for found, event in zip(groups, events, strict=True):
        inside[found][event] += 1
    size = Counter(events)
    right = sum(
        sum(counts.values())
        for counts in inside.values()
        if len(counts) == 1 and sum(counts.values()) == size[next(iter(counts))]
    )
    return right / len(events)
