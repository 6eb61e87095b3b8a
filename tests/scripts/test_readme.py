"""What README.md says is so: its commands exist, its links lead somewhere, its front matter and the pins fit."""

import re
import shlex
from importlib.metadata import version
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engram_agent.cli import engram

HOME = Path(__file__).parent.parent.parent
README = (HOME / "README.md").read_text(encoding="utf-8")
OWN = ("ingest.py", "test_brain.py", "eval_brain.py", "app.py")
OTHERS = {"pytest"}


def commands() -> list[list[str]]:
    """Every `uv run ..` of README.md, in code blocks and in the text, without its comment."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", README, re.M | re.S)
    inline = re.findall(r"`(uv run [^`]+)`", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S))
    lines = [*inline, *(line for block in blocks for line in block.splitlines())]
    found = [part for line in lines for part in line.split("#")[0].split("&&") if part.strip().startswith("uv run ")]
    return [shlex.split(part)[2:] for part in found]


def front_matter() -> dict[str, str]:
    head = README.split("---\n")[1]
    return dict(line.split(": ", 1) for line in head.splitlines())


def script_parser(script: str) -> Any:
    """The parser of a script; test_brain would be found in tests/ first by its name."""
    spec = spec_from_file_location(f"script_{script.removesuffix('.py')}", HOME / script)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.parser()


def test_there_are_commands() -> None:
    """Positive control: the reading of README.md finds what a person sees in it."""
    found = commands()
    assert ["ingest.py"] in found and ["test_brain.py"] in found
    assert {words[0] for words in found} >= set(OWN)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_can_be_given(words: list[str]) -> None:
    first, *options = words
    if first == "python":
        assert options[0] == "-m"
        assert (HOME / f"{options[1].replace('.', '/')}.py").exists()
    elif first == "engram":
        assert CliRunner().invoke(engram, [*options[:1], "--help"]).exit_code == 0
    elif first in OTHERS:
        assert version(first)
    else:
        assert first in OWN and (HOME / first).exists()
        parser = script_parser(first)
        for choice in _spelled_out(options):
            parser.parse_args(choice)


def _spelled_out(options: list[str]) -> list[list[str]]:
    """A command with `a|b|c` in it once for each, and without `...` and `--help`, which every parser has."""
    given = [option for option in options if option not in ("...", "--help")]
    place = next((i for i, option in enumerate(given) if "|" in option), None)
    if place is None:
        return [given]
    return [[*given[:place], choice, *given[place + 1 :]] for choice in given[place].split("|")]


def test_an_option_that_is_not_there_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script_parser("ingest.py").parse_args(["--no-such-option"])
    assert "--no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize("text", sorted(set(re.findall(r"`(--[a-z-]+ [^`]*)`", README))))
def test_options_named_alone_exist(text: str) -> None:
    parser = script_parser("ingest.py")
    for choice in _spelled_out(shlex.split(text)):
        assert set(vars(parser.parse_args(choice))) == set(vars(parser.parse_args([])))


@pytest.mark.parametrize("script", OWN)
def test_the_examples_of_the_help_can_be_given(script: str) -> None:
    parser = script_parser(script)
    lines = [line for line in parser.epilog.splitlines() if f"uv run {script}" in line]
    assert len(lines) >= 3
    gap = re.search(r"\S {2,}(?=\S)", lines[0])
    assert gap is not None
    for line in lines:
        example = line if len(line) <= gap.end() or line[gap.end() - 1] != " " else line[: gap.end()]
        parser.parse_args(shlex.split(example.split(f"uv run {script}")[1].split(" < ")[0]))


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", README)
    assert {"docs/architecture.md", "docs/log.md"} <= set(links)
    missing = [link for link in links if "://" not in link and not (HOME / link.split("#")[0]).exists()]
    assert missing == []


def test_the_front_matter_of_a_space() -> None:
    found = front_matter()
    assert found["title"] == "Engram" and len(found["emoji"]) == 1
    assert (found["colorFrom"], found["colorTo"], found["sdk"]) == ("blue", "purple", "gradio")
    assert found["sdk_version"] == version("gradio")
    assert (HOME / found["app_file"]).exists() and found["license"] == "mit"
    assert len(found["short_description"]) <= 60, "a Space takes no more"


def test_the_pins_are_what_is_installed_and_declared() -> None:
    pins = dict(line.split("==") for line in (HOME / "requirements.txt").read_text().split())
    declared = re.search(r"^dependencies = \[(.*?)\]", (HOME / "pyproject.toml").read_text(), re.M | re.S)
    assert declared is not None
    assert set(pins) == set(re.findall(r'"([a-z]+)[>=<~]', declared[1]))
    assert pins == {name: version(name).split("+")[0] for name in pins}


def test_the_python_block_is_python() -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    compile(block, "README.md", "exec")
    assert "Engram.load" in block and ".close()" in block
