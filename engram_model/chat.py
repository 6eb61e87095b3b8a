"""One conversation: hears, recalls, answers and remembers. Talking changes memory only, never weights.

It must not know about terminals or web pages.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field, replace

import torch

from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.errors import ConfigError, TextError
from engram_model.generation import Reader, Thought, speak
from engram_model.recollection import QUESTION, recollect
from engram_model.text import (
    BOT_ID,
    END,
    END_ID,
    UNK_ID,
    USER,
    USER_ID,
    join_words,
    split_words,
    usual_forms,
)

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
        recollected: What was told before the last exchange, here or elsewhere, and was read again for this answer.
        seconds: How long hearing and answering took.
    """

    heard: list[Thought] = field(default_factory=list)
    thoughts: list[Thought] = field(default_factory=list)
    text: str = ""
    stored: list[str] = field(default_factory=list)
    learned: list[str] = field(default_factory=list)
    recollected: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Chat:
    """A conversation with a brain.

    Args:
        engram: Who talks.
        config: How words are drawn; may be replaced between turns.
        conversation: Name under which episodes are remembered; None makes one up.
        memory: Episodes to use instead of the brain's own (a visitor's session).
        remember: False recalls but leaves no trace: no episodes, no new words.
    """

    def __init__(
        self,
        engram: Engram,
        config: GenerationConfig,
        conversation: str | None = None,
        memory: EpisodicMemory | None = None,
        remember: bool = True,
    ) -> None:
        self.engram, self.config, self.remember = engram, config, remember
        self.memory = engram.episodes if memory is None else memory
        self.conversation = conversation or uuid.uuid4().hex[:8]
        self.generator = torch.Generator().manual_seed(config.seed)
        self.history: list[Turn] = []
        # A brain that never saw a dialogue does not know the speakers' marks: it continues what it hears.
        self.in_turns = int(engram.vocabulary.counts[BOT_ID]) > 0
        self.reader = self._fresh_reader()

    def _fresh_reader(self) -> Reader:
        return Reader(self.engram.mind, self.memory, self.config)

    def configure(self, config: GenerationConfig) -> None:
        """Change how words are drawn; other loops or phrases switched make the brain read the conversation again."""
        reread = (config.loops, config.ngram) != (self.config.loops, self.config.ngram)
        if config.seed != self.config.seed:
            self.generator.manual_seed(config.seed)
        self.config = self.reader.config = config
        if reread:
            self._read_again(self.reader.ids)

    def _read_again(self, ids: list[int]) -> None:
        """Read a conversation anew; how far episodes are trusted stays as it was learned."""
        trust, self.reader = self.reader.trust, self._fresh_reader()
        self.reader.trust = trust
        self.reader.read(ids)

    def _let_go(self) -> None:
        """Keep only the last exchanges in mind; what was told before comes back by recollection, where it is asked for."""
        ids, kept = self.reader.ids, self.config.exchanges
        starts = [place for place, word in enumerate(ids) if word == USER_ID]
        if len(starts) > kept:
            self._read_again(ids[starts[-kept] :] if kept else [])

    def say(self, text: str) -> str:
        """Say something and return the whole answer."""
        for _ in self.stream(text):
            pass
        return self.history[-1].text

    def stream(self, text: str) -> Generator[Thought, None, None]:
        """Say something and get the answer word by word; what was surprising is remembered when it is complete.

        Closing the generator stops the answer, which is then complete.

        Raises:
            TextError: if there is no word in it, or more than 2,000.
        """
        words = split_words(text)
        if not words:
            raise TextError("there is no word in that; type something")
        if len(words) > LONGEST_TURN:
            raise TextError(
                f"a turn must be at most {LONGEST_TURN:,} words, got {len(words):,}; use ingest.py for long texts"
            )
        began = time.perf_counter()
        turn, again = Turn(), 0
        if self.reader.ids and self.reader.ids[-1] != END_ID:
            self.reader.advance(END_ID)
        if self.in_turns:
            self._let_go()
            self.reader.advance(USER_ID)
        first = len(self.reader.ids)
        self._hear(self.reader, words, turn)
        self._note_forms(text, turn)
        if self.in_turns:
            self._hear(self.reader, self._closing_mark(), turn)
            again = self._recollect(turn)
            self.reader.advance(BOT_ID)
        try:
            for thought in speak(self.reader, self.config, self.generator):
                turn.thoughts.append(thought)
                yield thought
        finally:
            turn.text = join_words([t.word for t in turn.thoughts], self.engram.vocabulary.forms)
            turn.seconds = time.perf_counter() - began
            self.history.append(turn)
            self.reader.lessons, self.reader.recollects = None, False
            if self.remember:
                self._remember(self.reader, turn, again + first, again)

    def _hear(self, reader: Reader, words: list[str], turn: Turn) -> None:
        """Read the words; one without an id gets one, its vector what the brain expected in its place."""
        vocabulary = self.engram.vocabulary
        for word in words:
            word_id = vocabulary.id_of(word)
            expected = reader.think(word_id, reader.predict(word_id))
            if word_id == UNK_ID and self.remember:
                # <UNK> stands for every word there might be; of its probability, one of them has the share 1 / V.
                surprise = expected.surprise + math.log(len(vocabulary))
                expected = replace(expected, word=word, surprise=surprise, probability=math.exp(-surprise))
                word_id = vocabulary.learn_from_contexts(word, expected.key[None])
                turn.learned.append(word)
            turn.heard.append(expected)
            reader.advance(word_id)

    def _recollect(self, turn: Turn) -> int:
        """Read again, before this exchange, what belongs to it; returns its length.

        That is what was told earlier, where it belongs to a question; else exchanges that were read in training.
        """
        vocabulary, earlier, said = self.engram.vocabulary, self.reader.ids, [thought.word for thought in turn.heard]
        in_mind = f" {' '.join(vocabulary.decode(earlier))} "
        found = recollect(self.memory.episodes, said, vocabulary) if self.config.episodes else []
        told = [words for words in found if f" {' '.join(words)} " not in in_mind]
        read = self.engram.lessons.recollect(said) if self.config.lessons and not found else []
        before = [(USER, *words, ".", END) for words in told] + [exchange.text for exchange in read]
        if not before:
            return 0
        turn.recollected = [join_words(words, vocabulary.forms) for words in (*told, *(e.words for e in read))]
        ids = [word_id for words in before for word_id in vocabulary.encode(words).tolist()]
        self._read_again([*ids, *earlier])
        self.reader.recollects = True
        if read:
            self.reader.learn_again(ids)
        return len(ids)

    def _note_forms(self, text: str, turn: Turn) -> None:
        """Write new words from now on as the speaker wrote them."""
        forms = usual_forms([text]) if turn.learned else {}
        self.engram.vocabulary.forms |= {word: forms[word] for word in turn.learned if word in forms}

    def _closing_mark(self) -> list[str]:
        """The mark that the brain expects at the end of what was said, where the speaker left it out."""
        vocabulary, probs = self.engram.vocabulary, self.reader.predict().probs[0]
        marks = [word for word in CLOSING_MARKS if word in vocabulary]
        if not marks or self.reader.ids[-1] in {vocabulary.id_of(mark) for mark in marks}:
            return []
        best = max(marks, key=lambda mark: float(probs[vocabulary.id_of(mark)]))
        return [best] if probs[vocabulary.id_of(best)] > probs[BOT_ID] else []

    def _remember(self, reader: Reader, turn: Turn, first: int, again: int = 0, everything: bool = False) -> None:
        """Store the surprising moments among the words that were heard, or all; the first of them is at this place.

        So many words at the beginning were read again and are no part of the conversation.

        Of a statement at least the most surprising word is kept, so that nothing told is lost.
        """
        decode = self.engram.vocabulary.decode
        asked = any(thought.word == QUESTION for thought in turn.heard)
        peak = max((thought.surprise for thought in turn.heard), default=0.0)
        for place, thought in enumerate(turn.heard, first):
            surprising = self.memory.is_surprising(thought.surprise)
            if not (surprising or everything) and (asked or thought.surprise < peak):
                continue
            context_ids = reader.ids[max(again, place - CONTEXT_KEPT) : place]
            turn.stored.append(
                self.memory.add(
                    key=thought.key,
                    next_word=decode([reader.ids[place]])[0],
                    next_id=reader.ids[place],
                    context=decode(context_ids),
                    context_ids=context_ids,
                    surprise=thought.surprise,
                    conversation=self.conversation,
                )
            )
        self.engram.flush()

    def teach(self, word: str, definition: str) -> list[tuple[str, float]]:
        """Give a word a meaning: its vector from the definition's words, and the definition as episodes, word by word.

        Only a word that is new, or was heard once, can be taught; others were learned from more than a definition.

        Returns:
            The words nearest to it afterwards, with their cosine.

        Raises:
            ConfigError: if this is not one word, it is known well, or the definition holds no known word.
        """
        folded, told = split_words(word), split_words(definition)
        if len(folded) != 1:
            raise ConfigError(f"teach one word at a time, got {word!r}")
        name = folded[0]
        self._define(name, word.strip(), told)
        first, *rest = told if name in told else [name, "is", *told]
        reader, turn = self._fresh_reader(), Turn()
        reader.read([self.engram.vocabulary.id_of(first)])  # with nothing before it, it is no moment to remember
        self._hear(reader, rest, turn)
        self._remember(reader, turn, 1, everything=True)
        return self.engram.vocabulary.nearest(name)

    def _define(self, word: str, form: str, definition: list[str]) -> None:
        vocabulary = self.engram.vocabulary
        if word not in vocabulary or vocabulary.counts[vocabulary.id_of(word)] > 1:
            vocabulary.define(word, definition)
        else:
            # Defined beside the old one first, so that a definition that does not do leaves all as it was.
            beside = f"({word})"
            vocabulary.define(beside, [other for other in definition if other != word])
            vocabulary.remove(word)
            vocabulary.rename(beside, word)
            for memory in (self.memory, self.engram.episodes):
                memory.relink(vocabulary.ids)
        if form != word:
            vocabulary.forms[word] = form
