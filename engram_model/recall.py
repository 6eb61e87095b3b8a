"""Remembering: which episodes come to mind, which word they say, and how far they are believed.

It must not know how episodes are stored; it sees keys, phrases and next words as tensors.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from engram_model.episodes import EpisodicMemory
from engram_model.ngram import EngramModule

RECALLED = 48
SUFFIX = 4
MATCH_BONUS = 0.1
GATE_FEATURES = 9
HIDDEN = 16


@dataclass(frozen=True)
class Recalled:
    """The episodes that come to mind at each word, best first; empty places have similarity -2.

    Attributes:
        rows: Row of each episode in the memory.
        words: Id of the word that came next then.
        similarity: Cosine of the state then and the state now.
        matched: How many of the last words are the same, 0 to 4.
    """

    rows: Int[Tensor, "*batch k"]
    words: Int[Tensor, "*batch k"]
    similarity: Float[Tensor, "*batch k"]
    matched: Int[Tensor, "*batch k"]


def matched_words(
    suffixes: Int[Tensor, "*batch places"], suffix: Int[Tensor, "*batch places"]
) -> Int[Tensor, "*batch"]:
    """Length of the common phrase at the end of two contexts; suffixes list words latest first, -1 for none."""
    same = (suffixes == suffix) & (suffixes >= 0)
    return same.int().cumprod(dim=-1).sum(dim=-1)


def selection_score(
    similarity: Float[Tensor, "*batch"], matched: Int[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """By which episodes come to mind: cosine, plus 0.1 for each word of a common phrase of two words or more."""
    return similarity + MATCH_BONUS * torch.where(matched >= 2, matched, 0)


class EpisodeGate(nn.Module):
    """What recalled episodes say, p(w) = sum of softmax weights of those followed by w, and their share lambda.

    The weight of an episode grows with its similarity (sharpness is learned, as the temperature of kNN-LM,
    Khandelwal et al. 2020, eq. 2) and with the phrase it shares. lambda sees only what is known before the word.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_sharpness = nn.Parameter(torch.tensor(2.3))
        self.phrase_bonus = nn.Parameter(torch.tensor([0.0, 0.5, 0.5, 0.5, 0.5]))
        self.expand = nn.Linear(GATE_FEATURES, HIDDEN)
        self.contract = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.contract.weight)
        nn.init.constant_(self.contract.bias, -2.0)

    def weights(self, recalled: Recalled) -> Float[Tensor, "*batch k"]:
        """Share of each recalled episode; they sum to one (all zero where nothing came to mind)."""
        bonus = self.phrase_bonus.cumsum(0)[recalled.matched]
        scores = self.log_sharpness.exp() * recalled.similarity + bonus
        empty = recalled.similarity < -1.5
        weights = scores.masked_fill(empty, -1e9).softmax(dim=-1)
        return weights.masked_fill(empty, 0.0)

    def share_logit(self, features: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch"]:
        """Logit of lambda, the share of the episodes in the next word."""
        hidden: Tensor = self.contract(torch.relu(self.expand(features)))
        return hidden[..., 0]


def agreement_of_words(
    weights: Float[Tensor, "batch k"], words: Int[Tensor, "batch k"]
) -> Float[Tensor, "batch k"]:
    """p_episodes of the word that each recalled episode names: the weights of all that name the same word."""
    same = words[:, :, None] == words[:, None, :]
    return (same * weights[:, None, :]).sum(-1)


def gate_features(
    recalled: Recalled,
    weights: Float[Tensor, "batch k"],
    base: Float[Tensor, "batch k"],
    base_entropy: Float[Tensor, " batch"],
    state: Float[Tensor, "batch dim"],
    vectors: Float[Tensor, "words dim"],
) -> Float[Tensor, "batch features"]:
    """What lambda sees: how sure the brain is, how sure memory is, how well the two agree.

    Args:
        recalled: What came to mind.
        weights: Share of each episode.
        base: Probability, without episodes, of the word that each episode names.
        base_entropy: Entropy of the prediction without episodes, in nats.
        state: The brain's state.
        vectors: The vocabulary's unit vectors.
    """
    named = agreement_of_words(weights, recalled.words)
    entropy = -(weights * named.clamp(min=1e-9).log()).sum(-1)
    top = named.argmax(dim=-1, keepdim=True)
    retrieved = (weights[..., None] * vectors[recalled.words]).sum(1)
    opened = torch.logit(EngramModule.gate(state, retrieved), eps=1e-6)
    return torch.stack(
        (
            recalled.similarity[:, 0],
            recalled.similarity.mean(-1),
            recalled.matched.max(-1).values / SUFFIX,
            (weights * recalled.matched).sum(-1) / SUFFIX,
            base_entropy / 4.0,
            entropy / 2.0,
            (weights * base).sum(-1).clamp(min=1e-6).log() / 4.0,
            base.gather(1, top)[:, 0].clamp(min=1e-6).log() / 4.0,
            opened / 5.0,
        ),
        dim=-1,
    )


def causal_recall(
    keys: Float[Tensor, "episodes dim"],
    words: Int[Tensor, " episodes"],
    suffixes: Int[Tensor, "episodes places"],
    queries: Float[Tensor, "time dim"],
    query_suffixes: Int[Tensor, "time places"],
    visible: Int[Tensor, " time"],
) -> Recalled:
    """What comes to mind at each of many moments, each seeing only the first `visible` episodes.

    The same rule as recalling one moment at a time; used where all states are known beforehand (reading a text).
    """
    similarity = queries @ keys.T
    matched = torch.zeros_like(similarity, dtype=torch.int64)
    running = torch.ones_like(similarity, dtype=torch.bool)
    for place in range(SUFFIX):
        running &= (query_suffixes[:, place, None] == suffixes[None, :, place]) & (suffixes[None, :, place] >= 0)
        matched += running
    scores = selection_score(similarity, matched)
    scores.masked_fill_(torch.arange(len(keys))[None, :] >= visible[:, None], -2.0)
    return pick(scores, similarity, matched, words)


def pick(scores: Tensor, similarity: Tensor, matched: Tensor, words: Tensor) -> Recalled:
    """The best `RECALLED` episodes of each row by score."""
    count = min(RECALLED, scores.shape[1])
    best, rows = scores.topk(count, dim=1)
    empty = best <= -1.99
    return Recalled(
        rows,
        words[rows],
        similarity.gather(1, rows).masked_fill(empty, -2.0),
        matched.gather(1, rows).masked_fill(empty, 0),
    )


def recall_one(memory: EpisodicMemory, state: Float[Tensor, " dim"], suffix: list[int]) -> Recalled:
    """What comes to mind at one moment: the nearest episodes and those that share its last two words or more."""
    similarity, rows = memory.search(state, RECALLED)
    here = torch.tensor(suffix)
    suffixes = memory.suffixes
    if suffix[0] >= 0 and suffix[1] >= 0:
        sharing = torch.nonzero((suffixes[:, 0] == suffix[0]) & (suffixes[:, 1] == suffix[1]))[:, 0]
        sharing = sharing[~torch.isin(sharing, rows)]
        rows = torch.cat((rows, sharing))
        similarity = torch.cat((similarity, memory.keys[sharing] @ state))
    words = memory.next_ids[rows]
    matched = matched_words(suffixes[rows], here)
    scores = selection_score(similarity, matched).masked_fill(words < 0, -2.0)
    best, order = scores.topk(min(RECALLED, len(rows)))
    empty = best <= -1.99
    return Recalled(
        rows[order][None],
        words[order].clamp(min=0)[None],
        similarity[order].masked_fill(empty, -2.0)[None],
        matched[order].masked_fill(empty, 0)[None],
    )
