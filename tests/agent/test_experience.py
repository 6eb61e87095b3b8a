"""Experiences: all of one is kept or nothing, without secrets; it is counted, and what was used is judged."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import HOME
from engram_agent.errors import AgentError
from engram_agent.experience import record
from engram_agent.kinds import KINDS, checked, record_type
from engram_agent.memory import Memory
from engram_agent.outcomes import trials
from engram_agent.records import TYPES


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memories.db")


def rows(memory: Memory, table: str) -> int:
    return int(memory.records.database.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"])


def test_the_same_experience_is_one_record_that_counts(memory: Memory) -> None:
    said = [
        memory.record("login times out", "retry", outcome) for outcome in ("success", 1, "failure", "partial", 0.75)
    ]
    kept = memory.get(said[0])
    assert len(set(said)) == 1 and (kept.successes, kept.failures, kept.stored_count) == (3, 1, 5)
    assert [one.outcome for one in trials(memory.records, "default")] == [1.0, 1.0, 0.0, 0.5, 0.75]


@pytest.mark.parametrize("kind", [*KINDS, *TYPES])
def test_every_type_can_be_recorded(memory: Memory, kind: str) -> None:
    kept = memory.get(memory.record("login times out", "retry", "failure", memory_type=kind))
    assert kept.memory_type == KINDS.get(kind, kind)


def test_a_failure_with_its_solution_is_a_bugfix(memory: Memory) -> None:
    assert record_type("failure", solved=True) == "bugfix" and record_type("failure") == "antipattern"
    solved = memory.record("a", "b", "failure", memory_type="failure", fields={"solution_applied": "c"})
    assert memory.get(solved).memory_type == "bugfix" and memory.get(solved).fields == {"solution_applied": "c"}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"outcome": "good"}, "outcome"),
        ({"outcome": 1.5}, "outcome"),
        ({"outcome": float("nan")}, "outcome"),
        ({"memory_type": "dream"}, "dream"),
        ({"fields": {"alternative_actions": "none"}}, "alternative_actions"),
        ({"used": ["nothing"]}, "nothing"),
        ({"context": "", "action": ""}, "context"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(memory: Memory, changes: dict[str, Any], named: str) -> None:
    given = {"context": "login times out", "action": "retry", "outcome": "failure"} | changes
    with pytest.raises(AgentError) as error:
        memory.record(**given)
    assert named in str(error.value) and "\n" not in str(error.value)
    assert [rows(memory, table) for table in ("records", "outcomes", "audit", "judgements")] == [0, 0, 0, 0]


def test_unknown_fields_are_kept_and_known_ones_checked() -> None:
    fields = {"domain": "auth", "related_entities": ["a"], "colour": "red"}
    assert checked("knowledge", fields) == fields and checked("context", fields) == fields
    with pytest.raises(AgentError, match="outcome_quality"):
        checked("decision", {"outcome_quality": 2})


def test_secrets_are_nowhere_in_the_file(tmp_path: Path) -> None:
    secret = "Zx9-qr7_Pm2"
    with Memory(tmp_path / "m.db") as memory:
        memory.record(
            f"password={secret}", f"curl -u me:{secret} http://host", "failure", error=f"denied: password={secret}",
            result=f"password={secret}", task=f"login password={secret}", fields={"root_cause": f"password={secret}"},
        )  # fmt: skip
        assert memory.patterns(kind="failure")
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"curl" in raw and secret.encode() not in raw


def test_what_was_used_is_judged_by_the_outcome(memory: Memory) -> None:
    note = memory.store("login times out when the proxy is on", "turn the proxy off")
    for outcome, expected in (("success", 2 / 3), ("failure", 2 / 4)):
        memory.record("login times out", "turn the proxy off", outcome, used=[note, note])
        assert memory.judge(note, expected).utility == pytest.approx(expected, abs=0.15)
    scores = memory.records.database.rows(
        "SELECT score, source FROM judgements WHERE source = 'outcome' ORDER BY number"
    )
    assert [(row["score"], row["source"]) for row in scores] == [(1.0, "outcome"), (0.0, "outcome")]


def test_what_fails_half_way_is_undone(memory: Memory) -> None:
    def broken(record_id: str, score: float, *, agent_id: str, source: str) -> None:
        raise sqlite3.OperationalError("disk is full")

    kept = memory.store("a note")
    with pytest.raises(AgentError, match="disk is full"):
        record(memory.miner, broken, "a", "b", "failure", agent_id="default", used=[kept])
    assert rows(memory, "records") == 1 and rows(memory, "outcomes") == 0
    record(memory.miner, broken, "a", "b", "failure", agent_id="default")
    assert rows(memory, "outcomes") == 1


def test_nobody_sees_the_trials_of_another(memory: Memory) -> None:
    memory.record("login times out", "retry", "success", agent_id="alice")
    assert trials(memory.records, "bob") == [] and len(trials(memory.records, "alice")) == 1


WRITER = """
import sys
from engram_agent.memory import Memory
memory = Memory(sys.argv[1])
for number in range(23):
    memory.record("login times out", "retry", number % 2, error="" if number % 2 else f"no answer from {number}", agent_id="alice")
"""


def test_two_writers_count_together(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen(command, cwd=HOME) for _ in range(2)]
    assert [writer.wait(timeout=120) for writer in writers] == [0, 0]
    with Memory(path) as memory:
        decision = memory.patterns(agent_id="alice", kind="decision")[0]
        failure = memory.patterns(agent_id="alice", kind="failure")[0]
        assert (decision.successes, decision.failures, failure.trials) == (22, 24, 24)
        written = rows(memory, "audit")
        memory.miner.mine("alice")
        assert rows(memory, "audit") == written


def test_pydantic_is_imported_only_for_fields() -> None:
    code = "import sys, engram_agent.memory; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=HOME, timeout=60).returncode == 0
