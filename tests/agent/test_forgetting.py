"""What is deleted is no longer counted, and takes along what was learned from it alone."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from engram_agent.memory import Memory


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memories.db")


def written(memory: Memory) -> int:
    return int(memory.records.database.rows("SELECT count(*) AS n FROM audit")[0]["n"])


@pytest.mark.parametrize("seed", [2, 3, 5])
def test_what_is_left_after_deleting_is_what_mining_anew_finds(memory: Memory, seed: int) -> None:
    chance, ids = random.Random(seed), []
    for number in range(61):
        context = f"job of {chance.choice(['mail', 'search', 'shop'])}"
        outcome = chance.choice(["success", "failure"])
        error = f"{chance.choice(['disk', 'lock', 'port'])} {number} is not free" if outcome == "failure" else ""
        action, task = chance.choice(["wait", "restart", "move"]), str(number // 5)
        ids.append(
            memory.record(context, action, outcome, error=error, task=task, result=f"{number} {chance.random()}")
        )
    chance.shuffle(ids)
    for count, record_id in enumerate(ids, 1):
        memory.delete(record_id)
        if count % 7 == 0 or count > len(ids) - 4:
            before, writings = memory.patterns(limit=999), written(memory)
            assert set(memory.miner.mine("default")) == {pattern.record_id for pattern in before}
            assert memory.patterns(limit=999) == before and written(memory) == writings
    assert memory.latest() == []


def test_what_is_deleted_is_no_longer_counted(memory: Memory) -> None:
    wrong = memory.record("login", "format the disk", "success")
    memory.record("login", "retry", "success")
    memory.delete(wrong)
    assert [one.action for one in memory.suggest("login")] == ["retry"]


def test_a_pattern_goes_with_the_last_that_it_was_drawn_from(memory: Memory) -> None:
    ids = {memory.record("the queue is full", f"grow it {word}", "success", result=word) for word in ("now", "later")}
    for word in ("now", "later"):
        memory.record("the queue is full", "grow it", "failure", error="QueueFull: 17 letters of Ada", result=word)
    ids |= {record.id for record in memory.latest() if not record.fields.get("kind")}
    told = memory.store("rule", "ask first", fields={"kind": "decision", "name": "told-by-hand"})
    assert {pattern.kind for pattern in memory.patterns()} == {"decision", "failure"}
    for record_id in ids:
        memory.delete(record_id)
    assert [record.id for record in memory.latest()] == [told]


def test_a_pattern_goes_when_too_little_is_left_to_make_it(memory: Memory) -> None:
    ids = [
        memory.record("auth-failure", "retry", "success", result=text) for text in ("one thing", "another", "a third")
    ]
    assert {pattern.kind for pattern in memory.patterns()} == {"decision", "success"}
    memory.delete(ids[0])
    assert [(pattern.kind, pattern.trials) for pattern in memory.patterns()] == [("decision", 2.0)]
    memory.delete(ids[1])
    assert memory.patterns() == []


def test_deleting_passes_over_what_only_looks_like_a_pattern(memory: Memory) -> None:
    kept = memory.record("login", "retry", "failure", error="boom at gateway")
    (known,) = memory.patterns(kind="failure")
    odd = replace(
        memory.get(known.record_id), id="p-odd", fields={"kind": "failure", "signatures": list(known.members)}
    )
    memory.records.put(odd)
    memory.delete(kept)
    assert [record.id for record in memory.latest()] == ["p-odd"]
