"""Grants: reading only, by the owner only, for exactly what was named, and over at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from engram_agent.access import SCOPES
from engram_agent.errors import AgentError
from engram_agent.memory import Memory
from engram_agent.sharing import DAY, grants, revoke, share


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    return Memory(tmp_path / "m.db")


def seen(memory: Memory, agent_id: str) -> set[str]:
    return {record.id for record in memory.latest(agent_id=agent_id)}


def test_each_scope_lets_through_exactly_its_records(memory: Memory) -> None:
    named = {
        "by name": memory.store("slow query", agent_id="alice", fields={"name": "index", "domain": "db"}),
        "by tag": memory.store("lost token", agent_id="alice", tags=["auth", "db"]),
        "by type": memory.store("login hangs", agent_id="alice", memory_type="bugfix"),
        "by id": memory.store("page is blank", agent_id="alice"),
        "of another": memory.store("slow page", agent_id="carol", tags=["db"], fields={"name": "index"}),
    }
    expected = {
        ("all", ""): {"by name", "by tag", "by type", "by id"},
        ("type", "bugfix"): {"by type"},
        ("tag", "auth"): {"by tag"},
        ("domain", "db"): {"by name", "by tag"},
        ("pattern", "index"): {"by name"},
        ("record", named["by id"]): {"by id"},
        ("record", named["of another"]): set(),
        ("pattern", "ind%"): set(),
    }
    assert {scope for scope, _ in expected} == set(SCOPES)
    for (scope, value), who in expected.items():
        grant = memory.share("alice", "bob", scope=scope, value=value)
        assert seen(memory, "bob") == {named[name] for name in who} and grant.matches == len(who)
        revoked = memory.revoke(grant.id, agent_id="alice")
        assert not revoked.active and revoked.matches == 0 and seen(memory, "bob") == set()
    assert seen(memory, "alice") == {named[name] for name in expected[("all", "")]}


def test_what_is_shared_before_it_exists_is_seen_once_it_does(memory: Memory) -> None:
    grant = memory.share("alice", "bob", value="auth-pattern")
    assert grant.active and grant.matches == 0
    record = memory.store("auth failure", "retry", agent_id="alice", fields={"name": "auth-pattern"})
    assert seen(memory, "bob") == {record} and memory.grants(agent_id="bob")[0].matches == 1


def test_a_grant_ends_at_its_second(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.store("a", agent_id="alice")
    store = memory.records
    grant = share(store, "alice", "bob", scope="all", days=2.0, now=1000.0)
    assert grant.expires_at == 1000.0 + 2.0 * DAY
    end = grant.expires_at
    for now, active in ((1000.0, True), (end - 1.0, True), (end, False), (end + 1.0, False)):
        assert [each.active for each in grants(store, agent_id="bob", now=now)] == [active]
        monkeypatch.setattr("engram_agent.access.time.time", lambda now=now: now)
        assert len(seen(memory, "bob")) == active


def test_who_has_the_file_open_already_sees_it_begin_and_end_at_once(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as hers, Memory(tmp_path / "m.db") as his:
        record = hers.store("the deploy fails", agent_id="alice")
        for _ in range(2):
            assert his.latest(agent_id="bob") == his.search("the deploy fails", agent_id="bob") == []
            grant = hers.share("alice", "bob", scope="all")
            assert seen(his, "bob") == {record} == {hit.id for hit in his.search("the deploy fails", agent_id="bob")}
            hers.revoke(grant.id, agent_id="alice")


def test_a_grant_is_for_reading_only(memory: Memory) -> None:
    record = memory.store("a", agent_id="alice")
    memory.share("alice", "bob", scope="all")
    assert memory.get(record, agent_id="bob").id == record
    for write in (
        lambda: memory.delete(record, agent_id="bob"),
        lambda: memory.share("alice", "carol", scope="all", agent_id="bob"),
        lambda: memory.revoke(memory.grants(agent_id="bob")[0].id, agent_id="bob"),
    ):
        with pytest.raises(AgentError):
            write()
    assert memory.retention({"context": 1e-9}, agent_id="bob", apply=True) == []
    assert memory.consolidate_preview(agent_id="bob", stale_days=1e-9, min_score=1.0).count == 0
    assert seen(memory, "alice") == {record} and seen(memory, "carol") == set()
    memory.share("bob", "carol", scope="all")
    assert seen(memory, "carol") == set(), "a grant cannot be handed on"


def test_sharing_the_same_again_takes_the_place_of_the_first(memory: Memory) -> None:
    memory.store("a", agent_id="alice", tags=["x"])
    first = memory.share("alice", "bob", scope="tag", value="x", days=1.0)
    other = memory.share("alice", "bob", scope="all")
    second = memory.share("alice", "bob", scope="tag", value="x", purpose="review")
    active = {grant.id: grant.active for grant in memory.grants(agent_id="alice")}
    assert active == {first.id: False, other.id: True, second.id: True}
    memory.revoke(other.id, agent_id="alice")
    assert len(seen(memory, "bob")) == 1
    memory.revoke(second.id, agent_id="alice")
    assert seen(memory, "bob") == set() and memory.grants(agent_id="carol") == []


def test_revoking_twice_changes_nothing_more(memory: Memory) -> None:
    grant = memory.share("alice", "bob", scope="all")
    first = revoke(memory.records, grant.id, agent_id="alice", now=7.0)
    assert revoke(memory.records, grant.id, agent_id="alice", now=11.0) == first and first.revoked_at == 7.0
    events = [row["event"] for row in memory.records.database.rows("SELECT event FROM audit")]
    assert events == ["share", "revoke"]
    with pytest.raises(AgentError) as error:
        memory.revoke("g0", agent_id="alice")
    assert error.value.name == "NotFound" and "g0" in str(error.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"from_agent": " "}, "from_agent"),
        ({"to_agent": ""}, "to_agent"),
        ({"to_agent": "alice"}, "to_agent"),
        ({"to_agent": "password=Zx9-qr7_Pm2"}, "[redacted:password]"),
        ({"scope": "world"}, "scope"),
        ({"value": ""}, "value"),
        ({"scope": "all"}, "value"),
        ({"scope": "type", "value": "dream"}, "value"),
        ({"days": 0.0}, "days"),
        ({"days": -1.0}, "days"),
        ({"days": float("nan")}, "days"),
        ({"days": float("inf")}, "days"),
        ({"agent_id": "bob"}, "owner"),
    ],
)
def test_what_cannot_be_shared_is_one_line_and_leaves_nothing(
    memory: Memory, changes: dict[str, object], named: str
) -> None:
    terms = {"from_agent": "alice", "to_agent": "bob", "scope": "tag", "value": "x"} | changes
    with pytest.raises(AgentError) as error:
        memory.share(**terms)  # type: ignore[arg-type]
    assert error.value.name == "InvalidValue" and named in str(error.value) and "\n" not in str(error.value)
    assert memory.grants(agent_id="alice") == [] == memory.grants(agent_id="bob")


def test_a_grant_on_one_turn_tells_nothing_of_the_turns_around_it(memory: Memory) -> None:
    said = ("the password of the vault lies under the mat", "good, I wrote that down", "the mat is green")
    turns = [memory.store(text, agent_id="alice", conversation="c", position=at) for at, text in enumerate(said)]
    before = [hit.id for hit in memory.search("vault", agent_id="alice")]
    memory.share("alice", "bob", scope="record", value=turns[1])
    assert turns[1] in before, "its owner finds a turn by the words of its neighbours"
    for word in ("vault", "mat", "green"):
        assert memory.search(word, agent_id="bob") == []
    (hit,) = memory.search("good, wrote down, vault", agent_id="bob")
    (hers,) = [found for found in memory.search("good, wrote down, vault", agent_id="alice") if found.id == turns[1]]
    assert hit.id == turns[1] and hit.relevance < hers.relevance, "their words make it no more relevant to others"
