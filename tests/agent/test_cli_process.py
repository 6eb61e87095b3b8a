"""The program as a process: how fast it starts, and how it behaves on a terminal, in a pipe and when it is ended."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agent_shell import Run, started


def test_a_pipe_of_no_text_is_one_line(home: Path) -> None:
    process = started("store", "-", stdin=subprocess.PIPE, text=False)
    _, said = process.communicate(b"\xff\xfe", timeout=60)
    assert process.returncode == 1 and said.startswith(b"error: ") and said.count(b"\n") == 1


def test_help_starts_quickly(home: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    said, _ = started("--help").communicate(timeout=60)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 0.35, "seconds of processor time"
    assert "engram init" in said


def test_nothing_heavy_is_imported_for_help() -> None:
    program = "import sys, engram_agent.cli; print([m for m in ('numpy', 'rich', 'mcp', 'pydantic', 'torch') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_closed_pipe_is_silent(home: Path, run: Run) -> None:
    for number in range(3):
        run("store", f"thing {number * 7919} " + f"word{number} " * 9_000)
    process = started("--json", "memory", "list", bufsize=0)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1 and said == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
@pytest.mark.parametrize("words", [1, 9_000])
@pytest.mark.parametrize(
    "line", [("memory", "list"), ("--json", "memory", "list"), ("get", "nowhere", "--json"), ("--help",)]
)
def test_a_full_disk_is_one_line(home: Path, run: Run, words: int, line: tuple[str, ...]) -> None:
    run("store", "word " * words)
    with open("/dev/full", "w") as full:
        process = started(*line, stdout=full)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1 and said.count("\n") == 1
    assert said.startswith("error: standard output cannot be written (No space left on device)")


def test_an_interrupt_is_one_line(home: Path) -> None:
    process = started("store", "-", stdin=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while "S" not in Path(f"/proc/{process.pid}/stat").read_text().split(")")[1].split()[0] or not reading(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and err.strip() == "interrupted"


def reading(pid: int) -> bool:
    """Whether a process waits for its standard input."""
    return "pipe_read" in Path(f"/proc/{pid}/wchan").read_text() or Path(f"/proc/{pid}/syscall").read_text().startswith(
        "0 0x0 "
    )


def on_terminal(*args: str, answer: str = "", environment: dict[str, str] | None = None) -> tuple[int, str]:
    """How `engram` ends on a terminal, and what stands there."""
    ours, theirs = pty.openpty()
    os.environ.update({"TERM": "xterm-256color", "COLUMNS": "100"} | (environment or {}))
    process = started(*args, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, answer.encode())
    said = b""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    return process.wait(60), said.decode()


def test_a_terminal_shows_colours_and_frames_and_a_pipe_does_not(
    home: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "COLUMNS", "NO_COLOR"):
        monkeypatch.setenv(name, "")
    known = run("--json store hello --result [bold]world[/bold]").data["id"]
    code, said = on_terminal("get", known)
    assert code == 0 and "╭" in said and "\x1b[1m" in said and "[bold]world[/bold]" in said
    assert "╭" not in run(f"get {known}").out
    _, bare = on_terminal("memory", "list", environment={"NO_COLOR": "1"})
    assert "\x1b[36m" not in bare and "hello" in bare


def test_a_terminal_is_asked_before_something_is_lost(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TERM", "COLUMNS", "NO_COLOR"):
        monkeypatch.setenv(name, "")
    known = run("--json store hello").data["id"]
    code, said = on_terminal("delete", known, answer="n\n")
    assert code == 1 and "delete" in said and "nothing was changed" in said
    assert "hello" in run(f"get {known}").out
    code, said = on_terminal("delete", known, answer="y\n")
    assert code == 0 and f"deleted {known}" in said
    run(f"get {known}", code=1)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_every_shell(run: Run, shell: str) -> None:
    assert "_ENGRAM_COMPLETE" in run(f"completion {shell}").out


def test_a_shell_completes_commands(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_ENGRAM_COMPLETE": "bash_complete", "COMP_WORDS": "engram mem", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)
    assert started().communicate(timeout=60)[0] == "plain,memory\n"


def test_a_server_on_a_terminal_says_what_it_is_and_can_be_ended(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TERM", "COLUMNS"):
        monkeypatch.setenv(name, "")
    ours, theirs = pty.openpty()
    process = started("mcp", stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(theirs)
    assert process.stderr is not None
    assert "Ctrl-C" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 130 and out == "" and err.strip() == "interrupted"


def test_a_terminal_without_unicode_takes_and_shows_what_it_can(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }.items():
        monkeypatch.setenv(name, value)
    assert started("store", "\N{LATIN SMALL LETTER U WITH DIAERESIS}ber").wait(60) == 0
    people, _ = started("memory", "list").communicate(timeout=60)
    machines, _ = started("memory", "list", "--json").communicate(timeout=60)
    assert "\\xfcber" in people and json.loads(machines)[0]["context"] == "\N{LATIN SMALL LETTER U WITH DIAERESIS}ber"
