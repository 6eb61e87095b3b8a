"""One memory for agents, in one file: store, search, judge, record, suggest, share.

It must not know how a command line or a server speaks; it is what both are thin over.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engram_agent import (
    audit,
    consolidation,
    exchange,
    experience,
    learning,
    overview,
    patterns,
    prevention,
    retention,
    sharing,
)
from engram_agent.embedders import Embedder
from engram_agent.errors import UNFIT, AgentError, must_be_text
from engram_agent.intake import must_be_agent, new_record, safe_tags
from engram_agent.judging import Judge, Judgement
from engram_agent.mining import Miner
from engram_agent.patterns import Applied, Pattern
from engram_agent.prediction import Prediction, Predictor
from engram_agent.records import Record
from engram_agent.router import Found, Router
from engram_agent.search import Searcher, Weights, condition
from engram_agent.searches import Searches
from engram_agent.serving import Service
from engram_agent.store import SAME, Store
from engram_agent.suggest import Suggestion, suggest

ANYONE = "default"
MOST = 10_000
"""Most hits that one search gives."""
LARGEST = 10_000_000
"""Most tokens of a budget."""


class Memory:
    """What agents remember, in one SQLite file that many processes may open.

    Args:
        path: The file; created if missing. ":memory:" keeps it in memory only.
        embedder: Turns texts into vectors; by default their letters do, with nothing to download.
        weights: How the lists of a search are fused.
        same: How alike context, action and result must be for two records to be one, 0 to 1.
        explore: Whether searches now and then try what is not thought best, to learn more.
        seed: Of the exploration; by default another one each time.
        thesaurus: A file of one's own related words, beside those that are shipped; read with the first search.

    Example:
        >>> memory = Memory("memories.db")                                      # doctest: +SKIP
        >>> memory.store("login times out", "retry with backoff", "it worked")  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | Path,
        embedder: Embedder | None = None,
        weights: Weights | None = None,
        same: float = SAME,
        explore: bool = True,
        seed: int | None = None,
        thesaurus: Path | None = None,
    ) -> None:
        self.records = Store(path, embedder, same)
        self.searcher = Searcher(self.records, weights, thesaurus)
        self.router = Router(self.records.database, explore, random.Random(seed))
        self.searches = Searches(self.records.database, self.router)
        self.service = Service(self.searcher, self.router, self.searches)
        self.judging = Judge(self.records, self.router, self.searches)
        self.miner = Miner(self.records)
        self.predictor = Predictor(self.records)

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
        result each alike by more than 0.95, with the same numbers and negations; for turns, at the same place) is counted
        there, and that record's id comes back.

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
        texts = (context, action, result)
        record = new_record(*texts, agent_id=agent_id, memory_type=memory_type, tags=tags, fields=fields, **more)
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
        floor: str | None = None,
        budget: int | None = None,
    ) -> Found:
        """What an agent remembers that belongs to a query, best first; nothing if nothing does.

        The search is logged, so that `judge` can teach the router.

        Args:
            query: Any text.
            limit: How many at most.
            agent_id: Who asks; only what it may see is found.
            memory_type, project, conversation, tags: Only records of this type, project and conversation, with all these tags.
            strategy: "lexical", "vector" or "hybrid"; by default what has helped most for such requests.
            floor: "loose" or "strict": how much of the query a record must answer; by default the same.
            budget: Tokens that the texts may fill.

        Raises:
            AgentError: InvalidValue if an argument is not what it must be.
        """
        _must_be_within("limit", limit, MOST)
        _must_be_within("budget", 1 if budget is None else budget, LARGEST)
        safe_tags(tags)
        must_be_agent(agent_id)
        must_be_text("query", query)
        query = UNFIT.sub(" ", query)
        wanted = condition(memory_type, project, conversation, tags)
        return self.service.search(query, limit, agent_id, *wanted, strategy=strategy, floor=floor, budget=budget)

    def judge(
        self,
        record_id: str,
        score: float | None = None,
        *,
        agent_id: str = ANYONE,
        query_id: str | None = None,
        source: str = "agent",
    ) -> Judgement:
        """Say how helpful a memory was, 0 to 1, or None for a guess; search learns from it: see `judging.Judge`."""
        return self.judging.judge(record_id, score, agent_id=agent_id, query_id=query_id, source=source)

    def record(self, context: str, action: str, outcome: str | float, *, agent_id: str = ANYONE, **more: Any) -> str:
        """Remember what was tried and what came of it, all or nothing: see `experience.record`; returns the record's id."""
        return experience.record(self.miner, self.judge, context, action, outcome, agent_id=agent_id, **more)

    def suggest(self, context: str, *, agent_id: str = ANYONE, limit: int = 5) -> list[Suggestion]:
        """What was tried in a situation or one like it, with success rates: see `suggest.suggest`."""
        return suggest(self.searcher, context, agent_id=agent_id, limit=limit)

    def predict(self, context: str, action: str = "", *, agent_id: str = ANYONE) -> Prediction:
        """The probability that an action succeeds in a situation: see `prediction.Model`."""
        return self.predictor.predict(context, action, agent_id=agent_id)

    def patterns(self, *, agent_id: str = ANYONE, **filters: Any) -> list[Pattern]:
        """Patterns that were learned, by kind, recurring, success_rate, since and limit: see `patterns.listed`."""
        return patterns.listed(self.records, agent_id=agent_id, **filters)

    def failures(self, *, agent_id: str = ANYONE, since: str = "7d", **filters: Any) -> list[Pattern]:
        """Failures seen in a span before now, such as "7d"."""
        return self.patterns(agent_id=agent_id, kind="failure", since=since, **filters)

    def apply_pattern(self, name: str, task: str, *, agent_id: str = ANYONE) -> Applied:
        """The steps of a pattern for a task, whose next outcome is credited to it: see `patterns.apply`."""
        return patterns.apply(self.records, name, task, agent_id=agent_id)

    def prevent(self, pattern: str, *, agent_id: str = ANYONE) -> prevention.Check:
        """The check against a failure: see `prevention.prevent`."""
        return prevention.prevent(self.records, pattern, agent_id=agent_id)

    def check_result(self, check_id: str, held: bool, *, agent_id: str = ANYONE) -> prevention.Check:
        """Count whether a check held; one that fails too often is demoted: see `prevention.check_result`."""
        return prevention.check_result(self.records, check_id, held, agent_id=agent_id)

    def learning_stats(self, *, agent_id: str = ANYONE) -> dict[str, Any]:
        """What an agent has learned so far, in numbers: see `learning.stats`."""
        return learning.stats(self.records, agent_id=agent_id)

    def learned(self) -> dict[str, list[dict[str, Any]]]:
        """What judgements have taught: `q_values`, `q_history`, `utilities` and `judgements`, the latest first."""
        return self.judging.learned()

    def delete(self, record_id: str, *, agent_id: str = ANYONE) -> None:
        """Forget a record and what was learned from it alone; NotFound if this agent has none of that id."""
        self.miner.forget(record_id, agent_id=agent_id)

    def share(self, from_agent: str, to_agent: str, **terms: Any) -> sharing.Grant:
        """Let another agent read some records: `sharing.share`, with scope, value, purpose, days and agent_id."""
        return sharing.share(self.records, from_agent, to_agent, **terms)

    def revoke(self, grant_id: str, *, agent_id: str = ANYONE) -> sharing.Grant:
        """Take a grant back, at once; NotFound if this agent has given none of that id."""
        return sharing.revoke(self.records, grant_id, agent_id=agent_id)

    def grants(self, *, agent_id: str = ANYONE) -> list[sharing.Grant]:
        """All grants an agent has given or received, the newest first."""
        return sharing.grants(self.records, agent_id=agent_id)

    def export(self, *, agent_id: str = ANYONE, domain: str | None = None) -> dict[str, Any]:
        """An agent's own records as plain data for JSON: `exchange.export`."""
        return exchange.export(self.records, agent_id=agent_id, domain=domain)

    def import_(self, data: Any, *, agent_id: str = ANYONE) -> exchange.Imported:
        """Take in what `export` gave, all of it or nothing: `exchange.import_`."""
        return exchange.import_(self.records, data, agent_id=agent_id)

    def merge(self, from_agent: str, *, agent_id: str = ANYONE, domain: str | None = None) -> exchange.Imported:
        """Make one's own what another agent has granted: `exchange.merge`."""
        return exchange.merge(self.records, from_agent, agent_id=agent_id, domain=domain)

    def retention(self, days: Mapping[str, float], *, agent_id: str = ANYONE, apply: bool = False) -> list[Record]:
        """Records that are older than their type is kept, deleted only if asked for: `retention.retain`."""
        return retention.retain(self.miner, days, agent_id=agent_id, apply=apply)

    def consolidate_preview(self, *, agent_id: str = ANYONE, **limits: float) -> consolidation.Plan:
        """Plan what to tidy: `consolidation.preview`, with stale_days and min_score."""
        return consolidation.preview(self.records, agent_id=agent_id, **limits)

    def consolidate_apply(self, plan_id: str, *, agent_id: str = ANYONE) -> consolidation.Plan:
        """Do what a preview has planned: `consolidation.apply`."""
        return consolidation.apply(self.records, plan_id, agent_id=agent_id)

    def consolidate_undo(self, plan_id: str, *, agent_id: str = ANYONE) -> consolidation.Plan:
        """Bring back what was there before a plan was applied: `consolidation.undo`."""
        return consolidation.undo(self.records, plan_id, agent_id=agent_id)

    def consolidate_log(self, *, agent_id: str = ANYONE) -> list[consolidation.Plan]:
        """All plans of an agent, the newest first."""
        return consolidation.log(self.records, agent_id=agent_id)

    def audit_verify(self) -> audit.Verified:
        """Compute the hashes of the whole log again: `audit.verify`."""
        return audit.verify(self.records.database)

    def status(self, *, agent_id: str | None = None, check: bool = False) -> dict[str, Any]:
        """What the memory holds, in numbers; None for all agents: `overview.status`."""
        return overview.status(self.records, agent_id=agent_id, check=check)


def _must_be_within(name: str, value: object, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise AgentError("InvalidValue", f"{name} must be from 1 to {most:,}, got {value!r}")
