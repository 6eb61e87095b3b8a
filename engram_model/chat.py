"""One conversation: hears, recalls, answers and remembers. Talking changes memory only, never weights.

It must not know about terminals or web pages.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch

from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.errors import ConfigError, TextError
from engram_model.generation import Reader, Thought, speak
from engram_model.text import BOT_ID, END_ID, SPECIALS, UNK_ID, USER_ID, join_words, split_words

CONTEXT_KEPT = 128
CLOSING_MARKS = (".", "?", "!")
LONGEST_TURN = 2_000


@dataclass
class Turn:
    """One exchange.

    Attributes:
        heard: What was thought of each word that was said to the brain.
        thoughts: The words of the answer.
        text: The answer as a person reads it.
        stored: Ids of the episodes that were stored.
        learned: Words that entered the vocabulary.
        seconds: How long hearing and answering took.
    """

    heard: list[Thought] = field(default_factory=list)
    thoughts: list[Thought] = field(default_factory=list)
    text: str = ""
    stored: list[str] = field(default_factory=list)
    learned: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Chat:
    """A conversation with a brain.

    Args:
        engram: Who talks.
        config: How words are drawn; may be replaced between turns.
        conversation: Name under which episodes are remembered; None makes one up.
        memory: Episodes to use instead of the brain's own (a visitor's session).
    """

    def __init__(
        self,
        engram: Engram,
        config: GenerationConfig,
        conversation: str | None = None,
        memory: EpisodicMemory | None = None,
    ) -> None:
        self.engram, self.config = engram, config
        self.memory = engram.episodes if memory is None else memory
        self.conversation = conversation or uuid.uuid4().hex[:8]
        self.generator = torch.Generator().manual_seed(config.seed)
        self.history: list[Turn] = []
        self.reader = self._fresh_reader()

    def _fresh_reader(self) -> Reader:
        return Reader(self.engram.mind, self.memory, self.config)

    def configure(self, config: GenerationConfig) -> None:
        """Change temperature, switches or seed; a changed switch or loop count makes the brain re-read the conversation."""
        reread = (config.loops, config.ngram) != (self.config.loops, self.config.ngram)
        if config.seed != self.config.seed:
            self.generator.manual_seed(config.seed)
        self.config = self.reader.config = config
        if reread:
            heard, self.reader = self.reader.ids, self._fresh_reader()
            for word in heard:
                self.reader.advance(word)

    def say(self, text: str) -> str:
        """Say something and return the whole answer."""
        for _ in self.stream(text):
            pass
        return self.history[-1].text

    def stream(self, text: str) -> Iterator[Thought]:
        """Say something and get the answer word by word; what was surprising is remembered when it is complete.

        Raises:
            TextError: if there is no word in it, or more than 2,000.
        """
        words = split_words(text)
        if not words:
            raise TextError("there is no word in that; type something")
        if len(words) > LONGEST_TURN:
            raise TextError(f"a turn must be at most {LONGEST_TURN:,} words, got {len(words):,}; use ingest.py for long texts")
        began = time.perf_counter()
        turn = Turn()
        if self.reader.ids and self.reader.ids[-1] != END_ID:
            self.reader.advance(END_ID)
        start = len(self.reader.ids)
        self.reader.advance(USER_ID)
        self._hear(words, turn)
        self._hear(self._closing_mark(), turn)
        self.reader.advance(BOT_ID)
        try:
            for thought in speak(self.reader, self.config, self.generator):
                turn.thoughts.append(thought)
                yield thought
        finally:
            turn.text = join_words([t.word for t in turn.thoughts], self.engram.vocabulary.forms)
            self._remember(turn, start)
            turn.seconds = time.perf_counter() - began
            self.history.append(turn)

    def _hear(self, words: list[str], turn: Turn) -> None:
        """Read the words; one without an id gets one, its vector what the brain expected in its place."""
        vocabulary = self.engram.vocabulary
        for word in words:
            word_id = vocabulary.id_of(word)
            expected = self.reader.think(word_id)
            if word_id == UNK_ID and word not in SPECIALS:
                vocabulary.learn_from_contexts(word, expected.key[None])
                word_id = vocabulary.id_of(word)
                turn.learned.append(word)
            turn.heard.append(expected)
            self.reader.advance(word_id)

    def _closing_mark(self) -> list[str]:
        """The mark that the brain expects at the end of what was said, where the speaker left it out."""
        vocabulary, probs = self.engram.vocabulary, self.reader.predict().probs[0]
        marks = [word for word in CLOSING_MARKS if word in vocabulary]
        if not marks or self.reader.ids[-1] in {vocabulary.id_of(mark) for mark in marks}:
            return []
        best = max(marks, key=lambda mark: float(probs[vocabulary.id_of(mark)]))
        return [best] if probs[vocabulary.id_of(best)] > probs[BOT_ID] else []

    def _remember(self, turn: Turn, start: int) -> None:
        """Store the surprising moments among the words that were heard."""
        ids, words = self.reader.ids, self.engram.vocabulary.words
        for place, thought in enumerate(turn.heard, start + 1):
            if not self.memory.is_surprising(thought.surprise):
                continue
            context = [str(words[word]) for word in ids[max(0, place - CONTEXT_KEPT) : place]]
            turn.stored.append(
                self.memory.add(
                    key=thought.key,
                    next_word=str(words[ids[place]]),
                    next_id=ids[place],
                    context=context,
                    context_ids=ids[max(0, place - CONTEXT_KEPT) : place],
                    surprise=thought.surprise,
                    conversation=self.conversation,
                )
            )
        self.engram.flush()

    def teach(self, word: str, definition: str) -> list[tuple[str, float]]:
        """Give a word a meaning: its vector from the definition's words, and the definition remembered as episodes.

        Returns:
            The words nearest to it afterwards.

        Raises:
            ConfigError: if the definition holds no known word.
        """
        folded = split_words(word)
        if len(folded) != 1:
            raise ConfigError(f"teach one word at a time, got {word!r}")
        vocabulary = self.engram.vocabulary
        if folded[0] in vocabulary and vocabulary.counts[vocabulary.id_of(folded[0])] <= 1:
            vocabulary.remove(folded[0])
        vocabulary.define(folded[0], split_words(definition))
        if word.strip() != folded[0]:
            vocabulary.forms[folded[0]] = word.strip()
        self.engram.flush()
        return vocabulary.nearest(folded[0])
