"""What all benchmarks share: where data lies, how a result is recorded, how loss on a text is taken.

It must not know what any benchmark measures.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engram_model.corpus import WordIds
from engram_model.errors import EngramError
from engram_model.mind import Mind
from engram_model.reading import read, target_log_probs

RESULTS = Path(__file__).parent / "results"
SOURCES = {
    "tinystories": "TinyStories (Eldan & Li 2023), on the Hugging Face hub as roneneldan/TinyStories",
    "multihop": "MuSiQue (Trivedi et al. 2022) and 2WikiMultiHopQA (Ho et al. 2020), as their authors' repositories give them",
    "logs": "loghub (Zhu et al. 2023), 2,000 labelled lines of each system, as its repository gives them",
    "trajectories": "tau-bench (Yao et al. 2024), historical trajectories of its airline tasks, in its repository",
    "books": "Project Gutenberg: The Time Machine, Pride and Prejudice, Frankenstein, Alice in Wonderland",
}


class DataError(EngramError):
    """A benchmark's data is not where it was said to be."""

    exit_code = 2


def data_file(folder: Path | None, *parts: str) -> Path:
    """A file of a benchmark's data.

    Raises:
        DataError: if it is not there; the message names the file and where the data set is to be had.
    """
    path = (folder or Path("data")).joinpath(*parts)
    if not path.exists():
        raise DataError(f"{path} is missing; give --data DIR with it inside ({SOURCES.get(parts[0], parts[0])})")
    return path


def perplexity(
    mind: Mind, texts: Sequence[WordIds], *, loops: int | None = None, **switches: Any
) -> tuple[float, float]:
    """Perplexity of texts and the mean number of loops.

    Args:
        mind: Who reads.
        texts: Word ids of each text.
        loops: A fixed number of loops, or None for the learned halting.
        switches: `ngram=False` leaves the whole phrase memory out, `counts=False` its counts only;
            `remember=True` remembers all that is read.
    """
    reading = read(mind, texts, loops=loops, ngram=switches.get("ngram", True))
    if not switches.pop("counts", True):
        switches["ngram"] = False
    if switches.pop("remember", False):
        switches["remember"] = torch.ones(len(reading), dtype=torch.bool)
    loss = -float(target_log_probs(mind, reading, **switches).mean())
    return math.exp(loss), float(reading.loops.double().mean())


def loops_by_surprise(mind: Mind, texts: Sequence[WordIds]) -> dict[str, float]:
    """Mean loops of the tenth of words that were the least and the most surprising after all loops."""
    most = mind.brain.config.max_ponder
    order = target_log_probs(mind, read(mind, texts, loops=most)).argsort(descending=True)
    taken, tenth = read(mind, texts).loops.double()[order], len(order) // 10
    return {
        "least surprising tenth": float(taken[:tenth].mean()),
        "most surprising tenth": float(taken[-tenth:].mean()),
    }


def record(name: str, figures: dict[str, Any]) -> Path:
    """Write a result with the command, commit and machine it came from; returns the file."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {
        "benchmark": name,
        "command": "python -m benchmarks.run " + " ".join(a for a in sys.argv[1:] if not a.startswith(("/", ".."))),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        **figures,
    }
    beside = path.with_suffix(".part")
    beside.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(beside, path)
    return path


def commit() -> str:
    """The commit that was measured, with + where files other than results had changed since."""
    short = _git("rev-parse", "--short", "HEAD").stdout.strip()
    changed = _git("diff", "--quiet", "HEAD", "--", ":/", ":(exclude)results").returncode
    return f"{short}{'+' * bool(changed)}" if short else "unknown"


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)


def machine() -> dict[str, Any]:
    """What the figures of speed depend on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "torch": torch.__version__}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Mean and standard deviation over seeds."""
    return {"mean": float(np.mean(values)), "std": float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}
