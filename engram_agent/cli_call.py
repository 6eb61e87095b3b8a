"""What every command shares: the global options before and after it, the memory it opens, questions, examples in help.

It must not know any command.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from engram_agent.errors import AgentError

if TYPE_CHECKING:
    from engram_agent.memory import Memory
    from engram_agent.settings import Settings

ANYONE = "default"


@dataclass
class Call:
    """One call of the program: what its global options say, and the memory once a command asks for it."""

    as_json: bool = False
    db: str | None = None
    named: str | None = None
    _memory: Memory | None = None

    @property
    def only(self) -> str | None:
        """The agent that is named, by --agent or by ENGRAM_AGENT."""
        return self.named or os.environ.get("ENGRAM_AGENT") or None

    @property
    def agent(self) -> str:
        """The agent that is named, or the one of everybody who names none."""
        return self.only or ANYONE

    @property
    def settings(self) -> Settings:
        """What holds here and now."""
        from engram_agent.settings import load

        return load(self.db)

    @property
    def memory(self) -> Memory:
        """The memory, opened at first use."""
        if self._memory is None:
            from engram_agent.settings import open_memory

            self._memory = open_memory(self.settings)
        return self._memory

    def close(self) -> None:
        """Let go of the memory."""
        if self._memory is not None:
            self._memory.close()

    def show(self, value: Any, view: Callable[[Any], Sequence[Any]] | None = None) -> None:
        """Print a result: as JSON for machines, as a view shows it for people."""
        from engram_agent.cli_output import show

        show(value, view, self.as_json)

    def confirm(self, question: str, yes: bool) -> None:
        """Ask before something is lost; where nobody can answer, `--yes` must have been given.

        Raises:
            AgentError: InvalidValue if it was not confirmed.
        """
        if yes:
            return
        if self.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise AgentError("InvalidValue", f"{question} was not confirmed", "add --yes")
        if not click.confirm(f"{question}?", err=True):
            raise AgentError("InvalidValue", "nothing was changed")


def shared_options() -> list[click.Option]:
    """The options that stand before or after any command."""

    def keep(context: click.Context, option: click.Parameter, value: Any) -> None:
        if isinstance(value, str) and not value.strip():
            raise click.BadParameter("expected a name, got nothing")
        if value is not None and not context.resilient_parsing:
            setattr(context.ensure_object(Call), str(option.name), value)

    shared: dict[str, Any] = {"expose_value": False, "callback": keep, "is_eager": True}
    return [
        click.Option(["--json", "as_json"], is_flag=True, default=None, help="JSON on stdout, errors too.", **shared),
        click.Option(["--db"], metavar="FILE", help="The memory's file.", **shared),
        click.Option(
            ["--agent", "named"], metavar="NAME", help=f"Whose memory; {ANYONE!r} if nobody is named.", **shared
        ),
    ]


def short(text: str | None) -> str:
    """The first clause of a text."""
    return re.split(r"[.:;](?:\s|$)", " ".join((text or "").split()))[0]


class Command(click.Command):
    """A command that takes the global options behind it, too."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(shared_options())
        self.examples = tuple(examples)

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first clause of the help, whole."""
        return short(self.help)

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, as they are typed."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"  {example}\n")


class Group(click.Group):
    """A family of commands, each of which takes the global options."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(shared_options())

    def get_short_help_str(self, limit: int = 45) -> str:
        """The first clause of the help, whole."""
        return short(self.help)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of a name; for an unknown one, the nearest names."""
        if self.get_command(context, args[0]) is None and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(context), n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            context.fail(f"there is no command {args[0]!r}{hint}")
        return super().resolve_command(context, args)


pass_call = click.make_pass_decorator(Call, ensure=True)
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
