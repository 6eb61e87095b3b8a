"""A conversation at a terminal, in a pipe or as JSON: takes lines, streams answers, runs commands.

It must not know how an answer comes about or what its reasons look like.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import fields

from engram_model.chat import Chat
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.errors import EngramError
from engram_model.text import Joiner
from engram_scripts import terminal_commands, terminal_view
from engram_scripts.common import paint
from engram_scripts.terminal_input import confirmed, interruptions, typed_lines
from engram_scripts.terminal_view import BOLD, COLOURS, DIM

LEAVING = ("/quit", "/exit")
PROMPT, SPEAKER, INDENT, HANGING = "you ▸ ", "engram ▸ ", "  ", "        "
SILENCE = "…"
MARGIN = 2
"""Columns left free at the end of a line, for the marks that stick to a word."""


def talk(arguments: argparse.Namespace) -> int:
    """Open the brain, talk until the speaker leaves, and keep what was told; returns the exit code."""
    given = {field.name: getattr(arguments, field.name, None) for field in fields(GenerationConfig)}
    given |= {name: not getattr(arguments, f"no_{name}") for name in ("episodes", "lessons", "ngram")}
    config = GenerationConfig().override(**given)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    with closing(Engram.load(arguments.brain, arguments.chroma)) as engram:
        chat = engram.chat(config)
        if arguments.json:
            _talk_json(chat)
        elif sys.stdin.isatty() and sys.stdout.isatty():
            _talk_at_terminal(chat)
        else:
            for line in _until_leaving(sys.stdin):
                _reply(chat, line, at_terminal=False)
    return 0


def _until_leaving(lines: Iterable[str]) -> Iterator[str]:
    """The lines that say something, up to the end or /quit."""
    for line in map(str.strip, lines):
        if line.lower() in LEAVING:
            return
        if line:
            yield line


def _talk_json(chat: Chat) -> None:
    for line in _until_leaving(sys.stdin):
        try:
            if line.startswith("/"):
                shown = {"command": line, "output": terminal_commands.run(chat, line, _yes)}
            else:
                chat.say(line)
                shown = terminal_view.as_data(line, chat.history[-1])
        except EngramError as error:
            shown = {"said": line, "error": str(error)}
        print(json.dumps(shown, ensure_ascii=False), flush=True)


def _talk_at_terminal(chat: Chat) -> None:
    print(terminal_view.greeting(chat.engram))
    for line in _until_leaving(typed_lines(PROMPT, [*terminal_commands.COMMANDS, *LEAVING])):
        _reply(chat, line, at_terminal=True)
    print(f"bye; {terminal_view.counted(len(chat.memory), 'episode')} kept")


def _yes(question: str) -> bool:
    """Nobody can be asked in a pipe."""
    return True


def _never() -> bool:
    return False


def _reply(chat: Chat, line: str, at_terminal: bool) -> None:
    """Answer a line or do its command; what goes wrong is one line, and the conversation goes on."""
    try:
        if line.startswith("/"):
            shown = terminal_commands.run(chat, line, confirmed if at_terminal else _yes)
            print(_fitted(shown, _width(at_terminal), "", HANGING), flush=True)
        else:
            _answer(chat, line, at_terminal)
    except EngramError as error:
        sys.stdout.flush()
        print(f"error: {error}", file=sys.stderr, flush=True)


def _answer(chat: Chat, line: str, at_terminal: bool) -> None:
    """Write the words of an answer as they are drawn, then its notes; Ctrl-C stops the words only."""
    width = _width(at_terminal)
    watching: AbstractContextManager[Callable[[], bool]] = interruptions() if at_terminal else nullcontext(_never)
    with watching as interrupted, closing(chat.stream(line)) as thoughts:
        page = Page(width, SPEAKER if at_terminal else "")
        joiner = Joiner(chat.engram.vocabulary.forms)
        for thought in thoughts:
            page.write(joiner.push(thought.word), COLOURS[thought.spoken_by])
            if interrupted():
                break
    page.end()
    turn = chat.history[-1]
    for note in (terminal_view.summary(turn), terminal_view.subconscious(turn)):
        if note:
            print(paint(_fitted(note, width, INDENT, INDENT), DIM), flush=True)


def _width(at_terminal: bool) -> int:
    """Columns of the terminal; 0 where lines may be as long as they like."""
    return shutil.get_terminal_size().columns if at_terminal else 0


def _fitted(text: str, width: int, indent: str, hanging: str) -> str:
    """Lines indented, and broken between words where they do not fit; what is broken off hangs deeper."""
    lines = [indent + line for line in text.split("\n")]
    if width:
        broken = (textwrap.wrap(line, width, subsequent_indent=hanging, break_on_hyphens=False) for line in lines)
        lines = [piece for pieces in broken for piece in pieces]
    return "\n".join(lines)


class Page:
    """Writes one answer piece by piece and breaks lines between words where the terminal ends.

    Args:
        width: Columns of the terminal; 0 never breaks a line.
        speaker: What stands before the first word.
    """

    def __init__(self, width: int, speaker: str) -> None:
        self.width, self.speaker = width, speaker
        self._column = 0

    def write(self, piece: str, colour: str) -> None:
        """Write what one word adds: its blank, if any, and its written form."""
        if not self._column:
            print(paint(self.speaker, BOLD), end="")
            self._column = len(self.speaker)
        if self.width and piece.startswith(" ") and self._column + len(piece) > self.width - MARGIN:
            print()
            piece, self._column = INDENT + piece.lstrip(), 0
        self._column += len(piece)
        print(paint(piece, colour), end="", flush=True)

    def end(self) -> None:
        """End the answer; one without words is shown as silence."""
        if not self._column:
            self.write(SILENCE, DIM)
        print(flush=True)
