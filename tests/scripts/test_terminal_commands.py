"""What the commands of a conversation do, and how turns, reasons and memories are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engram_model.chat import Chat, Turn
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.errors import ConfigError
from engram_scripts import terminal_commands, terminal_view

TOLD = "My name is Wixel."
ASKED = "What is my name?"


@pytest.fixture
def chat(copy_of_brain: Path) -> Iterator[Chat]:
    """A conversation with a tiny brain of this test's own."""
    engram = Engram.load(copy_of_brain)
    yield engram.chat(GenerationConfig(temperature=0.3))
    engram.close()


def yes(question: str) -> bool:
    return True


def no(question: str) -> bool:
    return False


def do(chat: Chat, line: str, confirm: Callable[[str], bool] = yes) -> str:
    return terminal_commands.run(chat, line, confirm)


# ------------------------------------------------------------------------------------------------ commands


def test_why_shows_every_word_with_its_reasons(chat: Chat) -> None:
    assert do(chat, "/why") == "nothing was said yet"
    chat.say(TOLD)
    chat.say(ASKED)
    turn = chat.history[-1]
    header, *lines = do(chat, "/why").split("\n")
    assert header.split() == ["word", "p", "surprise", "loops", "gate", "spoken", "by", "recalled", "candidates"]
    for thought, line in zip(turn.thoughts, lines, strict=False):
        word, chance, surprise, loops, gate, speaker, *rest = line.split()
        assert word == thought.word
        assert float(chance.rstrip("%")) == pytest.approx(100 * thought.probability, abs=0.06)
        assert float(surprise) == pytest.approx(thought.surprise, abs=0.006)
        assert (int(loops), speaker) == (thought.loops, thought.spoken_by)
        assert float(gate) == pytest.approx(thought.gate, abs=0.006)
        assert all(terminal_view.shown(word) in " ".join(rest) for word, _ in thought.candidates)
    told = next(episode for episode in chat.memory.episodes if episode.next_word == "wixel")
    short = terminal_view.short_id(told.id)
    named = next(line for line in lines if line.startswith("wixel"))
    assert short in named.split()
    assert any(line.startswith(f"{short}  My name is → Wixel") for line in lines[len(turn.thoughts) :])


def test_memory_lists_the_latest_episodes_first(chat: Chat) -> None:
    assert do(chat, "/memory") == f"0 episodes of 0 conversations, {len(chat.engram.vocabulary.ids)} words"
    for name in ("Wixel", "Trudax", "Quuxi"):
        chat.say(f"My name is {name}.")
    count = len(chat.memory)
    first, *lines = do(chat, "/memory").split("\n")
    assert first.startswith(f"{count} episodes of 1 conversation, ")
    assert len(lines) == min(count, 10)
    assert "→ Quuxi" in "".join(lines[:2])
    ids = [int(line.split()[0][1:]) for line in lines]
    assert ids == sorted(ids, reverse=True)
    assert len(do(chat, "/memory 1").split("\n")) == 2


@pytest.mark.parametrize("written", ["e0", "0", "E0", "e000000000"])
def test_forget_takes_ids_as_they_are_shown(chat: Chat, written: str) -> None:
    chat.say(TOLD)
    chat.say("My name is Trudax.")
    count = len(chat.memory)
    assert do(chat, f"/forget {written}") == f"forgot 1 episode, {count - 1} left"
    assert "e000000000" not in [episode.id for episode in chat.memory.episodes]
    assert chat.engram.store is not None
    assert chat.engram.store.count("engram_episodes") == count - 1
    with pytest.raises(ConfigError, match="there is no episode"):
        do(chat, f"/forget {written}")


def test_everything_is_forgotten_after_a_yes_only(chat: Chat) -> None:
    chat.say(TOLD)
    count = len(chat.memory)
    assert count > 0
    assert do(chat, "/forget all", no) == "nothing was forgotten"
    assert len(chat.memory) == count
    assert do(chat, "/forget ALL", yes) == f"forgot {terminal_view.counted(count, 'episode')}, 0 left"
    assert len(chat.memory) == 0
    assert do(chat, "/forget all", yes) == "forgot 0 episodes, 0 left"


def test_teach_says_what_is_near_and_how_much_was_stored(chat: Chat) -> None:
    before = len(chat.memory)
    shown = do(chat, "/teach zorb the hen")
    assert shown.startswith("learned “zorb”: nearest are hen ")
    assert shown.endswith(f"{terminal_view.counted(len(chat.memory) - before, 'episode')} stored")
    assert "zorb" in chat.engram.vocabulary


def test_temperature_and_seed_are_shown_and_set(chat: Chat) -> None:
    assert do(chat, "/temperature") == "temperature 0.3"
    assert do(chat, "/temperature 1.25") == "temperature 1.25"
    assert chat.config.temperature == chat.reader.config.temperature == 1.25
    assert do(chat, "/seed") == "seed 0"
    assert do(chat, "/SEED 7") == "seed 7"
    drawn = []
    for _ in range(2):
        do(chat, "/seed 7")  # the same again begins the draw anew
        drawn.append(float(chat.generator.initial_seed()))
        drawn.append(chat.generator.get_state().sum().item())
        chat.say("hello")
    assert drawn[:2] == drawn[2:]


def test_help_lists_every_command(chat: Chat) -> None:
    shown = do(chat, "/help").split("\n")
    assert [line.split()[0] for line in shown] == [*terminal_commands.COMMANDS, "/quit"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("/nope", "there is no command /nope; type /help"),
        ("/", "there is no command /; type /help"),
        ("/memory x", "/memory N with a whole number, got 'x'"),
        ("/memory 0", "N at least 1, got 0"),
        ("/forget", "type /forget ID"),
        ("/forget e1x", "'e1x' is no id of an episode"),
        ("/forget 99", "there is no episode 'e000000099'"),
        ("/teach zorb", "type /teach WORD"),
        ("/teach hello a red hen", "'hello' is known already"),
        ("/temperature hot", "/temperature X with a number, got 'hot'"),
        ("/temperature 0", "temperature must be above 0, got 0"),
        ("/temperature nan", "temperature must be above 0, got nan"),
        ("/seed 1.5", "/seed N with a whole number, got '1.5'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(chat: Chat, line: str, says: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as raised:
        do(chat, line)
    assert "\n" not in str(raised.value)


# ---------------------------------------------------------------------------------------------------- view


def test_the_summary_adds_up(chat: Chat) -> None:
    chat.say(TOLD)
    chat.say(ASKED)
    turn = chat.history[-1]
    shown = terminal_view.summary(turn)
    surprise = sum(thought.surprise for thought in turn.thoughts) / len(turn.thoughts)
    assert shown.startswith(f"surprise {surprise:.1f} · loops ")
    assert len(terminal_view.loop_bars(turn.thoughts)) == len(turn.thoughts)
    assert sum(terminal_view.who_spoke(turn.thoughts).values()) == pytest.approx(1.0, abs=1e-5)
    assert f"{len(turn.stored)} remembered, {len(terminal_view.recalled(turn.thoughts))} recalled" in shown
    assert "new:" not in shown
    assert "new: wixel" in terminal_view.summary(chat.history[0])
    unsure = min(turn.thoughts, key=lambda thought: thought.candidates[0][1])
    assert f"“{unsure.word}”" in terminal_view.subconscious(turn)
    assert all(word in terminal_view.subconscious(turn) for word, _ in unsure.nearest)


def test_a_turn_without_an_answer_is_shown_too() -> None:
    turn = Turn(seconds=0.5)
    assert terminal_view.summary(turn) == "0 remembered, 0 recalled · 0 words/s"
    assert terminal_view.subconscious(turn) == ""
    assert terminal_view.as_data("hm", turn)["mean_surprise"] == 0.0


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3, "just now"), (59.9, "just now"), (60, "1 min ago"), (7_200, "2 h ago"), (2e5, "2 d ago")]
)
def test_ages_are_told_in_their_largest_unit(seconds: float, shown: str) -> None:
    assert terminal_view.age(seconds) == shown
