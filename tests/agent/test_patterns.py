"""Patterns: counted right, named by their words, the same however often they are mined, found, filtered and applied."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engram_agent.errors import AgentError
from engram_agent.memory import Memory
from engram_agent.page import page
from engram_agent.patterns import listed, seconds
from engram_agent.phrases import key, name, overlap, shared, signature, steps

DAY = 86_400.0


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memories.db")


def written(memory: Memory) -> int:
    return int(memory.records.database.rows("SELECT count(*) AS n FROM audit")[0]["n"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("npm install timed out after 30s", "npm-install-timed-out"),
        ("auth-failure", "auth-failure"),
        ("The login of user 4711 failed", "login-user-failed"),
        ("42", "42"),
        ("...", "..."),
    ],
)
def test_names_are_made_of_the_words_that_tell(text: str, expected: str) -> None:
    assert name(text) == expected


def test_what_differs_in_numbers_and_case_has_one_key() -> None:
    assert (
        key("npm install timed out after 30s")
        == key("NPM install: timed out")
        == key("npm install timed out after 7 s")
    )
    assert key("npm install") != key("npm uninstall") and key("retry") != key("do not retry")


def test_an_error_is_known_by_the_line_that_tells() -> None:
    trace = (
        'Traceback (most recent call last):\n  File "/a/b.py", line 3, in f\n    g()\nValueError: no row 17 in /tmp/x'
    )
    assert signature(trace) == signature("ValueError: no row 4 in /var/y") == "ValueError: no row <*> in <*>"
    assert signature("Error:\nno space left on device\nat /dev/sda1") == "Error: no space left on device"
    assert signature("") == ""


def test_shares_and_overlaps_reach_their_bounds() -> None:
    assert shared("npm-install-timeout", "npm-install-timed-out") == pytest.approx(2 / 3)
    assert shared("auth-pattern", "authentication-failure") == 1.0 and shared("pattern", "auth") == 0.0
    assert overlap(["a", "b"], ["b", "a"], {}) == 1.0 and overlap(["a"], ["b"], {}) == 0.0 == overlap([], [], {})
    assert overlap(["a", "b"], ["a", "c"], {"a": 8.0}) == 0.8
    assert steps("stop it; drain the queue, then restart\nlook") == ["stop it", "drain the queue", "restart", "look"]


def test_a_decision_is_a_pattern_from_its_second_trial(memory: Memory) -> None:
    memory.record("login times out", "retry", "success")
    assert memory.patterns() == []
    memory.record("Login times out!", "wait", "partial")
    memory.record("login times out", "Retry", "failure", error="gateway did not answer")
    found = memory.patterns(kind="decision")[0]
    assert (found.name, found.successes, found.failures) == ("login-times-out-retry", 1.0, 1.0)
    assert memory.get(found.record_id).fields["alternative_actions"] == ["wait"]


def test_what_works_three_times_of_three_is_a_success(memory: Memory) -> None:
    for number in range(3):
        assert memory.patterns(kind="success") == []
        beside = {"result": f"{'abc'[number] * 7} is well", "tags": ["db", str(number)]}
        memory.record("schema migration fails", "take a snapshot; roll back, then retry", "success", **beside)
    found = memory.patterns(kind="success")[0]
    assert found.steps == ("take a snapshot", "roll back", "retry") and found.estimate == pytest.approx(0.875)
    assert memory.get(found.record_id).memory_type == "pattern" and memory.get(found.record_id).tags == ("db",)
    assert memory.get(found.record_id).fields["key_factors"] == ["schema", "migration", "fails"]
    for _ in range(4):
        memory.record(
            "schema migration fails", "take a snapshot; roll back, then retry", "failure", error="lock is held"
        )
    assert memory.patterns(kind="success")[0].low < 0.4


def test_a_failure_is_one_pattern_however_its_numbers_change_and_learns_its_way_out(memory: Memory) -> None:
    for number in range(3):
        memory.record(
            f"install of package {number}", "try again", "failure", error=f"timeout after {number} s at /tmp/{number}"
        )
    found = memory.failures()[0]
    assert (found.name, found.successes, found.failures, found.action) == ("timeout", 0.0, 3.0, "")
    assert memory.get(found.record_id).memory_type == "antipattern"
    memory.record("install of package 7", "use the mirror", "success")
    solved = memory.failures()[0]
    assert (solved.record_id, solved.action) == (found.record_id, "use the mirror")
    assert (solved.successes, solved.trials) == (1.0, 3.0), (
        "one success is the way out of one failure, the one before it"
    )
    assert memory.get(found.record_id).memory_type == "bugfix"
    assert memory.get(found.record_id).fields["root_cause"] == "install, package"
    assert "use the mirror" in solved.prevention and "try again" in solved.prevention


def test_a_way_out_is_found_by_the_task_too(memory: Memory) -> None:
    memory.record("unit tests are red", "rerun", "failure", error="port is taken", task="t1")
    memory.record("another door", "free the port", "success", task="t2")
    assert memory.failures()[0].action == ""
    memory.record("another door", "free the port", "success", task="t1")
    assert memory.failures()[0].action == "free the port"


def test_errors_that_differ_in_a_word_become_one_pattern_and_nothing_is_lost(memory: Memory) -> None:
    users = ["alice", "bob", "carol", "dave", "erin"]
    counts = []
    for user in users:
        memory.record("login", "ask", "failure", error=f"the user {user} was not found in the directory")
        counts.append(sorted(pattern.trials for pattern in memory.failures()))
    assert counts == [[1], [1, 1], [1, 1, 1], [4], [5]]
    assert memory.failures()[0].signature == "the user <*> was not found in the directory"


@pytest.mark.parametrize("seed", [2, 3])
def test_mining_again_writes_nothing_and_finds_what_updating_found(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with Memory(tmp_path / "m.db") as memory:
        for number in range(71):
            context = f"job {chance.randrange(3)} of {chance.choice(['mail', 'search', 'shop'])}"
            error = f"{chance.choice(['disk', 'lock', 'port'])} {number} is not free"
            outcome = chance.choice(["success", "failure"])
            action = chance.choice(["wait", "restart", "move"])
            memory.record(context, action, outcome, error=error if outcome == "failure" else "", task=str(number // 5))
        before, count = memory.patterns(limit=999), written(memory)
        memory.miner.mine("default")
        assert memory.patterns(limit=999) == before and written(memory) == count and len(before) > 10
    with Memory(tmp_path / "m.db") as memory:
        memory.miner.mine("default")
        assert memory.patterns(limit=999) == before and written(memory) == count


def test_filters(memory: Memory) -> None:
    for number in range(6):
        memory.record("login", "retry", number != 5)
        memory.record("deploy", "push", 0.0, error="quota is used up")
    rates = {
        text: {one.name for one in memory.patterns(kind="decision", success_rate=text)}
        for text in (">80%", ">=0.5", "<20%")
    }
    assert rates == {">80%": {"login-retry"}, ">=0.5": {"login-retry"}, "<20%": {"deploy-push"}}
    memory.record("backup", "copy", "failure", error="tape is full")
    assert len(memory.failures()) == 3 and {one.name for one in memory.failures(recurring=True)} == {"quota-used-up"}
    assert memory.patterns(kind="bugfix") == memory.patterns(kind="failure")
    later = memory.failures()[0].last_seen + 8 * DAY
    assert listed(memory.records, agent_id="default", since="7d", now=later) == []
    assert len(listed(memory.records, agent_id="default", since="9d", now=later, limit=2)) == 2
    assert seconds("12h") == DAY / 2


@pytest.mark.parametrize(
    "bad", [{"success_rate": "many"}, {"success_rate": ">180%"}, {"since": "soon"}, {"kind": "dream"}]
)
def test_filters_that_cannot_be_read_are_one_line(memory: Memory, bad: dict[str, str]) -> None:
    with pytest.raises(AgentError) as error:
        memory.patterns(**bad)
    assert error.value.name == "InvalidValue" and next(iter(bad.values())) in str(error.value)


def test_an_applied_pattern_is_credited_once_with_the_outcome_of_the_task(memory: Memory) -> None:
    given = {"name": "migration-rollback-strategy", "replication_steps": ["snapshot", "roll back"]}
    for _ in range(3):
        memory.record("db migration failed", "roll back", "success", memory_type="success", fields=given)
    applied = memory.apply_pattern("migration-rollback-strategy", "db-migration-456")
    assert applied.steps == ("snapshot", "roll back") and applied.name == "migration-rollback-strategy"
    memory.apply_pattern("rollback migration", "db-migration-456")
    for outcome in ("failure", "success"):
        memory.record("db migration 456", "roll back", outcome, task="db-migration-456", error="no space")
    rows = memory.records.database.rows("SELECT record_id, score FROM judgements")
    assert [(row["record_id"], row["score"]) for row in rows] == [(applied.record_id, 0.0)]
    for wrong in (("nothing like it", "t"), ("migration-rollback-strategy", " ")):
        with pytest.raises(AgentError):
            memory.apply_pattern(*wrong)


def test_patterns_are_the_agents_own_until_they_are_shared(memory: Memory) -> None:
    for _ in range(3):
        memory.record("login times out", "retry", "success", agent_id="alice")
    names = {one.name for one in memory.patterns(agent_id="alice")}
    assert names and memory.patterns(agent_id="bob") == []
    memory.share("alice", "bob", scope="pattern", value="login-times-out")
    assert [one.name for one in memory.patterns(agent_id="bob")] == ["login-times-out"]
    assert memory.suggest("login times out", agent_id="bob")[0].trials == 3


def test_learning_is_told_in_numbers(memory: Memory) -> None:
    assert memory.learning_stats()["trials"] == 0
    for outcome in (0, 0, 1, 1):
        memory.record("login", "retry", outcome)
    told = memory.learning_stats()
    assert (told["trials"], told["successes"], told["trend"], told["recurring_failures"]) == (4, 2.0, 1.0, 1)
    assert told["patterns"] == {"decision": 1, "failure": 1, "success": 0}


def test_a_failure_that_is_all_numbers_is_named_by_where_it_happened(memory: Memory) -> None:
    for number in range(3):
        memory.record("upload of the report", "send it", "failure", error=f"401 at 10.0.0.{number}")
    assert [pattern.name for pattern in memory.patterns(kind="failure")] == ["upload-report"]
    assert memory.prevent("upload-report").spec["avoid"] == ["send it"]


@pytest.mark.parametrize(
    "odd",
    [
        {"signatures": 5}, {"signatures": [1, None]}, {"trials": "many"}, {"trials": 1e308}, {"successes": -3},
        {"first_seen": []}, {"replication_steps": 7}, {"prevention_strategy": {"a": 1}}, {"name": 9},
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["failure", "decision", "success"])
def test_whatever_stands_in_the_fields_of_a_pattern_it_is_listed(
    memory: Memory, kind: str, odd: dict[str, object]
) -> None:
    kept = memory.store("the valve", "turn it", "it held", fields={"kind": kind, "name": "odd-one", **odd})
    (found,) = memory.patterns()
    assert found.record_id == kept and 0.0 <= found.low <= found.estimate <= found.high <= 1.0
    memory.record("the valve", "turn it", "success")
    assert memory.suggest("the valve")[0].trials == 1 and page(memory, None) and memory.learning_stats()
    memory.delete(memory.record("the pump", "turn it", "failure"))


def test_the_task_of_a_pattern_is_kept_without_secrets(memory: Memory) -> None:
    for _ in range(3):
        memory.record("the valve leaks", "turn it", "success")
    secret = "ghp_" + "a1B2c3D4e5F6" * 3
    assert secret not in memory.apply_pattern("valve-leaks", f"task with {secret}").task
    assert secret not in str([tuple(row) for row in memory.records.database.rows("SELECT * FROM applied")])
