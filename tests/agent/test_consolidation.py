"""Consolidation: only what is nearly the same, never without a way back, and the way back is exact."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from engram_agent.consolidation import Plan, apply, preview, undo
from engram_agent.errors import AgentError
from engram_agent.memory import Memory
from engram_agent.records import Record
from engram_agent.retention import DAY
from engram_agent.search import STRATEGIES
from engram_agent.store import alike

NOW = 1_000.0 * DAY
TEXT = "the login of the web page times out in the evening"
BARE = Record(
    id="m0", agent_id="alice", memory_type="bugfix", context=TEXT, action="retry with backoff", result="it worked at once",
    created_at=NOW, updated_at=NOW,
)  # fmt: skip
TWINS = (
    replace(
        BARE, id="m1", created_at=3.0, tags=("a", "b"), source_ids=("s1",), successes=2, stored_count=3, used_count=5
    ),
    replace(BARE, id="m2", context=TEXT + ".", tags=("b", "c"), source_ids=("s2",), failures=1, last_accessed=7.0),
    replace(BARE, id="m3", result="it worked at once!", access_count=11, score=0.9),
)
OTHERS = (
    replace(BARE, id="o1", action="give up"),
    replace(BARE, id="o2", memory_type="context"),
    replace(BARE, id="o3", agent_id="bob"),
    replace(BARE, id="o4", project="shop"),
    replace(BARE, id="o5", fields={"name": "p"}),
    replace(BARE, id="o6", conversation="c", position=1),
    replace(BARE, id="o7", conversation="c", position=2),
    replace(BARE, id="o8", parent_id="o1"),
    replace(BARE, id="o9", superseded_by="o1"),
)
STALE = replace(
    BARE, id="z1", context="an old note", action="", result="", score=0.1, created_at=NOW - 91.0 * DAY,
    updated_at=NOW - 91.0 * DAY,
)  # fmt: skip
FRESH = (
    replace(STALE, id="z2", context="a good old one", score=0.3),
    replace(STALE, id="z3", context="written lately", updated_at=NOW - 89.0 * DAY),
    replace(STALE, id="z4", context="found not long ago", last_accessed=NOW - 1.0),
    replace(STALE, id="z5", context="bob remembers", agent_id="bob"),
)


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    memory = Memory(tmp_path / "m.db")
    for record in (*TWINS, *OTHERS, STALE, *FRESH):
        memory.records.put(record)
    for name, helped, hindered in (("m1", 2.0, 0.5), ("m3", 1.0, 3.0)):
        memory.records.database.execute("INSERT INTO utilities VALUES (?, ?, ?, 5.0)", [name, helped, hindered])
    return memory


def plan_of(memory: Memory) -> Plan:
    return preview(memory.records, agent_id="alice", now=NOW)


def state(memory: Memory) -> dict[str, list[Any]]:
    """All that a consolidation may touch, with what searches find."""
    database = memory.records.database
    found = []
    for query in (TEXT, "an old note", "retry", "it worked", "good"):
        pool = memory.searcher.pool(query, 20, "alice", "1", [])
        for strategy in STRATEGIES:
            hits = memory.searcher.hits(pool, strategy, 20, "alice", 0.0)
            found.append([(hit.id, hit.score, hit.relevance, hit.ranks) for hit in hits])
    tables = {
        table: [tuple(row) for row in database.rows(f"SELECT {columns} FROM {table} ORDER BY 1")]
        for table, columns in {"records": "*", "vectors": "*", "utilities": "*", "words": "rowid, *"}.items()
    }
    return tables | {"found": found}


def test_a_preview_names_what_is_nearly_the_same_and_what_is_stale_and_changes_nothing(memory: Memory) -> None:
    before = state(memory)
    plan = plan_of(memory)
    assert plan.groups == (("m1", ("m2", "m3")),) and plan.archived == ("z1",) and plan.count == 3
    assert plan.state == "preview" and state(memory) == before
    assert memory.consolidate_log(agent_id="alice") == [plan] and memory.consolidate_log(agent_id="bob") == []


def test_applying_adds_up_and_hides_and_deletes_none(memory: Memory) -> None:
    plan = plan_of(memory)
    done = apply(memory.records, plan.id, agent_id="alice", now=NOW + 5.0)
    assert done.state == "applied" and done.applied_at == NOW + 5.0
    kept = memory.get("m1", agent_id="alice")
    assert kept == replace(
        TWINS[0], tags=("a", "b", "c"), source_ids=("s1", "s2"), successes=2, failures=1, stored_count=5, access_count=11,
        used_count=5, last_accessed=7.0, updated_at=NOW + 5.0,
    )  # fmt: skip
    for name, other in (("m2", "m1"), ("m3", "m1"), ("z1", "z1")):
        assert memory.get(name, agent_id="alice").superseded_by == other
    shown = {record.id for record in memory.latest(agent_id="alice")}
    assert {"m2", "m3", "z1"}.isdisjoint(shown) and {"m1", "o1", "o8", "z2", "z3", "z4"} <= shown
    utility = memory.records.database.rows("SELECT helped, hindered FROM utilities WHERE record_id = 'm1'")[0]
    assert tuple(utility) == (3.0, 3.5)
    assert "m1" in {hit.id for hit in memory.search(TEXT, agent_id="alice")}
    assert {hit.id for hit in memory.search(TEXT, agent_id="alice", tags=["c"])} == {"m1"}
    assert memory.get("o3", agent_id="bob") == OTHERS[2] and memory.audit_verify().sound


def test_undoing_restores_every_field_and_every_search(memory: Memory, tmp_path: Path) -> None:
    before = state(memory)
    plan = plan_of(memory)
    apply(memory.records, plan.id, agent_id="alice", now=NOW)
    assert state(memory) != before
    memory.close()
    with Memory(tmp_path / "m.db") as reopened:
        assert reopened.consolidate_undo(plan.id, agent_id="alice").state == "undone"
        assert state(reopened) == before and reopened.audit_verify().sound
        again = plan_of(reopened)
        assert again.id != plan.id and again.groups == plan.groups
        apply(reopened.records, again.id, agent_id="alice", now=NOW)
        undo(reopened.records, again.id, agent_id="alice")
        assert state(reopened) == before
        assert [each.state for each in reopened.consolidate_log(agent_id="alice")] == ["undone", "undone"]


def test_what_came_since_stays_when_a_plan_is_undone(memory: Memory) -> None:
    plan = plan_of(memory)
    apply(memory.records, plan.id, agent_id="alice", now=NOW)
    kept = memory.get("m1", agent_id="alice")
    changed = {"successes": kept.successes + 7, "tags": (*kept.tags, "new"), "last_accessed": NOW + 3.0, "score": 0.75}
    memory.records.put(replace(kept, **changed))  # type: ignore[arg-type]
    memory.records.database.execute("UPDATE utilities SET helped = helped + 2 WHERE record_id = 'm1'")
    memory.delete("m2", agent_id="alice")
    memory.consolidate_undo(plan.id, agent_id="alice")
    expected = replace(TWINS[0], successes=9, tags=("a", "b", "new"), last_accessed=NOW + 3.0, score=0.75)
    assert memory.get("m1", agent_id="alice") == expected and memory.get("m3", agent_id="alice") == TWINS[2]
    utility = memory.records.database.rows("SELECT helped, hindered FROM utilities WHERE record_id = 'm1'")[0]
    assert tuple(utility) == (4.0, 0.5)
    with pytest.raises(AgentError, match="no memory 'm2'"):
        memory.get("m2", agent_id="alice")


@pytest.mark.parametrize(
    "change",
    [
        lambda memory: memory.delete("m2", agent_id="alice"),
        lambda memory: memory.records.put(replace(TWINS[1], result="it failed")),
        lambda memory: memory.records.put(replace(TWINS[0], superseded_by="o1")),
        lambda memory: memory.records.put(replace(STALE, last_accessed=NOW)),
        lambda memory: memory.records.put(replace(STALE, score=0.9)),
    ],
)
def test_a_plan_that_fits_no_more_is_refused_and_changes_nothing(memory: Memory, change: Any) -> None:
    plan = plan_of(memory)
    change(memory)
    before = state(memory)
    with pytest.raises(AgentError) as error:
        apply(memory.records, plan.id, agent_id="alice", now=NOW)
    assert (error.value.name, error.value.code) == ("ApplyFailed", 5005) and state(memory) == before


def test_a_plan_still_fits_when_only_counts_have_grown(memory: Memory) -> None:
    plan = plan_of(memory)
    memory.records.put(replace(TWINS[1], access_count=100, tags=("z",)))
    apply(memory.records, plan.id, agent_id="alice", now=NOW)
    assert memory.get("m1", agent_id="alice").access_count == 111


def test_twice_or_out_of_turn_is_one_clear_line(memory: Memory) -> None:
    plan = plan_of(memory)

    def refused(name: str, said: str, call: Any, *asked: Any, **by: Any) -> None:
        with pytest.raises(AgentError) as error:
            call(*asked, **by)
        assert error.value.name == name and said in str(error.value) and "\n" not in str(error.value)

    store = memory.records
    refused("ApplyFailed", "never applied", undo, store, plan.id, agent_id="alice")
    refused("NotFound", plan.id, apply, store, plan.id, agent_id="bob")
    refused("NotFound", "c0", apply, store, "c0", agent_id="alice")
    refused("NotFound", "c0", undo, store, "c0", agent_id="alice")
    apply(store, plan.id, agent_id="alice", now=NOW)
    refused("ApplyFailed", "was applied on", apply, store, plan.id, agent_id="alice")
    store.put(replace(BARE, id="n1", created_at=2.0))
    second = plan_of(memory)
    assert second.groups == (("n1", ("m1",)),)
    apply(store, second.id, agent_id="alice", now=NOW)
    refused("ApplyFailed", f"{second.id!r} has changed the same", undo, store, plan.id, agent_id="alice")
    undo(store, second.id, agent_id="alice")
    undo(store, plan.id, agent_id="alice")
    refused("ApplyFailed", "was undone on", undo, store, plan.id, agent_id="alice")
    refused("ApplyFailed", "was applied on", apply, store, plan.id, agent_id="alice")
    assert memory.get("m1", agent_id="alice") == TWINS[0]


@pytest.mark.parametrize("limits", [{"stale_days": 0.0}, {"stale_days": float("nan")}, {"min_score": 1.5}])
def test_limits_are_checked(memory: Memory, limits: dict[str, float]) -> None:
    with pytest.raises(AgentError, match=next(iter(limits))):
        memory.consolidate_preview(agent_id="alice", **limits)


def test_no_text_of_a_record_is_kept_beside_it(memory: Memory) -> None:
    plan = plan_of(memory)
    apply(memory.records, plan.id, agent_id="alice", now=NOW)
    row = memory.records.database.rows("SELECT plan, before FROM consolidations")[0]
    assert json.loads(row["before"])["before"].keys() == {"m1", "m2", "m3", "z1"}
    assert "login" not in row["plan"] + row["before"] and "backoff" not in row["plan"] + row["before"]


def test_the_groups_are_those_of_comparing_all_with_all(tmp_path: Path) -> None:
    draw = random.Random(7)
    words = [f"word{number}" for number in range(31)]
    texts = [" ".join(draw.choices(words, k=13)) for _ in range(11)]
    with Memory(tmp_path / "m.db") as memory:
        for number in range(61):
            text = list(draw.choice(texts))
            for _ in range(draw.randrange(4)):
                text[draw.randrange(len(text))] = draw.choice("xyz")
            record = replace(BARE, id=f"m{number:02}", context="".join(text), created_at=float(number))
            memory.records.put(record)
        records = memory.latest(agent_id="alice", limit=100)[::-1]
        plan = preview(memory.records, agent_id="alice", now=NOW)
    stars: dict[str, tuple[str, ...]] = {}
    taken: set[str] = set()
    for place, record in enumerate(records):
        near = [
            other.id for other in records[place + 1 :] if other.id not in taken and alike(record.context, other.context)
        ]
        if record.id not in taken and near:
            stars[record.id] = tuple(near)
            taken |= set(near)
    assert dict(plan.groups) == stars and len(stars) > 5
    assert any(not alike(a.context, b.context) for a, b in combinations(records, 2)), "not all are alike"
