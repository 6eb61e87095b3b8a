"""Files written whole or not at all, and one setting in a TOML file replaced with the rest left as it is.

It must not know which files there are, nor what is set in them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engram_agent.errors import AgentError


def with_line(lines: list[str], key: str, value: str | int | float) -> list[str]:
    """The lines of a TOML file with one setting replaced in its section, or added there."""
    section, name = key.split(".")
    line = f"{name} = {toml_text(value)}"
    at = next((i for i, each in enumerate(lines) if each.split("#")[0].strip() == f"[{section}]"), None)
    if at is None:
        return [*lines, *([""] if lines else []), f"[{section}]", line]
    end = next((i for i in range(at + 1, len(lines)) if lines[i].lstrip().startswith("[")), len(lines))
    for i in range(at + 1, end):
        if lines[i].split("=")[0].strip() == name:
            return [*lines[:i], line, *lines[i + 1 :]]
    return [*lines[: at + 1], line, *lines[at + 1 :]]


def toml_text(value: str | int | float) -> str:
    """A value as TOML writes it."""
    if not isinstance(value, str):
        return repr(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all: beside it first, then in its place."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def replace_own(path: Path, text: str, what: str, is_own: Callable[[str], bool], force: bool) -> None:
    """Write a file over an earlier one of its own kind, over any other only if that is asked for.

    Args:
        path: The file.
        text: What will stand in it.
        what: Its kind, in words.
        is_own: Whether a text is of that kind.
        force: Write over any file.

    Raises:
        AgentError: InvalidValue if the file is another's or cannot be written.
    """
    if path.exists() and not force and not _holds(path, is_own):
        raise AgentError("InvalidValue", f"{path} exists and is no {what}", "name another file, or add --force")
    try:
        replace_file(path, text)
    except (OSError, ValueError) as error:
        raise AgentError("InvalidValue", f"{path} cannot be written ({error})", "name another file") from error


def _holds(path: Path, is_own: Callable[[str], bool]) -> bool:
    try:
        return path.is_file() and is_own(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
