"""What each command does that looks after the memory."""

from __future__ import annotations

import os
import sqlite3
import tomllib
from pathlib import Path

import pytest
from agent_shell import Run

from engram_agent.errors import CODES
from engram_agent.settings_table import SETTINGS


def test_what_is_put_together_can_be_taken_apart(run: Run) -> None:
    assert "nothing to put together" in run("consolidate preview").out
    run("config deduplication.threshold 1.0")
    first, second = (
        run("store", f"the login times out every {day} at nine, again and again").out.strip()
        for day in ("Monday", "Sunday")
    )
    run("config deduplication.threshold 0.85")
    plan = run("consolidate preview --json").data
    assert (plan["groups"], plan["count"]) == ([[first, [second]]], 1)
    assert "--yes" in run(f"consolidate apply {plan['id']}", code=1).err
    assert len(run("memory list --json").data) == 2
    assert f"consolidate undo {plan['id']}" in run(f"consolidate apply {plan['id']} --yes").out
    assert [each["id"] for each in run("memory list --json").data] == [first]
    run(f"consolidate undo {plan['id']} --yes")
    assert {each["id"] for each in run("memory list --json").data} == {first, second}
    states = {each["id"]: each["state"] for each in run("consolidate log --json").data}
    assert states[plan["id"]] == "undone" and plan["id"] in run("consolidate log").out
    assert run("consolidate apply nowhere --yes --json", code=1).data["error"]["name"] in CODES


def test_retention_shows_before_it_deletes(run: Run) -> None:
    known = run("store 'long ago'").out.strip()
    assert "for ever" in run("retention").out
    assert "nothing is older" in run("retention --keep context=1").out
    kept = "retention --keep context=0.000000001"
    assert known in run(kept).out and "--yes" in run(f"{kept} --apply", code=1).err
    assert "long ago" in run(f"get {known}").out
    assert "deleted 1 record\n" in run(f"{kept} --apply --yes").out
    run(f"get {known}", code=1)
    run("config retention.context 90")
    assert run("retention --json").data == []


def test_a_changed_log_is_seen(run: Run, home: Path) -> None:
    run("store hello")
    found = run("audit verify --json").data
    assert found["sound"] is True and run("audit verify").out.startswith("sound: 1 entry, ")
    assert f"head {found['last']}" in run("audit verify").out
    with sqlite3.connect(home / ".engram" / "memories.db") as database:
        for (trigger,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("UPDATE audit SET agent_id = 'mallory'")
    assert run("audit verify", code=1).out.startswith("broken at entry 1")
    assert run("audit verify --json", code=1).data["broken_at"] == 1
    with sqlite3.connect(home / ".engram" / "memories.db") as database:
        database.execute("DELETE FROM audit")
    assert "broken at entry 1: 1 entry of 1 cut off at the end" in run("audit verify", code=1).out
    with sqlite3.connect(home / ".engram" / "memories.db") as database:
        database.execute("DELETE FROM audit_head")
    assert "head is missing" in run("audit verify", code=1).out


def test_settings_are_listed_shown_and_set(run: Run, home: Path) -> None:
    rows = {each["key"]: each for each in run("config --json").data}
    assert set(rows) == set(SETTINGS) and {each["source"] for each in rows.values()} == {"default"}
    path = home / ".engram" / "engram.toml"
    assert str(path) in run("config search.rrf_k 41").out
    (row,) = run("config search.rrf_k --json").data
    assert (row["value"], row["source"]) == (41, str(path))
    Path("engram.toml").write_text("")
    run("config search.rrf_k 43")
    assert tomllib.loads(Path("engram.toml").read_text()) == {"search": {"rrf_k": 43}}
    run("config search.rrf_k 47 --global")
    assert "\t43\t" in run("config search.rrf_k").out and "rrf_k = 47" in path.read_text()
    assert "search.rrf_k" in run("config search.rrf_kk", code=1).err
    assert run("config llm.api_key x --json", code=1).data["error"]["name"] == "ConfigReadOnly"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("config embedding.provider openai", "cannot be used for vectors"),
        ("config embedding.provider oracle", "must be one of hashing, brain"),
        ("config embedding.provider brain", "embedding.brain"),
        ("config search.thesaurus keys.txt", "keys.txt, line 2 says nothing"),
    ],
)
def test_what_every_command_would_fail_with_is_not_set(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    for name in ("OPENAI_API_KEY", "CHROMA_OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    Path("keys.txt").write_text("buy, purchase\nfor nobody's eyes\n")
    found = run(line, code=1)
    assert said in found.err and found.err.count("\n") == 1 and "for nobody's eyes" not in found.err
    assert not (home / ".engram").exists() and run("store hello").out
    run("config embedding.provider hashing")
    assert "hashing" in (home / ".engram" / "engram.toml").read_text()


def test_status_is_of_all_or_of_one(run: Run) -> None:
    run("store one --agent alice")
    run("store two --agent bob")
    assert run("status --json").data["records"]["by_agent"] == {"alice": 1, "bob": 1}
    assert run("status --agent bob --json").data["records"]["total"] == 1
    assert "records total\t2" in run("status").out
    assert "cannot be written" in run("status --html nowhere/a.html", code=1).err
    shown = {name: run(f"status --html - {name}").out for name in ("", "--agent bob")}
    assert "one</p>" in shown[""] and "one</p>" not in shown["--agent bob"]
    assert "all agents of the file" in " ".join(run("status --help").out.split())


def test_a_page_overwrites_only_one_of_its_own(run: Run) -> None:
    run("store 'from Z\u00fcrich'")
    for text in ("dear diary", "<!doctype html>\n<p>engram status --html</p>"):
        Path("mine.html").write_text(text)
        refused = run("status --html mine.html", code=1).err
        assert "is no page of a memory" in refused and "--force" in refused and refused.count("\n") == 1
        assert Path("mine.html").read_text() == text
    run("status --html mine.html --force")
    run("store more")
    run("status --html mine.html")
    assert "more" in Path("mine.html").read_text() and "Z\u00fcrich" in Path("mine.html").read_text()
    os.mkfifo("pipe.html")
    assert "is no page" in run("status --html pipe.html", code=1).err


def test_a_page_is_printed_whole_and_nothing_else(run: Run) -> None:
    run("store 'from Z\u00fcrich'")
    said = run("status --html -").out
    assert said.startswith("<!doctype html>") and said.endswith("</html>\n") and "Z\u00fcrich" in said
    assert run("status --html - --json").data["page"].startswith("<!doctype html>") and not Path("-").exists()
