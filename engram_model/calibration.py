"""After training: sets how sure to be, when to halt and how far to believe each memory, on text not learned.

It must not know how the brain was trained.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from engram_model import head
from engram_model.brain import concept
from engram_model.corpus import WordIds
from engram_model.episodes import SURPRISING
from engram_model.mind import Mind, entropy_of
from engram_model.phrases import PhraseCounts
from engram_model.pondering import calibrate_thresholds
from engram_model.reading import Reading, predictions, read
from engram_model.recall import EMPTY, RECALLED, EpisodeGate, Recalled, gate_features
from engram_model.sources import blend
from engram_model.text import USER_ID

MAX_COST = 0.009
TARGET_SHARE = 0.645
MOST_WORDS = 20_000
SCALE_WORDS = 4_000
FACTORS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 1.05, 1.1)
STEPS = 200
DECAY = 0.1
BATCH = 1024
CONVERSATION = 200
RATE = 0.01


def losses(
    mind: Mind, texts: Sequence[WordIds], targets: Int[Tensor, " words"], states: Float[Tensor, "words dim"]
) -> Float[Tensor, " words"]:
    """Loss of each word of some texts, in nats, without episodes, as `reading.target_log_probs` gives them.

    Only the words that came are scored, here and by the counts, so that no distribution is ever made.
    """
    said = _said(mind, targets, states)
    if mind.phrases is None:
        return -said
    counted, features = _counted(mind.phrases, texts)
    with torch.no_grad():
        return -blend(said, counted, mind.phrase_gate(states, features))


@torch.no_grad()
def _said(mind: Mind, targets: Int[Tensor, " words"], states: Float[Tensor, "words dim"]) -> Float[Tensor, " words"]:
    """Log-probability of each word under the brain alone."""
    words = mind.vocabulary
    return head.target_log_probs(concept(states), mind.brain.scale, words.vectors, words.resting, targets)


def _counted(
    phrases: PhraseCounts, texts: Sequence[WordIds]
) -> tuple[Float[Tensor, " words"], Float[Tensor, "words features"]]:
    """Log-probability of each word under the counted phrases, and what they counted before it."""
    scores = phrases.score_texts([np.asarray(text) for text in texts])
    return torch.from_numpy(np.log(scores.probs)).float(), torch.from_numpy(scores.features)


def set_halting(mind: Mind, texts: Sequence[WordIds]) -> float:
    """Set the halt gate's thresholds so that words take 64.5 % of the loops, at the least cost; returns the mean loops.

    Halting may cost 0.9 % of perplexity; where that is reached first, fewer loops are saved.
    """
    most = mind.brain.config.max_ponder
    if most == 1:
        return 1.0
    chosen = first_words(texts, MOST_WORDS)
    reading, states = _after_every_loop(mind, chosen)
    each = torch.stack([losses(mind, chosen, reading.targets, state) for state in states], dim=1)
    thresholds, loops = calibrate_thresholds(reading.gains.double(), each.double(), MAX_COST, TARGET_SHARE)
    mind.brain.halt.thresholds.copy_(thresholds)
    return loops


def first_words(texts: Sequence[WordIds], words: int) -> list[WordIds]:
    """The first texts, up to about so many words."""
    found: list[WordIds] = []
    for text in texts:
        if words <= 0:
            break
        found.append(text[:words])
        words -= len(text)
    return found


def by_turns(texts: Sequence[WordIds]) -> list[list[int]]:
    """Dialogues cut before each turn of the user, so that what was told earlier can be known from memory only."""
    pieces: list[list[int]] = []
    for text in texts:
        starts = [place for place, word in enumerate(text) if word == USER_ID] or [0]
        starts = starts if starts[0] == 0 else [0, *starts]
        bounds = zip(starts, [*starts[1:], len(text)], strict=True)
        pieces.extend([int(word) for word in text[begin:end]] for begin, end in bounds)
    return pieces


def calibrate(mind: Mind, texts: Sequence[WordIds], generator: torch.Generator) -> None:
    """Set phrase gate, scale, the halt gate's thresholds and the episode gate on held-out text."""
    fit_phrase_gate(mind, texts, generator)
    if fit_scale(mind, texts) != 1.0:
        fit_phrase_gate(mind, texts, generator)
    set_halting(mind, texts)
    fit_episode_gate(mind, texts, generator)


@torch.no_grad()
def fit_scale(mind: Mind, texts: Sequence[WordIds]) -> float:
    """Multiply the brain's scale by what makes the words likeliest, phrases blended in; returns the factor.

    A brain that has read its text many times is surer than it is right: temperature scaling (Guo et al. 2017, section 4.2),
    with every loop counted the same.
    """
    chosen = first_words(texts, SCALE_WORDS)
    reading, states = _after_every_loop(mind, chosen)
    trained = mind.brain.scale.log()
    found: dict[float, float] = {}
    for factor in FACTORS:
        mind.brain.log_scale.copy_(trained + math.log(factor))
        found[factor] = sum(float(losses(mind, chosen, reading.targets, state).mean()) for state in states)
    best = min(found, key=lambda factor: found[factor])
    mind.brain.log_scale.copy_(trained + math.log(best))
    return best


def fit_phrase_gate(mind: Mind, texts: Sequence[WordIds], generator: torch.Generator) -> None:
    """Fit the share of the counted phrases by maximum likelihood on text that neither brain nor counts have seen.

    Words that halt early are blended by the same gate, so it learns from the state after every loop. Blending during
    training, with leave-one-out counts, was tried and starves the brain: what phrases can say, it then never learns.
    """
    if mind.phrases is None:
        return
    chosen = first_words(texts, MOST_WORDS)
    reading, states = _after_every_loop(mind, chosen)
    counted, features = _counted(mind.phrases, chosen)
    data = {
        "brain": torch.cat([_said(mind, reading.targets, state) for state in states]),
        "phrase": counted.repeat(len(states)),
        "features": features.repeat(len(states), 1),
        "state": states.flatten(0, 1),
    }
    gate = mind.phrase_gate

    def loss(part: dict[str, Tensor]) -> Tensor:
        return -blend(part["brain"], part["phrase"], gate(part["state"], part["features"])).mean()

    _fit(gate, data, loss, generator)


def _after_every_loop(mind: Mind, texts: Sequence[WordIds]) -> tuple[Reading, Float[Tensor, "loops words dim"]]:
    """A reading of some texts with all loops, and the state before each word after every loop."""
    reading = read(mind, texts, loops=mind.brain.config.max_ponder, every_loop=True)
    assert reading.every_state is not None
    return reading, reading.every_state


def _fit(
    gate: nn.Module, data: dict[str, Tensor], loss: Callable[[dict[str, Tensor]], Tensor], generator: torch.Generator
) -> None:
    """AdamW on random batches with a rate that falls to zero."""
    gate.train()
    count = len(next(iter(data.values())))
    optimizer = torch.optim.AdamW(gate.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * (1.0 - step / STEPS)
        batch = torch.randint(count, (min(BATCH, count),), generator=generator)
        value = loss({name: column[batch] for name, column in data.items()})
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    gate.eval()


def _examples(mind: Mind, reading: Reading, remember: Bool[Tensor, " words"]) -> dict[str, Tensor]:
    """What the gate needs of each word of a reading that remembers some of what it has read."""
    parts: list[dict[str, Tensor]] = []
    for rows, prediction in predictions(mind, reading, remember=remember):
        found = prediction.recalled
        if found is None:
            continue
        base = prediction.brain_probs
        if prediction.phrase_probs is not None:
            share = prediction.shares[:, 1] / prediction.shares[:, :2].sum(-1).clamp(min=1e-9)
            base = torch.lerp(base, prediction.phrase_probs, share[:, None])
        target = reading.targets[rows, None]
        width = (0, RECALLED - found.words.shape[1])
        parts.append(
            {
                "words": pad(found.words, width),
                "similarity": pad(found.similarity, width, value=EMPTY),
                "matched": pad(found.matched, width),
                "total": found.total,
                "base": pad(base.gather(1, found.words), width),
                "entropy": entropy_of(base),
                "state": reading.states[rows],
                "target": target[:, 0],
                "background": found.background.gather(1, target)[:, 0],
                "log_base": base.gather(1, target)[:, 0].clamp(min=1e-30).log(),
            }
        )
    return _joined(parts)


def fit_episode_gate(mind: Mind, texts: Sequence[WordIds], generator: torch.Generator) -> None:
    """Fit the weights and the share of recalled episodes by maximum likelihood on text read for the first time.

    The texts are read three times: as they are, with dialogues cut into exchanges, so that the gate learns both what
    recall adds to the context and what it is worth without it, and as many short conversations of which only what
    surprises is remembered, as in a chat. A gate that never saw a memory of a few episodes lets them talk too much.
    """
    chosen = first_words(texts, MOST_WORDS)
    pieces = by_turns(chosen)
    examples = []
    for whole in (chosen, pieces) if len(pieces) > len(chosen) else (chosen,):
        reading = read(mind, whole)
        examples.append(_examples(mind, reading, torch.ones(len(reading), dtype=torch.bool)))
    for conversation in conversations(pieces):
        reading = read(mind, conversation)
        surprise = losses(mind, conversation, reading.targets, reading.states)
        examples.append(_examples(mind, reading, surprise >= SURPRISING * surprise.mean()))
    data, vectors = _joined([example for example in examples if example]), mind.vocabulary.vectors
    if data:
        _fit(mind.episode_gate, data, lambda part: _gate_loss(mind.episode_gate, part, vectors), generator)


def conversations(pieces: Sequence[WordIds]) -> Iterator[list[WordIds]]:
    """Pieces of text in groups of about 200 words; a longer piece is cut."""
    group: list[WordIds] = []
    for piece in pieces:
        for start in range(0, len(piece), CONVERSATION):
            group.append(piece[start : start + CONVERSATION])
            if sum(map(len, group)) >= CONVERSATION:
                yield group
                group = []
    if group:
        yield group


def _joined(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _gate_loss(gate: EpisodeGate, data: dict[str, Tensor], vectors: Float[Tensor, "words dim"]) -> Float[Tensor, ""]:
    words, target = data["words"], data["target"]
    recalled = Recalled(words, words, data["similarity"], data["matched"], data["background"][:, None], data["total"])
    weights, rest = gate.weights(recalled)
    features = gate_features(recalled, weights, rest, data["base"], data["entropy"], data["state"], vectors)
    named = (weights * (words == target[:, None])).sum(-1) + rest * data["background"]
    return -blend(data["log_base"], named.clamp(min=1e-12).log(), gate.share_logit(features)).mean()
