"""What a pattern says, drawn from the trials behind it: alternatives, key factors, a cause, a way out.

It must not know how patterns are kept or named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from engram_agent.intervals import interval
from engram_agent.outcomes import SUCCESS, Count, Outcome
from engram_agent.phrases import steps, words
from engram_agent.records import Record

ALTERNATIVES = 5
COMMON = 0.6
"""Share of the situations that a word must be in to be part of what they have in common."""


def decision(count: Count, known: Sequence[Count]) -> dict[str, Any]:
    """Fields of a decision pattern: what was chosen, how well that went, what else there is."""
    others = sorted(
        (one for one in known if one is not count and one.action),
        key=lambda one: -interval(one.successes, one.trials).low,
    )
    return {
        "decision_context": count.context,
        "chosen_action": count.action,
        "outcome_quality": count.successes / count.trials,
        "alternative_actions": [one.action for one in others[:ALTERNATIVES]],
    }


def success(count: Count, sources: Sequence[Record]) -> dict[str, Any]:
    """Fields of a success pattern: what works, what it has in common, how to do it again."""
    return {
        "context_signature": count.context_key,
        "successful_approach": count.action,
        "key_factors": _given(sources, "key_factors", list) or common([source.context for source in sources]),
        "replication_steps": _given(sources, "replication_steps", list) or steps(count.action),
    }


def failure(
    template: str, happened: Sequence[Outcome], worked: Sequence[Outcome], sources: Sequence[Record]
) -> dict[str, Any]:
    """Fields of a failure pattern: the error, its cause, its solution and how to prevent it.

    The solution is the action with the highest lower bound among those that have worked since, in its situations or
    tasks; it counts against an action that the error came after it.
    """
    tried: dict[str, list[Outcome]] = {}
    for one in [*(one for one in happened if one.outcome <= SUCCESS), *worked]:
        if one.action:
            tried.setdefault(one.action_key, []).append(one)
    rated = [(interval(sum(one.outcome for one in group), len(group)).low, group) for group in tried.values()]
    helped = [pair for pair in rated if pair[1][-1].outcome > SUCCESS]
    best = max(helped, key=lambda pair: (pair[0], pair[1][-1].number))[1] if helped else []
    failed = Counter(one.action for one in happened if one.outcome < SUCCESS and one.action)
    solution = _given(sources, "solution_applied") or (best[-1].action if best else "")
    avoid = next((action for action, _ in failed.most_common() if action != solution), "")
    advice = [f"do: {solution}"] if solution else []
    counted = best if best and solution == best[-1].action else []
    solved = sum(one.outcome for one in counted)
    if counted:
        advice = [f"{advice[0]} ({solved:g} of {len(counted)} worked)"]
    advice += [f"not: {avoid} (failed {failed[avoid]} times)"] if avoid else []
    return {
        "error_signature": template,
        "root_cause": _given(sources, "root_cause") or ", ".join(common([one.context for one in happened])),
        "solution_applied": solution,
        "solution_worked": solved,
        "solution_tried": len(counted),
        "prevention_strategy": _given(sources, "prevention_strategy") or "; ".join(advice),
    }


def common(contexts: Sequence[str]) -> list[str]:
    """The words that most of the situations share, as the first that has them tells them."""
    different = list(dict.fromkeys(contexts))
    count = Counter(word for context in different for word in set(words(context)))
    order = dict.fromkeys(word for context in different for word in words(context))
    return [word for word in order if count[word] >= COMMON * len(different)]


def _given(sources: Sequence[Record], field: str, kind: type = str) -> Any:
    """What the latest experience that has a field of this kind says there."""
    told = (source.fields.get(field) for source in sources)
    return next((value for value in told if value and isinstance(value, kind)), None)
