"""Checks: data drawn from what failed and what worked; counted, and demoted when they fail more often than they hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engram_agent.errors import AgentError
from engram_agent.intervals import interval
from engram_agent.memory import Memory


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    memory = Memory(tmp_path / "memories.db")
    memory.record("npm install in the shop", "try again", "failure", error="npm install timed out after 30s")
    return memory


def test_a_check_says_when_what_to_avoid_and_what_to_prefer(memory: Memory) -> None:
    check = memory.prevent("npm-install-timeout")
    assert (check.pattern, check.state, check.held, check.failed) == ("npm-install-timed-out", "active", 0, 0)
    assert (
        check.spec["when"]["signature"].startswith("npm install timed out") and "shop" in check.spec["when"]["context"]
    )
    assert check.spec["avoid"] == ["try again"] and check.spec["prefer"] == []
    memory.record("npm install in the shop", "use the mirror", "success")
    better = memory.prevent("npm-install-timeout")
    assert better.id == check.id and better.spec["prefer"] == ["use the mirror"]
    assert json.loads(json.dumps(better.spec)) == better.spec
    memory.record("npm install in the shop", "try again", "success")
    assert memory.prevent("npm-install-timeout").spec["avoid"] == []


def test_results_are_kept_and_bad_checks_demoted(tmp_path: Path, memory: Memory) -> None:
    check = memory.prevent("npm install")
    states = [memory.check_result(check.id, False).state for _ in range(5)]
    last = memory.check_result(check.id, True)
    assert states[:3] == ["active"] * 3 and states[-1] == "demoted"
    assert (last.held, last.failed) == (1, 5) and (last.estimate, last.low, last.high) == interval(1, 6)
    memory.close()
    with Memory(tmp_path / "memories.db") as again:
        assert again.prevent("npm install").failed == 5
        for _ in range(9):
            last = again.check_result(check.id, True)
        assert last.state == "active" and last.held == 10


def test_a_check_that_holds_is_never_demoted(memory: Memory) -> None:
    check = memory.prevent("npm install")
    assert {memory.check_result(check.id, number % 3 != 0).state for number in range(30)} == {"active"}


def test_only_failures_are_prevented_and_only_ones_own(memory: Memory) -> None:
    check = memory.prevent("npm install")
    memory.record("login", "wait", 1)
    memory.record("login", "wait", 1)
    for wrong in (lambda: memory.prevent("login-wait"), lambda: memory.check_result("c0", True),
                  lambda: memory.prevent("npm install", agent_id="bob"),
                  lambda: memory.check_result(check.id, True, agent_id="bob")):  # fmt: skip
        with pytest.raises(AgentError) as error:
            wrong()
        assert error.value.name == "NotFound" and "\n" not in str(error.value)
