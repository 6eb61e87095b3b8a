"""What `eval_brain.py` finds: runs all measures on one brain and gathers them in one report of plain values.

It must not know how a prediction is made, nor how the report is laid out on a screen or drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from engram_model import coherence, evaluation
from engram_model.config import GenerationConfig, TrainingConfig
from engram_model.corpus import WordIds
from engram_model.engram import Engram
from engram_model.errors import ConfigError, TextError
from engram_model.learning import prepare
from engram_model.material import Material, load
from engram_model.questions import TEMPERATURE, Question, ask, load_questions
from engram_scripts.figures import coherence_report, predictions_report
from engram_scripts.tables import show
from engram_scripts.train_view import default_paths

SEED = 0


def evaluate(arguments: argparse.Namespace) -> int:
    """Run one evaluation as the command line says; returns the exit code."""
    began = time.perf_counter()
    questions = load_questions(arguments.questions) if arguments.questions else []
    _check_outputs(arguments)
    engram = Engram.load(arguments.brain, arguments.chroma)
    try:
        found = _measure(engram, arguments, questions)
    finally:
        engram.close()
    found["seconds"] = round(time.perf_counter() - began, 1)
    on_stdout = arguments.json == "-"
    print(show(found), file=sys.stderr if on_stdout else sys.stdout)
    if arguments.plots:
        from engram_scripts.plots import draw_all

        draw_all(found, arguments.plots)
    if arguments.json:
        _write(found, arguments.json)
    return 0


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Fail before the work rather than after it.

    Raises:
        ConfigError: A place to write to is not there.
    """
    if arguments.json and arguments.json != "-" and not Path(arguments.json).resolve().parent.is_dir():
        raise ConfigError(f"--json {arguments.json}: its folder does not exist; make it first")
    if arguments.plots:
        try:
            arguments.plots.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"--plots {arguments.plots}: {error.strerror}; give a folder to write to") from error


def _write(found: dict[str, Any], where: str) -> None:
    content = json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False)
    if where == "-":
        print(content)
        return
    beside = Path(where + ".part")
    with beside.open("w", encoding="utf-8") as file:
        file.write(content + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, where)


@contextmanager
def _bar(total: int, unit: str, what: str) -> Iterator[Callable[[int], None]]:
    """A progress bar with the time left, on a terminal only."""
    with tqdm(
        total=total, unit=f" {unit}", unit_scale=total > 10_000, desc=what, dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
    ) as bar:  # fmt: skip

        def advance(count: int) -> None:
            bar.update(count)

        yield advance


def _measure(engram: Engram, arguments: argparse.Namespace, questions: list[Question]) -> dict[str, Any]:
    """The whole report."""
    pretokenized = evaluation.pretokenized(engram)
    words = engram.vocabulary
    material = load(arguments.text, words, pretokenized, arguments.limit)
    fitting = load(arguments.baseline_text, words, pretokenized).ids if arguments.baseline_text else None
    learned, source = _learned(engram, arguments.train_text, pretokenized)
    with _bar(material.words, "words", "reading") as advance:
        scores = evaluation.score(engram.mind, material.ids, engram.episodes, advance)
    found = _frame(engram, arguments, material) | predictions_report(engram, material, scores)
    with _bar(coherence.PROMPTS, "replies", "replying") as advance:
        found["coherence"] = coherence_report(engram, material, fitting, learned, SEED, advance)
    found["coherence"]["learned_text"] = source
    with _bar(2 * len(questions), "questions", "asking") as advance:
        asked, alone = (ask(engram, questions, SEED, advance, lessons) for lessons in (True, False))
    found["questions"] = {
        "temperature": TEMPERATURE,
        "lessons": len(engram.lessons),
        "share_answered": sum(one.answered for one in asked) / len(asked),
        "share_answered_without_lessons": sum(one.answered for one in alone) / len(asked),
        "asked": [asdict(one) for one in asked],
    } if asked else None  # fmt: skip
    return found


def _learned(engram: Engram, paths: list[Path] | None, pretokenized: bool) -> tuple[list[WordIds] | None, str]:
    """The texts the brain learned, and what they are: files named by the user, or the shipped text if it is that."""
    if paths:
        return list(load(paths, engram.vocabulary, pretokenized).ids), ", ".join(map(str, paths))
    try:
        training = TrainingConfig.from_mapping(engram.manifest["training"])
        lesson = prepare(default_paths(), engram.mind.brain.config, training)
    except (TextError, ConfigError, KeyError):
        return None, "n/a: the shipped text is not there; name the training text with --train-text"
    if lesson.fingerprint != engram.manifest.get("data_fingerprint"):
        return None, "n/a: this brain did not learn the shipped text; name its training text with --train-text"
    return list(lesson.learned), "the shipped text"


def _frame(engram: Engram, arguments: argparse.Namespace, material: Material) -> dict[str, Any]:
    """What was evaluated, by what, how."""
    manifest = engram.manifest
    return {
        "command": shlex.join(["uv", "run", "eval_brain.py", *sys.argv[1:]]),
        "seconds": 0.0,
        "seed": SEED,
        "machine": {
            "processor": platform.machine(), "threads": torch.get_num_threads(),
            "python": platform.python_version(), "torch": torch.__version__,
        },
        "brain": {
            "directory": str(arguments.brain),
            "data_fingerprint": manifest.get("data_fingerprint"),
            "generation": manifest.get("generation"),
            "settings": manifest.get("brain"),
            "training": manifest.get("training"),
            "figures": manifest.get("figures"),
            "vocabulary": len(engram.vocabulary),
            "stored_episodes": len(engram.episodes),
            "halting_thresholds": [max(t, -1e9) for t in engram.mind.brain.halt.thresholds.tolist()],
        },
        "generation": asdict(GenerationConfig(seed=SEED)),
        "text": {
            "files": [str(path) for path in arguments.text],
            "limit": arguments.limit,
            "texts": len(material.ids),
            "words": material.words,
            "bytes": material.size,
            "unknown_words": material.unknown,
            "has_dialogues": material.has_dialogues,
        },
    }  # fmt: skip
