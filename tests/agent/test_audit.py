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


@pytest.mark.parametrize(
    ("change", "broken", "left"),
    [
        (f"DELETE FROM audit WHERE number = {COUNT}", COUNT, COUNT - 1),
        ("DELETE FROM audit WHERE number > 2", 3, 2),
        ("DELETE FROM audit", 1, 0),
        ("DELETE FROM audit; DELETE FROM audit_head", 1, 0),
        ("DELETE FROM audit_head", 1, COUNT),
        ("UPDATE audit_head SET entries = 5", 6, COUNT),
        (f"UPDATE audit_head SET hash = '{BEGINNING}'", COUNT, COUNT),
    ],
)
def test_a_log_without_its_end_or_its_head_is_not_sound(memory: Memory, change: str, broken: int, left: int) -> None:
    verified = tampered(memory, change).audit_verify()
    assert (verified.sound, verified.broken_at, verified.entries) == (False, broken, left)
    memory.store("what is written afterwards mends nothing", agent_id="alice")
    assert not memory.audit_verify().sound


def test_a_log_that_was_emptied_can_be_written_and_never_becomes_sound(memory: Memory) -> None:
    memory.records.database.execute("DROP TRIGGER audit_keeps")
    memory.records.database.execute("DELETE FROM audit")
    for number in range(COUNT + 1):
        memory.store(f"another thing {number * 7907}", agent_id="alice")
        assert not memory.audit_verify().sound


def test_a_log_that_was_sealed_anew_shows_by_the_last_hash_alone(memory: Memory) -> None:
    before = memory.audit_verify().last
    cut = "DELETE FROM audit WHERE number = 7; UPDATE audit_head SET entries = 6, hash = (SELECT hash FROM audit WHERE number = 6)"
    verified = tampered(memory, cut).audit_verify()
    assert verified.sound and verified.last != before


def test_a_log_from_before_there_was_a_head_gets_one(memory: Memory, tmp_path: Path) -> None:
    memory.close()
    tampered(
        memory,
        "DROP TABLE audit_head; DELETE FROM migrations WHERE name >= '0008'; ALTER TABLE outcomes DROP COLUMN origin",
    )
    with Memory(tmp_path / "m.db") as again:
        assert again.audit_verify().sound and again.audit_verify().written == COUNT
        again.store("one more", agent_id="alice")
        assert again.audit_verify().sound and again.audit_verify().written == COUNT + 1
    tampered(memory, "DELETE FROM audit")
    with Memory(tmp_path / "m.db") as again:
        assert not again.audit_verify().sound


def test_what_others_write_while_the_log_is_read_breaks_nothing(memory: Memory, tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as other, memory.records.database.reading():
        assert memory.audit_verify().written == COUNT
        other.store("meanwhile", agent_id="bob")
        assert memory.audit_verify().sound and memory.audit_verify().written == COUNT
    assert memory.audit_verify().sound and memory.audit_verify().written == COUNT + 1


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit",
        "DELETE FROM audit WHERE number = 7",
        "UPDATE audit SET event = 'put' WHERE number = 2",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE number = 3",
        "REPLACE INTO audit SELECT number, 0, agent_id, event, subject, detail, previous, hash FROM audit",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET entries = 6",
        "UPDATE audit_head SET hash = '0'",
        "REPLACE INTO audit_head VALUES (1, 0, '0')",
    ],
)
def test_the_file_itself_refuses_to_change_the_log(memory: Memory, statement: str) -> None:
    log = "SELECT * FROM audit JOIN audit_head"
    before = memory.records.database.rows(log)
    with pytest.raises(AgentError, match="never"):
        memory.records.database.execute(statement)
    assert [tuple(row) for row in memory.records.database.rows(log)] == [tuple(row) for row in before]


def test_what_fails_is_not_in_the_log(memory: Memory) -> None:
    with pytest.raises(ZeroDivisionError), memory.records.database.transaction():
        memory.store("never said", agent_id="alice")
        raise ZeroDivisionError
    assert memory.audit_verify().entries == COUNT
