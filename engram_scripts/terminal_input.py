"""What a person types at a terminal: lines with editing, history and completion, yes or no, and Ctrl-C.

It must not know what is done with a line.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from engram_scripts.common import paint
from engram_scripts.terminal_view import BOLD


def typed_lines(prompt: str, completions: Sequence[str]) -> Iterator[str]:
    """Lines that say something, up to Ctrl-D or Ctrl-C; Tab completes a first word to one of `completions`."""
    import readline  # input() edits its line with it from now on; there is none on some systems without terminals

    def complete(text: str, place: int) -> str | None:
        fitting = [word for word in completions if text and word.startswith(text)]
        return fitting[place] if place < len(fitting) and readline.get_begidx() == 0 else None

    readline.set_completer(complete)
    readline.set_completer_delims(" ")
    readline.parse_and_bind("tab: complete")
    # Between \001 and \002 stands what takes no room on the line.
    painted = re.sub(r"(\033\[\d+m)", "\001\\1\002", paint(prompt, BOLD))
    while True:
        try:
            line = input(painted).strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return
        if line:
            yield line


def confirmed(question: str) -> bool:
    """Whether the answer to a question is yes; Ctrl-D and Ctrl-C say no."""
    try:
        return input(question).strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        print()
        return False


@contextmanager
def interruptions() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether Ctrl-C was pressed, which then ends nothing; a second Ctrl-C ends all."""
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    previous = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, previous)
