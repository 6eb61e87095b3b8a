"""One memory for agents, in one file: store, get, look through, delete.

It must not know how a command line or a server speaks; it is what both are thin over.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engram_agent.database import Database
from engram_agent.errors import AgentError
from engram_agent.index import WordIndex
from engram_agent.privacy import redact, redact_all
from engram_agent.records import COLUMNS, Record, clean_tags, from_row, to_row

ANYONE = "default"
VISIBLE = "records.agent_id = ?"
"""What an agent may see: the one condition of every read, its name in the place of the question mark."""
SAME = 0.95
"""How alike context, action and result each must be for two records to be one."""
COMPARED = 20
"""Latest records of the same length, more or less, that a new one is compared with."""
LONG = 1_000
"""Texts of more characters are compared word by word, which takes a fraction of the time."""


@dataclass(frozen=True)
class Hit:
    """A record that was found: its id, how well it fits (higher is closer), why it was chosen, and the record."""

    id: str
    score: float
    why: str
    record: Record


class Memory:
    """What agents remember, in one SQLite file that many processes may open.

    Args:
        path: The file; created if missing. ":memory:" keeps it in memory only.

    Example:
        >>> memory = Memory("memories.db")                                      # doctest: +SKIP
        >>> memory.store("login times out", "retry with backoff", "it worked")  # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        self.database = Database(Path(path).expanduser())
        self.words = WordIndex(self.database)

    def __enter__(self) -> Self:
        """Use it in a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the file."""
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.database.close()

    def store(
        self,
        context: str,
        action: str = "",
        result: str = "",
        *,
        agent_id: str = ANYONE,
        memory_type: str = "context",
        tags: Sequence[str] = (),
        fields: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> str:
        """Remember something and return its id.

        Secrets are taken out first. What is nearly the same as a record of this agent and type (context, action and
        result each alike by more than 0.95) is counted there, and that record's id comes back.

        Args:
            context: The situation.
            action: What was done.
            result: What came of it.
            agent_id: Whose memory it is; others do not see it.
            memory_type: One of `records.TYPES`.
            tags: Words to filter by.
            fields: What only this type has, by name.
            more: Other fields of `Record`: project, conversation, position, parent_id, source_ids, insight_type, score,
                confidence, created_at, origin.

        Raises:
            AgentError: InvalidValue if a field is not what it must be.
        """
        unknown = more.keys() - set(COLUMNS)
        if unknown:
            raise AgentError("InvalidValue", f"there is no field {min(unknown)!r}", f"known are {', '.join(COLUMNS)}")
        now = time.time()
        record = Record(
            id=f"m{uuid.uuid4().hex[:16]}",
            agent_id=agent_id,
            memory_type=memory_type,
            context=redact(context),
            action=redact(action),
            result=redact(result),
            tags=clean_tags([redact(tag) for tag in tags]),
            fields=redact_all(dict(fields or {})),
            **({"created_at": now, "updated_at": now} | more),
        )
        with self.database.transaction():
            known = self._same(record)
            if known is not None:
                self.database.execute(
                    "UPDATE records SET stored_count = stored_count + 1, updated_at = ? WHERE id = ?", (now, known)
                )
                return known
            places = ", ".join("?" * len(COLUMNS))
            self.database.execute(f"INSERT INTO records ({', '.join(COLUMNS)}) VALUES ({places})", to_row(record))
            self.words.add(record)
        return record.id

    def get(self, record_id: str, *, agent_id: str = ANYONE) -> Record:
        """The record of an id.

        Raises:
            AgentError: NotFound if there is none that this agent may see.
        """
        rows = self._visible(agent_id, "id = ?", [record_id])
        if not rows:
            raise AgentError(
                "NotFound", f"there is no memory {record_id!r} of {agent_id!r}", "ids are printed on create"
            )
        return rows[0]

    def latest(self, *, agent_id: str = ANYONE, memory_type: str | None = None, limit: int = 50) -> list[Record]:
        """The latest records of an agent, the newest first."""
        if memory_type is None:
            return self._visible(agent_id, "1", [], limit)
        return self._visible(agent_id, "memory_type = ?", [memory_type], limit)

    def search(
        self,
        query: str,
        limit: int = 10,
        *,
        agent_id: str = ANYONE,
        memory_type: str | None = None,
        project: str | None = None,
        conversation: str | None = None,
        tags: Sequence[str] = (),
    ) -> list[Hit]:
        """What an agent remembers that belongs to a query, best first.

        Args:
            query: Any text.
            limit: How many at most.
            agent_id: Who asks; only what it may see is found.
            memory_type: Only records of this type.
            project: Only records of this project.
            conversation: Only turns of this conversation.
            tags: Only records with all of these.
        """
        wanted = {"memory_type": memory_type, "project": project, "conversation": conversation}
        chosen = {f"records.{name} = ?": value for name, value in wanted.items() if value is not None}
        has_tag = "EXISTS (SELECT 1 FROM json_each(records.tags) WHERE value = ?)"
        where = " AND ".join([VISIBLE, *chosen, *[has_tag] * len(tags)])
        found = self.words.search(query, where, [agent_id, *chosen.values(), *tags], limit)
        return [
            Hit(id=name, score=score, why=f"shares {', '.join(words)}", record=self.get(name, agent_id=agent_id))
            for name, score, words in found
        ]

    def delete(self, record_id: str, *, agent_id: str = ANYONE) -> None:
        """Forget a record; NotFound if this agent has none of that id."""
        with self.database.transaction():
            self.words.remove(self.get(record_id, agent_id=agent_id))
            self.database.execute("DELETE FROM records WHERE id = ?", (record_id,))

    def _visible(self, agent_id: str, where: str, values: Sequence[Any], limit: int = -1) -> list[Record]:
        """The one query path of every read: what an agent may see, and nothing else."""
        found = self.database.rows(
            f"SELECT * FROM records WHERE {VISIBLE} AND ({where}) ORDER BY created_at DESC, row DESC LIMIT ?",
            [agent_id, *values, limit],
        )
        return [from_row(row) for row in found]

    def _same(self, record: Record) -> str | None:
        """Id of the record that says the same, if there is one: word for word first, else nearly."""
        scope = "memory_type = ? AND conversation IS ? AND superseded_by IS NULL"
        values = [record.memory_type, record.conversation]
        parts = (record.context, record.action, record.result)
        exact = self._visible(
            record.agent_id, f"{scope} AND context = ? AND action = ? AND result = ?", [*values, *parts]
        )
        if exact:
            return exact[0].id
        lengths = [bound for part in parts for bound in (SAME * len(part), len(part) / SAME)]
        near = " AND ".join(f"length({name}) BETWEEN ? AND ?" for name in ("context", "action", "result"))
        for other in self._visible(record.agent_id, f"{scope} AND {near}", [*values, *lengths], COMPARED):
            if all(map(alike, parts, (other.context, other.action, other.result))):
                return other.id
        return None


def alike(one: str, other: str) -> bool:
    """Whether two texts share more than 0.95 of their characters in order (Ratcliff & Obershelp 1988), long ones of their words."""
    long = max(len(one), len(other)) > LONG
    matcher = SequenceMatcher(None, one.split() if long else one, other.split() if long else other, autojunk=False)
    return matcher.real_quick_ratio() > SAME and matcher.quick_ratio() > SAME and matcher.ratio() > SAME
