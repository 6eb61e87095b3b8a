"""How long records are kept, by type: what is older is shown first and deleted only when that is asked for.

It must not know why a record is old, nor what else its agent remembers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from numbers import Real

from engram_agent.errors import AgentError
from engram_agent.mining import Miner
from engram_agent.records import TYPES, Record
from engram_agent.store import Store

DAY = 86_400.0


def retain(
    miner: Miner, days: Mapping[str, float], *, agent_id: str, apply: bool = False, now: float | None = None
) -> list[Record]:
    """The records of an agent's own that are older than their type is kept, oldest first; deleted only if asked for.

    A record is as old as its last writing (`updated_at`). With it go its utility, its judgements and the single
    experiences it was drawn from, and the patterns that no experience is left of; each deletion is in the log.

    Args:
        miner: The records and the patterns in them.
        days: How long each type is kept; types that are not named are kept for ever.
        agent_id: Whose records.
        apply: Delete them; else nothing is written.
        now: The present time, in seconds since 1970; by default the clock's.

    Raises:
        AgentError: InvalidValue if a type is unknown or a number of days is not above 0.
    """
    now = time.time() if now is None else now
    for name, count in days.items():
        if name not in TYPES:
            raise AgentError("InvalidValue", f"memory_type must be one of {', '.join(TYPES)}, got {name!r}")
        if not (isinstance(count, Real) and math.isfinite(count) and count > 0.0):
            raise AgentError("InvalidValue", f"days of {name!r} must be more than 0, got {count!r}")
    store = miner.store
    if not apply:
        return _old(store, days, agent_id, now)
    with store.database.transaction():
        old = _old(store, days, agent_id, now)
        for record in old:
            if store.select(
                agent_id, "records.id = ?", [record.id], superseded=True
            ):  # a pattern goes with its last trial
                miner.forget(record.id, agent_id=agent_id)
    return old


def _old(store: Store, days: Mapping[str, float], agent_id: str, now: float) -> list[Record]:
    each = [("(records.memory_type = ? AND records.updated_at < ?)", [name, now - days[name] * DAY]) for name in days]
    if not each:
        return []
    where = f"records.agent_id = ? AND ({' OR '.join(condition for condition, _ in each)})"
    values = [agent_id, *(value for _, pair in each for value in pair)]
    return sorted(store.select(agent_id, where, values, superseded=True), key=lambda record: record.updated_at)
