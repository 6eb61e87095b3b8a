"""A conversation: what is told is remembered, new words are learned, and the weights never change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from engram_model.chat import Chat
from engram_model.checkpoint import MEMORY_MODULE, WEIGHTS
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.errors import TextError
from engram_model.generation import Reader
from engram_model.text import BOT_ID, END_ID, USER_ID

CALM = GenerationConfig(temperature=0.3)
LONG = CALM.override(exchanges=9)
ASKED = "<USER> what is my name ? <BOT> your name is".split()  # noqa: SIM905


@pytest.fixture
def engram(copy_of_brain: Path) -> Iterator[Engram]:
    """A tiny brain of this test's own."""
    found = Engram.load(copy_of_brain)
    yield found
    found.close()


def chance(engram: Engram, context: list[str], word: str, episodes: bool = True) -> float:
    """Probability of a word after a context that starts afresh."""
    reader = Reader(engram.mind, engram.episodes, GenerationConfig(episodes=episodes))
    reader.read(engram.vocabulary.encode(context).tolist())
    return float(reader.predict().probs[0, engram.vocabulary.id_of(word)])


def remember(engram: Engram, words: list[str]) -> str:
    """Store the last word after those before it as an episode; return its id."""
    ids = engram.vocabulary.encode(words).tolist()
    reader = Reader(engram.mind, None, GenerationConfig())
    reader.read(ids[:-1])
    thought = reader.think(ids[-1])
    return engram.episodes.add(
        key=thought.key,
        next_word=words[-1],
        next_id=ids[-1],
        context=words[:-1],
        context_ids=ids[:-1],
        surprise=thought.surprise,
        conversation="told",
    )


def heard(chat: Chat) -> list[str]:
    return [thought.word for thought in chat.history[-1].heard]


# ------------------------------------------------------------------------------------------------ remembering


@pytest.mark.parametrize("name", ["ada", "hugo"])
def test_an_episode_that_tells_a_name_makes_it_likely(engram: Engram, name: str) -> None:
    others = [word for word in ("ada", "ben", "hugo") if word != name]
    before = {word: chance(engram, ASKED, word) for word in (name, *others)}
    remember(engram, ["<USER>", "my", "name", "is", name])
    assert chance(engram, ASKED, name) > max(2 * before[name], before[name] + 0.2)
    assert all(chance(engram, ASKED, other) <= before[other] for other in others)
    off = chance(engram, ASKED, name, episodes=False)
    assert off == pytest.approx(before[name], abs=1e-6)


def test_what_is_told_in_one_conversation_is_known_in_the_next(engram: Engram) -> None:
    engram.chat(CALM).say("My name is Wixel.")
    assert [episode.next_word for episode in engram.episodes.episodes].count("wixel") == 1
    asking = engram.chat(CALM)
    assert "Wixel" in asking.say("What is my name?")
    assert any(episode.word == "wixel" for thought in asking.history[-1].thoughts for episode in thought.recalled)
    forgetful = engram.chat(CALM.override(episodes=False))
    assert "Wixel" not in forgetful.say("What is my name?")


def test_only_surprising_moments_are_stored_with_their_place(engram: Engram) -> None:
    chat = engram.chat(CALM, conversation="first")
    chat.say("My name is Wixel.")
    turn = chat.history[-1]
    stored = {episode.id: episode for episode in engram.episodes.episodes}
    assert list(stored) == turn.stored
    assert 0 < len(stored) < len(turn.heard)
    told = next(episode for episode in stored.values() if episode.next_word == "wixel")
    assert told.context == ("<USER>", "my", "name", "is")
    assert told.conversation == "first"
    surprises = {thought.word: thought.surprise for thought in turn.heard}
    assert told.surprise == pytest.approx(surprises["wixel"], abs=1e-5)
    assert surprises["is"] < min(episode.surprise for episode in stored.values())
    place = engram.episodes.episodes.index(told)
    torch.testing.assert_close(engram.episodes.keys[place], turn.heard[3].key)
    assert engram.verify() == []


def test_the_context_of_an_episode_reaches_into_earlier_turns(engram: Engram) -> None:
    chat = engram.chat(LONG.override(lessons=False))
    answer = chat.say("Hello!")
    chat.say("Wixel is here.")
    told = next(episode for episode in engram.episodes.episodes if episode.next_word == "wixel")
    said = [thought.word for thought in chat.history[0].thoughts]
    assert answer
    assert list(told.context) == ["<USER>", "hello", "!", "<BOT>", *said, "<END>", "<USER>"]


def test_episodes_and_words_are_there_after_reopening(copy_of_brain: Path) -> None:
    first = Engram.load(copy_of_brain)
    first.chat(CALM).say("My name is Wixel.")
    kept, keys, words = first.episodes.episodes, first.episodes.keys.clone(), list(first.vocabulary.words)
    likely = chance(first, ASKED, "wixel")
    first.close()
    second = Engram.load(copy_of_brain)
    assert second.episodes.episodes == kept
    assert second.vocabulary.words == words
    assert second.vocabulary.forms["wixel"] == "Wixel"
    torch.testing.assert_close(second.episodes.keys, keys, atol=0, rtol=0)
    assert chance(second, ASKED, "wixel") == pytest.approx(likely, abs=1e-6)
    assert likely > 0.2 > chance(second, ASKED, "wixel", episodes=False)
    second.close()


def test_a_turn_is_in_the_store_before_the_brain_is_closed(engram: Engram) -> None:
    assert engram.store is not None
    turns = 2
    chat = engram.chat(CALM)
    for name in ("Wixel", "Trudax"):
        chat.say(f"My name is {name}.")
        assert engram.store.count("engram_episodes") == len(engram.episodes)
        assert engram.store.count("engram_vocab") == len(engram.vocabulary)
    assert len(engram.episodes) >= turns


def test_forgetting_is_as_if_it_had_never_been_told(copy_of_brain: Path) -> None:
    engram = Engram.load(copy_of_brain)
    before = chance(engram, ASKED, "ada")
    told = remember(engram, ["<USER>", "my", "name", "is", "ada"])
    engram.flush()
    assert chance(engram, ASKED, "ada") > before + 0.1
    engram.episodes.forget(told)
    assert chance(engram, ASKED, "ada") == pytest.approx(before, abs=1e-6)
    engram.close()
    again = Engram.load(copy_of_brain)
    assert again.episodes.episodes == []
    again.close()


def test_talking_changes_no_weight(copy_of_brain: Path) -> None:
    files = [copy_of_brain / name for name in (WEIGHTS, MEMORY_MODULE)]
    bytes_before = [file.read_bytes() for file in files]
    engram = Engram.load(copy_of_brain)
    mind = engram.mind
    modules = (mind.brain, mind.phrase_gate, mind.episode_gate)
    before = [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]
    vectors = mind.vocabulary.vectors.clone()
    chat = engram.chat(GenerationConfig(temperature=1.5, top_k=0, max_words=11))
    for text in ("My name is Wixel.", "What is my name?", "The zorb is a red hen."):
        chat.say(text)
    chat.teach("grumble", "a red dog")
    engram.close()
    for module, state in zip(modules, before, strict=True):
        for name, value in module.state_dict().items():
            assert torch.equal(value, state[name]), name
    assert torch.equal(mind.vocabulary.vectors[: len(vectors)], vectors)
    assert len(mind.vocabulary) > len(vectors)
    assert [file.read_bytes() for file in files] == bytes_before


@pytest.mark.parametrize("exchanges", [0, 1])
def test_what_was_told_is_read_again_where_it_answers_and_is_not_in_mind(engram: Engram, exchanges: int) -> None:
    chat = engram.chat(CALM.override(exchanges=exchanges, lessons=False))
    chat.say("My name is Wixel.")
    chat.say("What is my name?")
    again = [["My name is Wixel"], []][exchanges]
    assert [turn.recollected for turn in chat.history] == [[], again]
    other = engram.chat(CALM.override(exchanges=exchanges, lessons=False))
    other.say("What is my name?")
    assert other.history[-1].recollected == ["My name is Wixel"]
    words = engram.vocabulary.decode(other.reader.ids)
    assert words[:9] == ["<USER>", "my", "name", "is", "wixel", ".", "<END>", "<USER>", "what"]
    other.say("How are you?")
    assert other.history[-1].recollected == []
    off = engram.chat(CALM.override(episodes=False, lessons=False))
    off.say("What is my name?")
    assert off.history[-1].recollected == []


def test_trust_in_episodes_outlasts_reading_again(engram: Engram) -> None:
    engram.chat(CALM).say("My name is Wixel.")
    chat = engram.chat(CALM)
    chat.say("My name is Trudax.")
    learned = chat.reader.trust.level
    assert learned != 0.0
    chat.configure(CALM.override(loops=1))
    assert chat.reader.trust.level == learned


def test_a_conversation_that_does_not_remember_leaves_no_trace(engram: Engram) -> None:
    words = len(engram.vocabulary)
    leaving = engram.chat(CALM, remember=False)
    leaving.say("My name is Wixel.")
    assert (len(engram.episodes), len(engram.vocabulary)) == (0, words)
    assert leaving.history[-1].learned == leaving.history[-1].stored == []
    assert heard(leaving) == ["my", "name", "is", "<UNK>", "."]


def test_a_memory_of_its_own_is_used_instead_of_the_brains(engram: Engram) -> None:
    own = EpisodicMemory(engram.vocabulary.dim)
    chat = Chat(engram, CALM, memory=own)
    chat.say("My name is Wixel.")
    assert len(own) > 0 == len(engram.episodes)
    assert Chat(engram, CALM, memory=own).say("What is my name?") == "Your name is Wixel."


# ------------------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize("exchanges", [0, 1, 2])
def test_each_exchange_begins_afresh_unless_more_are_kept(engram: Engram, exchanges: int) -> None:
    config = CALM.override(exchanges=exchanges, episodes=False, lessons=False)
    chat = engram.chat(config)
    for text in ("Hello!", "How are you?", "Who are you?", "Hello!"):
        chat.say(text)
    kept = chat.history[-exchanges - 1 :]
    words = [["<USER>", *(t.word for t in turn.heard), "<BOT>", *(t.word for t in turn.thoughts)] for turn in kept]
    assert engram.vocabulary.decode(chat.reader.ids) == [word for turn in words for word in (*turn, "<END>")]
    fresh = Reader(engram.mind, None, config)
    fresh.read(chat.reader.ids)
    torch.testing.assert_close(chat.reader.predict().probs, fresh.predict().probs, atol=1e-5, rtol=0)


def test_turns_are_read_as_they_were_trained(engram: Engram) -> None:
    chat = engram.chat(LONG.override(max_words=1, lessons=False))
    chat.say("Hello!")
    chat.say("How are you?")
    words = engram.vocabulary.decode(chat.reader.ids)
    first, second = (turn.thoughts[0].word for turn in chat.history)
    # The first answer was cut after one word, so the end token comes from the next turn.
    expected = ["<USER>", "hello", "!", "<BOT>", first, "<END>", "<USER>", "how", "are", "you", "?", "<BOT>", second]
    assert words == expected


def test_a_brain_that_never_saw_a_dialogue_goes_on_with_what_it_hears(engram: Engram) -> None:
    engram.vocabulary.counts[BOT_ID] = 0
    chat = engram.chat(CALM)
    chat.say("Where does the dog live")
    assert heard(chat) == ["where", "does", "the", "dog", "live"]
    assert not {USER_ID, BOT_ID} & set(chat.reader.ids)


def test_an_answer_that_is_stopped_is_a_turn_and_the_conversation_goes_on(engram: Engram) -> None:
    chat = engram.chat(LONG)
    stream = chat.stream("My name is Wixel.")
    first = next(stream)
    stream.close()
    assert [thought.word for thought in chat.history[-1].thoughts] == [first.word]
    assert chat.history[-1].text.lower() == first.word
    assert chat.history[-1].stored == [episode.id for episode in engram.episodes.episodes] != []
    assert chat.say("What is my name?") == "Your name is Wixel."
    assert chat.reader.ids.count(END_ID) == len(chat.history) + sum(len(turn.recollected) for turn in chat.history)


@pytest.mark.parametrize("text", ["", "   ", "\u200b", "a " * 2_001])
def test_a_turn_without_words_or_with_too_many_is_refused(engram: Engram, text: str) -> None:
    chat = engram.chat(CALM)
    with pytest.raises(TextError):
        chat.say(text)
    assert chat.history == [] == chat.reader.ids


@pytest.mark.parametrize("change", [{"loops": 1}, {"ngram": False}, {"episodes": False}, {"temperature": 2.0}])
def test_a_changed_setting_acts_as_if_it_had_always_been(engram: Engram, change: dict) -> None:
    chat = engram.chat(CALM)
    chat.say("My name is Wixel.")
    chat.configure(CALM.override(**change))
    fresh = Reader(engram.mind, engram.episodes, CALM.override(**change))
    fresh.trust = chat.reader.trust
    fresh.read(chat.reader.ids)
    torch.testing.assert_close(chat.reader.predict().probs, fresh.predict().probs, atol=1e-5, rtol=0)


def test_the_seed_fixes_the_answers(engram: Engram) -> None:
    config = GenerationConfig(temperature=1.5, top_k=0, max_words=13)

    def answers(seed: int) -> list[str]:
        chat = engram.chat(config.override(seed=seed), remember=False)
        return [chat.say("Hello!"), chat.say("Who are you?")]

    assert answers(3) == answers(3)
    assert answers(3) != answers(4)
