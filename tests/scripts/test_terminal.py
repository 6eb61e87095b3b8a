"""The conversation of test_brain.py: its commands, what it shows, and the script in a pipe and at a terminal."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engram_model.chat import Chat, Turn
from engram_model.checkpoint import MEMORY_MODULE, WEIGHTS
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.errors import ConfigError
from engram_model.text import END_ID
from engram_scripts import terminal, terminal_commands, terminal_view
from engram_scripts.terminal_input import interruptions

ROOT = Path(__file__).parent.parent.parent
TOLD = "My name is Wixel."
ASKED = "What is my name?"
PATIENCE = 120.0


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
    header, rule, *lines = do(chat, "/why").split("\n")
    assert header.split() == ["word", "p", "surprise", "loops", "gate", "spoken", "by", "candidates", "recalled"]
    assert set(rule) == {"-", " "}
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
    shown = do(chat, "/teach zorb a red hen")
    assert shown.startswith("learned “zorb”: nearest are red 0.")
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


@pytest.mark.parametrize("width", [0, 30, 80])
def test_a_page_breaks_lines_between_words_only(capsys: pytest.CaptureFixture[str], width: int) -> None:
    pieces = ["A", " small", " animal", " slept", " on", " a", " very", " long", " bench", ",", " quietly", "."]
    page = terminal.Page(width, "engram ▸ ")
    for piece in pieces:
        page.write(piece, "36")
    page.end()
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert " ".join(line.strip() for line in lines) == "engram ▸ " + "".join(pieces)
    assert all(len(line) <= width for line in lines) if width else len(lines) == 1


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3, "just now"), (59.9, "just now"), (60, "1 min ago"), (7_200, "2 h ago"), (2e5, "2 d ago")]
)
def test_ages_are_told_in_their_largest_unit(seconds: float, shown: str) -> None:
    assert terminal_view.age(seconds) == shown


def test_ctrl_c_stops_the_answer_and_keeps_the_conversation(
    chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    chat.engram.vocabulary.resting[END_ID] = -math.inf  # so that no answer ends by itself
    chat.configure(GenerationConfig(max_words=10**6, ngram=False, episodes=False))
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    terminal._answer(chat, "hello", at_terminal=True)
    interrupt.join()
    turn = chat.history[-1]
    assert 0 < len(turn.thoughts) < 10**6
    assert capsys.readouterr().out.startswith("engram ▸ ")
    chat.configure(GenerationConfig(max_words=3, ngram=False, episodes=False))
    terminal._answer(chat, "hello", at_terminal=True)
    assert [len(turn.thoughts) for turn in chat.history[1:]] == [3]


def test_a_second_ctrl_c_ends_all_and_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptions() as interrupted:
        assert not interrupted()
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


# -------------------------------------------------------------------------------------------------- script


def script(brain: Path, *options: str, said: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run test_brain.py on lines of input."""
    return subprocess.run(
        [sys.executable, "test_brain.py", "--brain", str(brain), *options],
        input=said, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip


def test_in_a_pipe_lines_are_plain_and_weights_stay_as_they_were(copy_of_brain: Path) -> None:
    files = [copy_of_brain / name for name in (WEIGHTS, MEMORY_MODULE)]
    before = [file.read_bytes() for file in files]
    said = f"{TOLD}\n\n   \n/nope\n{ASKED}\n/forget all\n\u200b\n/quit\nhello\n"
    ran = script(copy_of_brain, "--temperature", "0.3", said=said)
    assert ran.returncode == 0
    assert "\033" not in ran.stdout + ran.stderr
    lines = ran.stdout.rstrip("\n").split("\n")
    answers = [line for line in lines if not line.startswith("  ")]
    assert len(answers) == 3
    assert answers[1] == "Your name is Wixel."
    assert re.fullmatch(r"forgot \d+ episodes?, 0 left", answers[2])
    assert [line.split()[0] for line in lines if line.startswith("  ")] == ["surprise", "least"] * 2
    assert ran.stderr == (
        "error: there is no command /nope; type /help for those there are\n"
        "error: there is no word in that; type something\n"
    )
    assert [file.read_bytes() for file in files] == before


def test_json_gives_one_object_a_turn_and_memory_lasts_over_runs(copy_of_brain: Path) -> None:
    first = script(copy_of_brain, "--json", "--seed", "3", said=f"{TOLD}\n/memory\n/nope\n\u200b\n")
    told, memory, unknown, empty = map(json.loads, first.stdout.splitlines())
    assert first.returncode == 0
    assert first.stderr == ""
    assert told["said"] == TOLD
    assert told["learned"] == ["wixel"]
    assert told["stored"]
    assert memory["command"] == "/memory"
    assert "My name is → Wixel" in memory["output"]
    assert unknown == {"said": "/nope", "error": "there is no command /nope; type /help for those there are"}
    assert empty["error"] == "there is no word in that; type something"
    second = script(copy_of_brain, "--json", "--temperature", "0.3", said=ASKED)
    (asked,) = map(json.loads, second.stdout.splitlines())
    assert asked["answer"] == "Your name is Wixel."
    assert set(asked["recalled"]) <= set(told["stored"])
    named = next(word for word in asked["words"] if word["word"] == "wixel")
    assert named["spoken_by"] == "episode"
    assert sum(named["shares"].values()) == pytest.approx(1.0, abs=1e-4)
    assert named["candidates"][0][0] == "wixel"
    assert named["recalled"][0]["id"] in told["stored"]
    brain_alone = ("--no-episodes", "--no-ngram", "--loops", "2", "--max-words", "4")
    third = script(copy_of_brain, "--json", *brain_alone, said=ASKED)
    (alone,) = map(json.loads, third.stdout.splitlines())
    assert alone["spoken_by"] == {"brain": 1.0, "phrase": 0.0, "episode": 0.0}
    assert alone["mean_loops"] == 2.0
    assert len(alone["words"]) <= 4
    assert "wixel" not in alone["answer"].lower()


class Screen:
    """test_brain.py at a pseudo-terminal: what it shows, and keys to press."""

    def __init__(self, brain: Path, *options: str, **environment: str) -> None:
        self.shown, self.place = "", 0
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "test_brain.py", "--brain", str(brain), *options],
            stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(slave), os.O_RDWR)),  # it becomes the session's terminal
            env={"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "80", "LANG": "C.UTF-8", **environment},
        )  # fmt: skip
        os.close(slave)

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def read(self, until: str | None) -> str:
        """What is shown next, up to the end of a text, or until the program has left."""
        deadline = time.monotonic() + PATIENCE
        while until is None or until not in self.shown[self.place :]:
            if not select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"{until!r} did not come up: {self.shown[self.place :]!r}")
            try:
                self.shown += os.read(self.master, 65_536).decode(errors="replace")
            except OSError:  # the other end was closed
                assert until is None, f"it left before {until!r}: {self.shown[self.place :]!r}"
                break
        start = self.place
        self.place = self.shown.index(until, start) + len(until) if until else len(self.shown)
        return self.shown[start : self.place]

    def leave(self) -> int:
        self.read(None)
        os.close(self.master)
        return self.process.wait(PATIENCE)


def test_at_a_terminal_there_are_a_prompt_colours_history_and_polite_leaving(copy_of_brain: Path) -> None:
    screen = Screen(copy_of_brain, "--temperature", "0.3")
    assert "92 words · 0 episodes" in screen.read("you ▸ ")
    screen.press(TOLD + "\r")
    assert "\033[1mengram ▸ \033[0m" in screen.read("words/s")
    screen.read("you ▸ ")
    screen.press(ASKED + "\r")
    answer = screen.read("words/s")
    assert "Wixel" in re.sub(r"\033\[\d*m", "", answer.split("engram ▸")[1])
    screen.read("you ▸ ")
    screen.press("/forget all\r")
    screen.read("type yes: ")
    screen.press("\x03")
    assert "nothing was forgotten" in screen.read("you ▸ ")
    screen.press("/mem\t\r")
    assert "My name is → Wixel" in screen.read("just now")
    screen.read("you ▸ ")
    screen.press("\x1b[A\x1b[A\x1b[A\r")  # three lines up in the history
    assert "Wixel" in screen.read("words/s")
    screen.read("you ▸ ")
    screen.press("\x03")
    assert "bye; " in screen.read("kept")
    assert screen.leave() == 0


def test_no_color_leaves_no_colour_at_a_terminal_and_end_of_input_leaves(copy_of_brain: Path) -> None:
    screen = Screen(copy_of_brain, NO_COLOR="1")
    screen.read("you ▸ ")
    screen.press("hello\r")
    screen.read("words/s")
    screen.read("you ▸ ")
    screen.press("\x04")
    assert screen.leave() == 0
    assert not re.search(r"\033\[\d+m", screen.shown)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--temperature", "0"], 2, "error: temperature must be above 0, got 0.0\n"),
        ([], 1, "error: there is no brain at "),
    ],
)
def test_what_cannot_begin_is_one_line_and_a_code(tmp_path: Path, options: list[str], code: int, says: str) -> None:
    ran = script(tmp_path / "none", *options, said="hello")
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith(says)
    assert ran.stderr.count("\n") == 1


def test_help_comes_without_heavy_imports() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "test_brain.py", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert ran.returncode == 0
    assert "--no-episodes" in ran.stdout
    assert not re.search(r"\| +(torch|chromadb|numpy)$", ran.stderr, re.MULTILINE)
