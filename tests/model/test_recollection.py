"""What was told in one conversation is read again in another where it answers a question, and only there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.recollection import COVERAGE, MOST, NEAR_BEST, information, recollect, statements
from engram_model.records import Episode
from engram_model.text import END, USER
from engram_model.vocabulary import Vocabulary

CALM = GenerationConfig(temperature=0.3, max_words=7)
ASKED = "what is my name?"


@pytest.fixture
def engram(copy_of_brain: Path) -> Iterator[Engram]:
    found = Engram.load(copy_of_brain)
    yield found
    found.close()


def moment(said: str, time: float = 0.0, conversation: str = "told") -> Episode:
    """A moment at whose end the last of these words came."""
    *context, next_word = said.split()
    return Episode(
        id=f"e{time}", next_word=next_word, context=tuple(context), surprise=7.0, time=time, conversation=conversation
    )


# ------------------------------------------------------------------------------------------- statements


def test_a_statement_runs_from_the_speaker_to_the_word_that_came() -> None:
    assert statements([moment(f"{END} hi {END} {USER} my name is nils")]) == [("my", "name", "is", "nils")]
    assert statements([moment("the goat likes cheese")]) == [("the", "goat", "likes", "cheese")]


def test_the_latest_comes_first_and_each_once() -> None:
    found = statements(
        [
            moment(f"{USER} my hen is", 1.0),
            moment(f"{USER} my hen is black", 2.0),
            moment(f"{USER} i like cake", 5.0),
            moment(f"{USER} i like cake", 3.0),
        ]
    )
    assert found == [("i", "like", "cake"), ("my", "hen", "is", "black")], "the last moment holds a statement longest"


def test_questions_and_single_words_are_no_statements() -> None:
    assert (
        statements([moment(f"{USER} what is my name ?"), moment(f"{USER} hello", 1.0), moment(f"{USER} {END}", 2.0)])
        == []
    )
    assert statements([]) == []


# ------------------------------------------------------------------------------------------- which of them


def test_information_is_the_surprise_of_the_bare_word(engram: Engram) -> None:
    vocabulary = engram.vocabulary
    share = int(vocabulary.counts[vocabulary.id_of("goat")]) / int(vocabulary.counts.sum())
    assert information(vocabulary, "goat") == pytest.approx(-math.log(share))
    assert information(vocabulary, "goat") > information(vocabulary, "the") > 0
    assert information(vocabulary, "?") == 0.0 == information(vocabulary, ".")


def coverage(vocabulary: Vocabulary, question: list[str], words: tuple[str, ...]) -> float:
    asked = {word: information(vocabulary, word) for word in question}
    return sum(value for word, value in asked.items() if word in words) / sum(asked.values())


def test_only_what_covers_the_question_is_recollected(engram: Engram) -> None:
    told = [f"{USER} my name is nils", f"{USER} the duck likes cake", f"{USER} my hen is black"]
    question = ["what", "is", "my", "name", "?"]
    found = recollect([moment(said, float(time)) for time, said in enumerate(told)], question, engram.vocabulary)
    every = [tuple(said.split()[1:]) for said in told]
    shares = {words: coverage(engram.vocabulary, question, words) for words in every}
    floor = max(COVERAGE, NEAR_BEST * max(shares.values()))
    expected = {words for words, share in shares.items() if share >= floor}
    assert found and set(found) == expected and found[-1] == ("my", "name", "is", "nils"), "the best stands last"
    assert ("the", "duck", "likes", "cake") not in found


def test_nothing_but_a_question_asks(engram: Engram) -> None:
    told = [moment(f"{USER} my name is nils")]
    assert recollect(told, ["what", "is", "my", "name", "?"], engram.vocabulary), "positive control"
    assert recollect(told, ["what", "is", "my", "name"], engram.vocabulary) == []
    assert recollect(told, ["?"], engram.vocabulary) == []
    assert recollect([], ["what", "is", "my", "name", "?"], engram.vocabulary) == []


def test_at_most_two(engram: Engram) -> None:
    told = [
        moment(f"{USER} my name is {name}", float(time)) for time, name in enumerate(("nils", "hugo", "igor", "gustav"))
    ]
    found = recollect(told, ["what", "is", "my", "name", "?"], engram.vocabulary)
    assert len(found) == MOST == 2


# ------------------------------------------------------------------------------------------- two conversations


def test_a_name_told_in_one_conversation_is_read_again_in_another(copy_of_brain: Path) -> None:
    first = Engram.load(copy_of_brain)
    telling = first.chat(CALM, "monday")
    telling.say("my name is Zebulon.")
    assert telling.history[-1].stored and not telling.history[-1].recollected
    first.close()
    second = Engram.load(copy_of_brain)
    asking = second.chat(CALM, "tuesday")
    asking.say(ASKED)
    assert any("Zebulon" in told for told in asking.history[-1].recollected)
    assert second.vocabulary.id_of("zebulon") in asking.reader.ids
    silent = second.chat(CALM.override(episodes=False), "wednesday")
    silent.say(ASKED)
    assert silent.history[-1].recollected == []
    assert second.vocabulary.id_of("zebulon") not in silent.reader.ids
    second.close()


def test_a_statement_stands_once_before_the_question(engram: Engram) -> None:
    chat = engram.chat(CALM, "one")
    chat.say("my name is Zebulon.")
    assert chat.history[-1].stored, "positive control: there is something to recollect"
    for _ in range(2):
        chat.say(ASKED)
        read = engram.vocabulary.decode(chat.reader.ids)
        asked = max(place for place, word in enumerate(read) if word == USER)
        assert " ".join(read[:asked]).count("my name is zebulon") == 1, "neither forgotten nor read twice"


def test_without_a_memory_nothing_is_recollected(engram: Engram) -> None:
    engram.chat(CALM, "monday", remember=False).say("my name is Zebulon.")
    chat = engram.chat(CALM, "tuesday")
    chat.say(ASKED)
    assert chat.history[-1].recollected == []
