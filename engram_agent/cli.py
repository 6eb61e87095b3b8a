"""The program `engram`: its commands, and how it ends, whatever happens.

It must not know what a command does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

import click

from engram_agent.cli_call import Call, Group
from engram_agent.cli_care import care_commands
from engram_agent.cli_knowledge import knowledge_commands
from engram_agent.cli_learning import learning_commands
from engram_agent.cli_records import record_commands
from engram_model.errors import EngramError

INTERRUPTED = 130
USAGE = 2


@click.group(
    cls=Group, name="engram", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="engram", message="%(version)s")
def engram() -> None:
    """One memory for agents: what the situation was, what was done, what came of it, and what is learned from it.

    Start with `engram init`, `engram store "..."` and `engram search "..."`; `engram mcp` serves the same memory to any
    MCP client. Global options may stand before or after a command.
    """


for commands in (record_commands, learning_commands, knowledge_commands, care_commands):
    for command in commands:
        engram.add_command(command)


def main(args: Sequence[str] | None = None) -> None:
    """Run one command line and exit: 0 if it did what it says, 1 for an error or a closed pipe, 2 for wrong usage, 130 for Ctrl-C."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy starts in half the time; one query needs no more
    given = list(sys.argv[1:] if args is None else args)
    as_json = "--json" in given[: given.index("--") if "--" in given else None]
    call = Call()
    try:
        code = _ended(given, call, as_json)
        sys.stdout.flush()
    except BrokenPipeError:
        code = _unwritten()
    except OSError as error:
        code = _unwritten()
        why = error.strerror or str(error)
        _failed("DispatchError", f"standard output cannot be written ({why})", "write it elsewhere", 6007, 1, False)
    finally:
        call.close()
    sys.exit(code)


def _ended(given: list[str], call: Call, as_json: bool) -> int:
    """How a command line ends: its exit code, once everything was said but what standard output does not take."""
    try:
        return _run(given, call)
    except BrokenPipeError:
        raise
    except (KeyboardInterrupt, click.Abort):
        return _failed("Interrupted", "interrupted", "", INTERRUPTED, INTERRUPTED, as_json)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "engram"
        return _failed("Usage", error.format_message().rstrip("."), f"see {path} --help", USAGE, USAGE, as_json)
    except click.ClickException as error:
        return _failed("Usage", error.format_message(), "", USAGE, USAGE, as_json)
    except EngramError as error:
        name, number = getattr(error, "name", "DispatchError"), getattr(error, "code", 6007)
        message, hint = getattr(error, "message", str(error)), getattr(error, "hint", "")
        return _failed(name, message, hint, number, 1, as_json)
    except OSError as error:
        if error.filename is None:  # no file's, so a stream's
            raise
        return _failed("DispatchError", str(error), "check the path and its rights", 6007, 1, as_json)
    except Exception as error:
        if as_json:
            what = f"unexpected {type(error).__name__}: {error}"
            _failed("DispatchError", what, "this is a defect; please report it", 6007, 1, True)
        raise


def _unwritten() -> int:
    """Let nothing more go to a standard output that takes nothing; the exit code for that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 1


def _run(args: list[str], call: Call) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what a terminal of another encoding cannot show
    found = engram.main([_text(arg) for arg in args], prog_name="engram", standalone_mode=False, obj=call)
    return found if isinstance(found, int) else 0


def _text(arg: str) -> str:
    """An argument as the UTF-8 that was typed, whatever encoding Python took it for."""
    try:
        return os.fsencode(arg).decode("utf-8")
    except UnicodeError:
        raise click.UsageError(f"not a text in UTF-8: {arg!r}") from None


def _failed(name: str, message: str, hint: str, number: int, code: int, as_json: bool) -> int:
    """Say what went wrong: JSON on stdout for machines, one line on stderr for people."""
    if as_json:
        import json

        print(json.dumps({"error": {"code": number, "name": name, "message": message, "hint": hint}}))
    else:
        text = " ".join(f"{message}; {hint}".split() if hint else message.split())
        print(text if name == "Interrupted" else f"error: {text}", file=sys.stderr)
    return code
