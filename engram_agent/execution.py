"""Runs a task with what is remembered about it, and remembers what came of it.

It must not know what a task is, nor run anything but the function it is given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engram_agent.errors import UNFIT, must_be_words
from engram_agent.experience import value_of
from engram_agent.hits import Hit
from engram_agent.likeness import likenesses
from engram_agent.memory import ANYONE, Memory
from engram_agent.outcomes import SUCCESS
from engram_agent.patterns import Pattern, all_of
from engram_agent.phrases import key, signature
from engram_agent.prevention import Check, against
from engram_agent.privacy import redact
from engram_agent.suggest import NEAR, Suggestion

RELEVANT = 0.8
"""Least relevance of a memory that is given along."""
MOST = 10
LOOKED_AT = 30
RECENCY = 0.3
"""How much a memory's age counts beside its relevance."""
MONTH = 30 * 86_400.0
TOLD = 10_000
"""Characters of a result or an error that are kept: its beginning and its end."""
BAD = 0.4
"""An action whose estimated rate is below is one to avoid."""


@dataclass(frozen=True, kw_only=True)
class Advice:
    """What is remembered about a task.

    Attributes:
        task: The task.
        action: What has worked best so far; "" if nothing has.
        strategy: The evidence for it.
        steps: Its steps, where it has become a pattern.
        avoid: Actions that failed more often than they worked.
        checks: What to verify first.
        memories: The memories that belong to the task, at most ten.
    """

    task: str
    action: str = ""
    strategy: Suggestion | None = None
    steps: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    memories: tuple[Hit, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What was done for a task.

    Attributes:
        outcome: "success", "partial", "failure" or a number from 0 to 1.
        action: What was done; by default what was advised.
        result: What came of it.
        error: What went wrong.
    """

    outcome: str | float
    action: str = ""
    result: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A task that was run and remembered.

    Attributes:
        task: The task.
        outcome: 0 to 1.
        value: What the function returned; None if it raised.
        error: The exception it raised, if it did; it was recorded as a failure and is not raised again.
        advice: What it was given.
        record_id: The record of what was done.
        failure: The pattern of the failure, if it failed.
        check: The check against that failure.
        recovered: Names of failures that this success is a way out of.
    """

    task: str
    outcome: float
    value: Any
    error: Exception | None
    advice: Advice
    record_id: str
    failure: Pattern | None = None
    check: Check | None = None
    recovered: tuple[str, ...] = ()


def execute_with_memory(
    memory: Memory,
    task: str,
    run: Callable[[str, Advice], Any],
    *,
    agent_id: str = ANYONE,
    options: Sequence[str] | None = None,
    now: float | None = None,
) -> Execution:
    """Run a task with what is remembered about it; remember the decision, its outcome, a failure and the way out of it.

    Args:
        memory: What is remembered.
        task: The task, in words.
        run: Called with the task and an `Advice`. It returns an `Attempt`, or an outcome ("success", a number, a truth
            value), or anything else, which is a success. What it raises is a failure and comes back in `Execution`.
        agent_id: Who runs it.
        options: The actions that can be taken; None if any can.
        now: Seconds since 1970.

    Raises:
        AgentError: InvalidValue if the task is no text or the attempt's outcome is none.
    """
    must_be_words("task", task)
    advice = advise(memory, task, agent_id=agent_id, options=options, now=now)
    value, error = None, None
    try:
        value = run(task, advice)
    except Exception as raised:
        error = raised
    attempt = _attempt(value, error)
    action = attempt.action or advice.action or getattr(run, "__name__", type(run).__name__)
    followed = advice.strategy is not None and key(action) == key(advice.action)
    used = advice.strategy.record_ids if advice.strategy and followed else ()
    with memory.records.database.transaction():
        record_id = memory.record(
            task, action, attempt.outcome, agent_id=agent_id, result=attempt.result, error=attempt.error,
            task=task, used=used, now=now,
        )  # fmt: skip
        outcome = value_of(attempt.outcome)
        failure = _failure(memory, attempt.error or task, agent_id) if outcome < SUCCESS else None
        _tell_checks(memory, advice, action, failure, agent_id)
        check = memory.prevent(failure.record_id, agent_id=agent_id) if failure else None
        recovered = _recovered(memory, task, action, agent_id) if outcome > SUCCESS else ()
    return Execution(
        task=task, outcome=outcome, value=value, error=error, advice=advice, record_id=record_id, failure=failure,
        check=check, recovered=recovered,
    )  # fmt: skip


def advise(
    memory: Memory, task: str, *, agent_id: str = ANYONE, options: Sequence[str] | None = None, now: float | None = None
) -> Advice:
    """What is remembered about a task: memories, what worked, what to avoid, what to check.

    The strategy is the suggestion with the highest lower bound among those that work more often than not.
    """
    hits = relevant(memory, task, agent_id=agent_id, now=now)
    possible = None if options is None else {key(option) for option in options}
    suggestions = [
        one
        for one in memory.suggest(task, agent_id=agent_id, limit=50)
        if possible is None or key(one.action) in possible
    ]
    good = [one for one in suggestions if one.estimate > 0.5]
    bad = tuple(one.action for one in suggestions if one.estimate < BAD)
    best = good[0] if good else None
    proven = all_of(memory.records, agent_id, "success", "records.action = ?", [best.action]) if best else []
    failures = _near(memory, task, agent_id, all_of(memory.records, agent_id, "failure"))
    return Advice(
        task=task,
        action=best.action if best else "",
        strategy=best,
        steps=proven[0].steps if proven else (),
        avoid=bad,
        checks=tuple(against(memory.records, failures, agent_id=agent_id)),
        memories=tuple(hits),
    )


def relevant(memory: Memory, task: str, *, agent_id: str = ANYONE, now: float | None = None) -> list[Hit]:
    """The memories that answer at least 0.8 of a task's words, ten at most, by relevance and age."""
    moment = time.time() if now is None else now
    hits = [hit for hit in memory.search(task, LOOKED_AT, agent_id=agent_id) if hit.relevance >= RELEVANT]
    return sorted(hits, key=lambda hit: -hit.relevance - RECENCY * math.exp((hit.record.updated_at - moment) / MONTH))[
        :MOST
    ]


def _near(memory: Memory, task: str, agent_id: str, failures: Sequence[Pattern]) -> list[Pattern]:
    """Failures that happened in situations like this one."""
    searcher = memory.searcher
    alike = likenesses(task, [one.context for one in failures], searcher.rarity(agent_id), searcher.thesaurus)
    return [one for one, much in zip(failures, alike, strict=True) if much >= NEAR]


def _attempt(value: Any, error: Exception | None) -> Attempt:
    if error is not None:
        return Attempt(outcome="failure", error=f"{type(error).__name__}: {_told(error)}".strip().rstrip(":"))
    if isinstance(value, Attempt):
        return replace(value, result=_told(value.result), error=_told(value.error))
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return Attempt(outcome=float(value))
    if isinstance(value, str) and value in ("success", "partial", "failure"):
        return Attempt(outcome=value)
    return Attempt(outcome="success", result="" if value is None else _told(value)[:1_000])


def _told(value: Any) -> str:
    """What a value or an exception says, as a memory can keep it: what ran must be recorded whatever it said."""
    try:
        text = str(value)
    except Exception:
        text = f"a {type(value).__name__} that cannot be told"
    text = UNFIT.sub("\ufffd", text)
    return text if len(text) <= TOLD else f"{text[: TOLD // 2]} … {text[-TOLD // 2 :]}"


def _failure(memory: Memory, error: str, agent_id: str) -> Pattern | None:
    """The pattern that an error just recorded belongs to."""
    inside = "EXISTS (SELECT 1 FROM json_each(records.fields, '$.signatures') AS member WHERE member.value = ?)"
    found = all_of(memory.records, agent_id, "failure", inside, [signature(redact(error))])
    return found[0] if found else None


def _tell_checks(memory: Memory, advice: Advice, action: str, failure: Pattern | None, agent_id: str) -> None:
    """Count for each check that was followed whether its failure stayed away."""
    for check in advice.checks:
        if key(action) not in {key(avoided) for avoided in check.spec["avoid"]}:
            came = failure is not None and failure.name == check.pattern
            memory.check_result(check.id, not came, agent_id=agent_id)


def _recovered(memory: Memory, task: str, action: str, agent_id: str) -> tuple[str, ...]:
    """Failures in the same situation that have this action as their solution."""
    known = all_of(memory.records, agent_id, "failure")
    return tuple(one.name for one in known if key(one.context) == key(task) and key(one.action) == key(action))
