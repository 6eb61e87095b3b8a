"""Commands that look after the memory: its state and page, consolidation, retention, settings, completion, the server.

It must not know how any of it is done.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from engram_agent.cli_call import Call, Command, Group, pass_call, yes_option
from engram_agent.errors import AgentError
from engram_agent.plain import counted
from engram_agent.records import TYPES

STDOUT = "-"


@click.command(
    "status",
    cls=Command,
    examples=["engram status", "engram status --agent alice", "engram status --html memory.html"],
)
@click.option("--html", "file", metavar="FILE", help='Write it as a page for a browser; "-" prints the page.')
@click.option("--force", is_flag=True, help="Write over a file that is no page of a memory.")
@pass_call
def status(call: Call, file: str | None, force: bool) -> None:
    """Show what is remembered and learned: the owner's view of all agents of the file, or with --agent what that one sees."""
    from engram_agent import cli_views

    if file is None:
        call.show(call.memory.status(agent_id=call.only), cli_views.facts)
        return
    from engram_agent.files import replace_own
    from engram_agent.page import is_page, page

    if not file:
        raise AgentError("InvalidValue", "--html must name a file, got none", '"-" prints the page')
    text = page(call.memory, call.only)
    if file == STDOUT and call.as_json:
        call.show({"page": text})
        return
    if file == STDOUT:
        click.echo(text.encode(), nl=False)  # the page says that it is UTF-8, whatever the terminal's encoding
        return
    replace_own(Path(file), text, "page of a memory", is_page, force)
    call.show({"file": file}, lambda _: [f"open {file} in a browser"])


@click.group("consolidate", cls=Group)
def consolidate() -> None:
    """Put nearly identical records together: preview, apply, undo, log. Nothing is lost."""


@consolidate.command("preview", cls=Command, examples=["engram consolidate preview"])
@pass_call
def preview(call: Call) -> None:
    """Show what would be put together; the plan's id is for apply."""
    from engram_agent import cli_views

    limits = {name: call.settings[f"consolidation.{name}"] for name in ("stale_days", "min_score")}
    plan = call.memory.consolidate_preview(agent_id=call.agent, **limits)
    hint = [f"engram consolidate apply {plan.id} does it"] if plan.count else []
    call.show(plan, lambda one: [*cli_views.plan(one), *hint])


@consolidate.command("apply", cls=Command, examples=["engram consolidate apply c0123456789abcdef --yes"])
@click.argument("plan_id", metavar="PLAN")
@yes_option
@pass_call
def apply(call: Call, plan_id: str, yes: bool) -> None:
    """Do what a preview has shown."""
    from engram_agent import cli_views

    call.confirm(f"put together what {plan_id} shows", yes)
    done = call.memory.consolidate_apply(plan_id, agent_id=call.agent)
    call.show(done, lambda one: [*cli_views.plan(one), f"engram consolidate undo {one.id} takes it back"])


@consolidate.command("undo", cls=Command, examples=["engram consolidate undo c0123456789abcdef --yes"])
@click.argument("plan_id", metavar="PLAN")
@yes_option
@pass_call
def undo(call: Call, plan_id: str, yes: bool) -> None:
    """Take back what was put together."""
    from engram_agent import cli_views

    call.confirm(f"take back {plan_id}", yes)
    call.show(call.memory.consolidate_undo(plan_id, agent_id=call.agent), cli_views.plan)


@consolidate.command("log", cls=Command, examples=["engram consolidate log"])
@pass_call
def log(call: Call) -> None:
    """List what was put together, and when."""
    from engram_agent import cli_views

    call.show(call.memory.consolidate_log(agent_id=call.agent), cli_views.plans)


def _days(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, float]:
    found = {}
    for text in texts:
        name, _sign, count = text.partition("=")
        try:
            found[name] = float(count)
        except ValueError:
            raise click.BadParameter(f"expected TYPE=DAYS such as context=90, got {text!r}") from None
        if name not in TYPES:
            raise click.BadParameter(f"the type must be one of {', '.join(TYPES)}, got {name!r}")
    return found


@click.command(
    "retention", cls=Command, examples=["engram retention --keep context=90", "engram retention --apply --yes"]
)
@click.option(
    "--keep", multiple=True, callback=_days, metavar="TYPE=DAYS", help="Instead of [retention] in engram.toml."
)
@click.option("--apply", "really", is_flag=True, help="Delete them; without it they are only shown.")
@yes_option
@pass_call
def retention(call: Call, keep: dict[str, float], really: bool, yes: bool) -> None:
    """Show records older than their type is kept, or delete them."""
    from engram_agent import cli_views

    days = keep or {name: call.settings[f"retention.{name}"] for name in TYPES if call.settings[f"retention.{name}"]}
    found = call.memory.retention(days, agent_id=call.agent) if days else []
    if not found:
        ever = "everything is kept for ever; engram config retention.context 90 sets a limit"
        call.show(found, lambda _: ["nothing is older than its type is kept" if days else ever])
        return
    if not really:
        call.show(
            found, lambda old: [*cli_views.records(old, call.agent), "engram retention --apply deletes them for good"]
        )
        return
    call.confirm(f"delete {counted(len(found), 'record')} for good", yes)
    gone = call.memory.retention(days, agent_id=call.agent, apply=True)
    call.show(gone, lambda old: [*cli_views.records(old, call.agent), f"deleted {counted(len(old), 'record')}"])


@click.command("config", cls=Command, examples=["engram config", "engram config search.vector_weight 0.5"])
@click.argument("key", required=False)
@click.argument("value", required=False)
@click.option("--global", "everywhere", is_flag=True, help="Set it for all projects.")
@pass_call
def config(call: Call, key: str | None, value: str | None, everywhere: bool) -> None:
    """List what is set and where it comes from; show one setting; set it."""
    from engram_agent.settings import config_file, set_value
    from engram_agent.settings_table import SETTINGS, known

    if key is not None:
        known(key)
    if key is not None and value is not None:
        path = config_file(call.settings, everywhere)
        set_value(key, value, path)
        call.show({"file": str(path), key: call.settings[key]}, lambda _: [f"{key} is set in {path}"])
        return
    settings = call.settings
    found = [
        {
            "key": each,
            "value": settings.shown(each),
            "source": settings.sources[each],
            "meaning": SETTINGS[each].meaning,
        }
        for each in ([key] if key else SETTINGS)
    ]
    call.show(found, lambda rows: _config_rows(rows, settings.database))


def _config_rows(rows: list[dict[str, Any]], database: Path) -> list[Any]:
    from engram_agent.cli_output import Rows

    return [
        Rows(("setting", "value", "from", "meaning"), [tuple(row.values()) for row in rows]),
        f"the memory is {database}",
    ]


@click.command("completion", cls=Command, examples=["engram completion bash"])
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print what a shell needs to complete commands: `eval "$(engram completion bash)"`."""
    from click.shell_completion import get_completion_class

    root = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(root, {}, "engram", "_ENGRAM_COMPLETE").source())


@click.command("mcp", cls=Command, examples=["engram mcp --agent alice"])
@pass_call
def mcp(call: Call) -> None:
    """Serve the memory to an MCP client over standard input and output."""
    try:
        from engram_agent.server import serve
    except ImportError as error:
        raise AgentError(
            "DispatchError", f"the MCP server needs {error.name}", "pip install 'engram[agent]'"
        ) from error
    if sys.stdin.isatty():
        click.echo(f"serving {call.agent}'s memory to an MCP client on standard input; Ctrl-C ends", err=True)
    serve(call.settings, call.agent)


care_commands = (status, consolidate, retention, config, completion, mcp)
