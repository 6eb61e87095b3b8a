"""What all scripts share: how errors leave, how colours are chosen, how a table is laid out.

It must not know what any script does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from engram_model.errors import EngramError

INTERRUPTED = 130


def run_main(main: Callable[[], int]) -> None:
    """Run a script: an EngramError becomes one line on stderr and its exit code; Ctrl-C becomes 130."""
    try:
        code = main()
        sys.stdout.flush()
    except EngramError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def paint(text: str, code: str, stream: TextIO | None = None) -> str:
    """Text in an ANSI colour on a terminal, plain in a pipe, in a file or with NO_COLOR set."""
    stream = stream or sys.stdout
    if not stream.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[{code}m{text}\033[0m"


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Rows as aligned columns; the first column is left-aligned, the others right-aligned."""
    lines = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    shown = [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    if header:
        shown.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(shown)
