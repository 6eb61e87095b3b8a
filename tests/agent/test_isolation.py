"""No agent ever sees what is another's without a grant, and no secret is in the file, whatever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.agent_secrets import positives
from engram_agent.access import SCOPES
from engram_agent.errors import AgentError
from engram_agent.memory import Memory
from engram_agent.privacy import redact
from engram_agent.records import Record
from engram_agent.retention import DAY
from engram_agent.sharing import share

AGENTS = ("alice", "bob", "carol")
NOW = 1e9
WORLD = [
    Record(
        id=f"{agent}-{number}", agent_id=agent, memory_type=kind, context=f"the deploy of {agent} fails {number * 7919}",
        action="roll back", result=f"it works {number}", tags=tags, fields=fields, created_at=NOW, updated_at=NOW,
        superseded_by=f"{agent}-0" if number == 6 else None,
    )
    for agent in AGENTS
    for number, (kind, tags, fields) in enumerate(
        [
            ("context", (), {}),
            ("bugfix", ("db",), {}),
            ("decision", ("auth",), {"name": "rollback", "kind": "decision"}),
            ("pattern", (), {"name": "retry", "domain": "db"}),
            ("decision", ("db", "auth"), {"domain": "auth"}),
            ("antipattern", ("retry",), {"name": "rollback"}),
            ("context", ("db",), {"domain": "db"}),
        ]
    )
]  # fmt: skip
VALUES = {
    "all": [""],
    "type": ["context", "bugfix", "decision", "insight"],
    "tag": ["db", "auth", "none"],
    "domain": ["db", "auth", "none"],
    "pattern": ["rollback", "retry", "none"],
    "record": [record.id for record in WORLD] + ["none"],
}
PAIRS = [(one, other) for one in AGENTS for other in AGENTS if one != other]
GRANTS = st.tuples(
    st.sampled_from(PAIRS),
    st.sampled_from([(scope, value) for scope, values in VALUES.items() for value in values]),
    st.sampled_from(["active", "active", "expired", "revoked"]),
)


def covers(scope: str, value: str, record: Record) -> bool:
    """What a scope means, said a second time and in Python."""
    tagged = value in record.tags
    return {
        "all": True,
        "type": record.memory_type == value,
        "tag": tagged,
        "domain": tagged or record.fields.get("domain") == value,
        "pattern": record.fields.get("name") == value,
        "record": record.id == value,
    }[scope]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """Three agents that remember things of the same words."""
    with Memory(tmp_path_factory.mktemp("isolation") / "m.db", explore=False) as memory:
        for record in WORLD:
            memory.records.put(record)
        yield memory


def merged(memory: Memory, agent: str) -> dict[str, int]:
    """How many records an agent gets from each other one; what it got is given back."""
    counts = {}
    for other in set(AGENTS) - {agent}:
        with pytest.raises(ZeroDivisionError), memory.records.database.transaction():
            counts[other] = len(memory.merge(other, agent_id=agent).ids)
            raise ZeroDivisionError
    return counts


def check_reads(memory: Memory, agent: str, allowed: set[str]) -> None:
    """Each way of reading gives what is allowed and nothing else."""
    shown = {record.id for record in WORLD if record.id in allowed and record.superseded_by is None}
    assert {record.id for record in memory.latest(agent_id=agent, limit=1000)} == shown
    for strategy in ("lexical", "vector", "hybrid"):
        found = memory.search("the deploy fails, roll back", 50, agent_id=agent, strategy=strategy)
        assert {hit.id for hit in found} == {hit.record.id for hit in found} == shown
    for record in WORLD:
        if record.id in allowed:
            assert memory.get(record.id, agent_id=agent).context == record.context
        else:
            for look in (memory.get, memory.judge):
                with pytest.raises(AgentError, match="no memory"):
                    look(record.id, agent_id=agent)
        if record.agent_id != agent:
            with pytest.raises(AgentError):
                memory.delete(record.id, agent_id=agent)
    for other, count in merged(memory, agent).items():
        assert count == sum(name.startswith(other) for name in shown)


def check_own(memory: Memory, agent: str) -> None:
    """What deals with one's own alone does so whatever is granted."""
    own = {record.id for record in WORLD if record.agent_id == agent}
    assert {record["id"] for record in memory.export(agent_id=agent)["records"]} == own
    assert {record["id"] for record in memory.export(agent_id=agent, domain="db")["records"]} < own
    old = memory.retention({record.memory_type: 1e-6 for record in WORLD}, agent_id=agent)
    assert {record.id for record in old} == own
    plan = memory.consolidate_preview(agent_id=agent, stale_days=1e-9, min_score=1.0)
    touched = {*plan.archived, *(name for keep, others in plan.groups for name in (keep, *others))}
    assert touched <= own
    assert memory.status(agent_id=agent)["records"]["by_agent"] == {agent: len(own)}


@settings(max_examples=29, deadline=None)
@given(st.lists(GRANTS, max_size=5))
def test_each_read_gives_ones_own_and_what_is_granted_and_nothing_else(
    world: Memory, grants: list[tuple[tuple[str, str], tuple[str, str], str]]
) -> None:
    world.records.database.execute("DELETE FROM grants")
    for (giver, taker), (scope, value), state in grants:
        if state == "expired":
            share(world.records, giver, taker, scope=scope, value=value, days=1.0, now=NOW - 2.0 * DAY)
            continue
        grant = world.share(giver, taker, scope=scope, value=value)
        if state == "revoked":
            world.revoke(grant.id, agent_id=giver)
    held = {(who, what): state == "active" for who, what, state in grants}
    for agent in AGENTS:
        allowed = {
            record.id
            for record in WORLD
            if record.agent_id == agent
            or any(
                active and who == (record.agent_id, agent) and covers(*what, record)
                for (who, what), active in held.items()
            )
        }
        check_reads(world, agent, allowed)


def test_nothing_is_seen_before_a_grant_nor_after_it(world: Memory) -> None:
    world.records.database.execute("DELETE FROM grants")
    own = {agent: {record.id for record in WORLD if record.agent_id == agent} for agent in AGENTS}
    for scope, values in VALUES.items():
        assert scope in SCOPES
        for value in values:
            grant = world.share("alice", "bob", scope=scope, value=value)
            granted = {name for name in own["alice"] if covers(scope, value, WORLD[int(name[-1])])}
            assert {record.id for record in world.latest(agent_id="bob")} == {
                record.id for record in WORLD if record.id in own["bob"] | granted and record.superseded_by is None
            }
            world.revoke(grant.id, agent_id="alice")
    for agent in AGENTS:
        check_reads(world, agent, own[agent])
        check_own(world, agent)
    world.share("alice", "bob", scope="all")
    check_reads(world, "bob", own["bob"] | own["alice"])
    check_own(world, "bob")


def learned_by(memory: Memory, agent: str) -> dict[str, set[str]]:
    """Whose actions each way of learning from experience tells an agent of."""
    told = {
        "suggest": [each.action for each in memory.suggest("the deploy of the shop fails", agent_id=agent)],
        "patterns": [each.action for each in memory.patterns(agent_id=agent)],
        "failures": [each.action for each in memory.failures(agent_id=agent)],
        "records": [memory.get(name, agent_id=agent).action for name in evidence(memory, agent)],
    }
    return {
        name: {other for other in AGENTS for action in actions if other in action} for name, actions in told.items()
    }


def evidence(memory: Memory, agent: str) -> list[str]:
    suggested = memory.suggest("the deploy of the shop fails", agent_id=agent)
    found = [name for each in suggested for name in each.record_ids]
    return found + [each.record_id for each in memory.patterns(agent_id=agent)]


def test_what_is_learned_is_learned_from_what_may_be_seen(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as memory:
        for agent in AGENTS:
            for outcome in ("success", "failure", "failure", "failure"):
                error = "" if outcome == "success" else f"TimeoutError: {agent} waited for the database"
                memory.record("the deploy of the shop fails", f"ask {agent}", outcome, agent_id=agent, error=error)
        trials = memory.predict("the deploy of the shop fails", agent_id="bob").trials
        alone = learned_by(memory, "bob")
        assert alone["suggest"] == alone["patterns"] == alone["records"] == {"bob"} and alone["failures"] <= {"bob"}
        grant = memory.share("alice", "bob", scope="all")
        with_hers = learned_by(memory, "bob")
        assert (
            with_hers["suggest"] == with_hers["patterns"] == {"alice", "bob"} and "carol" not in with_hers["failures"]
        )
        assert memory.predict("the deploy of the shop fails", agent_id="bob").trials > trials
        assert learned_by(memory, "alice")["suggest"] == {"alice"}
        memory.revoke(grant.id, agent_id="alice")
        assert learned_by(memory, "bob") == alone
        assert memory.predict("the deploy of the shop fails", agent_id="bob").trials == trials
        for pattern in memory.patterns(agent_id="alice"):
            try:
                applied = memory.apply_pattern(pattern.name, "task-1", agent_id="bob")
            except AgentError as error:
                assert error.name == "NotFound"
            else:
                assert memory.get(applied.record_id, agent_id="bob").agent_id == "bob"


# ------------------------------------------------------------------------------------------- secrets


def test_no_secret_is_in_the_file_whatever_wrote_it(tmp_path: Path) -> None:
    found = [(text, secret) for _, text, secret in positives() if len(secret) >= 9 and secret not in redact(text)]
    lines = found[::5]
    assert len(lines) > 30
    base = replace(WORLD[0], agent_id="elsewhere", tags=(), fields={}, superseded_by=None)
    with Memory(tmp_path / "m.db") as memory:
        records = []
        for number, (text, _) in enumerate(lines):
            said = {"tags": [text], "fields": {"note": text, text: [{"deep": text}]}}
            memory.store(f"a {number}", text, text, agent_id="alice", **said)  # type: ignore[arg-type]
            memory.store(text, agent_id="alice")
            memory.record(text, text, "failure", agent_id="alice", error=text, result=text, task=text, tags=[text])
            memory.share("alice", "bob", scope="tag", value=text, purpose=text)
            memory.search(text, agent_id="alice")
            memory.export(agent_id="alice", domain=text)
            data = replace(base, id=f"i{number}", context=text, action=text, result=text)
            records.append(
                {name: getattr(data, name) for name in Record.__dataclass_fields__}
                | said
                | {"source_ids": [text], "project": text, "parent_id": text, "insight_type": text, "origin": text}
            )
        trial = {"kind": "decision", "task": None, "outcome": 1.0, "happened_at": 1.0, "signature": ""}
        beside = [
            trial | {"record_id": f"i{n}", "context": t, "action": t, "error": t} for n, (t, _) in enumerate(lines)
        ]
        export = {"version": 1, "kind": "engram", "agent_id": "elsewhere", "records": records, "outcomes": beside}
        assert memory.import_(export, agent_id="alice").added == len(lines)
        memory.merge("alice", agent_id="bob")
        memory.consolidate_apply(memory.consolidate_preview(agent_id="alice").id, agent_id="alice")
        wal = b"".join(path.read_bytes() for path in tmp_path.iterdir()).lower()
        memory.records.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raw = wal + (tmp_path / "m.db").read_bytes().lower()
    assert raw.count(b"redacted:") > 5 * len(lines)
    assert [secret for _, secret in lines if secret.lower().encode() in raw] == []


def test_what_another_writes_changes_nothing_of_what_one_finds(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db", explore=False) as memory:
        mine = memory.store("the authentication of the clients fails", "restart the proxy", agent_id="bob")
        alone = [(hit.id, hit.relevance) for hit in memory.search("authentification of clients", agent_id="bob")]
        assert [name for name, _ in alone] == [mine]
        theirs = memory.store("authentification", agent_id="alice")
        with memory.records.database.transaction():
            for number in range(400):
                memory.store(f"clients and proxies, number {number}", agent_id="alice", conversation=f"c{number}")
        both = [(hit.id, hit.relevance) for hit in memory.search("authentification of clients", agent_id="bob")]
        assert both == [(name, pytest.approx(relevance, abs=1e-3)) for name, relevance in alone]
        memory.delete(theirs, agent_id="alice")
        assert [hit.id for hit in memory.search("authentification", agent_id="alice")] == [], "forgotten at once"


def test_what_is_common_elsewhere_is_looked_up_where_it_is_rare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engram_agent.concepts.POSTINGS", 5)
    with Memory(tmp_path / "m.db", explore=False) as memory:
        for number in range(20):
            memory.store(f"login of customer {number}", agent_id="alice", conversation=f"c{number}")
        memory.store("the page is empty", agent_id="alice")
        mine = memory.store("the login form has a long text about many other matters", agent_id="bob")
        assert [hit.id for hit in memory.search("login page", agent_id="bob", strategy="lexical")] == [mine]
