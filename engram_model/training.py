"""The training loop: optimisers, schedule, held-out loss, best state, exact resume.

It must not know about files, progress bars or signals; those are told to it as callbacks.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engram_model.config import TrainingConfig
from engram_model.corpus import Batch, Corpus
from engram_model.muon import Muon
from engram_model.objective import Learner, held_out_losses, step_loss
from engram_model.sources import best_share

FINAL_RATE = 0.02
SURPRISE_UNTIL = 0.67
# Of states whose held-out losses lie within this (nats a word) of the best, the one trained longest is kept: on a small
# text it answers far more of what it has read (docs/log.md).
TOLERANCE = 0.12
# The scale starts small, so that a fresh brain says words by their frequency instead of repeating its input, and
# has to grow five-fold within the first hundred steps.
SCALE_FACTOR = 10.0


@dataclass(frozen=True)
class StepReport:
    """One optimiser step: loss in nats a word, words seen so far in all, seconds spent so far in all."""

    step: int
    total_steps: int
    epoch: int
    loss: float
    words: int
    seconds: float


@dataclass(frozen=True)
class EpochReport:
    """The held-out loss (nats a word) after an epoch, phrase memory included, and whether this state is kept.

    Where nothing is held out, the loss is None and the last state is kept.
    """

    epoch: int
    held_out: float | None
    best: bool


@dataclass
class Progress:
    """Where training stands: everything countable that a resumed run needs."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    total_steps: int = 0
    seconds: float = 0.0
    words: int = 0
    best: float = float("inf")
    since_best: int = 0
    history: list[float] = field(default_factory=list)


def rate_factor(step: int, total: int, warmup: int) -> float:
    """Linear warm-up over `warmup` steps, then linear decay to 2 % of the peak at the last step."""
    warmup = min(warmup, max(1, total // 10))
    if step < warmup:
        return (step + 1) / warmup
    return FINAL_RATE + (1.0 - FINAL_RATE) * max(0.0, (total - step) / max(1, total - warmup))


def build_optimizers(learner: Learner, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW without decay for tables, gates, gains, biases and scale."""
    matrices = list(learner.brain.blocks.parameters())
    chosen = {id(p) for p in matrices}
    scale = learner.brain.log_scale
    rest = [p for p in learner.parameters() if id(p) not in chosen and p is not scale]
    groups: list[dict[str, Any]] = [{"params": rest}, {"params": [scale], "factor": SCALE_FACTOR}]
    return [
        Muon(matrices, lr=config.muon_rate, momentum=0.95, weight_decay=config.weight_decay),
        torch.optim.AdamW(groups, lr=config.adam_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


class Trainer:
    """Trains a learner on a corpus; stops when asked, and goes on from there to the same numbers.

    Args:
        learner: Brain, word vectors and resting levels.
        corpus: Texts to learn.
        held_out: Texts kept back, or None to train without looking.
        config: How to train.
        epochs: Passes over the corpus.
        loops: A fixed number of loops, or None for the full number.
        phrase_probs: Probability of each held-out word under the phrase memory: training is judged by the blend of
            both, since a brain that has learned its text by heart still serves where phrases back it up.
    """

    def __init__(
        self,
        learner: Learner,
        corpus: Corpus,
        held_out: Corpus | None,
        config: TrainingConfig,
        epochs: int,
        loops: int | None = None,
        phrase_probs: Float[Tensor, " words"] | None = None,
    ) -> None:
        self.learner, self.corpus, self.held_out, self.phrase_probs = learner, corpus, held_out, phrase_probs
        self.config, self.epochs, self.loops = config, epochs, loops
        self.optimizers = build_optimizers(learner, config)
        self.generator = torch.Generator().manual_seed(config.seed)
        learner.brain.noise.manual_seed(config.seed)
        self.rows = max(1, config.batch_words // config.row_words)
        self.steps_per_epoch = max(1, len(corpus) // config.row_words // self.rows)
        self.progress = Progress(total_steps=epochs * self.steps_per_epoch)
        self._epoch_start = self.generator.get_state()
        self.best_state: dict[str, torch.Tensor] | None = None

    def run(
        self,
        on_step: Callable[[StepReport], None] = lambda report: None,
        on_epoch: Callable[[EpochReport], None] = lambda report: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train to the end. Returns False when `stop` asked to break off (the state can then be saved and restored)."""
        state = self.progress
        while (state.step < state.total_steps or state.batch) and state.since_best < self.config.patience:
            if not self._run_epoch(on_step, stop):
                return False
            self._epoch_start = self.generator.get_state()
            state.epoch, state.batch = state.epoch + 1, 0
            on_epoch(EpochReport(state.epoch, None, True) if self.held_out is None else self._judge())
        if self.best_state is not None:
            self.learner.load_state_dict(self.best_state)
        return True

    def _run_epoch(self, on_step: Callable[[StepReport], None], stop: Callable[[], bool]) -> bool:
        state = self.progress
        self.generator.set_state(self._epoch_start)
        self.learner.train()
        for number, batch in enumerate(self.corpus.shuffled(self.generator, self.rows, self.config.row_words)):
            if number < state.batch:
                continue
            if state.step >= state.total_steps:
                break
            if stop():
                return False
            began = time.perf_counter()
            loss = self.step(batch)
            state.seconds += time.perf_counter() - began
            state.step, state.batch, state.words = state.step + 1, number + 1, state.words + batch.inputs.numel()
            on_step(StepReport(state.step, state.total_steps, state.epoch, loss, state.words, state.seconds))
        return True

    def step(self, batch: Batch) -> float:
        """One optimiser step at the present place of the schedule; returns the loss in nats a word."""
        state, config = self.progress, self.config
        factor = rate_factor(state.step, state.total_steps, config.warmup_steps)
        for optimizer, rate in zip(self.optimizers, (config.muon_rate, config.adam_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor * group.get("factor", 1.0)
        done = state.step / max(1, state.total_steps)
        strength = config.surprise_strength * max(0.0, 1.0 - done / SURPRISE_UNTIL)
        loss = step_loss(self.learner, batch, self.loops, strength, config.surprise_clip)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return float(loss.last)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on: weights, optimisers, random states, counters, best weights."""
        return {
            "learner": self.learner.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "epoch_start": self._epoch_start,
            "noise": self.learner.brain.noise.get_state(),
            "progress": asdict(self.progress),
            "best_state": self.best_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where `state_dict` was taken."""
        self.learner.load_state_dict(state["learner"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self._epoch_start = state["epoch_start"]
        self.generator.set_state(self._epoch_start)
        self.learner.brain.noise.set_state(state["noise"])
        self.progress = Progress(**state["progress"])
        self.best_state = state["best_state"]

    def limit_seconds(self, seconds: float) -> None:
        """Shorten the schedule to what fits into the time left, at the speed seen so far."""
        state = self.progress
        if state.step:
            affordable = int(state.step * seconds / max(state.seconds, 1e-9))
            state.total_steps = max(state.step + 1, min(state.total_steps, affordable))

    def _judge(self) -> EpochReport:
        assert self.held_out is not None
        losses = held_out_losses(self.learner, self.held_out, self.loops)
        if self.phrase_probs is not None:
            probs = torch.exp(-losses.double())
            losses = -torch.lerp(probs, self.phrase_probs, best_share(probs, self.phrase_probs)).log()
        loss, state = float(losses.mean()), self.progress
        state.history.append(loss)
        good = loss < state.best + TOLERANCE
        state.best = min(state.best, loss)
        state.since_best = 0 if good else state.since_best + 1
        if good:
            self.best_state = copy.deepcopy(self.learner.state_dict())
        return EpochReport(state.epoch, loss, good)
