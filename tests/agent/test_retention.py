"""Retention: shown first, deleted on request, of one agent and one type alone, with every trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_agent import outcomes
from engram_agent.errors import AgentError
from engram_agent.memory import Memory
from engram_agent.records import Record
from engram_agent.retention import DAY, retain

NOW = 1_000.0 * DAY


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    memory = Memory(tmp_path / "m.db")
    for agent in ("alice", "bob"):
        for kind in ("context", "bugfix"):
            for age in (1, 31, 97):
                superseded = "m0" if age == 97 else None
                written = NOW - age * DAY
                memory.records.put(
                    Record(
                        id=f"{agent}-{kind}-{age}", agent_id=agent, memory_type=kind, context=f"{kind} {age}", action="",
                        result="", created_at=5.0, updated_at=written, superseded_by=superseded,
                    )
                )  # fmt: skip
    memory.share("bob", "alice", scope="all")
    return memory


def everything(memory: Memory) -> set[str]:
    return {row["id"] for row in memory.records.database.rows("SELECT id FROM records")}


def test_a_dry_run_shows_what_goes_and_writes_nothing(memory: Memory) -> None:
    before = everything(memory), memory.audit_verify()
    found = retain(memory.miner, {"context": 30.0}, agent_id="alice", now=NOW)
    assert [record.id for record in found] == ["alice-context-97", "alice-context-31"]
    assert (everything(memory), memory.audit_verify()) == before


def test_what_goes_is_what_was_shown_with_every_trace(memory: Memory) -> None:
    database = memory.records.database
    for name in ("alice-context-97", "alice-context-1"):
        database.execute("INSERT INTO utilities (record_id, helped, hindered, updated_at) VALUES (?, 1, 0, 0)", [name])
        database.execute(
            "INSERT INTO judgements (record_id, agent_id, score, source, judged_at) VALUES (?, 'alice', 1, 'agent', 0)",
            [name],
        )
        trial = {"kind": "decision", "task": None, "context": "c", "action": "a", "error": "", "signature": ""}
        outcomes.add(
            memory.records,
            outcomes.Outcome(record_id=name, agent_id="alice", outcome=1.0, happened_at=0.0, **trial),  # type: ignore[arg-type]
        )
    before = everything(memory)
    shown = retain(memory.miner, {"context": 30.0, "bugfix": 90}, agent_id="alice", now=NOW)
    gone = retain(memory.miner, {"context": 30.0, "bugfix": 90}, agent_id="alice", apply=True, now=NOW)
    assert gone == shown and {record.id for record in gone} == before - everything(memory)
    assert {record.id for record in gone} == {"alice-context-97", "alice-context-31", "alice-bugfix-97"}
    for table in ("utilities", "judgements", "outcomes"):
        assert [row["record_id"] for row in database.rows(f"SELECT record_id FROM {table}")] == ["alice-context-1"]
    deleted = [row["subject"] for row in database.rows("SELECT subject FROM audit WHERE event = 'delete'")]
    assert deleted == [record.id for record in gone] and memory.audit_verify().sound
    assert retain(memory.miner, {"context": 30.0}, agent_id="alice", apply=True, now=NOW) == []


def test_the_clock_is_the_default(memory: Memory) -> None:
    fresh = memory.store("fresh", agent_id="alice")
    gone = {record.id for record in memory.retention({"context": 0.5}, agent_id="alice", apply=True)}
    assert gone == {f"alice-context-{age}" for age in (1, 31, 97)} and fresh in everything(memory)
    assert memory.retention({}, agent_id="alice", apply=True) == []


@pytest.mark.parametrize("days", [{"context": 0}, {"context": -3.0}, {"context": float("nan")}, {"dream": 3.0}])
@pytest.mark.parametrize("apply", [False, True])
def test_bad_days_are_one_line_and_nothing_goes(memory: Memory, days: dict[str, float], apply: bool) -> None:
    before = everything(memory)
    with pytest.raises(AgentError) as error:
        memory.retention({"bugfix": 1.0} | days, agent_id="alice", apply=apply)
    assert error.value.name == "InvalidValue" and "\n" not in str(error.value) and everything(memory) == before
