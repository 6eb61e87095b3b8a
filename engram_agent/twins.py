"""Which records of an agent say nearly the same, and which are stale.

It must not know what becomes of either.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from engram_agent.records import Record
from engram_agent.store import Store, alike

DAY = 86_400.0
NEAR = 0.6
"""Least cosine of records that are compared letter by letter; of the default vectors, all that are alike are nearer."""
AT_ONCE = 1_000


def stale(record: Record, days: float, least: float, now: float) -> bool:
    """Whether nobody has written or found a record for so many days, and its score is below the least."""
    used = max(record.created_at, record.updated_at, record.last_accessed or 0.0)
    return record.score < least and used < now - days * DAY


def twins(store: Store, records: Sequence[Record], agent_id: str) -> list[tuple[str, list[str]]]:
    """Records that stay, each with those that say nearly the same, by ids.

    Each of a group is alike to the one that stays, the oldest, so that no chain of small steps joins what differs.

    Args:
        store: Where they are.
        records: The records of one agent.
        agent_id: Who it is.
    """
    kinds: dict[str, list[Record]] = defaultdict(list)
    for record in sorted(records, key=lambda each: (each.created_at, each.id)):
        kinds[_kind(record)].append(record)
    vectors = _vectors(store, agent_id)
    groups = []
    for alikes in kinds.values():
        if len(alikes) > 1:
            groups += _stars(alikes, vectors, store.same)
    return groups


def _stars(records: Sequence[Record], vectors: dict[str, np.ndarray], same: float) -> list[tuple[str, list[str]]]:
    neighbours = _neighbours(records, vectors)
    taken: set[int] = set()
    groups = []
    for place, record in enumerate(records):
        if place in taken:
            continue
        near = sorted(other for other in neighbours[place] if other > place and other not in taken)
        others = [other for other in near if _alike(record, records[other], same)]
        taken.update(others)
        if others:
            groups.append((record.id, [records[other].id for other in others]))
    return groups


def _neighbours(records: Sequence[Record], vectors: dict[str, np.ndarray]) -> dict[int, set[int]]:
    """For each place the later ones of the same words or a near vector."""
    near: dict[int, set[int]] = defaultdict(set)
    first: dict[tuple[str, str, str], int] = {}
    for place, record in enumerate(records):
        near[first.setdefault((record.context, record.action, record.result), place)].add(place)
    places = [place for place, record in enumerate(records) if record.id in vectors]
    if not places:
        return near
    matrix = np.stack([vectors[records[place].id] for place in places])
    for start in range(0, len(places), AT_ONCE):
        for one, other in np.argwhere(matrix[start : start + AT_ONCE] @ matrix.T >= NEAR):
            near[places[start + int(one)]].add(places[int(other)])
    return near


def _vectors(store: Store, agent_id: str) -> dict[str, np.ndarray]:
    seen, values = store.seen_by(agent_id)
    rows = store.database.rows(
        "SELECT records.id, vectors.vector FROM records JOIN vectors ON vectors.row = records.row"
        f" WHERE {seen} AND records.agent_id = ? AND vectors.embedder = ?",
        [*values, agent_id, store.vectors.embedder.name],
    )
    return {row["id"]: np.frombuffer(row["vector"], dtype=np.float16).astype(np.float32) for row in rows}


def _kind(record: Record) -> str:
    """All that a record says beside its three texts and its tags."""
    said = (
        record.memory_type, record.project, record.conversation, record.position, record.parent_id, record.insight_type,
        record.origin, dict(record.fields),
    )  # fmt: skip
    return json.dumps(said, sort_keys=True)


def _alike(one: Record, other: Record, same: float) -> bool:
    pairs: Iterable[tuple[str, str]] = (
        (one.context, other.context), (one.action, other.action), (one.result, other.result)
    )  # fmt: skip
    return all(first == second or alike(first, second, same) for first, second in pairs)
