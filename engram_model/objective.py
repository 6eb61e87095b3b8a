"""What a brain is trained for: the next word at every place, after every loop.

It must not know about optimisers, schedules or files.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from engram_model.brain import Brain, concept
from engram_model.config import BrainConfig
from engram_model.corpus import Batch, Corpus
from engram_model.head import target_log_probs
from engram_model.pondering import halt_loss

# The last loop and the one before are judged on every row, earlier ones on half of them: that keeps early exits valid
# answers, and teaches the last loop too (docs/log.md). Each loop that is left out makes the weight smaller.
EARLY_WEIGHT = 1.25
EARLY_DECAY = 1 / 3
EARLY_SHARE = 0.5
LONGEST_ROW = 1024
BATCH_WORDS = 4096


class Learner(nn.Module):
    """Everything that training changes: brain, word vectors and resting levels.

    Args:
        config: The shape of the brain.
        vectors: Unit word vectors to start from.
        norms: Length of each word's trained vector; short vectors turn faster (the angular step is rate / length).
        resting: Resting levels to start from.
    """

    def __init__(
        self,
        config: BrainConfig,
        vectors: Float[Tensor, "words dim"],
        norms: Float[Tensor, " words"],
        resting: Float[Tensor, " words"],
    ) -> None:
        super().__init__()
        self.brain = Brain(config)
        self.table = nn.Parameter(vectors * norms[:, None])
        self.resting = nn.Parameter(resting.clone())

    def unit_vectors(self) -> Float[Tensor, "words dim"]:
        """v(w) = E_w / |E_w|."""
        return F.normalize(self.table, dim=-1, eps=1e-8)

    def losses(
        self, state: Float[Tensor, "rows time dim"], batch: Batch, vectors: Float[Tensor, "words dim"]
    ) -> Float[Tensor, "rows time"]:
        """Negative log-likelihood, in nats, of each target given one loop's states."""
        flat = concept(state).flatten(0, 1)
        log_brain = target_log_probs(flat, self.brain.scale, vectors, self.resting, batch.targets.flatten())
        return -log_brain.view(batch.targets.shape)


@dataclass(frozen=True)
class StepLoss:
    """One step's loss and what a progress bar shows of it (nats a word)."""

    total: Float[Tensor, ""]
    last: Float[Tensor, ""]
    halt: Float[Tensor, ""]


def surprise_weights(losses: Float[Tensor, "*batch"], strength: float, clip: float) -> Float[Tensor, "*batch"]:
    """Weights that grow with surprise: (1 - s) + s min(loss / mean, clip), normalised to mean 1, without gradient."""
    relative = (losses / losses.mean().clamp(min=1e-6)).detach().clamp(max=clip)
    weights = (1.0 - strength) + strength * relative
    return weights / weights.mean()


def step_loss(learner: Learner, batch: Batch, loops: int | None, strength: float, clip: float) -> StepLoss:
    """The training loss of one batch.

    Args:
        learner: What is trained.
        batch: Rows of words with their targets.
        loops: Loops to run, or None for all.
        strength: Weight of surprise, 0 to 1.
        clip: Largest weight of one word relative to the mean.
    """
    vectors = learner.unit_vectors()
    most = loops or learner.brain.config.max_ponder
    output = learner.brain(batch.inputs, vectors, segments=batch.segments, loops=most)
    final = learner.losses(output.states[-1], batch, vectors)
    last = (final * surprise_weights(final, strength, clip)).mean()
    total, halt = last, final.new_zeros(())
    half = max(1, round(EARLY_SHARE * batch.inputs.shape[0]))
    for loop, state in enumerate(output.states[:-1]):
        left_out = most - loop - 1
        rows = slice(None) if left_out == 1 else slice(half)
        early = learner.losses(state[rows], batch.rows(rows), vectors)
        total = total + EARLY_WEIGHT * EARLY_DECAY ** (left_out - 1) * early.mean()
        halt = halt + halt_loss(output.gains[loop][rows], early, final[rows])
    return StepLoss(total + halt, final.mean().detach(), halt.detach())


def whole_rows(config: BrainConfig) -> tuple[int, int]:
    """Most words of a row that holds whole texts, and how many a piece of a longer text repeats of the one before.

    That is as far as a word is felt through all layers, each of which looks one window back: a word read in pieces
    is thought of exactly as in one row.
    """
    reach = config.n_layers * (config.context_size - 1) + 2
    return max(LONGEST_ROW, 2 * reach), reach


@torch.no_grad()
def held_out_losses(learner: Learner, corpus: Corpus, loops: int | None = None) -> Float[Tensor, " words"]:
    """Loss of each word, in nats, in whole texts, each word predicted from its own text only."""
    learner.eval()
    config, vectors = learner.brain.config, learner.unit_vectors()
    found = torch.empty(len(corpus))
    for batch, places in corpus.whole_texts(*whole_rows(config), BATCH_WORDS):
        output = learner.brain(batch.inputs, vectors, segments=batch.segments, loops=loops or config.max_ponder)
        losses = learner.losses(output.states[-1], batch, vectors)
        found[places[places >= 0]] = losses[places >= 0]
    return found
