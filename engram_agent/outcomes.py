"""What came of what was done: one row for each trial, with the keys by which trials are taken for the same.

It must not know what is learned from them; they are read only where the record they belong to may be seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engram_agent.phrases import key
from engram_agent.store import Store

SUCCESS = 0.5
"""An outcome above is a success, one below a failure; exactly this is half of each."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One trial.

    Attributes:
        record_id: The record it belongs to.
        agent_id: Whose experience it is: who tried or, of a copy, who took it in.
        kind: What it was recorded as.
        task: The task it was part of, if it was named.
        context: The situation.
        action: What was done.
        outcome: 0 for a failure to 1 for a success.
        error: What went wrong, in the words of whoever reported it.
        signature: The error without what varies.
        happened_at: Seconds since 1970.
        origin: Who tried, of a copy that was taken in from another; None of one's own.
        number: In which order it was recorded; 0 until it is.
    """

    record_id: str
    agent_id: str
    kind: str
    task: str | None
    context: str
    action: str
    outcome: float
    error: str
    signature: str
    happened_at: float
    origin: str | None = None
    number: int = 0

    @property
    def context_key(self) -> str:
        """What it shares with others in the same situation."""
        return key(self.context)

    @property
    def action_key(self) -> str:
        """What it shares with others that did the same."""
        return key(self.action)


OWN = "outcomes.agent_id = ? AND outcomes.origin IS NULL"
"""What an agent tried itself."""
COLUMNS = tuple(Outcome.__dataclass_fields__)[:-1]


@dataclass(frozen=True, kw_only=True)
class Count:
    """What came of one action in one situation.

    Attributes:
        context: The situation, as it was told last.
        action: The action, as it was told last.
        context_key: What all its situations share.
        action_key: What all its actions share.
        successes: Sum of the outcomes.
        trials: How many there are.
        first_seen: Seconds since 1970.
        last_seen: Seconds since 1970.
    """

    context: str
    action: str
    context_key: str
    action_key: str
    successes: float
    trials: int
    first_seen: float
    last_seen: float


def add(store: Store, outcome: Outcome) -> int:
    """Keep a trial, in the transaction that keeps its record; returns its number."""
    names = [*COLUMNS, "context_key", "action_key"]
    cursor = store.database.execute(
        f"INSERT INTO outcomes ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
        [getattr(outcome, name) for name in names],
    )
    return int(cursor.lastrowid or 0)


def trials(
    store: Store, agent_id: str, where: str = "1", values: Sequence[Any] = (), latest: int = -1
) -> list[Outcome]:
    """Trials that an agent may see and that meet a condition on `outcomes`, the earliest first; of many the latest.

    What several hold copies of is there once, and what comes back to whom it happened to is not there again.
    """
    source, seen = _seen(store, agent_id)
    rows = store.database.rows(
        f"SELECT outcomes.* {source} AND ({where}) ORDER BY number DESC LIMIT ?", [*seen, *values, latest]
    )
    return _once([Outcome(**{name: row[name] for name in (*COLUMNS, "number")}) for row in reversed(rows)], agent_id)


def _once(found: list[Outcome], agent_id: str) -> list[Outcome]:
    """Trials as they happened: of each agent's in a situation only those that one holds, who has the most of them."""
    if all(one.origin is None for one in found):
        return found
    held = Counter((_happened(one), one.agent_id) for one in found)
    most = sorted(held, key=lambda pair: (-held[pair], pair[1] != pair[0][0], pair[1]))
    holders = {happened: holder for happened, holder in reversed(most)}  # the first of most is what stays
    holders |= {happened: agent_id for happened in holders if happened[0] == agent_id}
    return [one for one in found if one.agent_id == holders[_happened(one)]]


def _happened(one: Outcome) -> tuple[str, str, str]:
    """Who tried what in which situation."""
    return one.origin or one.agent_id, one.context_key, one.action_key


def counts(store: Store, agent_id: str, where: str = "1", values: Sequence[Any] = ()) -> list[Count]:
    """The trials that an agent may see and that meet a condition, counted by situation and action, the latest last."""
    source, seen = _seen(store, agent_id)
    rows = store.database.rows(
        "SELECT latest.context, latest.action, latest.context_key, latest.action_key, successes, trials, first_seen, "
        "last_seen FROM (SELECT sum(outcomes.outcome) AS successes, count(*) AS trials, max(number) AS last, "
        f"min(happened_at) AS first_seen, max(happened_at) AS last_seen {source} AND ({where}) "
        "GROUP BY outcomes.context_key, outcomes.action_key) AS counted "
        "JOIN outcomes AS latest ON latest.number = counted.last ORDER BY latest.number",
        [*seen, *values],
    )
    return [Count(**dict(row)) for row in rows]


def _seen(store: Store, agent_id: str) -> tuple[str, list[Any]]:
    condition, values = store.seen_by(agent_id, superseded=True)
    return f"FROM outcomes JOIN records ON records.id = outcomes.record_id WHERE {condition}", values


def recoveries(store: Store, agent_id: str, signatures: Sequence[str]) -> tuple[int, int, float]:
    """How often errors of these signatures happened, how often what was tried next there worked, and since when.

    Next is the next trial in the same situation or task; ten failures and a success are one recovery.
    """
    source, seen = _seen(store, agent_id)
    same = "later.agent_id = outcomes.agent_id AND later.origin IS NULL"
    later = f"SELECT min(number) FROM outcomes AS later WHERE {same} AND later.number > outcomes.number"
    never = 2**62
    place, task = (
        f"coalesce(({later} AND later.{name} = outcomes.{name}), {never})" for name in ("context_key", "task")
    )
    rows = store.database.rows(
        f"SELECT count(*) AS happened, min(happened_at) AS first, coalesce(sum(outcomes.outcome > {SUCCESS} OR coalesce("
        f"(SELECT next.outcome FROM outcomes AS next WHERE next.number = min({place}, {task})), 0) > {SUCCESS}), 0) AS recovered "
        f"{source} AND {OWN} AND outcomes.signature IN ({', '.join('?' * len(signatures))})",
        [*seen, agent_id, *signatures],
    )
    return rows[0]["happened"], rows[0]["recovered"], rows[0]["first"]
