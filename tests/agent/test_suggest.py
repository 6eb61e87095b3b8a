"""Suggestions: counted from what may be seen, the nearest evidence first, ordered by what is sure."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_agent.intervals import interval
from engram_agent.memory import Memory


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memories.db")


def test_actions_are_ordered_by_the_lower_bound(memory: Memory) -> None:
    for action, successes, failures in (("retry", 9, 2), ("wait", 1, 0), ("ask", 0, 5)):
        for outcome in [1] * successes + [0] * failures:
            memory.record("login times out", action, outcome)
    found = memory.suggest("login times out")
    assert [(one.action, one.successes, one.trials, one.enough) for one in found] == [
        ("retry", 9, 11, True), ("wait", 1, 1, False), ("ask", 0, 5, True),
    ]  # fmt: skip
    assert [(one.estimate, one.low, one.high) for one in found] == [interval(9, 11), interval(1, 1), interval(0, 5)]
    assert len(memory.suggest("login times out", limit=2)) == 2


def test_the_situation_itself_outweighs_what_is_like_it(memory: Memory) -> None:
    for _ in range(3):
        memory.record("ticket 7 of the shop", "refund", 1)
        memory.record("ticket 8 of the shop", "refund", 0)
    found = {n: memory.suggest(f"ticket {n} of the shop")[0] for n in (7, 8, 9)}
    assert {n: (one.successes, one.trials) for n, one in found.items()} == {7: (3, 3), 8: (0, 3), 9: (3, 6)}


def test_what_is_alike_helps_where_nothing_nearer_is_known_and_what_is_not_does_not(memory: Memory) -> None:
    for number in range(40):
        memory.store(f"note {number} about {'the weather' if number % 2 else 'lunch'}")
    memory.record("connection to the payment gateway times out", "use the second gateway", 1)
    memory.record("the logo has the wrong colour", "ask the designer", 1)
    found = memory.suggest("payment gateway: connection lost")
    assert [one.action for one in found] == ["use the second gateway"] and not found[0].enough
    assert memory.suggest("the cat sleeps") == []


def test_much_that_is_only_alike_does_not_outweigh_little_that_is_the_same(memory: Memory) -> None:
    for _ in range(9):
        memory.record("payment gateway times out at night", "retry", 1)
    alike = memory.suggest("payment gateway times out on mobile")[0]
    assert (alike.successes, alike.trials) == (9, 9) and 0.5 < alike.estimate < interval(9, 9).estimate
    memory.record("payment gateway times out on mobile", "retry", 0)
    tried = memory.suggest("payment gateway times out on mobile")[0]
    assert (tried.successes, tried.trials) == (9, 10) and tried.estimate <= 0.5


def test_the_more_alike_a_situation_the_more_it_counts(memory: Memory) -> None:
    for action, place in (("retry", "on mobile at night"), ("wait", "in the warehouse of another shop")):
        memory.record(f"payment gateway times out {place}", action, 1)
    found = {one.action: one.estimate for one in memory.suggest("payment gateway times out on mobile")}
    assert found["retry"] > found["wait"] > 0.5


def test_a_task_is_known_by_its_name(memory: Memory) -> None:
    memory.record("login times out", "retry", 1, task="auth-123")
    memory.record("something else", "wait", 1, task="auth-9")
    assert memory.suggest("auth-123")[0].action == "retry"


def test_only_what_may_be_seen_is_evidence(memory: Memory) -> None:
    hers = memory.record("login times out", "retry", 1, agent_id="alice")
    assert memory.suggest("login times out", agent_id="bob") == []
    grant = memory.share("alice", "bob", scope="record", value=hers)
    assert memory.suggest("login times out", agent_id="bob")[0].record_ids == (hers,)
    memory.revoke(grant.id, agent_id="alice")
    assert memory.suggest("login times out", agent_id="bob") == []


def test_what_is_seen_twice_is_counted_once(memory: Memory) -> None:
    for _ in range(5):
        memory.record("login times out", "retry", 1, agent_id="alice")
    memory.share("alice", "bob", scope="all")
    assert [one.trials for one in memory.suggest("login times out", agent_id="bob")] == [5]
    assert [one.trials for one in memory.suggest("login times out", agent_id="alice")] == [5]
