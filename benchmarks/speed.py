"""Words a second: training beside the plain GPT-2 stack, generation with everything on, and what size costs.

All figures of one run, on one machine, nothing else running.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from benchmarks import gpt2
from benchmarks.common import data_file, record
from engram_model.config import GenerationConfig, TrainingConfig, sized
from engram_model.corpus import Corpus
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.generation import Reader, draw
from engram_model.learning import Learning, Lesson, prepare
from engram_model.lessons import RECOLLECTED
from engram_model.text import SPECIALS
from engram_model.training import Trainer

WARM, STEPS = 3, 25
WORDS = 150
ROUNDS = 5


def run(arguments: argparse.Namespace) -> None:
    """Measure and record everything."""
    path = data_file(arguments.data, "tinystories", "train.txt")
    shape, training = sized("small"), TrainingConfig(epochs=1)
    lesson = prepare([path], shape, training)
    corpus = Corpus(lesson.learned)
    speeds: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, loops in (("training, one loop", 1), ("training, default loops", None)):
            speeds.setdefault(name, []).append(_training_speed(lesson, corpus, training, loops))
        speeds.setdefault("training, plain GPT-2 stack", []).append(_gpt2_speed(lesson, corpus, training))
    steps = {
        f"generation, {words:,} words and {moments:,} episodes": _speaker(Engram.load(arguments.brain), words, moments)
        for words, moments in ((5_000, 1_000), (50_000, 100_000))
    }
    for _ in range(ROUNDS):
        for name, step in steps.items():
            speeds.setdefault(name, []).append(_timed(step, WORDS))
    figures = {name: statistics.median(values) for name, values in speeds.items()}
    for name, value in figures.items():
        print(f"{name:55s} {value:10,.0f} words/s", file=sys.stderr)
    record("speed", {"threads": torch.get_num_threads(), "rounds": ROUNDS, "words_per_second": figures})


def _timed(step: Callable[[], int], steps: int = STEPS) -> float:
    for _ in range(WARM):
        step()
    began = time.perf_counter()
    words = sum(step() for _ in range(steps))
    return words / (time.perf_counter() - began)


def _training_speed(lesson: Lesson, corpus: Corpus, training: TrainingConfig, loops: int | None) -> float:
    learner = Learning(lesson, sized("small"), training).learner
    trainer = Trainer(learner, corpus, None, training, 1, loops)
    learner.train()
    batches = corpus.shuffled(torch.Generator().manual_seed(0), trainer.rows, training.row_words)

    def step() -> int:
        batch = next(batches)
        trainer.step(batch)
        return batch.inputs.numel()

    return _timed(step)


def _gpt2_speed(lesson: Lesson, corpus: Corpus, training: TrainingConfig) -> float:
    steps = WARM + STEPS
    return gpt2.train(corpus, None, len(lesson.vocabulary), sized("small"), training, 1, 1e-3, steps).words_per_second


def _grow(engram: Engram, words: int, moments: int, generator: torch.Generator) -> EpisodicMemory:
    """Fill the vocabulary up to so many words and a memory with so many moments near the words' vectors."""
    vocabulary = engram.vocabulary
    rare = float(vocabulary.resting[len(SPECIALS) :].min())
    for number in range(len(vocabulary), words):
        vocabulary.add(f"word{number}", torch.randn(vocabulary.dim, generator=generator), resting=rare)
    memory = EpisodicMemory(vocabulary.dim)
    ids = torch.randint(len(SPECIALS), len(vocabulary), (moments, 5), generator=generator)
    keys = F.normalize(
        vocabulary.vectors[ids[:, 0]] + 0.1 * torch.randn(moments, vocabulary.dim, generator=generator), dim=-1
    )
    for key, row in zip(keys, ids.tolist(), strict=True):
        context = vocabulary.decode(row[1:])
        memory.add(
            key=key,
            next_word=vocabulary.decode(row[:1])[0],
            next_id=row[0],
            context=context,
            context_ids=row[1:],
            surprise=3.0,
            conversation="speed",
        )
    return memory


def _speaker(engram: Engram, words: int, moments: int) -> Callable[[], int]:
    """What says one word, with everything on, when there are so many words and episodes."""
    generator = torch.Generator().manual_seed(0)
    memory = _grow(engram, words, moments, generator)
    config = GenerationConfig()
    reader = Reader(engram.mind, memory, config)
    lessons = [word for read in engram.lessons.exchanges[:RECOLLECTED] for word in read.text]
    if lessons:
        ids = engram.vocabulary.encode(lessons).tolist()
        reader.read(ids)
        reader.learn_again(ids)
        reader.recollects = True

    def step() -> int:
        prediction = reader.predict()
        word = draw(prediction.probs[0], config, generator)
        reader.think(word, prediction)
        reader.advance(word)
        return 1

    return step
