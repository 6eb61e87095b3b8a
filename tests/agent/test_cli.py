"""The program as such: where options may stand, what machines and people read, and which errors there are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from agent_shell import Run

from engram_agent.cli import engram, main
from engram_agent.cli_call import Command
from engram_agent.cli_output import Card, Rows, one_line, plain_lines
from engram_agent.cli_views import suggestion_line
from engram_agent.errors import CODES
from engram_agent.memory import Memory
from engram_agent.plain import clean, date, plain
from engram_agent.suggest import Suggestion


def commands(group: click.Group = engram, path: str = "engram") -> Iterator[tuple[str, click.Command]]:
    """Every command with its path."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


# ------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("line", ["--json --agent alice --db a.db {}", "{} --json --agent alice --db a.db"])
def test_global_options_stand_before_or_after(run: Run, home: Path, line: str) -> None:
    known = run(line.format("store hello")).data["id"]
    assert [record["id"] for record in run(line.format("memory list")).data] == [known]
    assert (Path.cwd() / "a.db").exists() and not (home / ".engram").exists()
    assert run("--json --db a.db memory list").data == []


def test_the_nearest_option_wins_and_the_environment_comes_last(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_AGENT", "carol")
    run("--agent alice store one --agent bob")
    run("store two")
    run("--agent alice store three")
    with Memory(Path.home() / ".engram" / "memories.db") as memory:
        assert {name: [r.context for r in memory.latest(agent_id=name)] for name in ("alice", "bob", "carol")} == {
            "alice": ["three"],
            "bob": ["one"],
            "carol": ["two"],
        }


def test_init_makes_a_memory_of_the_project_that_git_ignores(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(home / "project" / ".engram" / "memories.db")
    assert path in run("init").out and run("--json init").data["path"] == path
    assert (home / "project" / ".engram" / ".gitignore").read_text() == "*\n"
    (home / "project" / "deep").mkdir()
    monkeypatch.chdir(home / "project" / "deep")
    run("store hello")
    assert run("--json status").data["path"] == path and not (home / ".engram").exists()
    assert run("--json init --global").data["path"] == str(home / ".engram" / "memories.db")


# ------------------------------------------------------------------------------------------- errors


def test_errors_are_one_line_for_people_and_json_for_machines(run: Run) -> None:
    people = run("get nowhere", code=1)
    assert (
        people.out == ""
        and people.err.count("\n") == 1
        and people.err.startswith("error: there is no memory 'nowhere'")
    )
    machines = run("get nowhere --json", code=1)
    error = machines.data["error"]
    assert machines.err == "" and (error["code"], error["name"]) == (CODES["NotFound"], "NotFound")
    assert people.err == f"error: {error['message']}; {error['hint']}\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stor x", "did you mean store?"),
        ("memory serch x", "did you mean search?"),
        ("get", "Missing argument 'ID'; see engram get --help"),
        ("search x --limit 0", "--limit"),
        ("search x --strategy luck", "lexical"),
        ("judge m1 --score 2", "--score"),
        ("learning suggest", "--context or --task"),
        ("memory share --from a --to b", "--pattern"),
        ("memory share --from a --to b --pattern x --all", "--pattern"),
        ("retention --keep context", "TYPE=DAYS"),
        ("retention --keep dreams=3", "dreams"),
        ("prevention result c1", "--held"),
        ("--nowhere", "--nowhere"),
        ("store x --db ''", "--db"),
        ("store x --agent ' '", "--agent"),
        ("search x --limit 99999999999999999999", "--limit"),
        ("memory share --from a --to b --pattern x --days 1e300", "--days"),
    ],
)
def test_wrong_usage_is_one_line_and_ends_with_two(run: Run, home: Path, line: str, said: str) -> None:
    found = run(line, code=2)
    assert said in found.err and found.err.count("\n") == 1 and found.out == ""
    machines = run(f"--json {line}", code=2)
    assert said in machines.data["error"]["message"] + "; " + machines.data["error"]["hint"] and machines.err == ""
    assert not (home / ".engram").exists()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Path("engram.toml").write_text("[search\n"), "ConfigParseError"),
        (lambda: Path("engram.toml").write_text("[search]\nrrf_k = 0\n"), "ConfigValidation"),
        (lambda: Path("engram.toml").write_text('[database]\npath = "."\n'), "DatabaseUnavailable"),
    ],
)
def test_a_wrong_file_is_an_error_like_any(run: Run, make: object, name: str) -> None:
    make()  # type: ignore[operator]
    assert run("--json store x", code=1).data["error"]["name"] == name


def test_what_is_no_text_is_wrong_usage(run: Run) -> None:
    assert "UTF-8" in run("store", "\udcff", code=2).err


def test_what_cannot_be_written_is_one_line(run: Run) -> None:
    Path(".engram").write_text("a file where a folder should be")
    assert run("init", code=1).err.count("\n") == 1
    assert run("init --json", code=1).data["error"]["name"] == "DispatchError"


def test_a_defect_is_told_to_machines_too(run: Run, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("store hello")
    with sqlite3.connect(home / ".engram" / "memories.db") as database:
        database.execute("UPDATE records SET tags = 'no JSON'")
    with pytest.raises(ValueError):
        main(["--json", "memory", "list"])
    assert json.loads(capsys.readouterr().out)["error"]["name"] == "DispatchError"


def test_destructive_commands_need_a_yes_where_nobody_can_answer(run: Run) -> None:
    known = run("--json store hello").data["id"]
    assert "--yes" in run(f"delete {known}", code=1).err
    assert "--yes" in run(f"delete {known} --json", code=1).data["error"]["hint"]
    assert "hello" in run(f"get {known}").out
    assert known in run(f"delete {known} --yes").out
    assert run(f"--json get {known}", code=1).data["error"]["name"] == "NotFound"
    assert run(f"--json delete {known} --yes", code=1).data["error"]["name"] == "NotFound"


# ------------------------------------------------------------------------------------------- what is printed


def test_a_text_from_memory_cannot_steer_a_terminal(run: Run) -> None:
    run("store", "red \x1b[31m and [bold]markup[/bold] \u202e turned", "--result", "two\nlines")
    for line in ("search red", "memory list"):
        said = run(line).out
        assert "\x1b" not in said and "\u202e" not in said and "[bold]markup[/bold]" in said
    row = run("memory list").out
    assert row.count("\n") == 1 and row.count("\t") == 5 and row.rstrip("\n").endswith("two lines")


def test_what_is_read_back_by_machines_is_what_was_stored(run: Run) -> None:
    text = "odd \x1b[31m \u202e text ü 😀\nsecond line"
    known = run("--json", "store", text, "--tag", "a", "--tag", "b").data["id"]
    found = run(f"--json get {known}").data
    assert found["context"] == text and found["tags"] == ["a", "b"]
    hits = run("--json", "search", "odd text").data
    assert hits["hits"][0]["record"]["context"] == text and hits["query_id"]


def test_blocks_as_lines() -> None:
    assert plain_lines("a\x07\nb") == ["a\N{REPLACEMENT CHARACTER}", "b"]
    assert plain_lines(Rows(("x", "y"), [("a\tb", "c\nd"), (1, 2.5)])) == ["a b\tc d", "1\t2.5"]
    assert plain_lines(Card("t", [("x", "a\nb")])) == ["t", "  x: a\n    b", ""]
    assert one_line(" a \r\n b ") == "a b" and clean("a\r\nb\rc") == "a\nb\N{REPLACEMENT CHARACTER}c"


def test_a_date_is_never_a_fault() -> None:
    assert (
        date(None) == "never"
        and date(1e300) == date(float("nan")) == "far away"
        and date(0.0, "%Y") in ("1969", "1970")
    )


def test_plain_data_has_only_what_json_has() -> None:
    value = {"a": (1, float("nan"), float("inf")), "b": Path("x"), "c": {3}}
    assert plain(value) == {"a": [1, None, None], "b": "x", "c": [3]}


@pytest.mark.parametrize(("trials", "enough"), [(2, False), (3, True)])
def test_a_suggestion_says_how_sure_it_is(trials: int, enough: bool) -> None:
    one = Suggestion(
        action="retry", successes=2, trials=trials, estimate=0.625, low=0.25, high=0.875, enough=enough, record_ids=()
    )
    said = suggestion_line(one)
    assert said.startswith(f"retry (2/{trials} successes, 62%, 95 % interval 25% to 88%)")
    assert ("not enough evidence" in said) is not enough


def test_every_command_has_a_help_with_examples_of_itself(run: Run) -> None:
    for path, command in commands():
        assert isinstance(command, Command) and command.help and command.examples, path
        said = run(f"{path.removeprefix('engram ')} --help").out
        assert "Examples:" in said and "--json" in said
        for example in command.examples:
            assert example in said and example.split()[0] == "engram"
            assert command.name in example.split(), f"{path}: {example}"
