"""Whether the router learns: searches replayed with judged evidence, against every strategy held fixed.

It must not know how the router learns; it asks, judges and counts.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import data_file
from engram_agent.credit import DECISIONS, DEFAULTS, STRATEGY, Evidence
from engram_agent.database import Database
from engram_agent.memory import Memory
from engram_agent.router import Router
from engram_agent.search import FLOORS, STRATEGIES

LIMIT = 10
SEEDS = tuple(range(1, 21))
WRONG = "vector/loose"


@dataclass(frozen=True)
class Asked:
    """A question with what each strategy serves for it, and the memories that answer it."""

    query: str
    evidence: frozenset[str]
    served: Mapping[str, Mapping[str, float]]
    orders: Mapping[str, Sequence[str]]

    def recall(self, action: str) -> float:
        """Share of the evidence that a strategy serves."""
        return len(self.evidence & self.served[action].keys()) / len(self.evidence)


def measure(data: Path) -> dict[str, Any]:
    """Recall of the evidence in the first ten, over the whole replay and its last half, learned and fixed.

    Who asks judges every memory that was evidence 1, and the first hit 0 if none was; it says nothing else.
    """
    started = time.perf_counter()
    sets = {"musique": _musique(data), "2wiki": _two_wiki(data)}
    asked = {name: _ask(passages, questions) for name, (passages, questions) in sets.items()}
    cached = time.perf_counter()
    found = {name: _compare(questions) for name, questions in asked.items()}
    return {
        "seeds": len(SEEDS),
        "limit": LIMIT,
        "sets": found,
        "seconds": {"searching": cached - started, "replaying": time.perf_counter() - cached},
    }


def _compare(asked: Sequence[Asked]) -> dict[str, Any]:
    fixed = {action: statistics.mean(each.recall(action) for each in asked) for action in DECISIONS[STRATEGY]}
    best = max(fixed, key=lambda action: fixed[action])
    runs = {"learned": DEFAULTS[STRATEGY], "learned from a wrong default": WRONG}
    return {
        "questions": len(asked),
        "fixed": fixed,
        "best fixed": best,
        **{name: _runs(asked, default, best) for name, default in runs.items()},
    }


def _runs(asked: Sequence[Asked], default: str, best: str) -> dict[str, float]:
    """Means over the seeds; each order of the questions is compared with the best fixed strategy on the same order."""
    parts = []
    for seed in SEEDS:
        order = random.Random(seed).sample(asked, len(asked))
        learned = replay(order, default, seed)
        fixed = [each.recall(best) for each in order]
        half = len(order) // 2
        parts.append(
            {
                "recall": statistics.mean(learned),
                "recall of the last half": statistics.mean(learned[half:]),
                "above the best fixed": statistics.mean(learned) - statistics.mean(fixed),
                "above the best fixed in the last half": statistics.mean(learned[half:])
                - statistics.mean(fixed[half:]),
            }
        )
    means = {name: statistics.mean(part[name] for part in parts) for name in parts[0]}
    return means | {"spread": statistics.pstdev(part["recall"] for part in parts)}


def replay(asked: Sequence[Asked], default: str, seed: int) -> list[float]:
    """The recall of each search by a router that learns from the judgements of those before.

    Args:
        asked: The questions in their order.
        default: The strategy it begins with.
        seed: Of its exploration.
    """
    database = Database(Path(":memory:"))
    router = Router(database, True, random.Random(seed), DEFAULTS | {STRATEGY: default})
    found = []
    for each in asked:
        routing = router.choose(each.query)
        served = dict(each.served[routing.actions[STRATEGY]])
        routing, tried = router.probe(routing, list(served), each.orders)
        if tried:
            kept = list(served.items())[: LIMIT - 1]
            served = dict(kept) | {tried: max(one.get(tried, 0.0) for one in each.served.values())}
        router.count(routing.state, False)
        judged = {name: 1.0 for name in served if name in each.evidence} or dict.fromkeys(list(served)[:1], 0.0)
        for name, score in judged.items():
            places = {strategy: order.index(name) + 1 for strategy, order in each.orders.items() if name in order}
            evidence = Evidence(places=places, relevance=served[name], probe=routing.probes.get(name, 0.0))
            router.learn(routing, evidence, score)
        found.append(len(each.evidence & served.keys()) / len(each.evidence))
    database.close()
    return found


def _ask(passages: Sequence[tuple[str, str]], questions: Sequence[tuple[str, Sequence[int]]]) -> list[Asked]:
    """Store all passages, and search once for every question by every strategy."""
    with Memory(":memory:", explore=False) as memory:
        with memory.records.database.transaction():
            ids = [memory.store(title, result=text) for title, text in passages]
        searcher, found = memory.searcher, []
        for query, evidence in questions:
            pool = searcher.pool(query, LIMIT, "default", "1", [])
            served = {}
            for action in DECISIONS[STRATEGY]:
                strategy, floor = action.split("/")
                hits = searcher.hits(pool, strategy, LIMIT, "default", FLOORS[floor])
                served[action] = {hit.id: hit.relevance for hit in hits}
            orders = {name: [found for found, _ in searcher.best(pool, name, LIMIT)] for name in STRATEGIES}
            found.append(Asked(query, frozenset(ids[place] for place in evidence), served, orders))
    return found


def _musique(data: Path) -> tuple[list[tuple[str, str]], list[tuple[str, list[int]]]]:
    """All paragraphs, and the questions with their sub-questions, where `#n` stands for the n-th answer."""
    places: dict[tuple[str, str], int] = {}
    questions = []
    for line in data_file(data, "multihop", "musique_120.jsonl").read_text().splitlines():
        each = json.loads(line)
        rows = [places.setdefault((part["title"], part["paragraph_text"]), len(places)) for part in each["paragraphs"]]
        steps = each["question_decomposition"]
        questions.append((each["question"], sorted({rows[step["paragraph_support_idx"]] for step in steps})))
        for step in steps:
            text = step["question"]
            for number, earlier in enumerate(steps, 1):
                text = text.replace(f"#{number}", earlier["answer"])
            questions.append((text, [rows[step["paragraph_support_idx"]]]))
    return list(places), questions


def _two_wiki(data: Path) -> tuple[list[tuple[str, str]], list[tuple[str, list[int]]]]:
    """A corpus with the sentences that answer the questions added, and the questions."""
    corpus = json.loads(data_file(data, "multihop", "2wiki_corpus_6119.json").read_text())
    passages = {each["title"]: each["text"] for each in corpus}
    lines = data_file(data, "multihop", "2wiki_dev300.jsonl").read_text().splitlines()
    asked = [json.loads(line) for line in lines]
    for each in asked:
        for part in each["supporting"]:
            passages.setdefault(part["title"], part["sentence"])
    places = {title: place for place, title in enumerate(passages)}
    questions = [(each["question"], sorted({places[part["title"]] for part in each["supporting"]})) for each in asked]
    return list(passages.items()), questions
