"""Test perplexity on TinyStories: the brain beside a Kneser-Ney 5-gram and a plain GPT-2 stack, part by part.

Everything is chosen on the training part; `test.txt` is read once, at the end.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from typing import Any

import numpy as np
import torch

from benchmarks import gpt2
from benchmarks.common import data_file, loops_by_surprise, perplexity, record, spread
from engram_model.config import TrainingConfig, sized
from engram_model.corpus import Corpus
from engram_model.learning import Learning, prepare
from engram_model.text import read_text, texts


def run(arguments: argparse.Namespace) -> None:
    """Train and score everything for each seed; the record is written anew after each part."""
    train_file = data_file(arguments.data, "tinystories", "train.txt")
    test_file = data_file(arguments.data, "tinystories", "test.txt")
    rows: dict[str, list[float]] = {}
    loops: dict[str, list[float]] = {}
    about: dict[str, Any] = {}

    def note(seed: int, found: dict[str, float]) -> None:
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
            print(f"seed {seed}: {name:45s} {value:8.2f}", file=sys.stderr, flush=True)
        table = {name: spread(values) for name, values in rows.items()}
        taken = {name: spread(values) for name, values in loops.items()}
        record("tinystories", {"seeds": seed + 1, "test_perplexity": table, "loops": taken, **about})

    for seed in range(arguments.seeds):
        training = TrainingConfig(seed=seed, epochs=arguments.epochs, minutes=None)
        shape = sized("small")
        lesson = prepare([train_file], shape, training)
        test = [lesson.vocabulary.encode(text).tolist() for text in texts(read_text(test_file))]
        found, pondered, told = _brain_rows(Learning(lesson, shape, training), test, seed)
        for name, value in pondered.items():
            loops.setdefault(name, []).append(value)
        about = told | about
        note(seed, found | {"Kneser-Ney 5-gram": lesson.phrases.perplexity([np.array(text) for text in test])})
        if not arguments.skip_gpt2:
            corpus, held_out, size = Corpus(lesson.learned), Corpus(lesson.held_out), len(lesson.vocabulary)
            about.setdefault("gpt2_rate", _tune(corpus, held_out, size, training) if seed == 0 else None)
            base = gpt2.train(corpus, held_out, size, shape, training, told["epochs"], about["gpt2_rate"])
            about.setdefault("gpt2_parameters", sum(p.numel() for p in base.model.parameters()))
            note(seed, {"plain GPT-2 stack": math.exp(gpt2.evaluate(base.model, Corpus(test)))})


def _brain_rows(
    learning: Learning, test: list[list[int]], seed: int
) -> tuple[dict[str, float], dict[str, float], dict[str, Any]]:
    """Perplexities, loops taken, and what else is to be known of the training."""
    began = time.perf_counter()
    learning.run(on_epoch=lambda report: print(f"seed {seed}: {report}", file=sys.stderr, flush=True))
    mind = learning.finish().mind
    minutes = (time.perf_counter() - began) / 60
    found: dict[str, float] = {}
    found["Engram"], mean_loops = perplexity(mind, test)
    found["Engram, remembering what it reads"] = perplexity(mind, test, remember=True)[0]
    found["Engram, phrase memory off"] = perplexity(mind, test, ngram=False)[0]
    most = mind.brain.config.max_ponder
    for loops in range(1, most + 1):
        found[f"Engram, always {loops} loop{'s' if loops > 1 else ''}"] = perplexity(mind, test, loops=loops)[0]
    progress = learning.trainer.progress
    about = {
        "epochs": progress.epoch,
        "minutes": minutes,
        "threads": torch.get_num_threads(),
        "parameters": sum(p.numel() for p in mind.brain.parameters()),
        "vocabulary": len(mind.vocabulary),
        "words_per_second": progress.words / progress.seconds,
        "words_learned": learning.lesson.words(),
        "test_words": sum(map(len, test)),
    }
    return found, {"all words": mean_loops} | loops_by_surprise(mind, test), about


def _tune(corpus: Corpus, held_out: Corpus, words: int, training: TrainingConfig) -> float:
    """The learning rate with the best held-out loss after one whole pass."""
    losses = {
        rate: gpt2.train(corpus, held_out, words, sized("small"), training, 1, rate).held_out for rate in gpt2.RATES
    }
    print(f"GPT-2 held-out loss by learning rate: {losses}", file=sys.stderr, flush=True)
    return min(losses, key=lambda rate: losses[rate])
