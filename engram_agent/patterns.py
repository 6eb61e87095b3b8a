"""Patterns that were learned: listed, found by name, applied to a task.

It must not know how patterns are mined; they are records with a kind and a name among their fields.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import ge, gt, le, lt
from typing import Any

from engram_agent.errors import AgentError, must_be_words
from engram_agent.intervals import interval
from engram_agent.phrases import shared, steps
from engram_agent.privacy import redact
from engram_agent.records import Record
from engram_agent.store import Store

KINDS = ("decision", "failure", "success")
TYPES = {"antipattern": "failure", "bugfix": "failure", "pattern": "success"}
"""Kinds by the types of records that people may also name them by."""
RECURRING = 2
"""Trials from which a pattern is said to recur."""
MOST = 0.5
"""A name stands for a pattern that has more than this share of its words."""
IS_PATTERN = "json_extract(records.fields, '$.kind') IN ('decision', 'failure', 'success')"
_RATE = re.compile(r"\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)?)\s*(%?)\s*")
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*")
_COMPARED: dict[str, Callable[[float, float], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """What was learned from several trials.

    Attributes:
        name: Its name, of the words that tell something.
        kind: "decision" (an action in a situation), "failure" (an error that comes back) or "success" (what works).
        context: The situation.
        action: The action; of a failure the solution, "" while none is known.
        successes: Sum of the outcomes; of a failure how often it was recovered from.
        failures: The trials without them; of a failure how often it was not recovered from.
        estimate: Rate of success; of a failure that of recovery.
        low: Lower bound of the 95 % interval of the rate.
        high: Upper bound of the 95 % interval of the rate.
        first_seen: Seconds since 1970.
        last_seen: Seconds since 1970.
        record_id: The record that keeps it.
        signature: The error of a failure, `<*>` where it varies.
        members: Signatures that are the same failure.
        prevention: How a failure can be kept from happening.
        steps: What to do, in order.
    """

    name: str
    kind: str
    context: str
    action: str
    successes: float
    failures: float
    estimate: float
    low: float
    high: float
    first_seen: float
    last_seen: float
    record_id: str
    signature: str = ""
    members: tuple[str, ...] = ()
    prevention: str = ""
    steps: tuple[str, ...] = ()

    @property
    def trials(self) -> float:
        """How often it was tried; of a failure how often it happened."""
        return self.successes + self.failures


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A pattern taken up for a task.

    Attributes:
        name: The pattern's.
        task: What it is applied to; an outcome recorded for it is credited to the pattern.
        steps: What to do, in order.
        record_id: The record that keeps the pattern.
    """

    name: str
    task: str
    steps: tuple[str, ...]
    record_id: str


def from_record(record: Record) -> Pattern:
    """The pattern that a record keeps."""
    fields = record.fields
    trials = _number(fields, "trials", record.successes + record.failures)
    successes = min(trials, _number(fields, "successes", record.successes))
    estimate, low, high = interval(successes, trials)
    prevention = str(fields.get("prevention_strategy", ""))
    told = _texts(fields, "replication_steps") or prevention.split("; ") * bool(prevention) or steps(record.action)
    return Pattern(
        name=str(fields["name"]),
        kind=str(fields["kind"]),
        context=record.context,
        action=record.action,
        successes=successes,
        failures=trials - successes,
        estimate=estimate,
        low=low,
        high=high,
        first_seen=_number(fields, "first_seen", record.created_at),
        last_seen=_number(fields, "last_seen", record.updated_at),
        record_id=record.id,
        signature=str(fields.get("error_signature", "")),
        members=_texts(fields, "signatures"),
        prevention=prevention,
        steps=tuple(told),
    )


def _number(fields: Mapping[str, Any], name: str, otherwise: float) -> float:
    """A count or a time; what anybody may have written there instead is none."""
    value = fields.get(name)
    return float(value) if isinstance(value, int | float) and 0 <= value < 2**53 else float(otherwise)


def _texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = fields.get(name)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list | tuple) else ()


def listed(
    store: Store,
    *,
    agent_id: str,
    kind: str | None = None,
    recurring: bool = False,
    success_rate: str | None = None,
    since: str | None = None,
    limit: int = 50,
    now: float | None = None,
) -> list[Pattern]:
    """Patterns that an agent may see, the last seen first.

    Args:
        store: The records.
        agent_id: Who asks.
        kind: One of `KINDS`.
        recurring: Only those of at least `RECURRING` trials.
        success_rate: Only those whose observed rate meets this, such as ">80%" or ">=0.5".
        since: Only those seen in this span before now, such as "7d" or "12h".
        limit: How many at most.
        now: Seconds since 1970.

    Raises:
        AgentError: InvalidValue if an argument cannot be read.
    """
    meets = _rate(success_rate) if success_rate else None
    earliest = None if since is None else (time.time() if now is None else now) - seconds(since)
    found = [
        pattern
        for pattern in all_of(store, agent_id, kind)
        if (not recurring or pattern.trials >= RECURRING)
        and (meets is None or (pattern.trials > 0 and meets(pattern.successes / pattern.trials)))
        and (earliest is None or pattern.last_seen >= earliest)
    ]
    return sorted(found, key=lambda pattern: (-pattern.last_seen, -pattern.trials, pattern.name))[:limit]


def all_of(
    store: Store, agent_id: str, kind: str | None = None, where: str = "1", values: Sequence[str] = ()
) -> list[Pattern]:
    """All patterns that an agent may see, of one kind or any, that meet a condition on `records`."""
    wanted = TYPES.get(kind or "", kind)
    if wanted is not None and wanted not in KINDS:
        raise AgentError("InvalidValue", f"a pattern is one of {', '.join(KINDS)}, got {kind!r}")
    sort = IS_PATTERN if wanted is None else "json_extract(records.fields, '$.kind') = ?"
    given = [] if wanted is None else [wanted]
    found = store.select(agent_id, f"{sort} AND ({where})", [*given, *values])
    return [from_record(record) for record in found if "name" in record.fields]


def find(store: Store, name: str, *, agent_id: str, kind: str | None = None) -> Pattern:
    """The pattern of a name or, if none has it, the one that has most of its words.

    Raises:
        AgentError: NotFound if there is none.
    """
    must_be_words("pattern", name)
    known = all_of(store, agent_id, kind)
    exact = [pattern for pattern in known if name in (pattern.name, pattern.record_id)]
    near = {pattern.record_id: shared(name, pattern.name) for pattern in known}
    close = [pattern for pattern in exact or known if exact or near[pattern.record_id] > MOST]
    if not close:
        sort = f"{kind} pattern" if kind else "pattern"
        raise AgentError(
            "NotFound", f"there is no {sort} {name!r} of {agent_id!r}", "`engram memory patterns` lists them"
        )
    return max(close, key=lambda pattern: (near[pattern.record_id], pattern.trials, pattern.last_seen))


def apply(store: Store, name: str, task: str, *, agent_id: str, now: float | None = None) -> Applied:
    """The steps of a pattern for a task; the outcome that is recorded for the task next is credited to the pattern.

    Raises:
        AgentError: NotFound if there is no such pattern; InvalidValue if the task has no name.
    """
    must_be_words("task", task)
    if not task.strip():
        raise AgentError("InvalidValue", "a pattern is applied to a task, got none", "name the task")
    task = redact(task)
    with store.database.transaction():
        pattern = find(store, name, agent_id=agent_id)
        remember(store, [pattern.record_id], task, agent_id, now)
    return Applied(name=pattern.name, task=task, steps=pattern.steps, record_id=pattern.record_id)


def remember(store: Store, record_ids: Sequence[str], task: str, agent_id: str, now: float | None = None) -> None:
    """Note that these patterns are applied to a task, each once until its outcome is known."""
    for record_id in record_ids:
        store.database.execute(
            "INSERT INTO applied (record_id, agent_id, task, applied_at) SELECT ?, ?, ?, ? WHERE NOT EXISTS (SELECT 1 "
            "FROM applied WHERE record_id = ? AND agent_id = ? AND task = ? AND credited_at IS NULL)",
            [record_id, agent_id, task, time.time() if now is None else now, record_id, agent_id, task],
        )


def credited(store: Store, task: str, *, agent_id: str, now: float) -> list[str]:
    """The records of patterns that were applied to a task and not credited yet; they are, from now on."""
    rows = store.database.rows(
        "SELECT DISTINCT record_id FROM applied WHERE agent_id = ? AND task = ? AND credited_at IS NULL",
        [agent_id, task],
    )
    store.database.execute(
        "UPDATE applied SET credited_at = ? WHERE agent_id = ? AND task = ? AND credited_at IS NULL",
        [now, agent_id, task],
    )
    return [row["record_id"] for row in rows]


def seconds(span: str) -> float:
    """Seconds of a span such as "7d", "12h" or "30m"; InvalidValue if it is none."""
    must_be_words("a span", span)
    found = _SPAN.fullmatch(span)
    if found is None:
        raise AgentError("InvalidValue", f"a span is a number with s, m, h, d or w, got {span!r}", "such as 7d")
    return float(found[1]) * _SECONDS[found[2]]


def _rate(text: str) -> Callable[[float], bool]:
    found = _RATE.fullmatch(text)
    bound = float(found[2]) / (100.0 if found[3] else 1.0) if found else 2.0
    if found is None or bound > 1.0:
        raise AgentError("InvalidValue", f"a success rate is a comparison from 0 to 1, got {text!r}", "such as >80%")
    compare = _COMPARED[found[1]]
    return lambda rate: compare(rate, bound)
