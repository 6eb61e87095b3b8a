"""Words in a conversation: new ones are learned where they stand, others by teaching, marks are filled in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engram_model.chat import Chat
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.errors import ConfigError
from engram_model.generation import Reader
from engram_model.meeting import CLOSENESS
from engram_model.text import BOT_ID, UNK_ID, USER_ID

CALM = GenerationConfig(temperature=0.3)


@pytest.fixture
def engram(copy_of_brain: Path) -> Iterator[Engram]:
    """A tiny brain of this test's own."""
    found = Engram.load(copy_of_brain)
    yield found
    found.close()


def heard(chat: Chat) -> list[str]:
    return [thought.word for thought in chat.history[-1].heard]


def test_unknown_words_get_ids_and_stand_out(engram: Engram) -> None:
    vocabulary, words = engram.vocabulary, len(engram.vocabulary)
    reader = Reader(engram.mind, None, GenerationConfig())
    reader.read([USER_ID, *vocabulary.encode(["my", "name", "is"]).tolist()])
    unknown = reader.think(UNK_ID)
    chat = engram.chat(CALM)
    chat.say("My name is Wixel, Wixel.")
    assert vocabulary.id_of("wixel") == words == len(vocabulary) - 1
    assert chat.history[-1].learned == ["wixel"]
    new = chat.history[-1].heard[3]
    assert new.word == "wixel"
    assert new.surprise == pytest.approx(unknown.surprise + math.log(words), abs=1e-4)
    assert new.probability == pytest.approx(math.exp(-new.surprise))
    assert float(vocabulary.vectors[words] @ unknown.key) == pytest.approx(CLOSENESS, abs=1e-3)
    assert chat.reader.ids[4] == words
    assert vocabulary.forms["wixel"] == "Wixel"
    assert vocabulary.verify() == []


def test_words_are_written_as_the_speaker_writes_them(engram: Engram) -> None:
    engram.chat(CALM).say("my name is trudax")
    assert "trudax" in engram.vocabulary
    assert "trudax" not in engram.vocabulary.forms


@pytest.mark.parametrize(
    ("said", "closed"),
    [
        ("how are you", "?"),
        ("what is my name", "?"),
        ("my name is ben", "."),
        ("how are you ?", ""),
        ("my name is ada !", ""),
        ("where do i live .", ""),
    ],
)
def test_a_mark_that_was_left_out_is_heard_as_the_brain_expects_it(engram: Engram, said: str, closed: str) -> None:
    chat = engram.chat(replace(CALM, lessons=False))
    chat.say(said)
    assert heard(chat) == [*said.split(), *([closed] if closed else [])]
    assert chat.reader.ids[len(heard(chat)) + 1] == BOT_ID


def test_teaching_gives_a_word_the_place_of_its_meaning(engram: Engram, copy_of_brain: Path) -> None:
    chat = engram.chat(CALM)
    near = chat.teach("Zorb", "the hen")
    order = [word for word, _ in engram.vocabulary.nearest("zorb", len(engram.vocabulary))]
    assert near == engram.vocabulary.nearest("zorb")
    assert order[0] == "hen"
    assert order.index("cow") < len(order) / 4
    assert engram.vocabulary.forms["zorb"] == "Zorb"
    told = [(episode.context, episode.next_word) for episode in engram.episodes.episodes]
    words = ("zorb", "is", "the", "hen")
    assert told == [(words[:place], words[place]) for place in range(1, len(words))]
    assert chat.reader.ids == []  # the conversation itself did not hear it
    engram.close()
    again = Engram.load(copy_of_brain)
    assert "zorb" in again.vocabulary
    assert [(episode.context, episode.next_word) for episode in again.episodes.episodes] == told
    again.close()


def test_a_definition_that_names_its_word_is_remembered_as_it_stands(engram: Engram) -> None:
    engram.chat(CALM).teach("zorb", "The zorb likes the red hen.")
    assert [episode.next_word for episode in engram.episodes.episodes] == ["zorb", "likes", "the", "red", "hen", "."]


def test_a_word_that_was_heard_once_can_be_taught(engram: Engram) -> None:
    chat = engram.chat(CALM)
    chat.say("My name is Wixel.")
    old = engram.vocabulary.id_of("wixel")
    chat.teach("wixel", "a brown dog")
    new = engram.vocabulary.id_of("wixel")
    assert new > old
    assert engram.vocabulary.decode([old]) == ["<UNK>"]
    naming = [row for row, episode in enumerate(engram.episodes.episodes) if episode.next_word == "wixel"]
    assert naming
    assert {int(engram.episodes.next_ids[row]) for row in naming} == {new}
    assert engram.verify() == []
    assert "wixel" in engram.chat(CALM).say("What is my name?").lower()


@pytest.mark.parametrize(
    ("word", "definition"),
    [("wixel", "zzz qqq"), ("wixel", "wixel"), ("hello", "a red hen"), ("two words", "a red hen"), ("new", "!")],
)
def test_what_cannot_be_taught_changes_nothing(engram: Engram, word: str, definition: str) -> None:
    chat = engram.chat(CALM)
    chat.say("My name is Wixel.")
    words, ids, episodes = list(engram.vocabulary.words), dict(engram.vocabulary.ids), len(engram.episodes)
    with pytest.raises(ConfigError):
        chat.teach(word, definition)
    assert (engram.vocabulary.words, dict(engram.vocabulary.ids), len(engram.episodes)) == (words, ids, episodes)
