"""All measurements of the agents' memory, each beside a baseline of the same run; one record.

It must not know how any of them is made.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import (
    agent_conversations,
    agent_failures,
    agent_logs,
    agent_prediction,
    agent_router,
    agent_search,
    agent_secrets,
    agent_simulation,
    agent_speed,
    agent_writers,
)
from benchmarks.common import RESULTS, commit, record

PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "search": agent_search.measure,
    "conversations": agent_conversations.measure,
    "router": agent_router.measure,
    "grouping": agent_logs.measure,
    "prediction": agent_prediction.measure,
    "failures": agent_failures.measure,
    "simulation": agent_simulation.measure,
    "secrets": lambda _: agent_secrets.measure(),
    "writers": lambda _: agent_writers.measure(),
    "speed": agent_speed.measure,
}


def run(arguments: argparse.Namespace) -> None:
    """Measure every part, or those that are named; the record is written anew after each."""
    path = RESULTS / "agent.json"
    known = json.loads(path.read_text(encoding="utf-8"))["parts"] if path.exists() else {}
    for name in arguments.part or PARTS:
        began = time.perf_counter()
        found = PARTS[name](arguments.data or Path("data"))
        seconds = time.perf_counter() - began
        known[name] = {"figures": found, "commit": commit(), "seconds": round(seconds, 1)}
        record("agent", {"parts": known})
        print(f"{name}: {seconds:.0f} s", file=sys.stderr, flush=True)
