"""What an agent may do to its memory by tools: tidy it, and set what is not for people to set."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from agent_client import done, failed, text, visit
from agent_shell import enter
from mcp import Client

from engram_agent.memory import Memory
from engram_agent.server_answers import NOTICE
from engram_agent.settings import load
from engram_agent.settings_table import SETTINGS


def test_consolidation_and_insights(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db", same=1.0) as memory:
        for day in ("Monday", "Sunday"):
            memory.store(
                f"the login times out every {day} at nine, again and again; {'so it goes ' * 20}", agent_id="alice"
            )
        insight = memory.store("logins fail at nine", agent_id="alice", memory_type="insight")

    async def story(client: Client) -> None:
        (plan,) = (await done(client, "memory_consolidate_preview"))["plans"]
        assert plan["count"] == 1 and plan["state"] == "preview"
        (applied,) = (await done(client, "memory_consolidate_apply", plan_id=plan["id"], confirm=True))["plans"]
        (undone,) = (await done(client, "memory_consolidate_apply", plan_id=plan["id"], undo=True, confirm=True))[
            "plans"
        ]
        assert (applied["state"], undone["state"]) == ("applied", "undone")
        (again,) = (await done(client, "memory_consolidate", confirm=True))["plans"]
        states = {each["id"]: each["state"] for each in (await done(client, "memory_consolidate_log"))["plans"]}
        assert states[plan["id"]] == "undone" and states[again["id"]] == "applied"
        assert [each["id"] for each in (await done(client, "memory_insights"))["memories"]] == [insight]
        other = (await done(client, "memory_store", context="no insight"))["id"]
        assert (await failed(client, "memory_insights", action="delete", record_id=other, confirm=True))[
            "name"
        ] == "InvalidValue"
        assert (await failed(client, "memory_insights", action="delete", record_id=insight))["name"] == "InvalidValue"
        left = await done(client, "memory_insights", action="delete", record_id=insight, confirm=True)
        assert left["memories"] == []
        for wrong in (insight, "nowhere"):
            error = await failed(client, "memory_insights", action="delete", record_id=wrong, confirm=True)
            assert error["name"] == "NotFound" and f"no insight {wrong!r}" in error["message"]
        assert await text(client, "memory_insights") == "There are no insights."
        one, other = [
            (await done(client, "memory_store", context=f"{name} fails", memory_type="insight"))["id"]
            for name in ("login", "logout")
        ]
        said = await text(client, "memory_insights", action="delete", record_id=one, confirm=True)
        assert said.startswith(f"Deleted {one}. ") and "> context: logout fails" in said and NOTICE in said
        said = await text(client, "memory_insights", action="delete", record_id=other, confirm=True)
        assert said == f"Deleted {other}. There are no insights."

    visit(tmp_path, story)


def test_settings_are_shown_and_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(tmp_path, monkeypatch)

    async def story(client: Client) -> None:
        assert len((await done(client, "memory_config"))["settings"]) > 10
        assert (await failed(client, "memory_config", key="search.rrf_k", value="41"))["name"] == "InvalidValue"
        assert not (tmp_path / ".engram").exists()
        found = await done(client, "memory_config", key="search.rrf_k", value="41", confirm=True)
        assert found["file"] == str(tmp_path / ".engram" / "engram.toml")
        assert "rrf_k = 41" in (tmp_path / ".engram" / "engram.toml").read_text()

    visit(tmp_path, story)


def test_what_decides_where_texts_go_or_what_is_read_is_for_people_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    texts = [key for key, setting in SETTINGS.items() if isinstance(setting.default, str)]
    assert {key.split(".")[1] for key in texts} > {"provider", "model", "host", "api_key", "brain", "thesaurus", "path"}

    async def story(client: Client) -> None:
        for key in texts:
            error = await failed(client, "memory_config", key=key, value="openai", confirm=True)
            assert error["name"] == "ConfigReadOnly" and ("engram config" in error["hint"]) != SETTINGS[key].guarded
        secret = await failed(client, "memory_config", key="search.thesaurus", value="/etc/passwd", confirm=True)
        assert "root:" not in json.dumps(secret)
        await done(client, "memory_store", context="it still works")

    visit(tmp_path, story)
    assert not (tmp_path / ".engram").exists() and not (tmp_path / "project" / "engram.toml").exists()


def test_a_tool_sets_nothing_for_all_memories_while_a_projects_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    everywhere = tmp_path / ".engram" / "engram.toml"
    (tmp_path / "project" / ".engram").mkdir()

    async def from_elsewhere(client: Client) -> None:
        error = await failed(client, "memory_config", key="search.rrf_k", value="41", confirm=True)
        assert error["name"] == "ConfigReadOnly" and "memories.db is a project's" in error["message"]
        assert not everywhere.exists()

    async def inside(client: Client) -> None:
        found = await done(client, "memory_config", key="search.rrf_k", value="41", confirm=True)
        assert found["file"] == str(tmp_path / "project" / "engram.toml") and not everywhere.exists()

    async def at_home(client: Client) -> None:
        for value in ("41", "43"):
            found = await done(client, "memory_config", key="search.rrf_k", value=value, confirm=True)
            assert found["file"] == str(everywhere)

    memory = tmp_path / "project" / ".engram" / "memories.db"
    visit(tmp_path, from_elsewhere, settings=load(memory, tmp_path, tmp_path))
    visit(tmp_path, inside, settings=load(None, tmp_path / "project", tmp_path))
    visit(tmp_path, at_home, settings=load(None, tmp_path, tmp_path))
