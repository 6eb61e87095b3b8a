"""Toys that the tests of the brain share: small settings in primes, texts drawn by Zipf's law, brains that are awake.

A fresh brain is a no-op in many places (its output projections are zero); a woken one has random weights everywhere.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch
from hypothesis import settings
from torch import Tensor, nn

from engram_model.brain import Brain
from engram_model.config import BrainConfig
from engram_model.mind import Mind
from engram_model.objective import Learner
from engram_model.phrases import PhraseCounts
from engram_model.recall import EpisodeGate
from engram_model.sources import PhraseGate
from engram_model.text import END_ID, SPECIALS
from engram_model.vocabulary import Vocabulary

M = TypeVar("M", bound=nn.Module)

DIM, HEADS, WINDOW, LAYERS, LOOPS = 30, 3, 7, 3, 3  # the size of a vector must be a multiple of twice the heads
WORDS = 71

few = settings(max_examples=25, deadline=None)
"""For property tests that run tensors: the first call of many a torch function takes seconds."""


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shape(**changes: Any) -> BrainConfig:
    """Settings of a toy brain, without dropout unless given."""
    toy = BrainConfig(
        embed_dim=DIM, n_layers=LAYERS, n_heads=HEADS, context_size=WINDOW, max_ponder=LOOPS,
        ngram_table_size=101, ngram_dim=11, dropout=0.0,
    )  # fmt: skip
    return toy.override(**changes)


def woken(module: M, seed: int = 0, size: float = 0.2) -> M:
    """The module with random numbers added to every parameter, so that nothing in it is a no-op."""
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter += size * torch.randn(parameter.shape, generator=seeded(1000 * seed + number))
    return module


def brain(seed: int = 0, **changes: Any) -> Brain:
    """A woken brain in evaluation mode."""
    torch.manual_seed(seed)
    return woken(Brain(shape(**changes)), seed).eval()


def unit_vectors(words: int = WORDS, dim: int = DIM, seed: int = 1) -> Tensor:
    return torch.nn.functional.normalize(torch.randn(words, dim, generator=seeded(seed)), dim=-1)


def word_ids(*size: int, words: int = WORDS, seed: int = 2) -> Tensor:
    """Random ids of ordinary words."""
    return torch.randint(len(SPECIALS), words, size, generator=seeded(seed))


def some_texts(lengths: tuple[int, ...] = (13, 2, 29, 7, 1, 17), words: int = WORDS, seed: int = 3) -> list[np.ndarray]:
    """Texts whose words follow Zipf's law; each ends with <END>."""
    draw = np.random.default_rng(seed)
    usual = np.arange(len(SPECIALS), words)
    shares = 1.0 / np.arange(1, len(usual) + 1)
    return [np.append(draw.choice(usual, n - 1, p=shares / shares.sum()), END_ID) for n in lengths]


def vocabulary(words: int = WORDS, dim: int = DIM, seed: int = 4) -> Vocabulary:
    """Words w04, w05, .. of falling count, whose ids are the numbers in their names."""
    counted = {f"w{word:02d}": 2 * words - word for word in range(len(SPECIALS), words)} | {"<END>": words}
    return Vocabulary.build(counted, dim=dim, generator=seeded(seed))


def mind(seed: int = 0, **changes: Any) -> Mind:
    """A mind all of whose parts are awake; its counted phrases are those of `some_texts`."""
    toy = brain(seed, **changes)
    phrases = PhraseCounts.fit(some_texts(), WORDS) if toy.config.phrase_order else None
    gates = woken(PhraseGate(DIM), seed + 1), woken(EpisodeGate(), seed + 2)
    return Mind(toy, vocabulary(), phrases, gates[0].eval(), gates[1].eval())


def learner(seed: int = 0, words: int = WORDS, **changes: Any) -> Learner:
    """A fresh learner: random word vectors, all words equally frequent."""
    torch.manual_seed(seed)
    norms, resting = torch.full((words,), 0.1), torch.full((words,), -float(np.log(words)))
    return Learner(shape(**changes), unit_vectors(words), norms, resting)
