"""The documentation of the agents' memory says neither more nor less than is there, and every line of it works."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest
from agent_shell import Run

from conftest import HOME
from engram_agent.cli import engram
from engram_agent.errors import CODES
from engram_agent.settings_table import SETTINGS

DOCS = (HOME / "docs" / "agent.md").read_text(encoding="utf-8")
AS_PRINTED = """
engram memory record --agent alice --type decision --context "auth-failure" --action "retry-with-backoff" --outcome success
engram memory retrieve --agent alice --context "auth-failure"
engram memory list --agent alice
engram memory search "authentication failure"
engram memory patterns --type failure
engram memory share --from alice --to bob --pattern auth-pattern
engram learning stats --agent alice
engram learning patterns --success-rate ">80%"
engram learning patterns --type failure --recurring
engram learning failures --recent 7d
engram learning suggest --task auth-123
engram learning suggest --context "api-auth-timeout"
engram knowledge export --agent alice --domain auth
engram knowledge import --file auth-knowledge.json
engram knowledge merge --from-agent bob --domain db
engram init
engram status
engram store "the login times out"
engram search "login"
engram export
engram consolidate preview
engram consolidate log
"""


def shell_lines(text: str) -> list[str]:
    return [line.removeprefix("engram ") for line in text.splitlines() if line.startswith("engram ")]


@pytest.mark.parametrize("as_json", [False, True])
def test_every_command_works_as_printed_and_in_that_order(run: Run, as_json: bool) -> None:
    for line in shell_lines(AS_PRINTED):
        found = run(*shlex.split(line), *["--json"] * as_json)
        assert found.err == "" and found.out, line
        if as_json:
            assert found.data is not None, line


def test_every_line_of_the_documentation_works(run: Run) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", DOCS, re.S)
    lines = [line for block in blocks for line in shell_lines(block)]
    (thesaurus,) = re.findall(r"```\n# words.txt\n(.*?)```", DOCS, re.S)
    Path("words.txt").write_text(thesaurus)
    assert len(lines) > 25 and len(lines) == sum(len(block.strip().splitlines()) for block in blocks)
    for line in lines:
        assert run(*shlex.split(line)).err == "", line
    assert Path("memory.html").read_text().startswith("<!doctype html>")


def test_every_command_is_documented_and_nothing_else(run: Run) -> None:
    def leaves(group: click.Group, path: str = "") -> set[str]:
        inner = [
            leaves(c, f"{path}{n} ") if isinstance(c, click.Group) else {path + n} for n, c in group.commands.items()
        ]
        return set().union(*inner)

    documented = {
        name for row in re.findall(r"^\| (`.*?) \|", section("Commands"), re.M) for name in re.findall(r"`(.+?)`", row)
    }
    assert documented == leaves(engram)


def test_commands_within_the_text_exist_with_their_options(run: Run) -> None:
    inline = re.findall(r"`engram ([^`]+)`", re.sub(r"```.*?```", "", DOCS, flags=re.S))
    assert len(inline) > 8
    for line in inline:
        assert "Usage: engram " in run(*shlex.split(line), "--help").out, line


def test_every_setting_and_every_error_is_documented_and_nothing_else() -> None:
    settings = re.findall(r"^\| `(\S+?)`( \*)? \| (.*?) \| (.*?) \|$", section("engram.toml"), re.M)
    assert {key: (bool(star), default, meaning) for key, star, default, meaning in settings} == {
        key: (each.guarded, str(each.default) or "–", each.meaning) for key, each in SETTINGS.items()
    }
    errors = re.findall(r"^\| (\d+) \| (\w+) \| .+ \|$", section("Errors"), re.M)
    assert {name: int(code) for code, name in errors} == CODES


def test_the_python_of_the_documentation_runs(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, re.S)
    exec(compile(code, "agent.md", "exec"), {})
    said = capsys.readouterr().out
    assert said.startswith("retry with backoff") and "retry-with-backoff 1.0 1" in said


def test_json_of_the_documentation_is_json() -> None:
    client, error = (json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCS, re.S))
    assert client["mcpServers"]["engram"]["args"][0] in engram.commands
    assert error["error"]["code"] == CODES[error["error"]["name"]]


def section(title: str) -> str:
    return DOCS.split(f"\n## {title}\n")[1].split("\n## ")[0]
