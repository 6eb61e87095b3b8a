"""Reading a novel for the first time: what episodic memory is worth to a brain trained on three others.

Nothing is chosen on the novel that is read; it is scored word by word, remembering only what was already read.
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

import torch

from benchmarks.common import data_file, record, spread
from engram_model.config import TrainingConfig, sized
from engram_model.learning import Learning, prepare
from engram_model.reading import read, target_log_probs
from engram_model.text import read_text, texts

NOVELS = ("alice_in_wonderland", "frankenstein", "pride_and_prejudice", "the_time_machine")
SURPRISING = 1.5


def run(arguments: argparse.Namespace) -> None:
    """Train on all novels but one, read that one, and record perplexity with episodes off and on."""
    unseen = arguments.novel
    paths = [data_file(arguments.data, "books", f"{name}.txt") for name in NOVELS if name != unseen]
    rows: dict[str, list[float]] = {}
    about: dict[str, Any] = {}
    for seed in range(arguments.seeds):
        training = TrainingConfig(seed=seed, epochs=arguments.epochs)
        learning = Learning(prepare(paths, sized("small"), training), sized("small"), training)
        learning.run(on_epoch=lambda report: print(report, file=sys.stderr, flush=True))
        mind = learning.finish().mind
        raw = read_text(data_file(arguments.data, "books", f"{unseen}.txt"))
        story = [mind.vocabulary.encode(text).numpy() for text in texts(raw)]
        reading = read(mind, story)
        off = -target_log_probs(mind, reading)
        everything = torch.ones(len(reading), dtype=torch.bool)
        means = off.cumsum(0) / torch.arange(1, len(off) + 1)
        found = {
            "episodes off": off,
            "remembering everything read": -target_log_probs(mind, reading, remember=everything),
            "remembering surprising moments": -target_log_probs(mind, reading, remember=off >= SURPRISING * means),
            "Kneser-Ney 5-gram": -torch.from_numpy(learning.lesson.phrases.score_texts(story).probs).log(),
        }
        for name, losses in found.items():
            rows.setdefault(name, []).append(math.exp(float(losses.mean())))
            print(f"seed {seed}: {name:35s} {rows[name][-1]:8.2f}", file=sys.stderr, flush=True)
        about = {
            "words_read": len(reading),
            "words_learned": learning.lesson.words(),
            "vocabulary": len(mind.vocabulary),
            "epochs": learning.trainer.progress.epoch,
        }
    gains = [1 - on / off for on, off in zip(rows["remembering everything read"], rows["episodes off"], strict=True)]
    record(
        f"novels_{unseen}",
        {
            "seeds": arguments.seeds,
            "perplexity": {n: spread(v) for n, v in rows.items()},
            "episodes_lower_perplexity_by": spread(gains),
            **about,
        },
    )
