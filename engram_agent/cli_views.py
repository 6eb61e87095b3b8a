"""What people see of each result, and what is said when there is nothing yet.

It must not know how blocks are printed, nor where results come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engram_agent.cli_output import Block, Card, Rows
from engram_agent.plain import counted, date

ENOUGH = 3
RECORD = 'engram memory record --context "..." --action "..." --outcome success'


def hits(found: Any, agent: str) -> Sequence[Block]:
    """What a search found: id, score, why and text of each; that it found nothing, where it did not."""
    if not found:
        return [f'nothing in memory answers this for {agent}; engram store "..." remembers something']
    cards = [
        Card(
            f"{hit.id}  {hit.score:.3f}  {_sort(hit.record)}",
            [("why", hit.why), *([("text", hit.summary)] if hit.summary else _texts(hit.record)), *_origin(hit.record)],
        )
        for hit in found
    ]
    query = getattr(found, "query_id", "")
    said = f"did one help? engram judge {found[0].id} --score 1" + (f" --query {query}" if query else "")
    worked = [f"worked before: {suggestion_line(each)}" for each in found.suggestions]
    return [*cards, *worked, said]


def _sort(record: Any) -> str:
    """What sort of record this is, and how often it worked where that was counted."""
    trials = record.successes + record.failures
    kind = record.fields.get("kind")
    how = "recovered from" if kind == "failure" else "worked"
    worked = f", {record.successes} of {trials} {how}" if trials else ""
    return (f"{kind} pattern" if kind else record.memory_type) + worked


def records(found: Sequence[Any], agent: str) -> Sequence[Block]:
    """Records as a table, the newest first."""
    if not found:
        return [f'{agent} remembers nothing of this yet; engram store "..." remembers something']
    columns = ("id", "type", "when", "context", "action", "result")
    return [Rows(columns, [(r.id, r.memory_type, date(r.created_at), r.context, r.action, r.result) for r in found])]


def record(one: Any) -> Sequence[Block]:
    """One record with all that people ask about it."""
    counts = f"stored {one.stored_count}, found {one.access_count}, used {one.used_count} times"
    lines = [
        ("type", one.memory_type),
        ("agent", one.agent_id),
        *_texts(one),
        *([("tags", ", ".join(one.tags))] if one.tags else []),
        *([("project", one.project)] if one.project else []),
        *[(name, value) for name, value in one.fields.items()],
        *_origin(one),
        ("created", date(one.created_at)),
        ("counts", counts),
        ("outcomes", f"{counted(one.successes, 'success', 'successes')}, {counted(one.failures, 'failure')}"),
    ]
    return [Card(one.id, lines)]


def suggestions(found: Sequence[Any], agent: str) -> Sequence[Block]:
    """`action (s/n successes, estimate, 95 % interval)`, ordered by the lower bound."""
    if not found:
        return [f"not enough evidence: {agent} has recorded nothing like it yet; {RECORD} does"]
    return [suggestion_line(each) for each in found]


def suggestion_line(each: Any) -> str:
    """One suggestion; below three trials it says that this is not enough."""
    share = rate(each.successes, each.trials, each.estimate, each.low, each.high)
    return f"{each.action} ({share})" + ("" if each.enough else " - not enough evidence")


def rate(successes: float, trials: float, estimate: float, low: float, high: float) -> str:
    """A success rate with its uncertainty."""
    return f"{successes:g}/{trials:g} successes, {estimate:.0%}, 95 % interval {low:.0%} to {high:.0%}"


def patterns(found: Sequence[Any], agent: str) -> Sequence[Block]:
    """Patterns as a table: how often they held, and how sure that is."""
    if not found:
        return [f"{agent} has no such pattern yet; patterns come from outcomes: {RECORD}"]
    return [Rows(("name", "kind", "rate", "last seen", "what"), [_pattern(each) for each in found])]


def applied(done: Any) -> Sequence[Block]:
    """A pattern applied to a task: its steps, and how to say what came of it."""
    steps = [f"{number}. {step}" for number, step in enumerate(done.steps, 1)]
    return [f"{done.name} for {done.task}:", *steps, f"noted as {done.record_id}"]


def check(one: Any) -> Sequence[Block]:
    """A prevention check: what to look at before the action, and how often that held."""
    trials = one.held + one.failed
    lines = [("pattern", one.pattern), ("state", one.state), *_items(one.spec)]
    lines.append(("held", rate(one.held, trials, one.estimate, one.low, one.high) if trials else "not tried yet"))
    return [Card(one.id, lines), f"after trying it: engram prevention result {one.id} --held, or --failed"]


def _pattern(each: Any) -> tuple[str, ...]:
    """A pattern's row: of a failure, how often it was recovered from and what prevents it."""
    is_failure = each.kind == "failure"
    trials = f"{each.successes:g}/{each.successes + each.failures:g}{' recovered' if is_failure else ''}"
    what = " → ".join(text for text in (each.context, each.prevention if is_failure else each.action) if text)
    return each.name, each.kind, f"{trials}, {each.low:.0%} to {each.high:.0%}", date(each.last_seen), what


def judgement(one: Any) -> Sequence[Block]:
    """What a judgement changed."""
    return [
        f"{one.record_id} judged {one.score:.2f}: utility {one.utility:.2f}, 95 % interval {one.low:.2f} to {one.high:.2f}"
    ]


def grants(found: Sequence[Any]) -> Sequence[Block]:
    """Who may read what."""
    if not found:
        return ["nothing is shared; engram memory share --from A --to B --pattern NAME shares one pattern"]
    columns = ("id", "from", "to", "what", "purpose", "state")
    rows = [(g.id, g.from_agent, g.to_agent, f"{g.scope} {g.value}".strip(), g.purpose, grant_state(g)) for g in found]
    return [Rows(columns, rows)]


def grant_state(grant: Any) -> str:
    """Whether a grant still holds, and for how many records."""
    if grant.revoked_at is not None:
        return f"revoked {date(grant.revoked_at)}"
    if not grant.active:
        return f"expired {date(grant.expires_at)}"
    until = f" until {date(grant.expires_at)}" if grant.expires_at is not None else ""
    return f"holds{until} for {counted(grant.matches, 'record')}"


def imported(done: Any) -> Sequence[Block]:
    """What came in."""
    return [f"{done.added} added, {done.known} known already, {done.kept_both} kept beside local ones"]


def plan(one: Any) -> Sequence[Block]:
    """A consolidation: what would be, or was, put together."""
    if not one.count:
        return ["nothing to put together: no two records are nearly the same, and none is stale"]
    rows = [(keep, ", ".join(merged)) for keep, merged in one.groups]
    stale = [f"archived: {', '.join(one.archived)}"] if one.archived else []
    return [
        *([Rows(("kept", "merged into it"), rows)] if rows else []),
        *stale,
        f"{one.state} {one.id}: {counted(one.count, 'record')}",
    ]


def plans(found: Sequence[Any]) -> Sequence[Block]:
    """All consolidations."""
    if not found:
        return ["nothing was consolidated yet; engram consolidate preview shows what could be"]
    return [Rows(("plan", "state", "when", "records"), [(p.id, p.state, date(p.created_at), p.count) for p in found])]


def verified(found: Any) -> Sequence[Block]:
    """Whether the audit log is whole."""
    if found.sound:
        return [f"sound: {counted(found.entries, 'entry', 'entries')}, each sealing all before it; head {found.last}"]
    if found.written is None:
        where = "broken: its head is missing"
    elif found.broken_at > found.entries:
        gone = counted(found.written - found.entries, "entry", "entries")
        where = f"broken at entry {found.broken_at}: {gone} of {found.written} cut off at the end"
    else:
        where = f"broken at entry {found.broken_at} of {found.entries}"
    return [f"{where}; somebody changed the log outside of engram"]


def facts(found: dict[str, Any]) -> Sequence[Block]:
    """A dict as lines, what is in it a level deeper in lines of its own; what is not known is left out."""
    rows = []
    for key, value in found.items():
        inner = value.items() if isinstance(value, dict) and value else [("", value)]
        rows += [(f"{key} {name}".replace("_", " ").strip(), fact(each)) for name, each in inner if each is not None]
    return [Rows(("what", "value"), rows)]


def fact(value: Any) -> str:
    """A value of a dict, in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {fact(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(fact(item) for item in value) or "none"
    if hasattr(value, "context"):
        return str(value.context)
    return f"{value:.3g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def _texts(one: Any) -> list[tuple[str, str]]:
    parts = (("context", one.context), ("action", one.action), ("result", one.result))
    return [(name, text) for name, text in parts if text]


def _origin(one: Any) -> list[tuple[str, str]]:
    return [("learned from", one.origin)] if one.origin else []


def _items(spec: Any) -> list[tuple[str, Any]]:
    return [(str(key), fact(value)) for key, value in dict(spec).items() if value and key != "pattern"]
