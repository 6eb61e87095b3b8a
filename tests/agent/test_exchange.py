"""Knowledge that goes out and comes in: equal in every field, never over what is there, all of it or nothing."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_agent import outcomes
from engram_agent.errors import CODES, AgentError
from engram_agent.exchange_format import BESIDE
from engram_agent.memory import Memory
from engram_agent.records import TYPES, Record

TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=17)
FULL = Record(
    id="m1", agent_id="alice", memory_type="decision", context="auth failure", action="retry", result="it worked",
    tags=("auth", "web"), fields={"name": "p", "domain": "web", "deep": [1, {"a": None}]}, project="p", conversation="c",
    position=3, parent_id="m2", source_ids=("m2", "m9"), insight_type="x", score=0.25, confidence=1.0, successes=2,
    failures=3, stored_count=5, access_count=7, used_count=11, created_at=13.5, updated_at=17.25, last_accessed=19.0,
    origin="carol",
)  # fmt: skip
OLD = Record(
    id="m2", agent_id="alice", memory_type="bugfix", context="slow query", action="index", result="", created_at=5.0,
    updated_at=5.0, superseded_by="m1",
)  # fmt: skip


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "m.db")


@pytest.fixture
def full(memory: Memory) -> Memory:
    """A memory that holds records with all fields set, one superseded, with outcomes and utilities."""
    memory.records.put(FULL)
    memory.records.put(OLD)
    database = memory.records.database
    database.execute("INSERT INTO utilities (record_id, helped, hindered, updated_at) VALUES ('m1', 2.5, 1.0, 23.0)")
    for number in range(3):
        trial = {"kind": "decision", "task": None, "context": "The c", "action": "a", "error": "e", "signature": "s"}
        outcomes.add(
            memory.records,
            outcomes.Outcome(record_id="m1", agent_id="alice", outcome=number / 2, happened_at=29.0, **trial),  # type: ignore[arg-type]
        )
    return memory


def said(data: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "exported_at"}


def by_json(data: dict[str, Any]) -> Any:
    return json.loads(json.dumps(data))


def all_rows(memory: Memory) -> list[tuple[Any, ...]]:
    tables = ("records", "words", "vectors", "outcomes", "utilities", "audit")
    return [tuple(row) for table in tables for row in memory.records.database.rows(f"SELECT * FROM {table}")]


# ------------------------------------------------------------------------------------------- round trips


def test_a_round_trip_is_equal_in_every_field(full: Memory, tmp_path: Path) -> None:
    data = full.export(agent_id="alice")
    assert (data["version"], data["kind"], data["domain"]) == (1, "engram", None)
    assert [len(data[name]) for name in ("records", "outcomes", "utilities")] == [2, 3, 1]
    with Memory(tmp_path / "new.db") as other:
        imported = other.import_(by_json(data), agent_id="alice")
        assert (imported.added, imported.known, imported.kept_both, set(imported.ids)) == (2, 0, 0, {"m1", "m2"})
        assert said(other.export(agent_id="alice")) == said(data)
        assert other.get("m1", agent_id="alice") == FULL and other.get("m2", agent_id="alice") == OLD
        assert outcomes.trials(other.records, "alice") == outcomes.trials(full.records, "alice")
        assert [hit.id for hit in other.search("auth failure", agent_id="alice")] == ["m1"]
        assert other.search("auth failure", agent_id="bob") == [] and other.audit_verify().sound


def test_all_columns_of_what_belongs_to_a_record_are_exchanged(memory: Memory) -> None:
    for table, columns in BESIDE.items():
        there = {row["name"] for row in memory.records.database.rows(f"PRAGMA table_info({table})")}
        derived = {"number", "agent_id", "context_key", "action_key"}
        assert there - derived == set(columns)


@settings(max_examples=12, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, st.sampled_from(TYPES), st.dictionaries(TEXT, TEXT | st.booleans())), max_size=5))
def test_whatever_was_stored_comes_through(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, dict[str, Any]]]
) -> None:
    here = tmp_path_factory.mktemp("exchange")
    with Memory(here / "a.db") as one, Memory(here / "b.db") as two:
        for context, action, kind, beside in rows:
            one.store("so " + context, action, memory_type=kind, tags=[context], fields=beside, agent_id="alice")
        data = by_json(one.export(agent_id="alice"))
        assert two.import_(data, agent_id="alice").added == len(one.latest(agent_id="alice"))
        assert said(two.export(agent_id="alice")) == said(data)
        again = all_rows(two)
        assert two.import_(data, agent_id="alice").added == 0
        assert [row for row in all_rows(two) if row not in again][-1][3] == "import"


def test_another_agent_keeps_the_origin_and_can_import_beside_the_first(full: Memory, tmp_path: Path) -> None:
    data = by_json(full.export(agent_id="alice"))
    before = full.get("m1", agent_id="alice")
    for memory in (full, Memory(tmp_path / "new.db")):
        imported = memory.import_(data, agent_id="bob")
        assert (imported.added, imported.known, imported.kept_both) == (2, 0, 0)
        copies = [memory.get(name, agent_id="bob") for name in imported.ids]
        old, new = copies
        assert (new.origin, old.origin) == ("carol", "alice")
        assert new.parent_id == old.id and new.source_ids == (old.id, "m9") and old.superseded_by == new.id
        assert memory.import_(data, agent_id="bob").ids == imported.ids
        assert len(memory.export(agent_id="bob")["outcomes"]) == 3
    assert full.get("m1", agent_id="alice") == before
    assert set(imported.ids) == {"m1", "m2"}, "where the ids are free they stay"


def test_what_says_something_else_under_the_same_id_is_kept_beside(full: Memory) -> None:
    data = by_json(full.export(agent_id="alice"))
    data["records"][1]["result"] = "it failed for good and all"
    imported = full.import_(data, agent_id="alice")
    assert (imported.added, imported.known, imported.kept_both) == (1, 1, 1) and imported.ids[0] == "m2"
    assert full.get("m1", agent_id="alice") == FULL
    assert full.get(imported.ids[1], agent_id="alice").result == "it failed for good and all"
    again = full.import_(data, agent_id="alice")
    assert (again.added, again.known, again.ids) == (0, 2, imported.ids)


def test_what_is_nearly_the_same_is_known_unless_its_fields_differ(memory: Memory) -> None:
    text = "the login of the web page times out in the evening"
    here = memory.store(text, "retry", agent_id="alice")
    data = {"version": 1, "kind": "engram", "agent_id": "bob", "records": []}
    bare = {
        "memory_type": "context",
        "action": "retry",
        "result": "",
        "created_at": 1,
        "updated_at": 1,
        "agent_id": "bob",
    }
    data["records"] = [
        bare | {"id": "b1", "context": text + "."},
        bare | {"id": "b2", "context": text, "fields": {"a": 1}},
    ]
    imported = memory.import_(data, agent_id="alice")
    assert (imported.added, imported.known, imported.ids) == (1, 1, (here, "b2"))
    assert memory.get(here, agent_id="alice").stored_count == 1


def test_near_twins_of_one_file_do_not_hide_each_other(memory: Memory) -> None:
    bare = {"memory_type": "context", "action": "", "result": "", "created_at": 1.0, "updated_at": 1.0, "agent_id": "a"}
    records = [bare | {"id": f"m{number}", "context": "the very same words"} for number in range(3)]
    data = {"version": 1, "kind": "engram", "agent_id": "a", "records": records}
    assert memory.import_(data, agent_id="a").added == 3


def test_a_domain_is_a_field_or_a_tag(memory: Memory) -> None:
    one = memory.store("one", agent_id="alice", fields={"domain": "auth"})
    two = memory.store("two", agent_id="alice", tags=["auth", "db"])
    memory.store("three", agent_id="alice", tags=["authority"], fields={"domain": 5})
    found = {
        domain: [r["id"] for r in memory.export(agent_id="alice", domain=domain)["records"]]
        for domain in ("auth", "db")
    }
    assert found == {"auth": [one, two], "db": [two]}
    assert memory.export(agent_id="alice", domain="' OR 1 --")["records"] == []


def test_export_holds_what_is_ones_own_alone(memory: Memory) -> None:
    memory.store("hers", agent_id="alice")
    memory.share("alice", "bob", scope="all")
    assert len(memory.latest(agent_id="bob")) == 1 and memory.export(agent_id="bob")["records"] == []


# ------------------------------------------------------------------------------------------- merge


def test_merge_takes_what_is_granted_once_and_keeps_its_origin(memory: Memory) -> None:
    shared = memory.store("auth failure", "retry", "ok", agent_id="bob", tags=["auth"], fields={"name": "p"})
    tagged = memory.store("slow query", agent_id="bob", tags=["auth", "db"])
    memory.store("private", agent_id="bob")
    assert memory.merge("bob", agent_id="alice").ids == ()
    grant = memory.share("bob", "alice", scope="tag", value="auth")
    only = memory.merge("bob", agent_id="alice", domain="db")
    assert (only.added, len(only.ids)) == (1, 1) and tagged not in only.ids
    both = memory.merge("bob", agent_id="alice")
    assert (both.added, both.known) == (1, 1) and memory.merge("bob", agent_id="alice").added == 0
    memory.revoke(grant.id, agent_id="bob")
    copies = {record.context: record for record in memory.latest(agent_id="alice")}
    assert set(copies) == {"auth failure", "slow query"} and {copy.origin for copy in copies.values()} == {"bob"}
    assert memory.get(shared, agent_id="bob").action == copies["auth failure"].action == "retry"
    memory.delete(shared, agent_id="bob")
    assert memory.get(copies["auth failure"].id, agent_id="alice").fields == {"name": "p"}
    with pytest.raises(AgentError, match="another"):
        memory.merge("alice", agent_id="alice")


# ------------------------------------------------------------------------------------------- what is no knowledge

WRONG: list[tuple[tuple[Any, ...], Any, str]] = [
    (("kind",), "notes", "kind"),
    (("agent_id",), None, "agent_id"),
    (("version",), "1", "version"),
    (("version",), True, "version"),
    (("colour",), 1, "colour"),
    (("records",), None, "records"),
    (("records",), {}, "records"),
    (("records", 1), [], "records[1]"),
    (("records", 1, "context"), 7, "records[1].context"),
    (("records", 1, "context"), "\ud800", "records[1].context"),
    (("records", 1, "context"), "a\0b", "records[1]"),
    (("records", 1, "id"), "m2", "records[1].id"),
    (("records", 1, "id"), " ", "records[1].id"),
    (("records", 1, "tags"), ["a", 5], "records[1].tags[1]"),
    (("records", 1, "tags"), "auth", "records[1].tags"),
    (("records", 1, "score"), 1.5, "records[1]"),
    (("records", 1, "score"), True, "records[1].score"),
    (("records", 1, "updated_at"), float("nan"), "records[1].updated_at"),
    (("records", 1, "successes"), -1, "records[1].successes"),
    (("records", 1, "successes"), 2**70, "records[1].successes"),
    (("records", 1, "successes"), 0.5, "records[1].successes"),
    (("records", 1, "fields"), {"a": float("nan")}, "records[1].fields"),
    (("records", 1, "memory_type"), "dream", "records[1]"),
    (("records", 1, "colour"), "red", "records[1].colour"),
    (("outcomes", 2, "record_id"), "m7", "outcomes[2].record_id"),
    (("outcomes", 2, "outcome"), 2.0, "outcomes[2].outcome"),
    (("outcomes", 2), {}, "outcomes[2]"),
    (("utilities", 0, "helped"), -1.0, "utilities[0].helped"),
]


@pytest.mark.parametrize(
    ("path", "value", "named"), WRONG, ids=[f"{named}={value!r}"[:50] for _, value, named in WRONG]
)
def test_a_wrong_field_is_named_and_nothing_is_written(
    full: Memory, tmp_path: Path, path: tuple[Any, ...], value: Any, named: str
) -> None:
    data = copy.deepcopy(full.export(agent_id="alice"))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with Memory(tmp_path / "new.db") as other:
        with pytest.raises(AgentError) as error:
            other.import_(data, agent_id="alice")
        assert error.value.name == "ImportFailed" and error.value.code == CODES["ImportFailed"] == 6011
        assert error.value.message.startswith(f"{named}:") and "\n" not in str(error.value)
        assert all_rows(other) == []


@pytest.mark.parametrize("needed", ["id", "context", "memory_type", "created_at"])
def test_a_missing_field_is_named(full: Memory, needed: str) -> None:
    data = full.export(agent_id="alice")
    del data["records"][1][needed]
    with pytest.raises(AgentError) as error:
        full.import_(data, agent_id="alice")
    assert error.value.message.startswith(f"records[1].{needed}: it must be given")


@pytest.mark.parametrize("data", [None, [], "text", 5, {}])
def test_what_is_no_export_at_all_is_one_line(memory: Memory, data: Any) -> None:
    with pytest.raises(AgentError) as error:
        memory.import_(data, agent_id="alice")
    assert error.value.name == "ImportFailed" and all_rows(memory) == []


def test_another_version_has_its_own_error(full: Memory, tmp_path: Path) -> None:
    data = full.export(agent_id="alice") | {"version": 2}
    with pytest.raises(AgentError) as error:
        full.import_(data, agent_id="alice")
    assert (error.value.name, error.value.code) == ("ImportVersionMismatch", 6010)


def test_fields_nested_too_deeply_are_one_line(full: Memory) -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    data = full.export(agent_id="alice")
    data["records"][1]["fields"] = deep
    with pytest.raises(AgentError) as error:
        full.import_(data, agent_id="alice")
    assert error.value.message.startswith("records[1].fields:")
