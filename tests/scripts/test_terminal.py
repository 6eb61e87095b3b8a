"""test_brain.py as it is used: in a pipe, as JSON, at a terminal, with Ctrl-C and with wrong options."""

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
from collections.abc import Iterator
from pathlib import Path

import pytest

from engram_model.chat import Chat
from engram_model.checkpoint import MEMORY_MODULE, WEIGHTS
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.text import END_ID
from engram_scripts import terminal
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


def test_long_lines_hang_below_where_the_terminal_ends() -> None:
    text = "one two  three\nfour"
    assert terminal._fitted(text, 0, "  ", "    ") == "  one two  three\n  four"
    assert terminal._fitted(text, 11, "", "    ") == "one two\n    three\nfour"


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


def test_ctrl_c_stops_the_answer_and_keeps_the_conversation(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    chat.engram.vocabulary.resting[END_ID] = -math.inf  # so that no answer ends by itself
    chat.configure(GenerationConfig(max_words=10**6, ngram=False, episodes=False, lessons=False))
    interrupt = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    terminal._answer(chat, "hello", at_terminal=True)
    interrupt.join()
    turn = chat.history[-1]
    assert 0 < len(turn.thoughts) < 10**6
    assert capsys.readouterr().out.startswith("engram ▸ ")
    chat.configure(GenerationConfig(max_words=3, ngram=False, episodes=False, lessons=False))
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
    brain_alone = ("--no-episodes", "--no-lessons", "--no-ngram", "--loops", "2", "--max-words", "4")
    third = script(copy_of_brain, "--json", *brain_alone, said=ASKED)
    (alone,) = map(json.loads, third.stdout.splitlines())
    assert alone["spoken_by"] == {"brain": 1.0, "phrase": 0.0, "episode": 0.0, "lesson": 0.0}
    assert alone["mean_loops"] == 2.0
    assert len(alone["words"]) <= 4
    assert "wixel" not in alone["answer"].lower()


def _at_terminal(slave: int) -> None:
    """In the program to be: this is the session's terminal, and Ctrl-C counts, even where the tests run in the background."""
    os.close(os.open(os.ttyname(slave), os.O_RDWR))
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Screen:
    """test_brain.py at a pseudo-terminal: what it shows, and keys to press."""

    def __init__(self, brain: Path, *options: str, **environment: str) -> None:
        self.shown, self.place = "", 0
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "test_brain.py", "--brain", str(brain), *options],
            stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
            preexec_fn=lambda: _at_terminal(slave),
            env={"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "80", "LANG": "C.UTF-8", **environment},
        )  # fmt: skip
        os.close(slave)

    def interrupt(self) -> None:
        """Press Ctrl-C, once a line is surely waited for: between its prompt and the waiting it would come to nothing."""
        time.sleep(1.0)
        self.press("\x03")

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
    assert "91 words · 0 episodes" in screen.read("you ▸ ")
    screen.press(TOLD + "\r")
    assert "\033[1mengram ▸ \033[0m" in screen.read("words/s")
    screen.read("you ▸ ")
    screen.press(ASKED + "\r")
    answer = screen.read("words/s")
    assert "Wixel" in re.sub(r"\033\[\d*m", "", answer.split("engram ▸")[1])
    screen.read("you ▸ ")
    screen.press("/forget all\r")
    screen.read("type yes: ")
    screen.interrupt()
    assert "nothing was forgotten" in screen.read("you ▸ ")
    screen.press("/mem\t\r")
    assert "My name is → Wixel" in screen.read("just now")
    screen.read("you ▸ ")
    screen.press("\x1b[A\x1b[A\x1b[A\r")  # three lines up in the history
    assert "Wixel" in screen.read("words/s")
    screen.read("you ▸ ")
    screen.interrupt()
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
