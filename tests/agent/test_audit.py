"""The log: nobody changes it unseen, and many writers keep it one chain."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engram_agent.audit import BEGINNING
from engram_agent.errors import AgentError
from engram_agent.memory import Memory

COUNT = 7
COLUMNS = {
    "happened_at": 1.5, "agent_id": "eve", "event": "put", "subject": "m0", "detail": '{"a": 1}', "previous": "0",
    "hash": "0",
}  # fmt: skip


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    memory = Memory(tmp_path / "m.db")
    for number in range(COUNT):
        memory.store(f"thing {number * 7919}", agent_id="alice")
    return memory


def tampered(memory: Memory, statement: str, values: tuple[object, ...] = ()) -> Memory:
    """The memory after a change by somebody who has the file."""
    with sqlite3.connect(memory.records.database.path) as raw:
        for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {name}")
        for each in statement.split(";"):
            raw.execute(each, values)
    raw.close()
    return memory


def test_what_nobody_touched_is_sound_also_after_reopening(memory: Memory, tmp_path: Path) -> None:
    verified = memory.audit_verify()
    assert (verified.entries, verified.sound, verified.broken_at) == (COUNT, True, None)
    assert verified.last == memory.status()["audit"]["last"]
    memory.close()
    assert Memory(tmp_path / "m.db").audit_verify() == verified
    assert Memory(tmp_path / "new.db").audit_verify().last == BEGINNING


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("number", [1, 4, COUNT])
def test_a_change_of_any_value_of_any_entry_is_found(memory: Memory, column: str, number: int) -> None:
    tampered(memory, f"UPDATE audit SET {column} = ? WHERE number = {number}", (COLUMNS[column],))
    assert memory.audit_verify().broken_at == number


def test_one_bit_of_a_text_or_another_kind_of_value_is_found(memory: Memory) -> None:
    tampered(memory, "UPDATE audit SET agent_id = CAST(agent_id AS BLOB) WHERE number = 3")
    assert memory.audit_verify().broken_at == 3
    tampered(memory, "UPDATE audit SET agent_id = 'alicE' WHERE number = 2")
    assert memory.audit_verify().broken_at == 2


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("DELETE FROM audit WHERE number = 1", 1),
        ("DELETE FROM audit WHERE number = 4", 4),
        ("DELETE FROM audit WHERE number = 4; UPDATE audit SET number = number - 1 WHERE number > 4", 4),
        ("UPDATE audit SET number = -1 WHERE number = 3; UPDATE audit SET number = 3 WHERE number = 4;"
         "UPDATE audit SET number = 4 WHERE number = -1", 3),
        ("INSERT INTO audit SELECT number + 10, happened_at, agent_id, event, subject, detail, previous, hash FROM audit"
         " WHERE number = 5", COUNT + 1),
        ("UPDATE audit SET number = 9 WHERE number = 7", COUNT),
    ],
)  # fmt: skip
def test_what_is_taken_out_put_in_or_moved_is_found(memory: Memory, change: str, broken: int) -> None:
    verified = tampered(memory, change).audit_verify()
    assert not verified.sound and verified.broken_at == broken


def test_a_log_cut_off_at_its_end_shows_by_the_last_hash_alone(memory: Memory) -> None:
    before = memory.audit_verify().last
    verified = tampered(memory, f"DELETE FROM audit WHERE number = {COUNT}").audit_verify()
    assert verified.sound and verified.last != before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit",
        "DELETE FROM audit WHERE number = 7",
        "UPDATE audit SET event = 'put' WHERE number = 2",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE number = 3",
        "REPLACE INTO audit SELECT number, 0, agent_id, event, subject, detail, previous, hash FROM audit",
    ],
)
def test_the_file_itself_refuses_to_change_the_log(memory: Memory, statement: str) -> None:
    before = memory.records.database.rows("SELECT * FROM audit")
    with pytest.raises(AgentError, match="never"):
        memory.records.database.execute(statement)
    assert [tuple(row) for row in memory.records.database.rows("SELECT * FROM audit")] == [tuple(row) for row in before]


def test_what_fails_is_not_in_the_log(memory: Memory) -> None:
    with pytest.raises(ZeroDivisionError), memory.records.database.transaction():
        memory.store("never said", agent_id="alice")
        raise ZeroDivisionError
    assert memory.audit_verify().entries == COUNT
