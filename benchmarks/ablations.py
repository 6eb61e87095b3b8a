"""What each part of the brain is worth: the same training without it, on TinyStories, beside the whole.

Scored on `valid.txt`, which no training sees; `test.txt` is left for the one comparison that counts.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from benchmarks.common import data_file, perplexity, record, spread
from engram_model.config import BrainConfig, TrainingConfig, sized
from engram_model.learning import Learning, prepare
from engram_model.text import read_text, texts

PASSES = 3
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "everything": ({}, {}),
    "trained for one loop": ({"max_ponder": 1}, {}),
    "trained without learned phrase rows": ({"ngram_dim": 0}, {}),
    "trained without weighting surprise": ({}, {"surprise_strength": 0.0}),
}


def run(arguments: argparse.Namespace) -> None:
    """Train each variant with each seed; the record is written anew after each."""
    train_file = data_file(arguments.data, "tinystories", "train.txt")
    valid = read_text(data_file(arguments.data, "tinystories", "valid.txt"))
    rows: dict[str, list[float]] = {}
    passes = arguments.epochs or PASSES
    for seed in range(arguments.seeds):
        for name, (shape, changes) in VARIANTS.items():
            training = TrainingConfig(seed=seed, epochs=passes, **changes)
            found = _variant(sized("small", **shape), training, train_file, valid)
            for switch, value in found.items():
                rows.setdefault(f"{name}{switch}", []).append(value)
                print(f"seed {seed}: {name + switch:60s} {value:8.2f}", file=sys.stderr, flush=True)
            table = {row: spread(values) for row, values in rows.items()}
            record("ablations", {"seeds": seed + 1, "epochs": passes, "valid_perplexity": table})


def _variant(shape: BrainConfig, training: TrainingConfig, train_file: Any, valid: str) -> dict[str, float]:
    lesson = prepare([train_file], shape, training)
    story = [lesson.vocabulary.encode(text).tolist() for text in texts(valid)]
    learning = Learning(lesson, shape, training)
    learning.run()
    mind = learning.finish().mind
    return {"": perplexity(mind, story)[0], ", brain alone": perplexity(mind, story, counts=False)[0]}
