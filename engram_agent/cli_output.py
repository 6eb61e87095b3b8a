"""The one place where results become text: JSON for machines, tables and cards on a terminal, plain lines in a pipe.

It must not know any command; a view says what is to be seen, this says how.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engram_agent.plain import clean, plain


@dataclass(frozen=True)
class Rows:
    """A table: a line for each row, its cells in columns on a terminal and between tabs in a pipe."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Card:
    """A framed text: a title and lines, each with what it is."""

    title: str
    lines: Sequence[tuple[str, Any]]


Block = str | Rows | Card
View = Callable[[Any], Sequence[Block]]


def show(value: Any, view: View | None, as_json: bool) -> None:
    """Print a value.

    Args:
        value: What a command found out.
        view: Says what of it people see; without one, the value itself.
        as_json: Whether machines read it.
    """
    if as_json:
        print(json.dumps(plain(value), ensure_ascii=not _is_unicode(), indent=2))
        return
    blocks = view(value) if view else [str(value)]
    if sys.stdout.isatty():
        _on_terminal(blocks)
    else:
        sys.stdout.write("".join(f"{line}\n" for block in blocks for line in plain_lines(block)))


def plain_lines(block: Block) -> list[str]:
    """A block as lines without colours or frames."""
    if isinstance(block, str):
        return clean(block).split("\n")
    if isinstance(block, Rows):
        return ["\t".join(one_line(cell) for cell in row) for row in block.rows]
    return [clean(block.title), *(f"  {label}: {_indented(text)}" for label, text in block.lines), ""]


def one_line(text: Any) -> str:
    """A text in one line: every run of blanks and line ends is one blank."""
    return " ".join(clean(text).split())


def _indented(text: Any) -> str:
    return clean(text).replace("\n", "\n    ")


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _on_terminal(blocks: Sequence[Block]) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    for block in blocks:
        console.print(_rich(block))


def _rich(block: Block) -> Any:
    from rich import box
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    if isinstance(block, str):
        return Text(clean(block))
    if isinstance(block, Rows):
        table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for number, column in enumerate(block.columns):
            table.add_column(column, overflow="fold", style="cyan" if number == 0 else "")
        for row in block.rows:
            table.add_row(*[Text(one_line(cell)) for cell in row])
        return table
    body = Table.grid(padding=(0, 2))
    body.add_column(style="dim", no_wrap=True)
    body.add_column(overflow="fold")
    for label, text in block.lines:
        body.add_row(label, Text(clean(text)))
    return Panel(body, title=Text(clean(block.title), style="bold"), title_align="left", box=box.ROUNDED)
