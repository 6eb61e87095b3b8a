"""Commands that carry knowledge out, in, and from one agent to another, and that keep watch over it.

It must not know what knowledge looks like in a file, beyond its being JSON.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from engram_agent.cli_call import Call, Command, Group, pass_call
from engram_agent.cli_records import read_input
from engram_agent.errors import AgentError
from engram_agent.plain import counted

STDIN = "-"


@click.command(
    "export",
    cls=Command,
    examples=["engram knowledge export --agent alice --domain auth", "engram export --file everything.json"],
)
@click.option("--domain", metavar="NAME", help="Only records of this domain.")
@click.option("--file", "file", metavar="FILE", help='Where to; "-" prints it. By default DOMAIN-knowledge.json here.')
@click.option("--force", is_flag=True, help="Write over a file that is no export of the same.")
@pass_call
def export(call: Call, domain: str | None, file: str | None, force: bool) -> None:
    """Write what an agent knows into a file, whole or not at all."""
    from engram_agent.files import replace_own
    from engram_agent.privacy import redact

    domain = None if domain is None else redact(domain)  # as it is stored; it stands in the file and in its name
    data = call.memory.export(agent_id=call.agent, domain=domain)
    text = json.dumps(data, ensure_ascii=False, indent=2) + "\n"
    if file == STDIN:
        sys.stdout.write(text)
        return
    path = Path(file or f"{_file_name(domain or redact(call.agent))}-knowledge.json")
    replace_own(path, text, "export of the same", lambda earlier: _is_export(earlier, data), force)
    count = len(data["records"])
    lines = [
        f"{counted(count, 'record')} in {path}" if count else f"nothing is known of it yet; {path} is an empty export"
    ]
    call.show({"file": str(path), "records": count}, lambda _: lines)


@click.command("import", cls=Command, examples=["engram knowledge import --file auth-knowledge.json"])
@click.option("--file", "file", required=True, metavar="FILE", help='An export; "-" reads standard input.')
@pass_call
def import_(call: Call, file: str) -> None:
    """Take in an export: origins are kept, and nothing that is here is overwritten."""
    from engram_agent import cli_views

    call.show(call.memory.import_(read_json(file), agent_id=call.agent), cli_views.imported)


@click.command("merge", cls=Command, examples=["engram knowledge merge --from-agent bob --domain db"])
@click.option("--from-agent", required=True, metavar="NAME", help="Who has shared it.")
@click.option("--domain", metavar="NAME", help="Only records of this domain.")
@pass_call
def merge(call: Call, from_agent: str, domain: str | None) -> None:
    """Make one's own what another agent has shared; its origin is kept."""
    from engram_agent import cli_views

    done = call.memory.merge(from_agent, agent_id=call.agent, domain=domain)
    what = f"--domain {domain}" if domain else "--all"
    grant = (
        f"nothing to merge; {from_agent} shares with: engram memory share --from {from_agent} --to {call.agent} {what}"
    )
    call.show(done, cli_views.imported if done.added + done.known else lambda _: [grant])


@click.group("knowledge", cls=Group)
def knowledge() -> None:
    """Knowledge in files and from other agents: export, import, merge."""


for each in (export, import_, merge):
    knowledge.add_command(each)


@click.command("grants", cls=Command, examples=["engram grants --agent alice"])
@pass_call
def grants(call: Call) -> None:
    """List who may read what of yours, and what you may read of theirs."""
    from engram_agent import cli_views

    call.show(call.memory.grants(agent_id=call.agent), cli_views.grants)


@click.command("revoke", cls=Command, examples=["engram revoke g0123456789abcdef --agent alice"])
@click.argument("grant_id", metavar="ID")
@pass_call
def revoke(call: Call, grant_id: str) -> None:
    """Take a grant back, at once."""
    from engram_agent import cli_views

    call.show(call.memory.revoke(grant_id, agent_id=call.agent), lambda grant: cli_views.grants([grant]))


@click.group("audit", cls=Group)
def audit() -> None:
    """The log of what was written and shared."""


@audit.command("verify", cls=Command, examples=["engram audit verify"])
@pass_call
def verify(call: Call) -> None:
    """Check that no entry of the log was changed; exit 1 if one was."""
    from engram_agent import cli_views

    found = call.memory.audit_verify()
    call.show(found, cli_views.verified)
    if not found.sound:
        click.get_current_context().exit(1)


def read_json(file: str) -> Any:
    """What a JSON file says.

    Raises:
        AgentError: ImportFailed if it cannot be read; InvalidJson if it is not JSON.
    """
    try:
        text = read_input() if file == STDIN else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError("ImportFailed", f"{file} cannot be read ({error})", "engram export makes one") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AgentError("InvalidJson", f"{file} is not JSON ({error})", "engram export makes one") from error


def _file_name(name: str) -> str:
    """A name as part of a file's."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "all"


def _is_export(text: str, data: dict[str, Any]) -> bool:
    found = json.loads(text)
    return isinstance(found, dict) and all(found.get(key) == data[key] for key in ("kind", "agent_id", "domain"))


knowledge_commands = (export, import_, knowledge, grants, revoke, audit)
