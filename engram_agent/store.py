"""Records in a file, with their indexes and their log: kept, found by a condition, replaced, removed.

It must not know how queries become ranks, nor what is learned from any of it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from engram_agent import audit
from engram_agent.access import ACTIVE, visible
from engram_agent.database import Database
from engram_agent.embedders import Embedder, HashingEmbedder
from engram_agent.errors import AgentError
from engram_agent.index import WordIndex
from engram_agent.records import COLUMNS, Record, from_row, stored, to_row
from engram_agent.thesaurus import shipped, words_of
from engram_agent.vectors import VectorIndex

SAME = 0.95
"""How alike context, action and result each must be for two records to be one."""
COMPARED = 20
"""Latest records of the same length, more or less, that a new one is compared with."""
TOLD = ("utilities", "judgements", "outcomes", "applied")
"""Tables that tell something of a record and go with it."""
LONG = 1_000
"""Texts of more characters are compared word by word, which takes a fraction of the time."""
NEGATION = re.compile(
    r"\b(?:no|not|never|none|nothing|without|cannot|nicht|kein\w*|nie|ohne|ne|pas|jamais|sin|nunca|не|нет|без)\b|n['’]t\b"
    r"|[不没沒未無无非勿别別]|ない|ません|ไม่"
)
NUMBER = re.compile(r"[-+<>]?\d+|[一二三四五六七八九十百千万]")
"""Negations and numbers make another statement of a text, however little they change its letters."""


class Store:
    """All records of one file.

    Args:
        path: The file; created if missing.
        embedder: Turns texts into vectors; by default their letters do.
        same: How alike context, action and result must be for two records to be one, 0 to 1.
    """

    def __init__(self, path: str | Path, embedder: Embedder | None = None, same: float = SAME) -> None:
        self.database = Database(Path(path).expanduser())
        self.words = WordIndex(self.database)
        self.vectors = VectorIndex(self.database, embedder or HashingEmbedder())
        self.same = same

    def add(self, record: Record, numbers: bool = True) -> str:
        """Keep a new record and return its id; what is nearly the same as a known one is counted there.

        The record must be free of secrets already. A turn of a conversation without a position is the next one.

        Args:
            record: The record.
            numbers: Whether another number makes another record of it; not of an experience, each trial of which is kept.
        """
        with self.database.transaction():
            known = self.twin(record, numbers)
            if known is None:
                self._insert(self._placed(record))
                audit.append(self.database, record.agent_id, "store", record.id)
                return record.id
            self._count(known, record)
            audit.append(self.database, record.agent_id, "store", known)
            return known

    def put(self, record: Record) -> None:
        """Keep a record under its own id: a new one, or in place of the one that has this id."""
        with self.database.transaction():
            known = self.database.rows("SELECT * FROM records WHERE id = ?", [record.id])
            if known:
                self._take_out(from_row(known[0]), known[0]["row"])
            self._insert(record, known[0]["row"] if known else None)
            audit.append(self.database, record.agent_id, "put", record.id)

    def get(self, record_id: str, *, agent_id: str) -> Record:
        """The record of an id.

        Raises:
            AgentError: NotFound if there is none that this agent may see.
        """
        rows = self.select(agent_id, "records.id = ?", [record_id], superseded=True)
        if not rows:
            raise AgentError(
                "NotFound", f"there is no memory {record_id!r} of {agent_id!r}", "ids are printed on create"
            )
        return rows[0]

    def select(
        self, agent_id: str, where: str = "1", values: Sequence[Any] = (), limit: int = -1, superseded: bool = False
    ) -> list[Record]:
        """Records that an agent may see and that meet a condition, the newest first.

        Args:
            agent_id: Who reads.
            where: A condition on `records`.
            values: What stands for its question marks.
            limit: How many at most; -1 for all.
            superseded: Whether to show also those that others have taken the place of.
        """
        condition, seen = self.seen_by(agent_id, superseded)
        found = self.database.rows(
            f"SELECT records.* FROM records WHERE {condition} AND ({where}) ORDER BY created_at DESC, row DESC LIMIT ?",
            [*seen, *values, min(limit, 2**62)],
        )
        return [from_row(row) for row in found]

    def seen_by(self, agent_id: str, superseded: bool = False) -> tuple[str, list[Any]]:
        """The condition of every read, with its values."""
        condition, values = visible(agent_id)
        return (condition if superseded else f"{condition} AND records.superseded_by IS NULL"), list(values)

    def sees_others(self, agent_id: str) -> bool:
        """Whether any grant to this agent holds now."""
        asked = f"SELECT 1 FROM grants WHERE to_agent = ? AND {ACTIVE} LIMIT 1"
        return bool(self.database.rows(asked, [agent_id, time.time()]))

    def remove(self, record_id: str, *, agent_id: str) -> None:
        """Forget a record of this agent's own; NotFound if it has none of that id."""
        with self.database.transaction():
            record = self.get(record_id, agent_id=agent_id)
            if record.agent_id != agent_id:
                raise AgentError(
                    "NotFound", f"{record_id!r} belongs to {record.agent_id!r}", "only its owner can delete a memory"
                )
            row = self.database.rows("SELECT row FROM records WHERE id = ?", [record_id])[0]["row"]
            self._take_out(record, row)
            for table in TOLD:
                self.database.execute(f"DELETE FROM {table} WHERE record_id = ?", [record_id])
            self.database.execute("DELETE FROM checks WHERE pattern = ?", [record_id])
            audit.append(self.database, agent_id, "delete", record_id)

    def twin(self, record: Record, numbers: bool = True) -> str | None:
        """Id of the record that says the same, if there is one: word for word first, else nearly.

        What is said twice in a conversation is two turns, each with neighbours of its own.
        """
        turn = "conversation IS ? AND position IS coalesce(?, position)"
        scope = f"agent_id = ? AND memory_type = ? AND project IS ? AND {turn} AND fields = ? AND superseded_by IS NULL"
        place = [record.project, record.conversation, record.position]
        values = [record.agent_id, record.memory_type, *place, stored("fields", record.fields)]
        parts = (record.context, record.action, record.result)
        exact = self.database.rows(
            f"SELECT id FROM records WHERE {scope} AND context = ? AND action = ? AND result = ? LIMIT 1",
            [*values, *parts],
        )
        if exact:
            return str(exact[0]["id"])
        # two texts are alike by 2 shared / (one + other) at most, and share no more than the shorter has; bounds, as an index has them
        most = (2.0 - self.same) / max(self.same, 1e-9)
        lengths = [bound for part in parts for bound in (len(part) / most, len(part) * most)]
        near = " AND ".join(f"length({name}) BETWEEN ? AND ?" for name in ("context", "action", "result"))
        latest = f"SELECT * FROM records WHERE {scope} AND {near} ORDER BY created_at DESC, row DESC LIMIT ?"
        for other in self.database.rows(latest, [*values, *lengths, COMPARED]):
            if all(
                alike(part, other[name], self.same, numbers)
                for part, name in zip(parts, ("context", "action", "result"), strict=True)
            ):
                return str(other["id"])
        return None

    def _placed(self, record: Record) -> Record:
        if record.conversation is None or record.position is not None:
            return record
        last = "SELECT coalesce(max(position), -1) AS last FROM records WHERE agent_id = ? AND conversation = ?"
        found = self.database.rows(last, [record.agent_id, record.conversation])
        return replace(record, position=found[0]["last"] + 1)

    def rebuild(self) -> None:
        """Make both indexes anew from the records."""
        with self.database.transaction():
            self.words.rebuild()
            self.vectors.rebuild()

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def _insert(self, record: Record, row: int | None = None) -> None:
        places = ", ".join("?" * (len(COLUMNS) + 1))
        self.database.execute(
            f"INSERT INTO records (row, {', '.join(COLUMNS)}) VALUES ({places})", [row, *to_row(record)]
        )
        row = self.database.rows("SELECT row FROM records WHERE id = ?", [record.id])[0]["row"]
        self.words.add(record)
        self.vectors.add(row, record)

    def _count(self, record_id: str, again: Record) -> None:
        """Count that a record was stored again; tags it did not have yet are added."""
        row = self.database.rows("SELECT * FROM records WHERE id = ?", [record_id])[0]
        known = from_row(row)
        tags = tuple(dict.fromkeys([*known.tags, *again.tags]))
        counted = replace(known, tags=tags, stored_count=known.stored_count + 1, updated_at=time.time())
        if tags != known.tags:
            self._take_out(known, row["row"])
            self._insert(counted, row["row"])
        else:
            values = [counted.stored_count, counted.updated_at, record_id]
            self.database.execute("UPDATE records SET stored_count = ?, updated_at = ? WHERE id = ?", values)

    def _take_out(self, record: Record, row: int) -> None:
        self.words.remove(record)
        self.vectors.remove(row)
        self.database.execute("DELETE FROM records WHERE row = ?", [row])


def alike(one: str, other: str, same: float = SAME, numbers: bool = True) -> bool:
    """Whether two texts share more than 0.95 of their characters in order (Ratcliff & Obershelp 1988), long ones of their words.

    Texts that differ in a negation, a number or an opposite do not say the same, however alike they are: another port is
    another fact, and to disable is not to enable.
    """
    for telling in (NEGATION, NUMBER) if numbers else (NEGATION,):
        if telling.findall(one.casefold()) != telling.findall(other.casefold()):
            return False
    long = max(len(one), len(other)) > LONG
    matcher = SequenceMatcher(None, one.split() if long else one, other.split() if long else other, autojunk=False)
    near = matcher.real_quick_ratio() > same and matcher.quick_ratio() > same and matcher.ratio() > same
    return near and not _opposed(one, other)


def _opposed(one: str, other: str) -> bool:
    """Whether a word that only one of two texts has says the opposite of one that only the other has."""
    first, second = set(words_of(one)), set(words_of(other))
    if first == second:
        return False
    words = shipped()
    bases = {words.base(word) for word in second - first}
    return any(words.opposed(words.base(word)) & bases for word in first - second)
