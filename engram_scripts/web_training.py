"""Trains a brain behind the page when there is none yet, and says how far it is, as a frozen Stage and as HTML.

It must not know about Gradio or visitors.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engram_model.config import BrainConfig, TrainingConfig
from engram_model.engram import Engram
from engram_model.errors import EngramError
from engram_model.learning import Learning, prepare
from engram_model.training import EpochReport, StepReport
from engram_scripts.train_view import FIT_EVERY, RESERVE
from engram_scripts.web_strip import safe

SMOOTHING = 0.95
STOP_SECONDS = 5.0
CHART_WIDTH, CHART_HEIGHT = 320, 90


@dataclass(frozen=True)
class Stage:
    """How far training is.

    Attributes:
        doing: What is being done, in words.
        share: Share of the steps done, 0 to 1.
        loss: Smoothed training loss, nats a word; None before the first step.
        seconds_left: Estimated from the speed so far; None before it is known.
        perplexities: Held-out perplexity after each pass so far.
        baseline: That of a modified Kneser-Ney 5-gram; None without held-out text.
        failed: Why it broke off, or "".
    """

    doing: str = "reading the text"
    share: float = 0.0
    loss: float | None = None
    seconds_left: float | None = None
    perplexities: tuple[float, ...] = ()
    baseline: float | None = None
    failed: str = ""


class BackgroundTraining:
    """One training run in a thread of its own.

    Args:
        directory: Where the brain is saved.
        paths: Text files to learn.
        brain: Its shape.
        training: How to train.
        chroma: Chroma server for the store, or None for one inside the directory.
        on_ready: Gets the trained and saved brain.
    """

    def __init__(
        self,
        directory: Path,
        paths: Sequence[Path],
        brain: BrainConfig,
        training: TrainingConfig,
        chroma: str | None,
        on_ready: Callable[[Engram], None],
    ) -> None:
        self._directory, self._paths, self._brain, self._training = directory, paths, brain, training
        self._chroma, self._on_ready = chroma, on_ready
        self._asked_to_stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)
        self.stage = Stage()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Break off after the present step; waits a little for it. A save that is cut short leaves no half brain."""
        self._asked_to_stop.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        try:
            self._train()
        except EngramError as error:
            self.stage = replace(self.stage, failed=str(error))
        except Exception as error:
            self.stage = replace(self.stage, failed=f"{type(error).__name__}: {error}")
            raise
        finally:
            if self.stage.failed:
                print(f"error: {self.stage.failed}", file=sys.stderr)

    def _train(self) -> None:
        lesson = prepare(self._paths, self._brain, self._training)
        learning = Learning(lesson, self._brain, self._training)
        self.stage = Stage("training", baseline=learning.baseline)

        def on_step(report: StepReport) -> None:
            self._note_step(learning, report)

        if not learning.run(on_step, self._note_pass, self._asked_to_stop.is_set):
            return
        self.stage = replace(self.stage, doing="setting the gates on held-out text", share=1.0, seconds_left=None)
        engram = learning.finish()
        self.stage = replace(self.stage, doing="saving the brain")
        engram.save(self._directory, self._chroma)
        engram.close()
        self._on_ready(engram)
        self.stage = replace(self.stage, doing="ready")

    def _note_step(self, learning: Learning, report: StepReport) -> None:
        minutes, seen = self._training.minutes, self.stage.loss
        if minutes and report.step % FIT_EVERY == 0:
            learning.trainer.limit_seconds(60.0 * minutes * RESERVE)
        total = learning.trainer.progress.total_steps
        left = max(0, total - report.step) * report.seconds / report.step
        if minutes:
            left = min(left, max(0.0, 60.0 * minutes - report.seconds))
        self.stage = replace(
            self.stage,
            share=min(1.0, report.step / total),
            loss=report.loss if seen is None else SMOOTHING * seen + (1 - SMOOTHING) * report.loss,
            seconds_left=left,
        )

    def _note_pass(self, report: EpochReport) -> None:
        if report.held_out is not None:
            found = (*self.stage.perplexities, math.exp(report.held_out))
            self.stage = replace(self.stage, perplexities=found)


def stage_html(stage: Stage) -> str:
    """The stage as a panel: percentage, bar, figures, and the held-out perplexity beside Kneser-Ney's."""
    if stage.failed:
        return f'<div class="training failed"><b>Training broke off</b><p>{safe(stage.failed)}</p></div>'
    figures = [("loss", "–" if stage.loss is None else f"{stage.loss:.2f} nats"), ("time left", _left(stage))]
    if stage.baseline is not None:
        now = f"{stage.perplexities[-1]:.1f}" if stage.perplexities else "after the first pass"
        figures += [("held-out perplexity", now), ("of a Kneser-Ney 5-gram", f"{stage.baseline:.1f}")]
    cells = "".join(f"<span><small>{name}</small><b>{value}</b></span>" for name, value in figures)
    return (
        '<div class="training"><p>There is no brain here yet, so one is being trained, from nothing, on this machine. '
        f"The chat opens by itself.</p><div class='percent'>{100 * stage.share:.0f}&thinsp;%<small>{safe(stage.doing)}"
        f"</small></div><div class='track' role='progressbar' aria-valuenow='{100 * stage.share:.0f}'>"
        f"<i style='width:{100 * stage.share:.1f}%'></i></div><div class='figures'>{cells}</div>{_chart(stage)}</div>"
    )


def _left(stage: Stage) -> str:
    if stage.seconds_left is None:
        return "–"
    minutes, seconds = divmod(round(stage.seconds_left), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def _chart(stage: Stage) -> str:
    """Held-out perplexity by pass on a logarithmic scale, Kneser-Ney as a dashed line; nothing before two passes."""
    if len(stage.perplexities) < 2 or stage.baseline is None:
        return ""
    levels = [math.log(value) for value in (*stage.perplexities, stage.baseline)]
    low, high = min(levels), max(levels)
    heights = [8 + (CHART_HEIGHT - 16) * (high - level) / max(high - low, 1e-9) for level in levels]
    step = (CHART_WIDTH - 8) / (len(stage.perplexities) - 1)
    line = " ".join(f"{4 + place * step:.1f},{height:.1f}" for place, height in enumerate(heights[:-1]))
    return (
        f'<svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" aria-label="held-out perplexity by pass">'
        f'<line x1="0" x2="{CHART_WIDTH}" y1="{heights[-1]:.1f}" y2="{heights[-1]:.1f}"/>'
        f'<polyline points="{line}"/></svg>'
    )
