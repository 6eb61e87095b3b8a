"""Commands that keep, find and forget records.

It must not know how results are printed, nor what a record is made of.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from engram_agent.cli_call import Call, Command, Group, pass_call, yes_option
from engram_agent.errors import AgentError
from engram_agent.records import TYPES

MOST = 10_000
DAYS = 36_500
type_option = click.option("--type", "memory_type", type=click.Choice(TYPES), help="Only of this type.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, MOST), default=10, show_default=True, help="How many at most."
)
tag_option = click.option("--tag", "tags", multiple=True, metavar="WORD", help="A tag; as often as you like.")
project_option = click.option("--project", metavar="NAME", help="The project's name.")


@click.command("init", cls=Command, examples=["engram init", "engram init --global"])
@click.option("--global", "everywhere", is_flag=True, help="In your home, for all projects.")
@pass_call
def init(call: Call, everywhere: bool) -> None:
    """Make a memory for this project, in .engram/ of the current folder, or the one in your home."""
    from engram_agent.settings import DATABASE, FOLDER

    folder = (Path.home() if everywhere else Path.cwd()) / FOLDER
    if call.db is None:
        call.db = str(folder / DATABASE)
        folder.mkdir(parents=True, exist_ok=True)
        ignored = folder / ".gitignore"
        if not everywhere and not ignored.exists():
            ignored.write_text("*\n")
    found = call.memory.status()
    path = str(found["path"])
    call.show(
        {"path": path, "records": found["records"]},
        lambda _: [
            f"the memory is {path}",
            'next: engram store "..." remembers something, engram mcp serves it to agents',
        ],
    )


@click.command(
    "store", cls=Command, examples=['engram store "the login times out" --action "retry" --result "it worked"']
)
@click.argument("context")
@click.option("--action", default="", help="What was done.")
@click.option("--result", default="", help="What came of it.")
@click.option("--type", "memory_type", type=click.Choice(TYPES), default="context", show_default=True)
@click.option("--conversation", metavar="NAME", help="The conversation whose turn it is.")
@click.option("--position", type=click.IntRange(0), help="Number of the turn in it; the next one by default.")
@project_option
@tag_option
@pass_call
def store(
    call: Call, context: str, action: str, result: str, memory_type: str, tags: tuple[str, ...], **more: Any
) -> None:
    """Remember something; its id is printed. CONTEXT "-" reads it from standard input."""
    text = read_input() if context == "-" else context
    given = {name: value for name, value in more.items() if value is not None}
    known = call.memory.store(text, action, result, agent_id=call.agent, memory_type=memory_type, tags=tags, **given)
    call.show({"id": known}, lambda _: [known])


def read_input() -> str:
    """Standard input as text.

    Raises:
        AgentError: InvalidValue if it cannot be read or is no UTF-8.
    """
    try:
        return sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError("InvalidValue", f"standard input must be a text in UTF-8 ({error})") from error


def search_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of everything that searches."""
    options = (
        limit_option,
        type_option,
        tag_option,
        project_option,
        click.option(
            "--budget", type=click.IntRange(1, 10_000_000), metavar="TOKENS", help="Tokens that the texts may fill."
        ),
        click.option(
            "--strategy", type=click.Choice(("lexical", "vector", "hybrid")), help="By default what has paid."
        ),
        click.option("--strict", is_flag=True, help="Only what answers much of the query."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "search", cls=Command, examples=['engram search "login times out" --limit 3', "engram search backoff --strict"]
)
@click.argument("query")
@search_options
@pass_call
def search(call: Call, query: str, **options: Any) -> None:
    """Find what belongs to a query, best first; nothing if nothing does."""
    _search(call, query, **options)


@click.command("retrieve", cls=Command, examples=['engram memory retrieve --agent alice --context "auth-failure"'])
@click.option("--context", required=True, help="The situation.")
@search_options
@pass_call
def retrieve(call: Call, context: str, **options: Any) -> None:
    """Find what is remembered of a situation, best first."""
    _search(call, context, **options)


def _search(call: Call, query: str, limit: int, strict: bool, **filters: Any) -> None:
    from engram_agent import cli_views

    call.show(
        call.memory.search(query, limit, agent_id=call.agent, floor="strict" if strict else None, **filters),
        partial(cli_views.hits, agent=call.agent),
    )


@click.command("list", cls=Command, examples=["engram memory list --agent alice --type decision"])
@type_option
@limit_option
@pass_call
def list_records(call: Call, memory_type: str | None, limit: int) -> None:
    """List the latest records, the newest first."""
    from engram_agent import cli_views

    call.show(
        call.memory.latest(agent_id=call.agent, memory_type=memory_type, limit=limit),
        partial(cli_views.records, agent=call.agent),
    )


@click.command("get", cls=Command, examples=["engram get m0123456789abcdef"])
@click.argument("record_id", metavar="ID")
@pass_call
def get(call: Call, record_id: str) -> None:
    """Show one record whole."""
    from engram_agent import cli_views

    call.show(call.memory.get(record_id, agent_id=call.agent), cli_views.record)


@click.command("judge", cls=Command, examples=["engram judge m0123456789abcdef --score 1"])
@click.argument("record_id", metavar="ID")
@click.option("--score", type=click.FloatRange(0.0, 1.0), help="0 misled to 1 helped; without it, it is estimated.")
@click.option("--query", "query_id", metavar="ID", help="The search that found it, so that searching learns from it.")
@pass_call
def judge(call: Call, record_id: str, score: float | None, query_id: str | None) -> None:
    """Say how much a record helped; later searches follow it."""
    from engram_agent import cli_views

    call.show(call.memory.judge(record_id, score, agent_id=call.agent, query_id=query_id), cli_views.judgement)


@click.command("delete", cls=Command, examples=["engram delete m0123456789abcdef --yes"])
@click.argument("record_id", metavar="ID")
@yes_option
@pass_call
def delete(call: Call, record_id: str, yes: bool) -> None:
    """Forget a record for good."""
    call.memory.get(record_id, agent_id=call.agent)
    call.confirm(f"delete {record_id} for good", yes)
    call.memory.delete(record_id, agent_id=call.agent)
    call.show({"deleted": record_id}, lambda _: [f"deleted {record_id}"])


@click.command(
    "record",
    cls=Command,
    examples=[
        'engram memory record --agent alice --type decision --context "auth-failure" --action "retry-with-backoff"'
        " --outcome success"
    ],
)
@click.option("--context", required=True, help="The situation.")
@click.option("--action", required=True, help="What was done.")
@click.option("--outcome", required=True, help="success, failure, partial, or a number from 0 to 1.")
@click.option("--type", "memory_type", type=click.Choice(TYPES), default="decision", show_default=True)
@click.option("--result", default="", help="What came of it, in words.")
@click.option("--error", default="", help="The error message, if it failed.")
@click.option("--task", metavar="NAME", help="The task it belongs to.")
@click.option("--used", multiple=True, metavar="ID", help="A record that was used: the outcome judges it.")
@project_option
@tag_option
@pass_call
def record(call: Call, context: str, action: str, outcome: str, **more: Any) -> None:
    """Record what was done in a situation and what came of it; its id is printed."""
    known = call.memory.record(context, action, _outcome(outcome), agent_id=call.agent, **more)
    call.show({"id": known}, lambda _: [known])


def _outcome(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


@click.command(
    "share", cls=Command, examples=["engram memory share --from alice --to bob --pattern auth-pattern --days 30"]
)
@click.option("--from", "from_agent", required=True, metavar="NAME", help="Whose records they are.")
@click.option("--to", "to_agent", required=True, metavar="NAME", help="Who may read them.")
@click.option("--pattern", metavar="NAME", help="The pattern of this name.")
@click.option("--type", metavar="TYPE", help="All records of a type.")
@click.option("--tag", metavar="WORD", help="All records with a tag.")
@click.option("--domain", metavar="NAME", help="All records of a domain.")
@click.option("--record", metavar="ID", help="One record.")
@click.option("--all", "everything", is_flag=True, help="All records.")
@click.option("--purpose", default="", help="What for.")
@click.option(
    "--days", type=click.FloatRange(0.0, DAYS, min_open=True), help="How long; without it, until it is revoked."
)
@pass_call
def share(
    call: Call, from_agent: str, to_agent: str, everything: bool, purpose: str, days: float | None, **scopes: str | None
) -> None:
    """Let another agent read some records, until you revoke it; the grant's id is printed."""
    given = {scope: value for scope, value in scopes.items() if value is not None}
    if everything:
        given["all"] = ""
    if len(given) != 1:
        raise click.UsageError("say what is shared: one of --pattern, --type, --tag, --domain, --record or --all")
    scope, value = next(iter(given.items()))
    terms = {"scope": scope, "value": value or "", "purpose": purpose, "days": days, "agent_id": call.only}
    grant = call.memory.share(from_agent, to_agent, **terms)
    yet = f"nothing matches yet: {to_agent} will read it as soon as {from_agent} has a {scope} {value!r}"
    call.show(grant, lambda _: [grant.id, *([] if grant.matches else [yet])])


@click.command("patterns", cls=Command, examples=["engram memory patterns --type failure"])
@click.option("--type", "kind", type=click.Choice(("decision", "failure", "success")), help="Only of this kind.")
@click.option("--success-rate", metavar="TEXT", help='Such as ">80%" or "<=0.5".')
@click.option("--recurring", is_flag=True, help="Only those that came back.")
@click.option("--since", metavar="TIME", help="Such as 7d or 12h.")
@limit_option
@pass_call
def patterns(call: Call, **options: Any) -> None:
    """List patterns: what works, what fails, how often, and how sure that is."""
    from engram_agent import cli_views

    call.show(call.memory.patterns(agent_id=call.agent, **options), partial(cli_views.patterns, agent=call.agent))


@click.group("memory", cls=Group)
def memory() -> None:
    """What agents remember: record, retrieve, list, search, patterns, share."""


for each in (record, retrieve, list_records, search, patterns, share):
    memory.add_command(each)

record_commands = (init, store, search, get, judge, delete, memory)
