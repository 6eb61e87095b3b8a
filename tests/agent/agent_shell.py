"""What tests of the agents' memory share: a home of their own, `engram` run in it, and the line of an error."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from conftest import HOME
from engram_agent.cli import main
from engram_agent.errors import CODES, AgentError
from engram_agent.settings_table import variables

NEVER = ["NO_COLOR", "FORCE_COLOR", "ENGRAM_AGENT", "ENGRAM_CONFIG", *variables().values()]


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """What a machine reads."""
        return json.loads(self.out)


Run = Callable[..., Ran]


def enter(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder an empty home, and stand in a project in it."""
    for name in NEVER:
        monkeypatch.delenv(name, raising=False)
    (home / "project").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "project")
    return home


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """`engram` with these arguments, or with one line as a shell splits it, in this process."""

    def call(*args: str, code: int | None = 0) -> Ran:
        given = shlex.split(args[0]) if len(args) == 1 else list(args)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(given)
        said = capsys.readouterr()
        found = Ran(int(ended.value.code or 0), said.out, said.err)
        assert code is None or found.code == code, found
        return found

    return call


def started(*args: str, **options: Any) -> subprocess.Popen[str]:
    """`engram` as a process of its own, which can be interrupted even where the tests run in the background."""
    given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    environment = {name: value for name, value in os.environ.items() if name not in NEVER or name == "NO_COLOR"}
    environment["PYTHONPATH"] = str(HOME)
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen([sys.executable, "-m", "engram_agent", *args], env=environment, preexec_fn=heard, **given)


def failed(name: str, error: pytest.ExceptionInfo[AgentError]) -> str:
    """The one line of an error of this name."""
    assert error.value.name == name and error.value.code == CODES[name]
    line = str(error.value)
    assert "\n" not in line
    return line
