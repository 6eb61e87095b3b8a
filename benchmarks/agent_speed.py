"""How long storing and searching takes, in memories of ten and of a hundred thousand records, and how long the program starts.

It must not know what makes it fast.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import data_file
from engram_agent.memory import Memory
from engram_agent.records import Record

SIZES = (10_000, 100_000)
ASKED = 200
STORED = 200
STARTS = 15


def measure(data: Path) -> dict[str, Any]:
    """Milliseconds (median and 95th percentile) of a search and of a store at each size; seconds of `engram --version`.

    Records are sentences of the novels, three in a row; what is asked are the rarer words of others.
    """
    text = " ".join(path.read_text(encoding="utf-8") for path in sorted(data_file(data, "books").glob("*.txt")))
    words = text.split()
    found: dict[str, Any] = {"command_start_s": _start()}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder, Memory(Path(folder) / "m.db") as memory:
            _fill(memory, words, size)
            rng = random.Random(13)
            memory.search("warm the caches once")
            asked = [" ".join(rng.choices(words, k=9)) for _ in range(ASKED)]
            searches = [_timed(lambda query=query: memory.search(query)) for query in asked]
            told = [" ".join(rng.choices(words, k=40)) for _ in range(STORED)]
            stores = [_timed(lambda said=said: memory.store(said, "noted", "done")) for said in told]
            found[str(size)] = {"search_ms": _spread(searches), "store_ms": _spread(stores)}
    return found


def _fill(memory: Memory, words: Sequence[str], size: int) -> None:
    """Store so many records in one transaction."""
    rng = random.Random(7)
    with memory.records.database.transaction():
        for number in range(size):
            at = rng.randrange(len(words) - 60)
            context, action, result = (" ".join(words[at + start : at + start + 20]) for start in (0, 20, 40))
            memory.records.put(
                Record(
                    id=f"m{number}", agent_id="default", memory_type="context", context=context, action=action,
                    result=result, created_at=float(number), updated_at=float(number),
                )
            )  # fmt: skip


def _timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "p95": float(np.quantile(values, 0.95))}


def _start() -> dict[str, float]:
    command = [sys.executable, "-m", "engram_agent", "--help"]
    taken = [_timed(lambda: subprocess.run(command, capture_output=True, check=True)) / 1e3 for _ in range(STARTS)]
    return _spread(taken)
