"""What was told in one conversation, or read in training, is read again where it belongs to what is said."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.generation import RECOLLECTED_TRUST, Reader
from engram_model.lessons import COLLECTION
from engram_model.recollection import COVERAGE, MOST, NEAR_BEST, information, recollect, statements
from engram_model.records import Episode
from engram_model.text import BOT, END, USER
from engram_model.vocabulary import Vocabulary

CALM = GenerationConfig(temperature=0.3, max_words=7, lessons=False)
READING = CALM.override(lessons=True)
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


# ------------------------------------------------------------------------------------------- lessons


def test_an_exchange_that_was_read_is_read_again_before_the_answer(engram: Engram) -> None:
    asked = engram.chat(READING, remember=False)
    asked.say("Where does the cow live?")
    assert asked.history[-1].recollected[-1] == "Where does the cow live? The cow lives by the garden."
    words = engram.vocabulary.decode(asked.reader.ids)
    last = words[: len(words) - 1 - words[::-1].index(USER)]
    assert " ".join(last).endswith("the cow lives by the garden . <END>"), "the best stands right before the question"
    silent = engram.chat(CALM, remember=False)
    silent.say("Where does the cow live?")
    assert silent.history[-1].recollected == []


def test_words_of_a_lesson_come_to_mind_while_the_answer_is_given_and_leave_no_trace(engram: Engram) -> None:
    chat = engram.chat(READING)
    answer = chat.stream("Where does the cow live?")
    first = next(answer)
    lessons = chat.reader.lessons
    assert lessons is not None and {e.next_word for e in lessons.episodes} >= {"cow", "garden", END}
    assert not {e.next_word for e in lessons.episodes} & {USER, BOT}
    assert first.shares["lesson"] > 0 == first.episode_share and first.recalled == (), "lessons are no episodes"
    kept = len(engram.episodes)
    list(answer)
    assert len(engram.episodes) == kept + len(chat.history[-1].stored)
    lived = engram.chat(CALM, remember=False)
    assert next(lived.stream("Where does the cow live?")).episode_share == 0, "nothing comes to mind without them"
    chat.say("my name is Zebulon.")
    chat.say(ASKED)
    assert chat.reader.lessons is None and chat.history[-1].recollected == ["My name is Zebulon"]


def test_the_keys_of_a_lesson_are_the_states_of_reading_it(engram: Engram) -> None:
    reader = Reader(engram.mind, None, GenerationConfig())
    ids = engram.vocabulary.encode([USER, "hello", "!", BOT, "hello", "!", END]).tolist()
    reader.learn_again(ids)
    assert reader.lessons is not None and [e.next_word for e in reader.lessons.episodes] == ["hello", "!"] * 2 + [END]
    for word, key in zip(ids, [None, 0, 1, None, 2, 3, 4], strict=True):
        if key is not None:
            torch.testing.assert_close(reader.lessons.keys[key], reader.think(word).key, atol=1e-5, rtol=1e-4)
        reader.advance(word)


def test_what_was_told_comes_before_what_was_read(engram: Engram) -> None:
    chat = engram.chat(READING)
    chat.say(ASKED)
    assert chat.history[-1].recollected, "positive control: something of this kind was read"
    chat.say("my name is Zebulon.")
    chat.say(ASKED)
    assert chat.history[-1].recollected == ["My name is Zebulon"]


def test_moments_are_believed_more_while_what_was_told_is_read_again(engram: Engram) -> None:
    chat = engram.chat(CALM)
    chat.say("my name is Zebulon.")
    answer = chat.stream(ASKED)
    next(answer)
    more = chat.reader.predict().shares[0]
    chat.reader.recollects = False
    usual = chat.reader.predict().shares[0]
    logits = [float(share[2].logit()) for share in (more, usual)]
    assert logits[0] - logits[1] == pytest.approx(RECOLLECTED_TRUST, abs=1e-3)
    chat.reader.recollects = True
    list(answer)
    assert not chat.reader.recollects, "the next turn listens as ever"


def test_lessons_live_in_the_store(copy_of_brain: Path) -> None:
    first = Engram.load(copy_of_brain)
    assert len(first.lessons) > 10 and first.store is not None
    rows = first.store.read(COLLECTION)
    chosen = next(row for row, said in enumerate(rows.documents) if said.startswith("Where does the cow live?"))
    first.store.delete(COLLECTION, [rows.ids[chosen]])
    first.close()
    second = Engram.load(copy_of_brain)
    assert len(second.lessons) == len(first.lessons) - 1
    second.save(copy_of_brain)
    second.close()
    third = Engram.load(copy_of_brain)
    assert third.lessons.exchanges == second.lessons.exchanges, "what was deleted stays away"
    third.close()
