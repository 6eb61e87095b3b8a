"""What others have learned is counted once, as often as it happened, however it came."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engram_agent.errors import AgentError
from engram_agent.memory import Memory


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path / "m.db", explore=False) as found:
        for number in range(4):
            found.record(
                "npm install",
                "npm ci",
                "failure",
                agent_id="alice",
                error=f"ETIMEDOUT on registry {number}",
                tags=["npm"],
            )
        found.record("npm install", "use the mirror", "success", agent_id="alice", tags=["npm"])
        yield found


def counted(memory: Memory, agent: str) -> dict[str, tuple[float, int, bool]]:
    found = memory.suggest("npm install", agent_id=agent)
    return {one.action: (one.successes, one.trials, one.enough) for one in found}


WHOLE = {"use the mirror": (1.0, 1, False), "npm ci": (0.0, 4, True)}


def test_a_failure_pattern_tells_of_its_solution_as_often_as_that_was_tried(memory: Memory) -> None:
    assert counted(memory, "alice") == WHOLE
    (failure,) = memory.patterns(kind="failure", agent_id="alice")
    memory.share("alice", "bob", scope="pattern", value=failure.name)
    assert counted(memory, "bob") == {"use the mirror": (1.0, 1, False)}
    memory.merge("alice", agent_id="bob")
    assert counted(memory, "bob") == {"use the mirror": (1.0, 1, False)}


@pytest.mark.parametrize("how", ["import", "import twice", "import by a third", "grant", "merge"])
def test_however_it_comes_a_trial_is_counted_once(memory: Memory, tmp_path: Path, how: str) -> None:
    data = memory.export(agent_id="alice")
    with Memory(tmp_path / "other.db", explore=False) as other:
        if "import" in how:
            for _ in range(2 if how == "import twice" else 1):
                other.import_(data, agent_id="bob")
            assert counted(other, "bob") == WHOLE
            if how == "import by a third":
                other.import_(other.export(agent_id="bob"), agent_id="carol")
                assert counted(other, "carol") == WHOLE
            return
    memory.share("alice", "bob", scope="all")
    if how == "merge":
        memory.merge("alice", agent_id="bob")
    assert counted(memory, "bob") == WHOLE


def test_what_is_tried_after_an_import_counts_beside_it(memory: Memory, tmp_path: Path) -> None:
    with Memory(tmp_path / "other.db", explore=False) as other:
        other.import_(memory.export(agent_id="alice"), agent_id="bob")
        for _ in range(2):
            other.record("npm install", "use the mirror", "success", agent_id="bob")
        assert counted(other, "bob") == {"use the mirror": (3.0, 3, True), "npm ci": (0.0, 4, True)}
        own = [
            each for each in other.patterns(agent_id="bob") if other.get(each.record_id, agent_id="bob").origin is None
        ]
        assert {(each.kind, each.successes, each.trials) for each in own} == {("decision", 2.0, 2.0)}


def test_ten_failures_and_a_success_are_one_recovery(memory: Memory) -> None:
    (failure,) = memory.patterns(kind="failure", agent_id="alice")
    assert (failure.successes, failure.trials) == (1.0, 4.0) and failure.high < 0.8
    for number in range(3):
        memory.record("npm install", "npm ci", "failure", agent_id="alice", error=f"ETIMEDOUT on registry {number}")
        memory.record("npm install", "use the mirror", "success", agent_id="alice")
    (failure,) = memory.patterns(kind="failure", agent_id="alice")
    assert (failure.successes, failure.trials) == (4.0, 7.0)
    assert memory.patterns(kind="failure", agent_id="alice", success_rate=">80%") == []


def test_copies_that_come_back_are_not_counted_again(memory: Memory) -> None:
    memory.import_(memory.export(agent_id="alice"), agent_id="bob")
    memory.share("bob", "alice", scope="all")
    assert memory.learning_stats(agent_id="alice")["trials"] == 5 and counted(memory, "alice") == WHOLE
    memory.record("npm install", "use the mirror", "success", agent_id="alice")
    assert counted(memory, "alice")["use the mirror"] == (2.0, 2, False)
    decided = [each for each in memory.patterns(agent_id="alice", kind="decision") if each.action == "use the mirror"]
    assert {(each.successes, each.trials) for each in decided} == {(2.0, 2.0)}
    memory.share("alice", "carol", scope="all")
    memory.share("bob", "carol", scope="all")
    assert counted(memory, "carol")["npm ci"] == (0.0, 4, True), "from her and from him, they are the same trials"


def test_what_another_holds_in_ones_name_is_not_ones_own(memory: Memory) -> None:
    """A file may say that anybody has tried anything; who is named sees and counts none of it."""
    before = memory.patterns(agent_id="alice", limit=99), memory.learning_stats(agent_id="alice")
    forged = memory.export(agent_id="alice")
    for row in forged["outcomes"]:
        row |= {"origin": "alice", "action": "rm everything", "error": "the falconsecret registry", "outcome": 1.0}
    for row in forged["records"]:
        row["action"] = "rm everything"
    memory.import_(forged, agent_id="mallory")
    memory.share("mallory", "alice", scope="all")
    memory.record("npm install", "npm ci", "failure", agent_id="alice", error="ETIMEDOUT on registry 9")
    assert memory.learning_stats(agent_id="alice")["trials"] == before[1]["trials"] + 1
    own = [each for each in memory.patterns(agent_id="alice", limit=99) if "mallory" not in each.context]
    assert "falconsecret" not in str(
        [each.members for each in own if memory.get(each.record_id, agent_id="alice").origin is None]
    )
    assert "rm everything" not in counted(memory, "alice")


def test_a_deleted_failure_goes_although_another_has_a_copy(memory: Memory) -> None:
    with Memory(":memory:", explore=False) as other:
        kept = other.record("auth", "retry", "failure", agent_id="alice", error="boom at gateway")
        check = other.prevent(other.patterns(agent_id="alice")[0].name, agent_id="alice")
        other.import_(other.export(agent_id="alice"), agent_id="bob")
        other.delete(kept, agent_id="alice")
        assert other.patterns(agent_id="alice") == [] and other.learning_stats(agent_id="alice")["checks"] == {}
        with pytest.raises(AgentError, match="there is no check"):
            other.check_result(check.id, True, agent_id="alice")


@pytest.mark.parametrize("origin", ["", "a\nb", 7, "x" * 50_000])
def test_who_tried_must_be_a_name(memory: Memory, origin: object) -> None:
    data = memory.export(agent_id="alice")
    data["outcomes"][2]["origin"] = origin
    with pytest.raises(AgentError, match=r"outcomes\[2\].origin"):
        memory.import_(data, agent_id="bob")
    for row in data["outcomes"]:
        del row["origin"]  # as files were written before
    assert memory.import_(data, agent_id="bob").added > 0
