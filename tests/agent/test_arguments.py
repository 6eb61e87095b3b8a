"""Arguments that cannot be: one clear line, and nothing is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agent_shell import failed

from engram_agent.errors import AgentError
from engram_agent.memory import Memory


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "memories.db")


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda m: m.store(None), "context must be text, got None"),
        (lambda m: m.store("a", "b", 5), "result must be text, got 5"),
        (lambda m: m.store("a", tags="db"), "tags must be a list of texts, got 'db'"),
        (lambda m: m.store("a", tags=[None]), "each of tags must be text, got None"),
        (lambda m: m.store("a", conversation="c", position="1"), "position must be a number, got '1'"),
        (lambda m: m.store("a", conversation=3, position=1), "conversation must be text, got 3"),
        (lambda m: m.search(None), "query must be text, got None"),
        (lambda m: m.store("a", source_ids=None), "source_ids must be a list of texts, got None"),
        (lambda m: m.store("a", tags=None), "tags must be a list of texts, got None"),
        (lambda m: m.store("a", id="mine"), "there is no field 'id'"),
        (lambda m: m.search("a", tags=None), "tags must be a list of texts, got None"),
        (lambda m: m.record("a", "b", "success", fields=[1]), "fields must be values by name, got [1]"),
        (lambda m: m.record(" ", "b", "success"), "context must be some text, got ' '"),
        (lambda m: m.record("a", "b", "success", task=5), "task must be text, got 5"),
        (lambda m: m.record("a", "b", "success", used=None), "used must be a list of ids, got None"),
        (lambda m: m.patterns(since=7), "a span must be text, got 7"),
        (lambda m: m.share("a", 5, scope="all"), "to_agent must be text, got 5"),
        (lambda m: m.share("a", "b\nc", scope="all"), "to_agent must be a name on one line"),
        (lambda m: m.apply_pattern("x", None), "task must be text, got None"),
        (lambda m: m.prevent(None), "pattern must be text, got None"),
        (lambda m: m.suggest(None), "context must be text, got None"),
        (lambda m: m.record("a", "b", None), "outcome must be success, partial, failure or from 0 to 1, got None"),
        (lambda m: m.record("a", "b", "success", error=None), "error must be text, got None"),
        (lambda m: m.record("a", "b", "success", tags="db"), "tags must be a list of texts, got 'db'"),
    ],
)
def test_what_is_of_another_kind_gets_one_line_and_changes_nothing(memory: Memory, call: Any, named: str) -> None:
    with pytest.raises(AgentError) as error:
        call(memory)
    assert named in failed("InvalidValue", error) and memory.latest() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"score": "x"}, {"score": None}, {"score": True}, {"created_at": "x"}, {"created_at": 1e300}, {"fields": [1]},
        {"fields": {"a": "\ud800"}}, {"project": "\ud800"}, {"project": 5}, {"conversation": "a\0"}, {"origin": "\ud800"},
        {"insight_type": 3}, {"source_ids": [1]}, {"source_ids": "m1"}, {"agent_id": "a\nb"}, {"agent_id": ""}, {"agent_id": 7},
        {"agent_id": "ghp_" + "a1B2c3D4e5F6" * 3}, {"position": True, "conversation": "c"}, {"action": 5}, {"result": None},
    ],
)  # fmt: skip
def test_a_field_of_another_kind_is_one_clear_line_and_nothing_is_kept(
    memory: Memory, wrong: dict[str, object]
) -> None:
    with pytest.raises(AgentError) as error:
        memory.store("the valve", **wrong)  # type: ignore[arg-type]
    assert next(iter(wrong)) in failed("InvalidValue", error) and memory.latest() == []


def test_sources_may_be_given_as_any_list(memory: Memory) -> None:
    assert memory.get(memory.store("the valve", source_ids=["ab", "cd"])).source_ids == ("ab", "cd")


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_type": "foo"},
        {"agent_id": ""},
        {"limit": True},
        {"project": "\ud800"},
        {"conversation": 3},
        {"tags": [4]},
    ],
)
def test_a_search_for_what_cannot_be_is_one_clear_line(memory: Memory, wrong: dict[str, object]) -> None:
    with pytest.raises(AgentError) as error:
        memory.search("valve", **wrong)  # type: ignore[arg-type]
    assert failed("InvalidValue", error)


def test_no_secret_becomes_the_name_of_an_agent(memory: Memory) -> None:
    secret, data = "ghp_" + "a1B2c3D4e5F6" * 3, memory.export()
    for attempt in (
        lambda: memory.record("c", "a", "success", agent_id=secret),
        lambda: memory.search("c", agent_id=secret),
        lambda: memory.share(secret, "bob", scope="all"),
        lambda: memory.import_(data, agent_id=secret),
        lambda: memory.export(agent_id=secret),
        lambda: memory.merge("bob", agent_id=secret),
    ):
        with pytest.raises(AgentError) as error:
            attempt()
        assert secret not in failed("InvalidValue", error)
    tables = [
        row["name"] for row in memory.records.database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    ]
    for table in ("records", "outcomes", "audit", "searches", "grants"):
        assert table in tables
        assert secret not in str([tuple(row) for row in memory.records.database.rows(f"SELECT * FROM {table}")])


def test_numbers_of_other_libraries_are_numbers(memory: Memory) -> None:
    kept = memory.store("the valve", score=np.float32(0.5), created_at=np.float64(13.0), confidence=1)
    assert (memory.get(kept).score, memory.get(kept).created_at) == (0.5, 13.0)
    assert memory.judge(kept, np.int64(1)).score == 1.0 and memory.share(
        "default", "bob", scope="all", days=np.float32(3)
    )
    assert memory.retention({"context": np.int64(9)}) == []
