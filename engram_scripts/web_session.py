"""Who visits the page: each visitor's own words, episodes and conversation, and how many visitors there may be.

It must not know about Gradio or HTML. Nothing of a visitor reaches another visitor or a store: a visitor's Engram
shares the trained weights and owns everything that talking changes.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from engram_model.chat import Chat
from engram_model.columns import WordColumns
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.errors import ConfigError
from engram_model.generation import Thought
from engram_model.text import Joiner, join_words, split_words
from engram_model.vocabulary import Vocabulary

EPISODES_KEPT = 2_000
MOST_VISITORS = 64
IDLE_SECONDS = 3_600.0
TAIL_WORDS = 10
TALKING = GenerationConfig(temperature=0.5)
ASKING = GenerationConfig(temperature=0.1, max_words=30)


def drawing(
    temperature: float,
    top_k: float,
    max_words: float,
    loops: str,
    seed: float,
    phrases: bool,
    episodes: bool,
    lessons: bool,
) -> GenerationConfig:
    """The settings that the controls of the page stand for, in the order of the controls."""
    return GenerationConfig(
        temperature=temperature,
        top_k=int(top_k),
        max_words=int(max_words),
        loops=None if loops == "auto" else int(loops),
        seed=int(seed or 0),
        ngram=phrases,
        episodes=episodes,
        lessons=lessons,
    )


def own_copy(engram: Engram) -> Engram:
    """An Engram that shares what was trained and read, but has its own words, no episodes and no store."""
    words = engram.vocabulary
    columns = WordColumns(words.words, words.vectors, words.resting, words.counts, words.forms)
    mind = replace(engram.mind, vocabulary=Vocabulary(columns))
    return Engram(mind, EpisodicMemory(words.dim, EPISODES_KEPT), engram.manifest, engram.lessons)


@dataclass(frozen=True)
class WordLesson:
    """What teaching a word changed: its nearest words with their cosine (none: it was unknown), and new episodes."""

    word: str
    before: tuple[tuple[str, float], ...]
    after: tuple[tuple[str, float], ...]
    stored: int


@dataclass(frozen=True)
class FactLesson:
    """What telling a fact changed: the answers of two fresh conversations to one question, and new episodes."""

    fact: str
    question: str
    before: str
    after: str
    stored: int


class Visitor:
    """One visitor: an Engram of their own, the conversation that is going on, and how it reads.

    Attributes:
        engram: Shared weights, own words and episodes.
        chat: The conversation.
        transcript: Its lines as {"role": "user" or "assistant", "content": text}.
        taught: Words taught on the page, as written.
        last_used: When the visitor last did something.
    """

    def __init__(self, engram: Engram) -> None:
        self.engram = own_copy(engram)
        self.taught: list[str] = []
        self.transcript: list[dict[str, str]] = []
        self.last_used = 0.0
        self._talks = 0
        self.begin_talk()

    @property
    def vocabulary(self) -> Vocabulary:
        """The visitor's own words."""
        return self.engram.vocabulary

    @property
    def memory(self) -> EpisodicMemory:
        """The visitor's own episodes."""
        return self.engram.episodes

    def begin_talk(self) -> None:
        """Begin a new conversation; words and episodes stay."""
        self._talks += 1
        self.chat = Chat(self.engram, TALKING, f"talk {self._talks}")
        self.transcript = []

    def answer(self, text: str, config: GenerationConfig) -> Iterator[tuple[Thought, str]]:
        """Say something; yields each word of the answer and the text that it adds, while the transcript grows.

        Raises:
            TextError: if there is no word in the text or far too many; the transcript stays as it was.
        """
        self.chat.configure(config)
        joiner, before = Joiner(self.vocabulary.forms), len(self.transcript)
        spoken = {"role": "assistant", "content": ""}
        self.transcript += [{"role": "user", "content": text}, spoken]
        try:
            for thought in self.chat.stream(text):
                piece = joiner.push(thought.word)
                spoken["content"] += piece
                yield thought, piece
        except BaseException:
            if not spoken["content"]:
                del self.transcript[before:]
            raise
        spoken["content"] = spoken["content"] or "…"

    def ask(self, question: str) -> str:
        """The answer of a fresh conversation that leaves no trace."""
        return Chat(self.engram, ASKING, remember=False).say(question)

    def teach_word(self, word: str, definition: str) -> WordLesson:
        """Teach a word by its definition.

        Raises:
            ConfigError: if it is not one new word or the definition holds no known word.
        """
        known, episodes = " ".join(split_words(word)), len(self.memory)
        before = tuple(self.vocabulary.nearest(known)) if known in self.vocabulary else ()
        Chat(self.engram, TALKING, "taught").teach(word, definition)
        self.taught.append(known)
        return WordLesson(word.strip(), before, tuple(self.vocabulary.nearest(known)), len(self.memory) - episodes)

    def teach_fact(self, fact: str, question: str) -> FactLesson:
        """Tell a fact in a conversation of its own, and ask a fresh conversation before and after.

        Raises:
            TextError: if one of the two has no word.
        """
        episodes, before = len(self.memory), self.ask(question)
        Chat(self.engram, ASKING, "told").say(fact)
        return FactLesson(fact, question, before, self.ask(question), len(self.memory) - episodes)

    def episode_rows(self) -> list[list[bool | str | float]]:
        """The episodes, latest first: ticked, end of what was heard, next word, surprise, talk, time, id."""
        forms = self.vocabulary.forms
        return [
            [
                False,
                "… " * (len(episode.context) > TAIL_WORDS) + join_words(episode.context[-TAIL_WORDS:], forms),
                forms.get(episode.next_word, episode.next_word),
                round(episode.surprise, 2),
                episode.conversation,
                time.strftime("%H:%M:%S", time.gmtime(episode.time)),
                episode.id,
            ]
            for episode in reversed(self.memory.episodes)
        ]


class Visitors:
    """All visitors by a secret key. Who was idle too long, or came first when there are too many, is let go.

    Args:
        most: How many are kept at once.
        idle_seconds: After how long without a sign a visitor is let go.
        clock: Seconds from any start.
    """

    def __init__(
        self,
        most: int = MOST_VISITORS,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._idle_seconds, self._clock = most, idle_seconds, clock
        self._visitors: OrderedDict[str, Visitor] = OrderedDict()
        self._lock = threading.Lock()
        self.engram: Engram | None = None

    def __len__(self) -> int:
        """How many there are."""
        return len(self._visitors)

    def open(self, engram: Engram) -> None:
        """Let visitors in: from now on there is a brain to talk with."""
        self.engram = engram

    def arrive(self) -> str:
        """Let one in; returns the key to come back with."""
        key = secrets.token_hex(16)
        self.visit(key)
        return key

    def visit(self, key: str | None) -> Visitor:
        """The visitor of this key; one who was let go meanwhile starts anew.

        Raises:
            ConfigError: if there is no key yet, or no brain.
        """
        if not key or self.engram is None:
            raise ConfigError("the page is not ready yet; wait a moment or load it again")
        with self._lock:
            now = self._clock()
            visitor = self._visitors.pop(key, None) or Visitor(self.engram)
            visitor.last_used = now
            self._visitors[key] = visitor
            while len(self._visitors) > self._most or self._oldest().last_used < now - self._idle_seconds:
                self._visitors.popitem(last=False)
            return visitor

    def leave(self, key: str | None) -> None:
        """Let one go with all that was said."""
        with self._lock:
            self._visitors.pop(key or "", None)

    def _oldest(self) -> Visitor:
        return next(iter(self._visitors.values()))
