"""What each command does."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from agent_shell import Run

NPM = "npm ERR! network timeout at: https://packages.example.org/left-pad-{}"


# ------------------------------------------------------------------------------------------- records


def test_what_is_stored_is_found_with_its_reason(run: Run) -> None:
    known = run(
        "store 'the login times out' --action retry --result 'it worked' --type bugfix --tag auth --project shop"
    ).out
    found = run(
        "search 'login timeout' --type bugfix --tag auth --project shop --limit 3 --budget 100 --strategy lexical"
    ).out
    assert known.strip() in found and "why:" in found and "it worked" in found
    assert run("search 'login timeout' --tag other --json").data["hits"] == []
    assert "nothing in memory answers this" in run("search 'zebra quantum xylophone' --strict").out


def test_store_reads_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("from a pipe, ü\n")
    with open(tmp_path / "note.txt") as note:
        monkeypatch.setattr("sys.stdin", note)
        known = run("store -").out.strip()
    assert run(f"get {known} --json").data["context"] == "from a pipe, ü\n"


def test_a_judgement_moves_what_is_thought_of_a_record(run: Run) -> None:
    known = run("store 'the login times out'").out.strip()
    query = run("search login --json").data["query_id"]
    up = run(f"judge {known} --score 1 --query {query} --json").data
    down = run(f"judge {known} --score 0 --json").data
    assert up["low"] < up["utility"] < up["high"] and down["utility"] < up["utility"]
    assert known in run(f"judge {known}").out
    assert run("status --json").data["judgements"] == 3


def test_secrets_do_not_come_back(run: Run) -> None:
    known = run("store 'password=Zx9-qr7_Pm2' --action 'curl -u me:Zx9-qr7_Pm2 http://host'").out.strip()
    for line in (f"get {known}", "memory list", "search curl", "export --file -"):
        said = run(line).out
        assert "curl" in said and "Zx9-qr7_Pm2" not in said, line


# ------------------------------------------------------------------------------------------- learning


def record(run: Run, action: str, outcome: str, times: int = 1) -> None:
    for _ in range(times):
        run("memory", "record", "--context", "auth-failure", "--action", action, "--outcome", outcome)


def test_suggestions_are_ordered_by_the_lower_bound_and_say_how_sure_they_are(run: Run) -> None:
    record(run, "retry with backoff", "success", 5)
    record(run, "retry with backoff", "failure")
    record(run, "call a friend", "success")
    record(run, "restart everything", "failure", 3)
    lines = run("learning suggest --context auth-failure").out.splitlines()
    assert re.fullmatch(r"retry with backoff \(5/6 successes, \d+%, 95 % interval \d+% to \d+%\)", lines[0])
    data = run("learning suggest --context auth-failure --json").data
    assert [each["low"] for each in data] == sorted((each["low"] for each in data), reverse=True)
    assert all(("not enough evidence" in line) == (each["trials"] < 3) for line, each in zip(lines, data, strict=True))
    assert "not enough evidence" in run("learning suggest --context 'zebra quantum'").out


def test_patterns_are_filtered_by_rate_and_kind(run: Run) -> None:
    record(run, "retry with backoff", "success", 9)
    record(run, "restart everything", "failure", 9)
    good = run('learning patterns --success-rate ">80%" --json').data
    assert {each["action"] for each in good} == {"retry with backoff"} and all(each["estimate"] > 0.8 for each in good)
    bad = run('learning patterns --success-rate "<20%" --json').data
    assert "restart everything" in {each["action"] for each in bad}
    assert "retry with backoff" in run("memory patterns").out
    assert run("learning patterns --success-rate nonsense --json", code=1).data["error"]["name"] == "InvalidValue"


def test_a_failure_that_comes_back_is_found_and_prevented(run: Run) -> None:
    for number in range(3):
        run(
            "memory", "record", "--context", "npm install behind the proxy", "--action", "npm install", "--outcome",
            "failure", "--error", NPM.format(number), "--type", "bugfix",
        )  # fmt: skip
    (failure,) = run("learning failures --recent 7d --json").data
    assert failure["kind"] == "failure" and failure["name"] in run("learning patterns --type failure --recurring").out
    check = run(f"prevention generate --pattern {failure['name']} --json").data
    assert check["pattern"] == failure["name"]
    held = run(f"prevention result {check['id']} --held --json").data
    assert (held["held"], held["failed"]) == (check["held"] + 1, check["failed"])
    assert check["id"] in run(f"prevention result {check['id']} --failed").out


@pytest.mark.parametrize("line", ["learning apply-pattern {} --task db-456", "prevention generate --pattern {}"])
def test_an_unknown_pattern_is_told_with_the_nearest_names(run: Run, line: str) -> None:
    error = run(line.format("rollback-strategy") + " --json", code=1).data["error"]
    assert error["name"] == "NotFound" and "engram memory patterns" in error["hint"]
    record(run, "roll back", "success", 4)
    name = run("memory patterns --json").data[0]["name"]
    assert name in run(line.format(f"{name}-zebra-quantum-xylophone") + " --json", code=1).data["error"]["hint"]


def test_patterns_are_found_by_the_names_that_people_give_them(run: Run) -> None:
    for _ in range(3):
        run(
            "memory",
            "record",
            "--context",
            "migration rollback strategy",
            "--action",
            "stop, roll back",
            "--outcome",
            "success",
        )
        run("memory", "record", "--context", "npm install", "--action", "npm i", "--outcome", "failure",
            "--error", "npm install timeout")  # fmt: skip
    assert (
        "for db-migration-456:" in run("learning apply-pattern migration-rollback-strategy --task db-migration-456").out
    )
    assert "pattern: npm-install-timeout" in run("prevention generate --pattern npm-install-timeout").out


def test_a_pattern_is_applied_to_a_task(run: Run) -> None:
    for _ in range(4):
        run(
            "memory",
            "record",
            "--context",
            "migration failed",
            "--action",
            "stop writers, roll back",
            "--outcome",
            "success",
        )
    name = run("memory patterns --json").data[0]["name"]
    done = run(f"learning apply-pattern {name} --task db-456 --json").data
    assert (done["name"], done["task"]) == (name, "db-456") and done["steps"]
    assert "1. " in run(f"learning apply-pattern {name} --task db-456").out


# ------------------------------------------------------------------------------------------- between agents


def test_nothing_is_shared_until_it_is_granted_and_no_more_after(run: Run) -> None:
    run("store 'the shop uses PostgreSQL' --tag db --agent bob")
    merge = "knowledge merge --from-agent bob --domain db --agent alice"
    nothing = run(merge).out
    assert nothing.startswith("nothing to merge") and run("search PostgreSQL --agent alice --json").data["hits"] == []
    grant = run(*shlex.split(nothing.split("engram ")[1])).out.split()[0]
    assert "PostgreSQL" in run("search PostgreSQL --agent alice").out and grant in run("grants --agent alice").out
    assert "revoked" in run(f"revoke {grant} --agent bob").out
    assert run("search PostgreSQL --agent alice --json").data["hits"] == []
    assert run(f"revoke {grant} --agent carol --json", code=1).data["error"]["name"] == "NotFound"


def test_what_was_merged_stays_with_its_origin(run: Run) -> None:
    run("store 'the shop uses PostgreSQL' --tag db --agent bob")
    run("memory share --from bob --to alice --domain db --days 3 --purpose orders")
    assert run("knowledge merge --from-agent bob --domain db --agent alice --json").data["added"] == 1
    run(f"revoke {run('grants --agent bob --json').data[0]['id']} --agent bob")
    (hit,) = run("search PostgreSQL --agent alice --json").data["hits"]
    assert (hit["record"]["agent_id"], hit["record"]["origin"]) == ("alice", "bob")
    assert "learned from: bob" in run(f"get {hit['id']} --agent alice").out


def test_nobody_shares_what_is_not_theirs(run: Run) -> None:
    share = "memory share --from alice --to bob --pattern x"
    assert run(f"{share} --agent bob --json", code=1).data["error"]["name"] == "InvalidValue"
    assert run("grants --agent bob --json").data == [] and run(f"{share} --agent alice").out


def test_a_grant_for_what_is_yet_to_come_says_so(run: Run) -> None:
    early = run("memory share --from alice --to bob --tag auth").out.splitlines()
    assert len(early) == 2 and "nothing matches yet" in early[1]
    run("store hello --tag auth --agent alice")
    assert len(run("memory share --from alice --to bob --tag auth").out.splitlines()) == 1
    assert "holds for 1 record\n" in run("grants --agent alice").out
    run("store 'another thing' --tag auth --agent alice")
    assert "holds for 2 records\n" in run("grants --agent alice").out


def test_an_export_comes_back_elsewhere(run: Run) -> None:
    run("store 'the login times out' --tag auth --agent alice")
    run("store 'lunch is at noon' --agent alice")
    assert run("knowledge export --agent alice --domain auth").out == "1 record in auth-knowledge.json\n"
    assert run("knowledge import --file auth-knowledge.json --db other.db --json").data["added"] == 1
    assert run("knowledge import --file auth-knowledge.json --db other.db --json").data["known"] == 1
    (found,) = run("memory list --db other.db --json").data
    assert found["context"] == "the login times out"
    printed = run("knowledge export --agent alice --domain auth --file -").data
    assert printed["records"] == json.loads(Path("auth-knowledge.json").read_text())["records"]


def test_a_name_of_a_file_keeps_no_secret(run: Run) -> None:
    run("store hello --tag ghp_16C7e42F292c6912E7710c838347Ae178B4a")
    found = run("knowledge export --domain ghp_16C7e42F292c6912E7710c838347Ae178B4a")
    (path,) = Path().glob("*.json")
    assert "redacted" in path.name and "16C7e42F" not in path.name + path.read_text() + found.out
    assert found.out == f"1 record in {path}\n"


def test_an_export_overwrites_only_one_of_its_own(run: Run) -> None:
    Path("auth-knowledge.json").write_text('{"mine": 1}')
    refused = run("knowledge export --domain auth", code=1)
    assert "--force" in refused.err and Path("auth-knowledge.json").read_text() == '{"mine": 1}'
    run("knowledge export --domain auth --force")
    assert run("knowledge export --domain auth").code == 0
    assert run("knowledge export --domain auth --agent bob", code=1).err
    assert "cannot be written" in run("export --file nowhere/a.json", code=1).err
    assert run("export --domain ../../etc --json").data["file"] == "etc-knowledge.json"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{", "InvalidJson"),
        ("[" * 100_000, "InvalidJson"),
        ("[]", "ImportFailed"),
        ('{"version": 7}', "ImportVersionMismatch"),
        (None, "ImportFailed"),
    ],
)
def test_what_is_no_export_is_one_line(run: Run, text: str | None, name: str) -> None:
    if text is not None:
        Path("a.json").write_text(text)
    assert run("import --file a.json --json", code=1).data["error"]["name"] == name
