"""A trained mind: brain, vocabulary and memories' gates together, and the one rule that turns a state into words.

It must not know about files, conversations or how words are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engram_model.brain import Brain, concept
from engram_model.head import closeness
from engram_model.nearest import highest
from engram_model.phrases import PhraseCounts
from engram_model.recall import EpisodeGate, Recalled, Trust, episode_probs, gate_features
from engram_model.sources import PHRASE_FEATURES, PhraseGate
from engram_model.text import SPECIALS, UNK_ID
from engram_model.vocabulary import Vocabulary

SOURCES = ("brain", "phrase", "episode")
ALL_EPISODES = torch.tensor((0.0, 0.0, 1.0))


@dataclass
class Mind:
    """Everything that a prediction needs.

    Attributes:
        brain: Turns words into states.
        vocabulary: Words, unit vectors, resting levels.
        phrases: Counted phrases, or None for a brain without them.
        phrase_gate: Share of the phrase memory.
        episode_gate: Weights and share of the recalled episodes.
        norms: Length of each trained word vector (training goes on from there).
    """

    brain: Brain
    vocabulary: Vocabulary
    phrases: PhraseCounts | None
    phrase_gate: PhraseGate
    episode_gate: EpisodeGate
    norms: Float[Tensor, " words"] = field(default_factory=lambda: torch.zeros(0))


@dataclass(frozen=True)
class Prediction:
    """The next word at each of n moments, and who says what.

    Attributes:
        probs: The blended distribution; sums to one over the vocabulary.
        shares: Share of brain, phrase memory and episodes in the blend.
        closeness: Cosine of the state with every word, scaled: what the brain alone expects without resting levels, before the softmax.
        brain_probs: What the brain alone expects.
        phrase_probs: What the phrase memory expects; None where it is off.
        episode_probs: What the episodes expect; None where there are none.
        recalled: Episodes that came to mind; None where there are none.
        weights: Share of each recalled episode among the episodes.
    """

    probs: Float[Tensor, "moments words"]
    shares: Float[Tensor, "moments 3"]
    closeness: Float[Tensor, "moments words"]
    brain_probs: Float[Tensor, "moments words"]
    phrase_probs: Float[Tensor, "moments words"] | None
    episode_probs: Float[Tensor, "moments words"] | None
    recalled: Recalled | None
    weights: Float[Tensor, "moments k"] | None

    def nearest(self, moment: int, resting: Float[Tensor, " words"], count: int) -> Int[Tensor, " nearest"]:
        """Ids of the words whose vectors lie nearest to the state, best first, markers and removed words left out.

        logit(w) - b(w) = s <c, v(w)>, so the cosines need not be taken again.
        """
        near = self.closeness[moment]
        if _any_removed(resting):
            near = near.masked_fill(resting == -math.inf, -math.inf)
        return highest(near[len(SPECIALS) :], count)[1] + len(SPECIALS)

    def credit(self, moment: int, word: int) -> dict[str, float]:
        """Who spoke: the posterior share of each source in one word, share * p_source(word) / p(word)."""
        sources = (self.brain_probs, self.phrase_probs, self.episode_probs)
        probs = [0.0 if source is None else float(source[moment, word]) for source in sources]
        said = [share * prob for share, prob in zip(self.shares[moment].tolist(), probs, strict=True)]
        total = sum(said) or 1.0
        return {source: part / total for source, part in zip(SOURCES, said, strict=True)}


def phrase_view(
    mind: Mind, contexts: Sequence[Sequence[int]]
) -> tuple[Float[Tensor, "moments words"], Float[Tensor, "moments features"]]:
    """What the phrase memory expects after each context (the words of the text so far), and what it counted there.

    A word that is newer than the counts is read as <UNK>, as every rare word was when they were made.
    """
    assert mind.phrases is not None
    size = len(mind.vocabulary)
    probs = np.empty((len(contexts), size), dtype=np.float32)
    features = np.empty((len(contexts), PHRASE_FEATURES), dtype=np.float32)
    for row, words in enumerate(contexts):
        context = [word if word < mind.phrases.vocab_size else UNK_ID for word in words]
        probs[row], features[row] = mind.phrases.after(context, vocab_size=size)
    return torch.from_numpy(probs), torch.from_numpy(features)


def entropy_of(probs: Float[Tensor, "moments words"]) -> Float[Tensor, " moments"]:
    """Entropy of each distribution, in nats; twice as fast as `xlogy` and a sum."""
    return -torch.linalg.vecdot(probs, probs.clamp(min=1e-30).log())


@torch.no_grad()
def predict(
    mind: Mind,
    states: Float[Tensor, "moments dim"],
    phrases: tuple[Tensor, Tensor] | None = None,
    recalled: Recalled | None = None,
    trust: Trust | None = None,
    heard: Int[Tensor, " moments"] | None = None,
) -> Prediction:
    """The one output rule: p = (1 - l_e) [(1 - l_p) p_brain + l_p p_phrase] + l_e p_episodes.

    Args:
        mind: Who predicts.
        states: The brain's state at each moment.
        phrases: `phrase_view` of the moments, or None to leave the counted phrases out.
        recalled: Episodes that came to mind, or None to leave episodes out.
        trust: How far episodes are believed in this text beyond what the gate says; None believes the gate.
        heard: The words that really came, where they are known: trust follows them one by one, each prediction made
            with the trust before its word.
    """
    vectors, resting = mind.vocabulary.vectors, mind.vocabulary.resting
    near = closeness(concept(states), mind.brain.scale, vectors)
    brain_probs = (near + resting).softmax(-1)
    base, phrase_probs, phrase_share = brain_probs, None, states.new_zeros(len(states))
    if phrases is not None:
        phrase_probs = _without_removed(phrases[0], resting)
        phrase_share = torch.sigmoid(mind.phrase_gate(states, phrases[1]))
        base = torch.lerp(brain_probs, phrase_probs, phrase_share[:, None])
    shares = torch.stack((1.0 - phrase_share, phrase_share, torch.zeros_like(phrase_share)), dim=1)
    if recalled is None or recalled.words.shape[1] == 0:
        return Prediction(base, shares, near, brain_probs, phrase_probs, None, None, None)
    weights, background = mind.episode_gate.weights(recalled)
    remembered = episode_probs(recalled, weights, background)
    entropy = entropy_of(base)
    at_recalled = base.gather(1, recalled.words)
    features = gate_features(recalled, weights, background, at_recalled, entropy, states, vectors)
    logit, known = mind.episode_gate.share_logit(features), recalled.total > 0
    if trust is not None and heard is None:
        logit += trust.level
    elif trust is not None and heard is not None:
        logit[known] += _followed(trust, logit[known], base[known], remembered[known], heard[known])
    share = (torch.sigmoid(logit) * known)[:, None]
    probs = torch.lerp(base, remembered, share)
    shares = shares.lerp(ALL_EPISODES, share)
    return Prediction(probs, shares, near, brain_probs, phrase_probs, remembered, recalled, weights)


def _followed(
    trust: Trust,
    logit: Float[Tensor, " moments"],
    base: Float[Tensor, "moments words"],
    remembered: Float[Tensor, "moments words"],
    heard: Int[Tensor, " moments"],
) -> Float[Tensor, " moments"]:
    """The trust before each word, which follows the words one by one."""
    columns = (logit, remembered.gather(1, heard[:, None])[:, 0], base.gather(1, heard[:, None])[:, 0])
    return torch.tensor([trust.follow(*word) for word in zip(*(c.tolist() for c in columns), strict=True)])


def _any_removed(resting: Float[Tensor, " words"]) -> bool:
    return bool(resting.numpy().min() == -math.inf)  # NumPy answers at once


def _without_removed(
    probs: Float[Tensor, "moments words"], resting: Float[Tensor, " words"]
) -> Float[Tensor, "moments words"]:
    if not _any_removed(resting):
        return probs
    probs = probs.masked_fill(resting == -math.inf, 0.0)
    return probs / probs.sum(-1, keepdim=True)
