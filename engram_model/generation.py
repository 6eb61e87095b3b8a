"""The one sampler: reads words into a cache, predicts the next one, draws it, and says how it came about.

It must not know about conversations, files or screens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from engram_model.brain import BrainOutput, Cache, concept
from engram_model.config import GenerationConfig
from engram_model.episodes import EpisodicMemory
from engram_model.mind import SOURCES, Mind, Prediction, phrase_view, predict
from engram_model.nearest import highest
from engram_model.recall import SUFFIX, Trust, recall_one
from engram_model.stepping import Stepper
from engram_model.text import BOT_ID, END_ID, SPECIALS, UNK_ID, USER_ID

SPEAKERS = (*SOURCES, "lesson")
"""Who may have said a word: the sources of a prediction, the moments of lessons apart from the episodes."""

CANDIDATES = 5
NEAREST = 3
PHRASE_REACH = 8
RECOLLECTED_TRUST = 2.0
"""How much more, in logits, moments are believed in an answer before which something was read again (docs/log.md)."""


@dataclass(frozen=True)
class RecalledEpisode:
    """An episode that came to mind: id, the word it names, share of all moments, cosine, and words of the common phrase."""

    id: str
    word: str
    weight: float
    similarity: float
    matched: int


@dataclass(frozen=True)
class Thought:
    """One word and how it came about.

    Attributes:
        word: The word, folded.
        probability: Its probability at temperature 1, before the cut to the best `top_k`.
        candidates: The five best words with their probabilities.
        surprise: -ln(probability), in nats.
        loops: Loops the brain pondered.
        gate: How far the EngramModule's gate was open, 0 to 1.
        shares: Share of brain, phrase memory, episodes and lessons in the whole prediction.
        credit: Who spoke: share of each source in the probability of this word.
        recalled: Episodes that came to mind, best first.
        nearest: Words whose vectors are nearest to the predicted concept, with their cosine.
        key: The predicted concept vector, by which this moment can be remembered.
    """

    word: str
    probability: float
    candidates: tuple[tuple[str, float], ...]
    surprise: float
    loops: int
    gate: float
    shares: dict[str, float]
    credit: dict[str, float]
    recalled: tuple[RecalledEpisode, ...]
    nearest: tuple[tuple[str, float], ...]
    key: Float[Tensor, " dim"]

    @property
    def episode_share(self) -> float:
        """Share of the episodes in the prediction."""
        return self.shares["episode"]

    @property
    def remembered_share(self) -> float:
        """Share of all moments in the prediction, those of lessons among them."""
        return self.shares["episode"] + self.shares["lesson"]

    @property
    def spoken_by(self) -> str:
        """The source with the largest share in this word."""
        return max(self.credit, key=lambda source: self.credit[source])


class Reader:
    """Reads one conversation word by word and keeps the brain's keys and values, so that each word is read once.

    Args:
        mind: Who reads.
        memory: Episodes to recall, or None.
        config: Loops and switches of the memories.

    Attributes:
        recollects: Whether something was read again before this answer; its moments are then believed more.
    """

    def __init__(self, mind: Mind, memory: EpisodicMemory | None, config: GenerationConfig) -> None:
        self.mind, self.memory, self.config = mind, memory, config
        self.ids: list[int] = []
        self.cache = Cache(mind.brain.config.context_size)
        self._stepper = Stepper(mind.brain)
        self.trust = Trust()
        self.lessons: EpisodicMemory | None = None
        self.recollects = False
        self._output: BrainOutput
        self._state: Float[Tensor, "1 dim"]
        self._concept: Float[Tensor, " dim"]
        mind.brain.eval()
        self._read([END_ID])

    @torch.inference_mode()
    def _read(self, ids: Sequence[int]) -> None:
        vectors, loops, ngram = self.mind.vocabulary.vectors, self.config.loops, self.config.ngram
        if len(ids) == 1:
            self._output = self._stepper.think(ids[0], vectors[ids[0]], self.cache, loops=loops, ngram=ngram)
        else:
            batch = torch.tensor([list(ids)])
            self._output = self.mind.brain(batch, vectors, loops=loops, ngram=ngram, cache=self.cache)
        self._state = self._output.state[:, -1]
        self._concept = concept(self._state)[0]

    def hear(self, ids: Sequence[int]) -> list[Thought]:
        """Read words that someone else chose; returns what was thought of each before it was known."""
        return [self.listen(word) for word in ids]

    def listen(self, word: int) -> Thought:
        """Take in one word that someone else chose; trust in episodes follows what it shows."""
        thought = self.think(word, self.predict(word))
        self.advance(word)
        return thought

    def advance(self, word: int) -> None:
        """Take in one more word."""
        self.read([word])

    def read(self, ids: Sequence[int]) -> None:
        """Take in many words, a window at a time, without a thought about each."""
        for start in range(0, len(ids), self.cache.window):
            part = ids[start : start + self.cache.window]
            self._read(part)
            self.ids.extend(part)

    @torch.inference_mode()
    def learn_again(self, ids: Sequence[int]) -> None:
        """Make moments of words that stand at the beginning of what was read: from now on they come to mind besides."""
        vocabulary, switches = self.mind.vocabulary, {"loops": self.config.loops, "ngram": self.config.ngram}
        states = self.mind.brain(torch.tensor([[END_ID, *ids[:-1]]]), vocabulary.vectors, **switches).state[0]
        words, self.lessons = vocabulary.decode(ids), EpisodicMemory(vocabulary.dim)
        for place, (word_id, key) in enumerate(zip(ids, concept(states), strict=True)):
            if word_id not in (UNK_ID, USER_ID, BOT_ID):
                before = slice(max(0, place - SUFFIX), place)
                self.lessons.add(
                    key=key, next_word=words[place], next_id=word_id, context=words[before], context_ids=ids[before],
                    surprise=0.0, conversation="lessons",
                )  # fmt: skip

    def suffix(self) -> list[int]:
        """Ids of the last four words, latest first, -1 where there are fewer."""
        latest = self.ids[::-1][:SUFFIX]
        return latest + [-1] * (SUFFIX - len(latest))

    @torch.inference_mode()
    def predict(self, heard: int | None = None) -> Prediction:
        """The distribution of the next word at temperature 1, and who says what.

        Args:
            heard: The word that someone else says next, for trust to learn from; the prediction does not depend on it.
        """
        phrases = recalled = None
        if self.config.ngram and self.mind.phrases is not None:
            phrases = phrase_view(self.mind, [self.ids[-PHRASE_REACH:]])
        own = self.memory if self.config.episodes else None
        memories = [memory for memory in (own, self.lessons) if memory is not None and len(memory)]
        if memories:
            recalled = recall_one(memories, self._concept, self.suffix(), len(self.mind.vocabulary))
        trust = Trust(self.trust.level + RECOLLECTED_TRUST) if self.recollects else self.trust
        came = None if heard is None else torch.tensor([heard])
        return predict(self.mind, self._state, phrases, recalled, trust, came)

    @torch.inference_mode()
    def think(self, word: int, prediction: Prediction | None = None) -> Thought:
        """What was thought of `word` before it was taken in."""
        prediction = prediction or self.predict()
        probs = prediction.probs[0]
        vocabulary = self.mind.vocabulary
        values, best = highest(probs, CANDIDATES)
        near = prediction.nearest(0, vocabulary.resting, NEAREST)
        cosines = vocabulary.vectors[near] @ self._concept
        probability = float(probs[word])
        shares, credit = dict(zip(SOURCES, prediction.shares[0].tolist(), strict=True)), prediction.credit(0, word)
        for part, lessons in zip((shares, credit), self._lessons_part(prediction, word), strict=True):
            part["lesson"] = part["episode"] * lessons
            part["episode"] -= part["lesson"]
        return Thought(
            word=vocabulary.decode([word])[0],
            probability=probability,
            candidates=tuple(zip(vocabulary.decode(best), values.tolist(), strict=True)),
            surprise=-math.log(max(probability, 1e-30)),
            loops=int(self._output.loops[0, -1]),
            gate=float(self._output.gate[0, -1]),
            shares=shares,
            credit=credit,
            recalled=self._recalled(prediction),
            nearest=tuple(zip(vocabulary.decode(near), cosines.tolist(), strict=True)),
            key=self._concept.clone(),
        )

    def _lessons_part(self, prediction: Prediction, word: int) -> tuple[float, float]:
        """Share of the lessons in what all moments say together, and in what they say of one word."""
        found = prediction.recalled
        if self.lessons is None or found is None or prediction.weights is None or prediction.episode_probs is None:
            return 0.0, 0.0
        own = len(self.memory) if self.memory is not None and self.config.episodes else 0
        rows, words, weights = (column[0].numpy() for column in (found.rows, found.words, prediction.weights))
        learned, endings = rows >= own, self.lessons.endings
        faint = (1.0 - float(weights.sum())) / max(int(found.total), 1)  # what one moment says besides
        every = float(weights[learned].sum()) + faint * endings.total
        said = float(weights[learned & (words == word)].sum()) + faint * float(endings.counts(word + 1)[word])
        return min(every, 1.0), min(said / max(float(prediction.episode_probs[0, word]), 1e-30), 1.0)

    def _recalled(self, prediction: Prediction) -> tuple[RecalledEpisode, ...]:
        if prediction.recalled is None or prediction.weights is None or self.memory is None or not self.config.episodes:
            return ()
        found = prediction.recalled
        weights, order = prediction.weights[0].topk(min(CANDIDATES, prediction.weights.shape[1]))
        columns = [column.take(order).tolist() for column in (found.rows, found.words, found.similarity, found.matched)]
        return tuple(
            RecalledEpisode(self.memory.id_at(row), self.mind.vocabulary.decode([word])[0], weight, near, matched)
            for weight, row, word, near, matched in zip(weights.tolist(), *columns, strict=True)
            if row < len(self.memory)  # the others are lessons
        )


def draw(probs: Float[Tensor, " words"], config: GenerationConfig, generator: torch.Generator) -> int:
    """Draw a word from softmax(log p / temperature) over the `top_k` best.

    <UNK> and the speakers' marks are never spoken, whatever their probability.
    """
    probs = probs.clone()
    probs[UNK_ID] = 0.0
    probs[END_ID + 1 : len(SPECIALS)] = 0.0
    count = min(config.top_k, len(probs)) if config.top_k else len(probs)
    values, best = highest(probs, count)
    # Against the best word, in double precision: no temperature above zero overflows.
    relative = values.numpy().astype(np.float64) / float(values[0])
    total = np.where(relative > 0, relative ** (1.0 / config.temperature), 0.0).cumsum()
    place = int(total.searchsorted(float(torch.rand((), generator=generator)) * total[-1], side="right"))
    return int(best[min(place, count - 1)])


def speak(reader: Reader, config: GenerationConfig, generator: torch.Generator) -> Iterator[Thought]:
    """Say words one by one until the end token (which is taken in, but not yielded) or `max_words`."""
    for _ in range(config.max_words):
        prediction = reader.predict()
        word = draw(prediction.probs[0], config, generator)
        thought = reader.think(word, prediction)
        reader.advance(word)
        if word == END_ID:
            return
        yield thought
