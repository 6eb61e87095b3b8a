"""The settings of the default size, chosen again on the shipped text: one is changed at a time.

They are judged by perplexity on the held-out part of the training text. The held-out stories and questions stand beside it; they
chose nothing. One brain is trained on each core at a time.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import perplexity, record, spread
from engram_model.config import TrainingConfig, sized
from engram_model.learning import learn
from engram_model.questions import ask, load_questions
from engram_model.text import read_text, texts
from engram_scripts.train_view import default_paths

HELD_OUT = Path(__file__).resolve().parent.parent / "corpus" / "heldout"

VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as shipped": ({}, {}),
    "dropout 0.1": ({"dropout": 0.1}, {}),
    "dropout 0.3": ({"dropout": 0.3}, {}),
    "weight decay 0.3": ({}, {"weight_decay": 0.3}),
    "6 passes": ({}, {"epochs": 6}),
    "11 passes": ({}, {"epochs": 11}),
    "table of 4,999 slots": ({"ngram_table_size": 4_999}, {}),
    "table of 99,991 slots": ({"ngram_table_size": 99_991}, {}),
}


def run(arguments: argparse.Namespace) -> None:
    """Train each variant with each seed; the record is written anew after each."""
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in VARIANTS}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        runs = {pool.submit(measured, name, seed): name for seed in range(arguments.seeds) for name in VARIANTS}
        for done in as_completed(runs):
            for figure, value in done.result().items():
                rows[runs[done]].setdefault(figure, []).append(value)
            print(runs[done], done.result(), file=sys.stderr, flush=True)
            table = {name: {key: spread(found) for key, found in row.items()} for name, row in rows.items() if row}
            record("settings", {"seeds": arguments.seeds, "settings": table})


def measured(name: str, seed: int) -> dict[str, float]:
    """What one variant reaches, on one core."""
    torch.set_num_threads(1)
    shape, changes = VARIANTS[name]
    engram = learn(default_paths(), sized("small", **shape), TrainingConfig(seed=seed, **changes))
    stories = [engram.vocabulary.encode(text).tolist() for text in texts(read_text(HELD_OUT / "stories.txt"))]
    asked = ask(engram, load_questions(HELD_OUT / "questions.jsonl"), seed)
    return {
        "held-out part": engram.manifest["figures"]["perplexity"],
        "held-out stories": perplexity(engram.mind, stories)[0],
        "questions answered": sum(one.answered for one in asked) / len(asked),
    }
