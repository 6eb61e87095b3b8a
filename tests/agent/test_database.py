"""The file of a memory: who may read it, and what stays in it of what was deleted."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engram_agent.memory import Memory

OPEN, OWN = 0o644, 0o600


@pytest.fixture
def open_to_all() -> Iterator[None]:
    """Files that are made without care may be read by everybody."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(path: Path) -> dict[str, int]:
    return {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}


def test_a_new_file_is_for_its_owner_only(tmp_path: Path, open_to_all: None) -> None:
    path = tmp_path / "m.db"
    with Memory(path) as memory:
        memory.store("for nobody else")
        assert rights(path) == {"m.db": OWN, "m.db-wal": OWN, "m.db-shm": OWN}
    assert rights(path) == {"m.db": OWN}


def test_a_file_that_is_there_keeps_its_rights(tmp_path: Path, open_to_all: None) -> None:
    path = tmp_path / "m.db"
    path.touch(OPEN)
    with Memory(path) as memory:
        memory.store("for the whole group")
        assert set(rights(path).values()) == {OPEN}


def test_a_memory_in_memory_has_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Memory(":memory:") as memory:
        memory.store("gone soon")
    assert list(tmp_path.iterdir()) == []


def test_what_is_deleted_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def forgetful(*args: Any, **options: Any) -> sqlite3.Connection:
        """A build of SQLite that leaves what is deleted where it was."""
        found = connect(*args, **options)
        found.execute("PRAGMA secure_delete = OFF")
        return found

    monkeypatch.setattr(sqlite3, "connect", forgetful)
    path = tmp_path / "m.db"
    texts = [f"thing {number * 7919} and what nobody may know of it" for number in range(53)]
    with Memory(path) as memory:
        known = [memory.store(text) for text in texts]
        for each in known[7:43]:
            memory.delete(each)
    raw = path.read_bytes()
    assert [text.encode() in raw for text in texts] == [not 7 <= number < 43 for number in range(53)]
