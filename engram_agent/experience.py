"""Takes in what was tried and what came of it: the record, the trial, the patterns it changes, the memories it credits.

It must not know how patterns are mined, nor what a judgement does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from engram_agent.errors import AgentError, must_be_words
from engram_agent.intake import new_record
from engram_agent.kinds import checked, record_type
from engram_agent.mining import Miner
from engram_agent.outcomes import SUCCESS, Outcome, add
from engram_agent.patterns import credited
from engram_agent.phrases import signature
from engram_agent.privacy import redact

OUTCOMES = {"success": 1.0, "partial": 0.5, "failure": 0.0}


class Judge(Protocol):
    """Whoever takes judgements of memories."""

    def __call__(self, record_id: str, score: float, *, agent_id: str, source: str) -> object:
        """Take the score, 0 to 1, of a record."""


def record(
    miner: Miner,
    judge: Judge,
    context: str,
    action: str,
    outcome: str | float,
    *,
    agent_id: str,
    memory_type: str = "decision",
    result: str = "",
    task: str | None = None,
    error: str = "",
    used: Sequence[str] = (),
    tags: Sequence[str] = (),
    project: str | None = None,
    fields: Mapping[str, Any] | None = None,
    now: float | None = None,
) -> str:
    """Keep an experience, all of it or nothing, and return the id of its record.

    Secrets are taken out first. The record counts its successes and failures (a partial success is neither), patterns
    are updated, and the memories that were used, with the patterns applied to the task, are judged by the outcome.

    Args:
        miner: Keeps the patterns.
        judge: Takes judgements of memories.
        context: The situation.
        action: What was done.
        outcome: "success", "partial", "failure" or a number from 0 to 1.
        agent_id: Whose experience it is.
        memory_type: A kind of experience or a type of record.
        result: What came of it; the error, if nothing else is said.
        task: The task it was part of.
        error: What went wrong; a failure without it is known by its context.
        used: Ids of the memories that were used.
        tags: Words to filter by.
        project: Where it happened.
        fields: What only this kind has, by name.
        now: Seconds since 1970.

    Raises:
        AgentError: InvalidValue if an argument is not what it must be; NotFound if a used memory cannot be seen.
    """
    must_be_words("error", error)
    must_be_words("task", task or "")
    if not isinstance(used, Sequence) or isinstance(used, str):
        raise AgentError("InvalidValue", f"used must be a list of ids, got {used!r}")
    score, moment = value_of(outcome), time.time() if now is None else now
    fields = checked(memory_type, fields or {})
    solved = score > SUCCESS or bool(fields.get("solution_applied"))
    failing = score < SUCCESS or bool(error) or memory_type in ("failure", "antipattern", "bugfix")
    new = new_record(
        context, action, result or error, agent_id=agent_id, memory_type=record_type(memory_type, solved), tags=tags,
        fields=fields, project=project or None, created_at=moment, updated_at=moment,
    )  # fmt: skip
    if not context.strip():
        raise AgentError("InvalidValue", f"context must be some text, got {context!r}", "say what the situation was")
    error, task = redact(error), redact(task) if task else None
    with miner.store.database.transaction():
        kept = miner.store.add(new, numbers=False)
        trial = Outcome(
            record_id=kept,
            agent_id=agent_id,
            kind=memory_type,
            task=task,
            context=new.context,
            action=new.action,
            outcome=score,
            error=error,
            signature=signature(error or new.context) if failing else "",
            happened_at=moment,
        )
        add(miner.store, trial)
        miner.store.database.execute(
            "UPDATE records SET successes = successes + ?, failures = failures + ? WHERE id = ?",
            [score > SUCCESS, score < SUCCESS, kept],
        )
        miner.update(trial)
        applied = credited(miner.store, task, agent_id=agent_id, now=moment) if task else []
        for memory in dict.fromkeys([*used, *applied]):
            judge(memory, score, agent_id=agent_id, source="outcome")
    return kept


def value_of(outcome: str | float) -> float:
    """An outcome as a number from 0 to 1.

    Raises:
        AgentError: InvalidValue if it is none.
    """
    if isinstance(outcome, str) and outcome in OUTCOMES:
        return OUTCOMES[outcome]
    try:
        value = float(outcome)
    except (ValueError, TypeError):
        value = math.nan
    if not 0.0 <= value <= 1.0:
        raise AgentError("InvalidValue", f"outcome must be {', '.join(OUTCOMES)} or from 0 to 1, got {outcome!r}")
    return value
