"""What `ingest.py` shows: the plan, a bar with time left, held-out perplexity beside the baseline, the table, replies.

It must not know how training works inside.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from engram_model import checkpoint
from engram_model.config import BrainConfig, GenerationConfig, TrainingConfig, sized
from engram_model.engram import Engram
from engram_model.errors import BrainError, StoreError, TextError
from engram_model.learning import Learning, prepare
from engram_model.stores import Store
from engram_model.training import EpochReport, StepReport
from engram_scripts.common import INTERRUPTED, paint, table

PROMPTS = ("hello", "what is your name", "who bakes the bread", "what is the capital of france")
STARTS = ("once upon a time", "one day", "the", "i")
FIT_EVERY = 25
RESERVE = 0.9


def default_paths() -> list[Path]:
    """The shipped text: training_data.txt and corpus/*.txt beside the scripts, as far as they are there."""
    home = Path(__file__).resolve().parent.parent
    found = [home / "training_data.txt", *sorted((home / "corpus").glob("*.txt"))]
    found = [path for path in found if path.exists()]
    if not found:
        raise TextError("the shipped text (training_data.txt, corpus/*.txt) is missing; name files with --text")
    return found


def settings(arguments: argparse.Namespace, start: Engram | None) -> tuple[BrainConfig, TrainingConfig]:
    """The settings of this run: the size dial (or the brain that learns on), overridden by name."""
    given = vars(arguments)
    shape = {field.name: given.get(field.name) for field in fields(BrainConfig)}
    brain = start.mind.brain.config.override(**shape) if start else sized(arguments.size, **shape)
    training = TrainingConfig().override(**{f.name: given.get(f.name) for f in fields(TrainingConfig)})
    return brain, training


class Interrupt:
    """Turns the first Ctrl-C or SIGTERM into a request to stop after the present step; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _ask(self, *_: object) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def train(arguments: argparse.Namespace) -> int:
    """Run one training as the command line says; returns the exit code."""
    out = sys.stderr if arguments.json else sys.stdout
    if arguments.chroma:
        Store.open(arguments.chroma).close()  # known before hours of training, not after them
    known = _present(arguments) if arguments.learn_on or checkpoint.exists(arguments.brain) else None
    start = known if arguments.learn_on else None
    brain, training = settings(arguments, start)
    paths = arguments.text or default_paths()
    print(f"reading {len(paths)} file{'s' if len(paths) > 1 else ''} ...", file=out, flush=True)
    lesson = prepare(paths, brain, training, start)
    learning = Learning(lesson, brain, training, start)
    state_file = arguments.brain / checkpoint.TRAINING_STATE
    if arguments.resume:
        if not state_file.exists():
            raise BrainError(f"there is no broken-off training in {arguments.brain}; leave --resume out")
        learning.restore(checkpoint.read_tensors(state_file))
    _describe(learning, out)
    save_state = _saver(learning, state_file)
    with Interrupt() as interrupt:
        finished = _run(learning, interrupt, save_state, out)
        if not finished:
            return _break_off(arguments, learning, save_state, out)
        save_state()  # should the store be gone or the disk full, --resume has only the last step left
        print("setting scale and gates on held-out text ...", file=out, flush=True)
        engram = learning.finish(known)
        engram.save(arguments.brain, arguments.chroma)
    state_file.unlink(missing_ok=True)
    _conclude(engram, arguments, out)
    engram.close()
    return 0


def _present(arguments: argparse.Namespace) -> Engram:
    """The brain that is there; with --chroma its words may be elsewhere yet, and move to that server with the save."""
    try:
        try:
            return Engram.load(arguments.brain, arguments.chroma)
        except StoreError:
            if not arguments.chroma:
                raise
            return Engram.load(arguments.brain)
    except (BrainError, StoreError) as error:
        if arguments.learn_on:
            raise
        raise type(error)(f"{error} (to train anew, move {arguments.brain} away or choose another --brain)") from error


def _saver(learning: Learning, state_file: Path) -> Callable[[], None]:
    return lambda: checkpoint.write_tensors(state_file, learning.state())


def _describe(learning: Learning, out: TextIO) -> None:
    trainer, lesson = learning.trainer, learning.lesson
    held = sum(map(len, lesson.held_out))
    print(
        f"{lesson.words():,} words to learn, {held:,} held out, vocabulary {len(lesson.vocabulary):,}; "
        f"{trainer.epochs} passes, {trainer.progress.total_steps:,} steps",
        file=out,
    )
    if learning.baseline is not None:
        print(f"modified Kneser-Ney 5-gram on the held-out words: perplexity {learning.baseline:.2f}", file=out)


def _run(learning: Learning, interrupt: Interrupt, save_state: Callable[[], None], out: TextIO) -> bool:
    trainer, minutes = learning.trainer, learning.training.minutes
    smooth = {"loss": 0.0}
    step_words = trainer.rows * learning.training.row_words
    bar = tqdm(
        total=trainer.progress.total_steps * step_words,
        initial=trainer.progress.step * step_words,
        unit=" words",
        unit_scale=True,
        file=out,
        dynamic_ncols=True,
        desc="training",
        mininterval=0.5 if out.isatty() else 30.0,
    )

    def on_step(report: StepReport) -> None:
        smooth["loss"] = report.loss if not smooth["loss"] else 0.95 * smooth["loss"] + 0.05 * report.loss
        if minutes and report.step % FIT_EVERY == 0:
            trainer.limit_seconds(60.0 * minutes * RESERVE)
            bar.total = trainer.progress.total_steps * step_words
        bar.update(step_words)
        bar.set_postfix_str(
            f"loss {smooth['loss']:.3f}, perplexity {math.exp(min(smooth['loss'], 20)):.1f}", refresh=False
        )

    def on_epoch(report: EpochReport) -> None:
        save_state()  # before it is shown: what was seen to end survives any kill
        tqdm.write(_pass_line(report, learning.baseline, out), file=out)

    with bar:
        return trainer.run(on_step, on_epoch, lambda: interrupt.asked)


def _pass_line(report: EpochReport, baseline: float | None, out: TextIO) -> str:
    if report.held_out is None or baseline is None:
        return f"pass {report.epoch} saved"
    mark = paint("kept", "32", out) if report.best else "no better"
    found = math.exp(report.held_out)
    return f"pass {report.epoch}: held-out perplexity {found:.2f} (Kneser-Ney {baseline:.2f}), {mark}"


def _break_off(arguments: argparse.Namespace, learning: Learning, save_state: Callable[[], None], out: TextIO) -> int:
    save_state()
    if not checkpoint.exists(arguments.brain):
        engram = learning.finish()
        engram.save(arguments.brain, arguments.chroma)
        engram.close()
    command = " ".join([*sys.argv, *([] if arguments.resume else ["--resume"])])
    print(f"broken off and saved; go on with: uv run {command}", file=out)
    return INTERRUPTED


def _conclude(engram: Engram, arguments: argparse.Namespace, out: TextIO) -> None:
    figures = engram.manifest["figures"]
    replies = four_replies(engram)
    rows = [
        ("held-out perplexity", _shown(figures["perplexity"])),
        ("  of a Kneser-Ney 5-gram", _shown(figures["kneser_ney_perplexity"])),
        ("parameters of the brain", f"{figures['parameters']:,}"),
        ("words it knows", f"{figures['vocabulary']:,}"),
        ("mean loops", f"{figures['mean_loops']:.2f}"),
        ("words a second", f"{figures['words_per_second']:,}"),
        ("time", f"{figures['seconds'] / 60:.1f} min"),
    ]
    print("\n" + table(rows) + "\n", file=out)
    for prompt, reply in replies:
        print(f"{paint('you', '36', out)}     {prompt}\n{paint('engram', '35', out)}  {reply}", file=out)
    print(f"\nsaved to {arguments.brain}; talk to it: uv run test_brain.py --brain {arguments.brain}", file=out)
    if arguments.json:
        print(json.dumps({"brain": str(arguments.brain), "figures": figures, "replies": dict(replies)}))


def _shown(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f}"


def four_replies(engram: Engram) -> list[tuple[str, str]]:
    """Four prompts with the replies of fresh conversations; nothing of them is remembered."""
    found = []
    for prompt in PROMPTS if engram.chat().in_turns else STARTS:
        chat = engram.chat(GenerationConfig(temperature=0.5), remember=False)
        found.append((prompt, chat.say(prompt)))
    return found
