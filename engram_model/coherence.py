"""Coherence: whether what the brain says reads like real text, judged by an independent 5-gram; and what is copied.

It must not know about files or reports. The judge is fitted on text that neither the replies nor the real text they
are compared with come from: on texts named by the caller, or else on every second of the evaluated texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engram_model.config import GenerationConfig
from engram_model.corpus import WordIds
from engram_model.engram import Engram
from engram_model.errors import TextError
from engram_model.generation import Reader, speak
from engram_model.measures import longest_run
from engram_model.phrases import PhraseCounts
from engram_model.text import BOT_ID, END_ID, UNK_ID, USER_ID, join_words, split_words

PROMPTS = 30
OPENING_WORDS = 4
JUDGE_ORDER = 5
QUESTIONS = (
    "Hello.", "How are you?", "What is your name?", "Who are you?", "Where do you live?", "What do you like?",
    "What is a dog?", "What does a cat eat?", "What color is the sky?", "What is the sun?", "How old are you?",
    "Can you sing?", "Tell me a story.", "I am tired.", "Good night.",
)  # fmt: skip
OPENINGS = (
    "once upon a time", "one day", "there was a", "the old man", "it was a", "in the morning", "she said",
    "he went to", "they wanted to", "the little girl", "a dog", "when the sun", "at night the", "her mother", "we saw",
)  # fmt: skip


@dataclass(frozen=True)
class Passage:
    """Words that are judged in the context they stand in.

    Attributes:
        prompt: What they follow, as a person reads it.
        ids: The whole text.
        start: Place of the first judged word; all after it are judged.
    """

    prompt: str
    ids: list[int]
    start: int

    def spoken(self) -> list[int]:
        """The judged words without the speakers' marks and <END>."""
        return [word for word in self.ids[self.start :] if word not in (END_ID, USER_ID, BOT_ID)]


@dataclass(frozen=True)
class Plan:
    """Who judges, what real text the replies are compared with, and whether the brain answers or continues.

    Attributes:
        judge: The independent 5-gram.
        judge_words: Words it was fitted on.
        answers: True: questions are asked and answers compared. False: openings are continued as text.
        reference: Real passages of the same kind, unknown to the judge.
    """

    judge: PhraseCounts
    judge_words: int
    answers: bool
    reference: list[Passage]


def plan(engram: Engram, evaluated: Sequence[WordIds], fitting: Sequence[WordIds] | None = None) -> Plan:
    """Choose judge and reference.

    Args:
        engram: Who will speak; a brain that never saw a dialogue continues openings.
        evaluated: Texts that the brain has not learned; without `fitting`, every second of them (the first, third,
            ..) fits the judge, and the others are the real text that replies are compared with.
        fitting: Independent texts that fit the judge; all evaluated texts are then the real text.

    Raises:
        TextError: There are fewer than two texts and no independent ones, or no real passage is long enough.
    """
    if fitting is None and len(evaluated) < 2:
        raise TextError("coherence needs at least two texts, or --baseline-text")
    reference_texts = evaluated if fitting is not None else evaluated[1::2]
    fitting = evaluated[::2] if fitting is None else fitting
    size = len(engram.vocabulary)
    talks = int(engram.vocabulary.counts[BOT_ID]) > 0
    reference = _real_answers(engram, reference_texts) if talks else []
    answers = bool(reference)
    reference = reference or _real_continuations(engram, reference_texts)
    if not reference:
        raise TextError("coherence needs real text of some words beside that of the judge; give longer text")
    judge = PhraseCounts.fit([np.asarray(text) for text in fitting], size, JUDGE_ORDER)
    return Plan(judge, sum(map(len, fitting)), answers, reference)


def _real_answers(engram: Engram, found: Sequence[WordIds]) -> list[Passage]:
    """The answers in dialogues, each with all that was said before it."""
    passages = []
    for text in found:
        ids = [int(word) for word in text]
        for start in (place + 1 for place, word in enumerate(ids) if word == BOT_ID):
            end = ids.index(END_ID, start) + 1 if END_ID in ids[start:] else len(ids)
            asked = max((place for place in range(start) if ids[place] == USER_ID), default=-1) + 1
            passages.append(Passage(readable(engram, ids[asked : start - 1]), ids[:end], start))
    return passages


def _real_continuations(engram: Engram, found: Sequence[WordIds]) -> list[Passage]:
    """What follows the first words of each text, as far as a reply may go."""
    most = OPENING_WORDS + GenerationConfig().max_words
    heads = [[int(word) for word in text[:most]] for text in found]
    return [
        Passage(readable(engram, ids[:OPENING_WORDS]), ids, OPENING_WORDS)
        for ids in heads
        if len(ids) > OPENING_WORDS + 1
    ]


def readable(engram: Engram, ids: Sequence[int]) -> str:
    """Words as a person reads them; markers are not shown."""
    return join_words(engram.vocabulary.decode(ids), engram.vocabulary.forms)


def prompts(engram: Engram, chosen: Plan) -> list[Passage]:
    """About 30 prompts, without replies: fifteen simple ones, and as many of those that the real passages follow."""
    simple = QUESTIONS if chosen.answers else OPENINGS
    own = [(prompt, engram.vocabulary.encode(split_words(prompt)).tolist()) for prompt in simple]
    real = {passage.prompt: passage.ids[: passage.start] for passage in chosen.reference if passage.prompt}
    step = max(1, len(real) // (PROMPTS - len(simple)))
    picked = [*own, *list(real.items())[::step][: PROMPTS - len(simple)]]
    return [Passage(prompt, ids, len(ids)) for prompt, ids in picked]


def replies(
    engram: Engram, chosen: Plan, seed: int, on_reply: Callable[[int], None] = lambda count: None
) -> list[Passage]:
    """What the brain says to each prompt at the default temperature, each in a fresh conversation without a trace.

    Args:
        engram: Who speaks.
        chosen: The plan.
        seed: Seed of each draw.
        on_reply: Called with 1 after each reply.
    """
    config = GenerationConfig(seed=seed)
    found = []
    for prompt in prompts(engram, chosen):
        if chosen.answers:
            chat = engram.chat(config, remember=False)
            chat.say(prompt.prompt)
            ids, spoken = chat.reader.ids, len(chat.history[-1].thoughts)
        else:
            reader = Reader(engram.mind, engram.episodes, config)
            for word in prompt.ids:
                reader.advance(word)
            spoken = sum(1 for _ in speak(reader, config, torch.Generator().manual_seed(seed)))
            ids = reader.ids
        found.append(Passage(prompt.prompt, list(ids), len(ids) - spoken - int(ids[-1] == END_ID)))
        on_reply(1)
    return found


def judged_perplexity(judge: PhraseCounts, passages: Sequence[Passage]) -> float | None:
    """Perplexity of the judged words under the judge; unknown words are left out, since no reply has any."""
    total, count = 0.0, 0
    for passage in passages:
        known = np.asarray(passage.ids[passage.start :]) != UNK_ID
        probs = judge.score(np.asarray(passage.ids, dtype=np.int64)).probs[passage.start :][known]
        total, count = total - float(np.log(probs).sum()), count + len(probs)
    return math.exp(total / count) if count else None


def shuffled(passages: Sequence[Passage], seed: int) -> list[Passage]:
    """The same passages with the judged words (but a closing <END>) in random order: word salad, for comparison."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for passage in passages:
        words = passage.ids[passage.start :]
        movable = len(words) - int(words[-1:] == [END_ID])
        order = torch.randperm(movable, generator=generator).tolist()
        mixed = [words[place] for place in order] + words[movable:]
        found.append(Passage(passage.prompt, passage.ids[: passage.start] + mixed, passage.start))
    return found


def copied_runs(passages: Sequence[Passage], learned: Sequence[WordIds]) -> list[tuple[int, list[int]]]:
    """For each passage the longest run of its judged words that stands in some learned text: length and words."""
    text = np.concatenate([np.append(np.asarray(words, dtype=np.int64), -1) for words in learned])
    text[text == UNK_ID] = -1  # one unknown word is not another
    found = []
    for passage in passages:
        words = passage.spoken()
        length, start = longest_run(words, text)
        found.append((length, words[start : start + length]))
    return found
