"""Remembering: which episodes come to mind, which word they say, and how far they are believed.

It must not know how episodes are stored; it sees keys, phrases and next words as tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from engram_model.episodes import EpisodicMemory
from engram_model.ngram import EngramModule

Array = TypeVar("Array", Tensor, np.ndarray)
RECALLED = 512
LISTENED = 32
SUFFIX = 4
MATCH_BONUS = 0.1
GATE_FEATURES = 10
HIDDEN = 16
EMPTY = -1000.0
FEATURE_SCALES = torch.tensor((1.0, 1.0, 0.25, 0.25, 0.25, 0.25, 1.0, 0.25, 0.2, 0.125))
"""Bring what the gate of the episodes sees to about the same size."""


@dataclass(frozen=True)
class Recalled:
    """What comes to mind at each moment: the nearest episodes, best first, and a faint sense of all the others.

    Attributes:
        rows: Row of each near episode in the memory.
        words: Id of the word that came next then.
        similarity: Cosine of the state then and the state now; -1000 at empty places.
        matched: How many of the last words are the same, 0 to 4.
        background: Share of each word among all episodes that are remembered.
        total: How many episodes are remembered.
    """

    rows: Int[Tensor, "moments k"]
    words: Int[Tensor, "moments k"]
    similarity: Float[Tensor, "moments k"]
    matched: Int[Tensor, "moments k"]
    background: Float[Tensor, "moments words"]
    total: Int[Tensor, " moments"]


def matched_words(suffixes: Int[np.ndarray, "episodes places"], suffix: Sequence[int]) -> Int[np.ndarray, " episodes"]:
    """Length of the common phrase at the end of two contexts; both list words latest first, -1 for none."""
    same = suffixes == [word if word >= 0 else -2 for word in suffix]
    return np.logical_and.accumulate(same, axis=1).sum(axis=1)


def selection_score(similarity: Array, matched: Array) -> Array:
    """By which episodes come to mind: cosine, plus 0.1 for each word of a common phrase of two words or more."""
    return similarity + MATCH_BONUS * (matched * (matched >= 2))


class EpisodeGate(nn.Module):
    """What remembered episodes say, and their share lambda in the next word.

    p(w) is the sum of softmax weights of the episodes that were followed by w (kNN-LM, Khandelwal et al. 2020, eq. 2).
    A near episode scores sharpness * similarity + a bonus for the phrase it shares; every episode besides scores one
    learned background, so that a word often met lately is likely even where no moment resembles this one. lambda sees
    only what is known before the word.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(2.3))
        self.phrase_bonus = nn.Parameter(torch.tensor([0.0, 0.5, 0.5, 0.5, 0.5]))
        self.background = nn.Parameter(torch.tensor(1.0))
        self.expand = nn.Linear(GATE_FEATURES, HIDDEN)
        self.contract = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.contract.weight)
        nn.init.constant_(self.contract.bias, -2.0)

    def weights(self, recalled: Recalled) -> tuple[Float[Tensor, "moments k"], Float[Tensor, " moments"]]:
        """Share of each near episode and share of the background; together one (both zero where nothing is known)."""
        scores = self.log_sharpness.exp() * recalled.similarity + self.phrase_bonus.cumsum(0).take(recalled.matched)
        level = self.background + recalled.total.clamp(min=1).log()
        shares = torch.cat((scores, level[:, None]), dim=1).softmax(dim=1)
        shares = shares * (recalled.total > 0)[:, None]
        return shares[:, :-1], shares[:, -1]

    def share_logit(self, features: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch"]:
        """Logit of lambda, the share of the episodes in the next word."""
        hidden = F.linear(features, self.expand.weight, self.expand.bias).relu()
        return F.linear(hidden, self.contract.weight, self.contract.bias)[..., 0]


@dataclass
class Trust:
    """How much more, or less, episodes deserve to be believed in this text than the gate thinks.

    A bias of lambda's logit that follows what turned out right: after each word it moves by `rate` along the gradient
    of the log-likelihood, r - lambda, with r = lambda p_episodes / p the share of the episodes in the word that came.
    The gate learns from texts like those it was trained on; a foreign text may need its memories far more.

    Attributes:
        level: The bias, in logits; 0 believes the gate.
        rate: How fast it follows; at 0 it never moves, near 1 a single word sways it.
    """

    level: float = 0.0
    rate: float = 0.03

    def follow(self, logit: float, episodes: float, base: float) -> float:
        """Learn from one word: the gate's logit and the two probabilities of the word; returns the bias it had before."""
        before = self.level
        share = 1.0 / (1.0 + math.exp(-(logit + before)))
        said, other = share * episodes, (1.0 - share) * base
        self.level += self.rate * (said / max(said + other, 1e-30) - share)
        return before


def episode_probs(
    recalled: Recalled, weights: Float[Tensor, "moments k"], background: Float[Tensor, " moments"]
) -> Float[Tensor, "moments words"]:
    """p_episodes: the weights of the near episodes gathered by the word each names, plus the background."""
    return (recalled.background * background[:, None]).scatter_add(1, recalled.words, weights)


def gate_features(
    recalled: Recalled,
    weights: Float[Tensor, "moments k"],
    background: Float[Tensor, " moments"],
    base: Float[Tensor, "moments k"],
    base_entropy: Float[Tensor, " moments"],
    state: Float[Tensor, "moments dim"],
    vectors: Float[Tensor, "words dim"],
) -> Float[Tensor, "moments features"]:
    """What lambda sees: how sure the brain is, how sure memory is, how well the two agree.

    Args:
        recalled: What came to mind.
        weights: Share of each near episode.
        background: Share of the background.
        base: Probability, without episodes, of the word that each near episode names.
        base_entropy: Entropy of the prediction without episodes, in nats.
        state: The brain's state.
        vectors: The vocabulary's unit vectors.
    """
    matched = recalled.matched.float()
    near = weights[:, None, :LISTENED] @ F.embedding(recalled.words[:, :LISTENED], vectors)
    log_weights = weights.clamp(min=1e-9).log()
    weighted = torch.stack((recalled.similarity, matched, log_weights, base), dim=1) @ weights[:, :, None]
    similarity, phrase, certainty, agreement = weighted[:, :, 0].unbind(1)
    features = (
        recalled.similarity[:, 0].clamp(min=-2.0),  # where nothing is known, what no cosine is
        similarity,
        matched.amax(1),
        phrase,
        base_entropy,
        certainty,
        background,
        agreement.clamp(min=1e-6).log(),
        EngramModule.gate_logit(state, near[:, 0]),
        recalled.total.clamp(min=1).log(),
    )
    return torch.stack(features, dim=-1) * FEATURE_SCALES


def causal_recall(
    keys: Float[Tensor, "episodes dim"],
    words: Int[Tensor, " episodes"],
    suffixes: Int[Tensor, "episodes places"],
    queries: Float[Tensor, "moments dim"],
    query_suffixes: Int[Tensor, "moments places"],
    visible: Int[Tensor, " moments"],
    vocabulary: int,
) -> Recalled:
    """What comes to mind at each of many moments in order, each seeing only the first `visible` episodes.

    The same rule as recalling one moment at a time; used where all states are known beforehand (reading a text).
    """
    similarity = queries @ keys.T
    matched = torch.zeros_like(similarity, dtype=torch.int8)
    running = torch.ones_like(similarity, dtype=torch.bool)
    for place in range(SUFFIX):
        running &= (query_suffixes[:, place, None] == suffixes[None, :, place]) & (suffixes[None, :, place] >= 0)
        matched += running
    scores = selection_score(similarity, matched)
    scores.masked_fill_(torch.arange(len(keys))[None, :] >= visible[:, None], EMPTY)
    best, rows = scores.topk(min(RECALLED, len(keys)), dim=1)
    empty = best <= EMPTY + 0.5
    return Recalled(
        rows,
        words[rows],
        similarity.gather(1, rows).masked_fill(empty, EMPTY),
        matched.gather(1, rows).masked_fill(empty, 0).long(),
        _counts_so_far(words, visible, vocabulary) / visible[:, None].clamp(min=1),
        visible,
    )


def _counts_so_far(
    words: Int[Tensor, " episodes"], visible: Int[Tensor, " moments"], vocabulary: int
) -> Float[Tensor, "moments words"]:
    """How often each word came next among the episodes that each moment sees; later moments see no fewer."""
    first = int(visible[0])
    fresh = torch.arange(first, int(visible[-1]))
    counts = torch.zeros(len(visible), vocabulary)
    counts[0] = torch.bincount(words[:first], minlength=vocabulary)
    sees_it_first = torch.searchsorted(visible, fresh, right=True)
    counts.index_put_((sees_it_first, words[fresh]), torch.ones(len(fresh)), accumulate=True)
    return counts.cumsum(0)


def recall_one(
    memories: Sequence[EpisodicMemory], state: Float[Tensor, " dim"], suffix: list[int], vocabulary: int
) -> Recalled:
    """What comes to mind at one moment: the nearest episodes and those that share its last two words or more.

    Args:
        memories: Where it may come from; rows are counted through all of them.
        state: The concept at this moment.
        suffix: Ids of the last words, latest first.
        vocabulary: Number of words.
    """
    found, first = [], 0
    for memory in memories:
        found.append(_near(memory, state, suffix, first))
        first += len(memory)
    rows, words, similarity, matched = found[0]
    if len(found) > 1:
        rows, words, similarity, matched = (np.concatenate(column) for column in zip(*found, strict=True))
        order = (-selection_score(similarity, matched)).argsort(kind="stable")[:RECALLED]
        rows, words, similarity, matched = rows[order], words[order], similarity[order], matched[order]
    counts = reduce(np.add, (memory.endings.counts(vocabulary) for memory in memories))
    total = sum(memory.endings.total for memory in memories)
    columns = (rows, words, similarity, matched, counts / np.float32(max(total, 1)), np.array(total))
    return Recalled(*(torch.from_numpy(column[None]) for column in columns))


def _near(
    memory: EpisodicMemory, state: Float[Tensor, " dim"], suffix: Sequence[int], first: int
) -> tuple[np.ndarray, ...]:
    """Rows (counted from `first`), next words, cosines and common words of what one memory offers, best first.

    In NumPy, which takes a third of PyTorch's time for a few numbers.
    """
    suffixes, lifted = memory.suffixes.numpy(), None
    if sharing := memory.endings.sharing(suffix):
        matched = matched_words(suffixes.take(sharing, axis=0), suffix)
        lift = selection_score(np.zeros(len(matched)), matched)
        lifted = torch.tensor(sharing), torch.from_numpy(lift).float()
    similarity, found = memory.search(state, RECALLED, lifted)
    rows = found.numpy()
    matched = matched_words(suffixes.take(rows, axis=0), suffix)
    return rows + first, memory.next_ids.numpy().take(rows), similarity.numpy(), matched
