"""What to do in a situation: actions that were tried in it or in one like it, with how often they worked.

It must not know how outcomes are recorded, nor what is done with a suggestion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engram_agent.errors import must_be_words
from engram_agent.intervals import interval
from engram_agent.likeness import likenesses
from engram_agent.outcomes import Outcome, trials
from engram_agent.phrases import key, plain
from engram_agent.records import Record
from engram_agent.search import Searcher

ENOUGH = 3
"""Trials from which there is enough evidence; evidence from further off is used only where there is less."""
NEAR = 0.25
"""Least likeness of two situations that tell of each other."""
SHARPNESS = 2.0
"""Power of its likeness that a trial in a similar situation counts for."""
CANDIDATES = 50


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """An action that was tried.

    Attributes:
        action: What to do.
        successes: Sum of the outcomes of its trials.
        trials: How often it was tried.
        estimate: The rate of success that is expected; trials in situations that are only similar count for less.
        low: Lower bound of its 95 % interval.
        high: Upper bound of its 95 % interval.
        enough: Whether it was tried three times at least.
        record_ids: The records that say so.
    """

    action: str
    successes: float
    trials: int
    estimate: float
    low: float
    high: float
    enough: bool
    record_ids: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """What a record says about an action.

    Attributes:
        action: What was done.
        successes: Sum of the outcomes of its trials.
        trials: How often it was tried.
        distance: 0 in the situation itself, 1 in the same but for numbers and the like, 2 in a similar one.
        likeness: How much the two situations have in common, 0 to 1; 1 where they are the same.
        record_id: The record that says so.
    """

    action: str
    successes: float
    trials: int
    distance: int
    likeness: float
    record_id: str


def suggest(searcher: Searcher, context: str, *, agent_id: str, limit: int = 5) -> list[Suggestion]:
    """Actions that were tried in a situation, the one with the highest lower bound first.

    Evidence comes in three circles: the situation word for word (or the task of this name), the same but for numbers and
    the like, and similar ones. For each action the next circle is opened only while there is less than `ENOUGH`
    (backing off, Katz 1987). Similar situations count for the square of their likeness, the likest first, and together for
    no more than the trials that are missing, so that what is further off never outweighs what is near.

    Args:
        searcher: Finds records.
        context: The situation, or the name of a task.
        agent_id: Who asks; only what it may see is evidence.
        limit: How many at most.

    Raises:
        AgentError: InvalidValue if the situation is no text.
    """
    must_be_words("context", context)
    groups: dict[str, list[Evidence]] = {}
    for each in gathered(searcher, context, agent_id):
        groups.setdefault(key(each.action), []).append(each)
    found = [_suggestion(group) for group in groups.values()]
    return sorted(found, key=lambda one: (-one.low, -one.estimate, -one.trials, one.action))[:limit]


def gathered(searcher: Searcher, context: str, agent_id: str) -> list[Evidence]:
    """All evidence about a situation, the nearest first; each record once at each distance."""
    store, same = searcher.store, key(context)
    near = similar(searcher, context, agent_id)
    likeness = {record.id: alike for record, alike in near}
    tried = trials(
        store,
        agent_id,
        f"context_key = ? OR task = ? OR record_id IN ({', '.join('?' * len(near))})",
        [same, context, *likeness],
    )
    counted: dict[tuple[str, str, int], list[Outcome]] = {}
    for one in tried:
        if one.action:
            exact = plain(one.context) == plain(context) or one.task == context
            distance = 0 if exact else 1 if one.context_key == same else 2
            counted.setdefault((one.record_id, one.action_key, distance), []).append(one)
    found = [
        Evidence(
            group[-1].action,
            sum(one.outcome for one in group),
            len(group),
            distance,
            likeness[record_id] if distance == 2 else 1.0,
            record_id,
        )
        for (record_id, _, distance), group in counted.items()
    ]
    return sorted([*found, *_told(near, context, agent_id, tried)], key=lambda one: (one.distance, -one.likeness))


def similar(searcher: Searcher, context: str, agent_id: str) -> list[tuple[Record, float]]:
    """Records whose situations are like this one, and how alike they are: see `likeness`."""
    pool = searcher.pool(context, CANDIDATES // 5, agent_id, "1", [])
    ids = list(dict.fromkeys(name for found in pool.lists.values() for _, name, _ in found[:CANDIDATES]))
    records = searcher.store.select(agent_id, f"records.id IN ({', '.join('?' * len(ids))})", ids)
    alike = likenesses(context, [record.context for record in records], searcher.rarity(agent_id), searcher.thesaurus)
    return [(record, much) for record, much in zip(records, alike, strict=True) if much >= NEAR]


def _told(
    near: Sequence[tuple[Record, float]], context: str, agent_id: str, tried: Sequence[Outcome]
) -> list[Evidence]:
    """What records count of which no trial can be seen: learned from others, by import or by grant.

    A pattern of another says the same as its experiences do: it counts only where none of those is there.
    """
    counted, seen = {one.record_id for one in tried}, {(one.origin or one.agent_id, one.action_key) for one in tried}
    found: dict[tuple[str, str], tuple[bool, Evidence]] = {}
    for record, alike in near:
        source, action = record.origin or record.agent_id, key(record.action)
        pattern = record.fields.get("kind") is not None
        successes, count = _counted(record)
        if not count or not record.action or source == agent_id or record.id in counted or (source, action) in seen:
            continue
        distance = 0 if plain(record.context) == plain(context) else 1 if key(record.context) == key(context) else 2
        known = found.get((source, action))
        if known is None or (known[0] and not pattern):
            likeness = alike if distance == 2 else 1.0
            told = Evidence(record.action, successes, count, distance, likeness, record.id)
            found[source, action] = (pattern, told)
    return [each for _, each in found.values()]


def _counted(record: Record) -> tuple[float, int]:
    """Successes and trials of a record's action; a failure pattern counts recoveries, and its solution's trials apart."""
    if record.fields.get("kind") != "failure":
        return record.successes, record.successes + record.failures
    worked, tried = (record.fields.get(name, 0) for name in ("solution_worked", "solution_tried"))
    counted = isinstance(tried, int) and isinstance(worked, int | float) and 0 <= worked <= tried
    return (worked, tried) if counted else (0.0, 0)


def _suggestion(group: Sequence[Evidence]) -> Suggestion:
    """What the evidence about one action, the nearest first, says together."""
    used: list[Evidence] = []
    for distance in (0, 1):
        if sum(one.trials for one in used) < ENOUGH:
            used += [one for one in group if one.distance == distance]
    successes, count = sum(one.successes for one in used), float(sum(one.trials for one in used))
    room = min(ENOUGH - count, count or ENOUGH)
    for one in group:
        if one.distance == 2 and room > 0.0:
            weight = min(one.likeness**SHARPNESS, room / one.trials)
            successes, count = successes + weight * one.successes, count + weight * one.trials
            room -= weight * one.trials
            used.append(one)
    rate = interval(min(successes, count), count)
    trials_used = sum(one.trials for one in used)
    return Suggestion(
        action=used[0].action,
        successes=sum(one.successes for one in used),
        trials=trials_used,
        estimate=rate.estimate,
        low=rate.low,
        high=rate.high,
        enough=trials_used >= ENOUGH,
        record_ids=tuple(dict.fromkeys(one.record_id for one in used)),
    )
