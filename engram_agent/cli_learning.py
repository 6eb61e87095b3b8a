"""Commands that ask what was learned: suggestions, patterns, failures, and how to prevent them.

It must not know how anything is learned.
"""

from __future__ import annotations

from functools import partial

import click

from engram_agent.cli_call import Call, Command, Group, pass_call
from engram_agent.cli_records import MOST, patterns
from engram_agent.nearest import named


@click.group("learning", cls=Group)
def learning() -> None:
    """What was learned: stats, patterns, failures, suggestions."""


@learning.command("stats", cls=Command, examples=["engram learning stats --agent alice"])
@pass_call
def stats(call: Call) -> None:
    """Count what was learned."""
    from engram_agent import cli_views

    call.show(call.memory.learning_stats(agent_id=call.agent), cli_views.facts)


@learning.command("failures", cls=Command, examples=["engram learning failures --recent 7d"])
@click.option("--recent", default="7d", show_default=True, metavar="TIME", help="How far back, such as 7d or 12h.")
@pass_call
def failures(call: Call, recent: str) -> None:
    """List what failed lately, and what prevents it."""
    from engram_agent import cli_views

    call.show(call.memory.failures(agent_id=call.agent, since=recent), partial(cli_views.patterns, agent=call.agent))


@learning.command(
    "suggest",
    cls=Command,
    examples=["engram learning suggest --task auth-123", 'engram learning suggest --context "api-auth-timeout"'],
)
@click.option("--context", help="The situation.")
@click.option("--task", metavar="NAME", help="The task at hand; its name is the situation where no other is given.")
@click.option("--limit", type=click.IntRange(1, MOST), default=5, show_default=True, help="How many at most.")
@pass_call
def suggest(call: Call, context: str | None, task: str | None, limit: int) -> None:
    """Suggest what to do: `action (s/n successes, estimate, 95 % interval)`, the surest first."""
    from engram_agent import cli_views

    situation = " ".join(text for text in (context, task) if text)
    if not situation:
        raise click.UsageError("say what it is about: --context or --task")
    call.show(
        call.memory.suggest(situation, agent_id=call.agent, limit=limit),
        partial(cli_views.suggestions, agent=call.agent),
    )


@learning.command(
    "apply-pattern",
    cls=Command,
    examples=["engram learning apply-pattern migration-rollback-strategy --task db-migration-456"],
)
@click.argument("name")
@click.option("--task", required=True, metavar="NAME", help="The task it is applied to.")
@pass_call
def apply_pattern(call: Call, name: str, task: str) -> None:
    """Show the steps of a pattern for a task, and note that it was applied."""
    from engram_agent import cli_views

    call.show(
        named(call.memory, call.agent, name, lambda: call.memory.apply_pattern(name, task, agent_id=call.agent)),
        cli_views.applied,
    )


learning.add_command(patterns)


@click.group("prevention", cls=Group)
def prevention() -> None:
    """Checks that keep a failure from coming back."""


@prevention.command("generate", cls=Command, examples=["engram prevention generate --pattern npm-install-timeout"])
@click.option("--pattern", required=True, metavar="NAME", help="A failure pattern; see engram learning failures.")
@pass_call
def generate(call: Call, pattern: str) -> None:
    """Say what to check so that a known failure does not come back; a description, never a command that is run."""
    from engram_agent import cli_views

    call.show(
        named(call.memory, call.agent, pattern, lambda: call.memory.prevent(pattern, agent_id=call.agent)),
        cli_views.check,
    )


@prevention.command("result", cls=Command, examples=["engram prevention result c0123456789abcdef --held"])
@click.argument("check_id", metavar="ID")
@click.option("--held/--failed", required=True, help="Whether the failure stayed away.")
@pass_call
def result(call: Call, check_id: str, held: bool) -> None:
    """Say whether a check kept the failure away; one that does not is no longer proposed."""
    from engram_agent import cli_views

    call.show(call.memory.check_result(check_id, held, agent_id=call.agent), cli_views.check)


learning_commands = (learning, prevention)
