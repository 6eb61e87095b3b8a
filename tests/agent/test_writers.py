"""Many processes write one file, and some are killed: all that was acknowledged is there, and the file is sound."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.agent_writers import WORDS, killed, many, promises
from engram_agent.memory import Memory

HELD = {"lost": 0, "not deleted": 0, "not ok": False, "log broken": False, "indexes differ": False}


@pytest.mark.slow
def test_many_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    said = many(tmp_path / "m.db", writers=8, writes=200)
    assert promises(tmp_path / "m.db", said) == HELD | {"acknowledged": 8 * 200}


@pytest.mark.slow
def test_a_killed_writer_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    said = killed(tmp_path / "m.db", kills=12)
    found = promises(tmp_path / "m.db", said)
    assert found == HELD | {"acknowledged": found["acknowledged"]} and len(said) == 12
    assert all(said) and found["acknowledged"] > 12 and any(lines[-1][0] == "will" for lines in said)


def test_what_does_not_hold_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    said = many(path, writers=1, writes=31)
    assert promises(path, said) == HELD | {"acknowledged": 31}
    stored = next(line[2] for line in said[0] if line[:2] == ["done", "store"])
    assert promises(path, [*said, [["done", "store", "m-never", 1.0]]])["lost"] == 1
    with Memory(path) as memory:
        database = memory.records.database
        row = database.rows("SELECT row FROM records WHERE id = ?", [stored]) or database.rows(
            "SELECT row FROM records"
        )
        database.execute("UPDATE words SET before = ? WHERE rowid = ?", [WORDS[0], row[0]["row"]])
    assert promises(path, said) == HELD | {"acknowledged": 31, "indexes differ": True}
    with Memory(path) as memory:
        memory.records.database.execute("DELETE FROM vectors WHERE row = (SELECT max(row) FROM records)")
    assert promises(path, said) == HELD | {"acknowledged": 31, "indexes differ": True}
    with Memory(path) as memory:
        memory.records.database.execute("DELETE FROM records WHERE row = (SELECT max(row) FROM records)")
    assert promises(path, said)["lost"] == 1
