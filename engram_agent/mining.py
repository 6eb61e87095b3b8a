"""Learns patterns from outcomes by counting: what works in a situation, what does not, which errors come back.

It must not know who records outcomes, nor what patterns are used for. No language model takes part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from engram_agent import traits
from engram_agent.intervals import interval
from engram_agent.outcomes import OWN, SUCCESS, Count, Outcome, counts, recoveries, trials
from engram_agent.patterns import IS_PATTERN, from_record
from engram_agent.phrases import name, tells
from engram_agent.records import Record
from engram_agent.signatures import SignatureTable
from engram_agent.store import Store

SEEN = 2
"""Trials that make a decision a pattern; one alone says no more than its own record."""
ENOUGH = 3
"""Trials that make a success a pattern."""
PROVEN = 0.4
"""Least lower bound of a success pattern's rate: three of three or five of six."""
LATEST = 50
"""Failures and successes after them that a solution is drawn from, the latest; all of them are counted."""


class Miner:
    """Keeps the patterns of a store up to date.

    The same outcomes give the same patterns with the same ids, however often they are mined: then nothing is written.

    Args:
        store: The records.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._tables: dict[str, SignatureTable] = {}

    def update(self, outcome: Outcome) -> list[str]:
        """Update the patterns that an outcome, kept just now, is part of; their ids."""
        agent = outcome.agent_id
        with self.store.database.transaction():
            known = counts(self.store, agent, f"{OWN} AND outcomes.context_key = ?", [agent, outcome.context_key])
            changed = [
                self._decisions(agent, count, known) for count in known if count.action_key == outcome.action_key
            ]
            ids = [found for pair in changed for found in pair]
            signatures = {outcome.signature} if outcome.outcome <= SUCCESS else self._around(outcome)
            return ids + self._failures(agent, signatures - {""})

    def _around(self, outcome: Outcome) -> set[str]:
        """Signatures of the failures that a success may be the way out of: in its situation or its task."""
        own = f"SELECT signature FROM outcomes WHERE {OWN} AND signature != ''"
        rows = self.store.database.rows(
            f"{own} AND context_key = ? UNION {own} AND task = ?",
            [outcome.agent_id, outcome.context_key, outcome.agent_id, outcome.task],
        )
        return {row["signature"] for row in rows}

    def mine(self, agent_id: str) -> list[str]:
        """Update all patterns of an agent; the ids of all it has by now."""
        with self.store.database.transaction():
            known: dict[str, list[Count]] = {}
            for count in counts(self.store, agent_id, OWN, [agent_id]):
                known.setdefault(count.context_key, []).append(count)
            ids = [
                found
                for group in known.values()
                for count in group
                for found in self._decisions(agent_id, count, group)
            ]
            return ids + self._failures(agent_id, set(self._signatures(agent_id)))

    def forget(self, record_id: str, *, agent_id: str) -> None:
        """Delete a record, and the patterns that nothing else is left of; those that others carry are counted anew."""
        with self.store.database.transaction():
            gone = trials(self.store, agent_id, f"{OWN} AND outcomes.record_id = ?", [agent_id, record_id])
            if gone:
                self._tables.pop(agent_id, None)  # or their errors would go on saying what is alike
            around = {signature for one in gone for signature in (one.signature, *self._around(one))} - {""}
            self.store.remove(record_id, agent_id=agent_id)
            for key in {one.context_key for one in gone}:
                self._count_anew(agent_id, key, {one.action_key for one in gone if one.context_key == key})
            self._draw_anew(agent_id, around)

    def _count_anew(self, agent_id: str, context_key: str, gone: set[str]) -> None:
        """Bring the patterns of a situation up to date, of which trials of these actions are gone."""
        known = counts(self.store, agent_id, f"{OWN} AND outcomes.context_key = ?", [agent_id, context_key])
        tried = {count.action_key: count.trials for count in known}
        for action in gone:
            for kind, least in (("decision", SEEN), ("success", ENOUGH)):
                if tried.get(action, 0) < least:
                    self._drop(_id(agent_id, kind, f"{context_key}\n{action}"), agent_id)
        for count in known:
            self._decisions(agent_id, count, known)

    def _draw_anew(self, agent_id: str, signatures: set[str]) -> None:
        """Bring the failure patterns up to date that have these signatures, some of which may be gone."""
        if not signatures:
            return
        members_of = (
            "SELECT 1 FROM json_each(records.fields, '$.signatures') WHERE value IN (SELECT value FROM json_each(?))"
        )
        own = f"records.agent_id = ? AND {IS_PATTERN} AND records.id LIKE 'p%' AND EXISTS ({members_of})"
        drawn = self.store.select(agent_id, own, [agent_id, json.dumps(list(signatures))], superseded=True)
        members = {
            each.id: set(from_record(each).members) for each in drawn if each.origin is None and "name" in each.fields
        }
        left = set(self._signatures(agent_id)) if members else set()
        for record_id, named in members.items():
            if not named & left:
                self._drop(record_id, agent_id)
        self._failures(agent_id, left & signatures.union(*members.values()))

    def _drop(self, record_id: str, agent_id: str) -> None:
        known = self._kept(record_id, agent_id)
        if known is not None and known.origin is None:
            self.store.remove(record_id, agent_id=agent_id)

    def _decisions(self, agent_id: str, count: Count, known: Sequence[Count]) -> list[str]:
        """The decision pattern of an action in a situation, and the success pattern if it works there."""
        low = interval(count.successes, count.trials).low
        proven = count.trials >= ENOUGH and low >= PROVEN
        key, found = f"{count.context_key}\n{count.action_key}", []
        kinds = ("decision", "success") if count.action else ()
        for kind, learned in zip(kinds, (count.trials >= SEEN, proven), strict=False):
            if learned or self._kept(_id(agent_id, kind, key), agent_id):
                sources = self._sources(agent_id, count)
                fields = traits.decision(count, known) if kind == "decision" else traits.success(count, sources)
                both = f"{name(count.context)}-{name(count.action)}"
                names = [name(count.context), both] if kind == "success" else [both]
                record = _record(agent_id, kind, key, count.context, count.action, fields, count, sources)
                found.append(self._keep(record, names))
        return found

    def _sources(self, agent_id: str, count: Count) -> list[Record]:
        inside = f"records.id IN (SELECT record_id FROM outcomes WHERE {OWN} AND context_key = ? AND action_key = ?)"
        return self.store.select(agent_id, inside, [agent_id, count.context_key, count.action_key], superseded=True)

    def _failures(self, agent_id: str, signatures: Iterable[str]) -> list[str]:
        """The failure patterns of the groups that these signatures are in by now."""
        wanted = set(signatures)
        if not wanted:
            return []
        table, known = self._tables.setdefault(agent_id, SignatureTable()), self._signatures(agent_id)
        ids = {signature: table.add(signature) for signature in known}
        groups: dict[int, list[str]] = {}
        for signature in known:
            groups.setdefault(table.group(ids[signature]), []).append(signature)
        touched = {table.group(ids[signature]) for signature in wanted if signature in ids}
        kept = [self._failure(agent_id, groups[group], table.template(group)) for group in sorted(touched)]
        return [record_id for record_id in kept if record_id]

    def _signatures(self, agent_id: str) -> list[str]:
        """All signatures of an agent's failures, the earliest first."""
        found = self.store.database.rows(
            f"SELECT signature FROM outcomes WHERE {OWN} AND signature != '' GROUP BY signature ORDER BY min(number)",
            [agent_id],
        )
        return [row["signature"] for row in found]

    def _failure(self, agent_id: str, members: Sequence[str], template: str) -> str:
        """The pattern of an error: how often it happened, where, and what helped."""
        marks = ", ".join("?" * len(members))
        happened = trials(self.store, agent_id, f"{OWN} AND signature IN ({marks})", [agent_id, *members], LATEST)
        if not happened:
            return ""
        keys, tasks = {one.context_key for one in happened}, {one.task for one in happened} - {None}
        near = f"outcome > {SUCCESS} AND (context_key IN ({', '.join('?' * len(keys))}) OR task IN ({', '.join('?' * len(tasks))}))"
        values = [agent_id, *keys, *tasks]
        worked = trials(
            self.store, agent_id, f"{OWN} AND {near} AND number >= ?", [*values, happened[0].number], LATEST
        )
        ids = sorted({one.record_id for one in happened})
        sources = self.store.select(agent_id, f"records.id IN ({', '.join('?' * len(ids))})", ids, superseded=True)
        fields = {"signatures": list(members), **traits.failure(template, happened, worked, sources)}
        record = _record(
            agent_id, "failure", members[0], happened[-1].context, fields["solution_applied"], fields,
            self._recovered(agent_id, members, happened[-1]), sources,
        )  # fmt: skip
        record = replace(record, memory_type="bugfix" if record.action else "antipattern")
        kept = self._keep(record, [name(template if tells(template) else happened[-1].context)])
        for other in members[1:]:
            self.store.database.execute(
                "UPDATE records SET superseded_by = ? WHERE id = ? AND superseded_by IS NULL",
                [kept, _id(agent_id, "failure", other)],
            )
            self.store.database.execute(
                "UPDATE checks SET pattern = ? WHERE pattern = ?", [kept, _id(agent_id, "failure", other)]
            )
        return kept

    def _recovered(self, agent_id: str, members: Sequence[str], last: Outcome) -> Count:
        happened, recovered, first = recoveries(self.store, agent_id, members)
        return Count(
            context=last.context,
            action="",
            context_key=last.context_key,
            action_key="",
            successes=recovered,
            trials=happened,
            first_seen=first,
            last_seen=last.happened_at,
        )

    def _kept(self, record_id: str, agent_id: str) -> Record | None:
        found = self.store.select(agent_id, "records.id = ?", [record_id], superseded=True)
        return found[0] if found else None

    def _keep(self, record: Record, names: Sequence[str]) -> str:
        """Write a pattern if it says anything new; its indexes only if its words have changed."""
        known = self._kept(record.id, record.agent_id)
        given = record.fields.get("name")
        title = given or (known.fields["name"] if known else self._free(record, names))
        record = replace(record, fields={**record.fields, "name": title})
        if known is None:
            self.store.put(record)
            return record.id
        values = ("memory_type", "context", "action", "result", "tags", "fields", "successes", "failures", "updated_at")
        new = replace(known, **{each: getattr(record, each) for each in values})
        if new == known:
            return record.id
        if (new.context, new.action, new.result, new.tags) != (known.context, known.action, known.result, known.tags):
            self.store.put(new)
            return record.id
        self.store.database.execute(
            "UPDATE records SET memory_type = ?, fields = ?, successes = ?, failures = ?, updated_at = ? WHERE id = ?",
            [new.memory_type, json.dumps(dict(new.fields), ensure_ascii=False), new.successes, new.failures,
             new.updated_at, new.id],
        )  # fmt: skip
        return record.id

    def _free(self, record: Record, names: Sequence[str]) -> str:
        """The first of these names that no other pattern of the agent has; else the last with a mark."""
        for each in names:
            same = "records.agent_id = ? AND json_extract(records.fields, '$.name') = ? AND records.id != ?"
            if not self.store.select(record.agent_id, same, [record.agent_id, each, record.id], 1):
                return each
        return f"{names[-1]}-{record.id[-4:]}"


def _id(agent_id: str, kind: str, key: str) -> str:
    """The same for the same pattern, for ever."""
    return "p" + hashlib.sha256(json.dumps([agent_id, kind, key]).encode()).hexdigest()[:16]


def _record(
    agent_id: str,
    kind: str,
    key: str,
    context: str,
    action: str,
    fields: dict[str, Any],
    count: Count,
    sources: Sequence[Record],
) -> Record:
    """A pattern as a record; it has the tags and the domain that all its sources have."""
    rate = interval(count.successes, count.trials)
    tags = [tag for tag in (sources[0].tags if sources else ()) if all(tag in source.tags for source in sources)]
    domains = {source.fields.get("domain") for source in sources} - {None}
    given = {"domain": domains.pop()} if len(domains) == 1 and all("domain" in one.fields for one in sources) else {}
    names = [source.fields["name"] for source in sources if source.fields.get("name")]
    given |= {"name": str(names[0])} if names else {}
    told = {
        "successes": count.successes,
        "trials": count.trials,
        "first_seen": count.first_seen,
        "last_seen": count.last_seen,
    }
    return Record(
        id=_id(agent_id, kind, key),
        agent_id=agent_id,
        memory_type={"decision": "decision", "success": "pattern", "failure": "antipattern"}[kind],
        context=context,
        action=action,
        result=fields.get("prevention_strategy", ""),
        tags=tuple(tags),
        fields={"kind": kind, **fields, **told, **given},
        successes=round(count.successes),
        failures=count.trials - round(count.successes),
        confidence=1.0 - (rate.high - rate.low),
        created_at=count.first_seen,
        updated_at=count.last_seen,
    )
