"""One memory for agents, in one file: store, search, judge, record, suggest, share.

It must not know how a command line or a server speaks; it is what both are thin over.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engram_agent.embedders import Embedder
from engram_agent.errors import AgentError
from engram_agent.privacy import redact, redact_all
from engram_agent.records import COLUMNS, Record, clean_tags
from engram_agent.search import FLOORS, STRATEGIES, Hit, Searcher, Weights, condition, within
from engram_agent.store import SAME, Store

ANYONE = "default"


class Memory:
    """What agents remember, in one SQLite file that many processes may open.

    Args:
        path: The file; created if missing. ":memory:" keeps it in memory only.
        embedder: Turns texts into vectors; by default their letters do, with nothing to download.
        weights: How the lists of a search are fused.
        same: How alike context, action and result must be for two records to be one, 0 to 1.

    Example:
        >>> memory = Memory("memories.db")                                      # doctest: +SKIP
        >>> memory.store("login times out", "retry with backoff", "it worked")  # doctest: +SKIP
    """

    def __init__(
        self, path: str | Path, embedder: Embedder | None = None, weights: Weights | None = None, same: float = SAME
    ) -> None:
        self.records = Store(path, embedder, same)
        self.searcher = Searcher(self.records, weights)

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
        self.records.close()

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
        return self.records.add(record)

    def get(self, record_id: str, *, agent_id: str = ANYONE) -> Record:
        """The record of an id.

        Raises:
            AgentError: NotFound if there is none that this agent may see.
        """
        return self.records.get(record_id, agent_id=agent_id)

    def latest(self, *, agent_id: str = ANYONE, memory_type: str | None = None, limit: int = 50) -> list[Record]:
        """The latest records that an agent may see, the newest first."""
        return self.records.select(agent_id, *condition(memory_type), limit)

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
        strategy: str | None = None,
        floor: str = "loose",
        budget: int | None = None,
    ) -> list[Hit]:
        """What an agent remembers that belongs to a query, best first; nothing if nothing does.

        Args:
            query: Any text.
            limit: How many at most.
            agent_id: Who asks; only what it may see is found.
            memory_type: Only records of this type.
            project: Only records of this project.
            conversation: Only turns of this conversation.
            tags: Only records with all of these.
            strategy: "lexical", "vector" or "hybrid".
            floor: "loose" or "strict": how much of the query a record must answer.
            budget: Tokens that the texts may fill.

        Raises:
            AgentError: InvalidValue if an argument is not what it must be.
        """
        strategy = strategy or "hybrid"
        if strategy not in STRATEGIES:
            raise AgentError("InvalidValue", f"strategy must be one of {', '.join(STRATEGIES)}, got {strategy!r}")
        if floor not in FLOORS:
            raise AgentError("InvalidValue", f"floor must be one of {', '.join(FLOORS)}, got {floor!r}")
        if limit < 1:
            raise AgentError("InvalidValue", f"limit must be at least 1, got {limit}")
        where, values = condition(memory_type, project, conversation, tags)
        pool = self.searcher.pool(query, limit, agent_id, where, values)
        hits = self.searcher.hits(query, pool, strategy, limit, agent_id, FLOORS[floor])
        return hits if budget is None else within(hits, budget)

    def delete(self, record_id: str, *, agent_id: str = ANYONE) -> None:
        """Forget a record; NotFound if this agent has none of that id."""
        self.records.remove(record_id, agent_id=agent_id)
