"""Ranks what belongs to a query: by words, by vectors or by both, above a floor, shifted a little by what has helped.

It must not know who chooses the strategy, nor who asks: the store says what may be seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from engram_agent.concepts import Concept, affordable, concepts
from engram_agent.errors import AgentError, must_be_words
from engram_agent.hits import Hit, moved, relevance_of, why_chosen
from engram_agent.index import STOP_WORDS, Asked, Scan, terms
from engram_agent.rarity import Rarity
from engram_agent.records import TYPES
from engram_agent.store import Store
from engram_agent.thesaurus import FORM, Thesaurus, shipped

Kind = TypeVar("Kind")
STRATEGIES = ("lexical", "vector", "hybrid")
POOL = 5
"""Candidates of each list for one hit, so that what only one list knows is not lost."""
LEAST_POOL = 50
RRF_K = 60
"""Rank at which a list's say has fallen to half (Cormack et al. 2009, "Reciprocal Rank Fusion")."""
REACH = 20
"""Candidates behind the last that has a place which may still be moved up to one by what has helped."""
LINKS = 2
"""Best records by words whose rare words are looked for next."""
LINK_WORDS = 16
COMMON = 0.05
"""A word that stands in more than this share of the records, or in more than `MOST_LINKED`, links nothing."""
MOST_LINKED = 150
NEAR = 0.15
"""Least cosine of a candidate by vectors."""
CLOSE = 0.25
"""Least cosine of the first by vectors that has a place whatever the words say."""
FLOORS = {"loose": 0.2, "strict": 0.65}
"""Least relevance: of the best hit, else nothing is found; where it is strict, of every hit."""


@dataclass(frozen=True)
class Pool:
    """Candidates of one query.

    Attributes:
        lists: Row, id and score of each, best first, by list: "lexical", "linked" and "vector".
        utilities: How often each has helped, 0 to 1, for those that were judged.
        unknown: Share of what the query says that stands in no record at all, in no form and by no other word.
        concepts: What the query asks for.
        held: For each concept the rows that were found by it, and by what; first of one's own records, then of others'.
    """

    lists: Mapping[str, Sequence[tuple[int, str, float]]]
    utilities: Mapping[str, float]
    unknown: float
    concepts: Sequence[Concept] = ()
    held: Sequence[Mapping[int, Mapping[int, Asked]]] = ({}, {})

    def ranks(self, name: str) -> dict[str, int]:
        """Place of each candidate in a list, from 1."""
        return {found: place for place, (_, found, _) in enumerate(self.lists.get(name, ()), 1)}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How lists are fused.

    Attributes:
        lexical: Say of the words.
        linked: Say of the records that share rare words with the best by words: the next step of a chain.
        vector: Say of the vectors, where no word of the query is known; the more are, the less.
        rrf_k: Rank at which a list's say has fallen to half.
    """

    lexical: float = 1.0
    linked: float = 0.4
    vector: float = 0.5
    rrf_k: float = RRF_K


def condition(
    memory_type: str | None = None,
    project: str | None = None,
    conversation: str | None = None,
    tags: Sequence[str] = (),
) -> tuple[str, list[Any]]:
    """A condition on `records` for these filters, with its values; InvalidValue for a type that there is not."""
    if memory_type is not None and memory_type not in TYPES:
        raise AgentError("InvalidValue", f"memory_type must be one of {', '.join(TYPES)}, got {memory_type!r}")
    wanted = {"memory_type": memory_type, "project": project, "conversation": conversation}
    for name, value in wanted.items():
        must_be_words(name, value or "")
    chosen = {f"records.{name} = ?": value for name, value in wanted.items() if value is not None}
    has_tag = "EXISTS (SELECT 1 FROM json_each(records.tags) WHERE json_each.value = ?)"
    return " AND ".join([*chosen, *[has_tag] * len(tags)]) or "1", [*chosen.values(), *tags]


class Searcher:
    """Finds records of a store.

    Args:
        store: The records.
        weights: How lists are fused.
        own_words: A file of related words beside those that are shipped.
    """

    def __init__(self, store: Store, weights: Weights | None = None, own_words: Path | None = None) -> None:
        self.store, self.weights, self.own_words = store, weights or Weights(), own_words
        self._rarities: dict[str, Rarity] = {}

    @cached_property
    def thesaurus(self) -> Thesaurus:
        """Other words for those of a query; ConfigParseError if the file of one's own words is none."""
        return Thesaurus(self.own_words) if self.own_words else shipped()

    def rarity(self, agent_id: str) -> Rarity:
        """How much each word tells an agent, as its records stand now."""
        known = self._rarities.get(agent_id)
        if known is None:
            return self._rarities.setdefault(agent_id, Rarity(self.store, agent_id))
        known.refresh()
        return known

    def pool(self, query: str, limit: int, agent_id: str, where: str, values: Sequence[Any]) -> Pool:
        """The candidates of both lists that an agent may see and that meet a condition."""
        seen, seen_values = self.store.seen_by(agent_id)
        count = max(LEAST_POOL, POOL * limit)
        rarity = self.rarity(agent_id)
        asked = f"{seen} AND ({where})", [*seen_values, *values], count
        wanted = concepts(query, rarity, self.thesaurus)
        mine, theirs = self._by_words(affordable(wanted, rarity), agent_id, *asked)
        lexical = _merged(mine, theirs, count)
        weights = {concept.word: concept.idf for concept in wanted}
        known = {form for concept in wanted for form in (concept.word, *concept.forms)}
        rare = self._rare_words(lexical, known, rarity)
        near = self.store.vectors.search(query, *asked, weight=lambda word: weights.get(word, 1.0))
        lists = {
            "lexical": lexical,
            "linked": self.store.words.search(rare, *asked, own=self.store.sees_others(agent_id)),
            "vector": [found for found in near if found[2] >= NEAR],
        }
        unknown = sum(concept.idf * (not concept.forms) for concept in wanted) / max(sum(weights.values()), 1e-9)
        names = list({name for found in lists.values() for _, name, _ in found})
        judged = self.store.database.rows(
            "SELECT record_id, helped, hindered FROM utilities WHERE record_id IN (SELECT value FROM json_each(?))",
            [json.dumps(names)],
        )
        utilities = {row["record_id"]: (1 + row["helped"]) / (2 + row["helped"] + row["hindered"]) for row in judged}
        return Pool(lists, utilities, unknown, wanted, (mine.held, theirs.held))

    def order(self, pool: Pool, strategy: str) -> list[tuple[str, float]]:
        """Candidates by a strategy, best first, with their scores.

        Reciprocal ranks, sum of w / (k + rank), divided by what the first of every list gets.
        """
        weights = {strategy: 1.0}
        if strategy == "hybrid":
            own = self.weights
            weights = {
                "lexical": own.lexical,
                "linked": own.linked * (1.0 - pool.unknown),
                "vector": own.vector * pool.unknown,
            }
        k = self.weights.rrf_k
        full = max(sum(weights.values()), 1e-9) / (k + 1.0)
        scores: dict[str, float] = {}
        for name, weight in weights.items():
            for found, rank in pool.ranks(name).items():
                scores[found] = scores.get(found, 0.0) + weight / (k + rank) / full
        return sorted(scores.items(), key=lambda pair: -pair[1])

    def best(self, pool: Pool, strategy: str, limit: int) -> list[tuple[str, float]]:
        """The first of `order`; where there is room for three, the first of each list among them, by vectors if it is close.

        What is known of the memories themselves has no say: a strategy earns nothing by it.
        """
        return _cut(self.order(pool, strategy), limit, self._firsts(pool, strategy, limit), lambda pair: pair[0])

    def hits(self, pool: Pool, strategy: str, limit: int, agent_id: str, floor: float) -> list[Hit]:
        """The best candidates, moved by what has helped; none if the relevance of none of them reaches the floor."""
        reach = limit + REACH if pool.utilities else limit
        found = moved(self._found(pool, self.best(pool, strategy, reach), agent_id), pool.utilities)
        if floor > FLOORS["loose"]:
            found = [hit for hit in found if hit.relevance >= floor]
        served = _cut(found, limit, self._firsts(pool, strategy, limit), lambda hit: hit.id)
        return served if max((hit.relevance for hit in served), default=0.0) >= floor else []

    def _found(self, pool: Pool, best: Sequence[tuple[str, float]], agent_id: str) -> list[Hit]:
        """These candidates as hits: how sure it is that each answers, and why it was chosen."""
        ranks = {name: pool.ranks(name) for name in pool.lists}
        rows = {found: row for each in pool.lists.values() for row, found, _ in each}
        closeness = {found: score for _, found, score in pool.lists["vector"]}
        marks = ", ".join("?" * len(best))
        records = {
            record.id: record
            for record in self.store.select(agent_id, f"records.id IN ({marks})", [name for name, _ in best])
        }
        mine = [rows[name] for name, record in records.items() if record.agent_id == agent_id]
        theirs = [rows[name] for name, record in records.items() if record.agent_id != agent_id]
        held = self._held(pool, mine) | self._held(pool, theirs, own=True)
        forms = {one.text: one.much >= FORM for each in held.values() for one in each.values()}
        shared = self.store.words.shared(sorted(forms), list(held))
        whole = max(sum(concept.idf for concept in pool.concepts), 1e-9)
        hits = []
        for name, score in best:
            if name not in records:
                continue
            had = held.get(rows[name], {})
            covered = sum(pool.concepts[number].idf * one.much for number, one in had.items())
            relevance = relevance_of(covered / whole, closeness.get(name, 0.0))
            places = {each: ranks[each][name] for each in ranks if name in ranks[each]}
            words = {word: _is_own(word, forms) for word in shared.get(rows[name], [])}
            why = why_chosen(words, places, closeness.get(name, 0.0), pool.utilities.get(name))
            hits.append(Hit(id=name, score=score, relevance=relevance, why=why, record=records[name], ranks=places))
        return hits

    def _firsts(self, pool: Pool, strategy: str, limit: int) -> set[str]:
        """Candidates that have a place whatever else there is: where there is room for three, the first of each list."""
        if strategy != "hybrid" or limit < 3:
            return set()
        least = {"lexical": 0.0, "vector": CLOSE}
        return {pool.lists[name][0][1] for name in least if pool.lists[name] and pool.lists[name][0][2] >= least[name]}

    def _by_words(
        self, asked: Sequence[Asked], agent_id: str, where: str, values: Sequence[Any], count: int
    ) -> tuple[Scan, Scan]:
        """One's own records by words, and another's by its own words alone: a grant on one turn tells nothing of the next."""
        scan = self.store.words.scan
        mine = scan(asked, f"records.agent_id = ? AND {where}", [agent_id, *values], count)
        if not self.store.sees_others(agent_id):
            return mine, Scan(best=[], held={})
        return mine, scan(asked, f"records.agent_id <> ? AND {where}", [agent_id, *values], count, own=True)

    def _rare_words(self, lexical: Sequence[tuple[int, str, float]], known: set[str], rarity: Rarity) -> list[str]:
        """What the best records speak of beside the query: their rarest words that stand elsewhere too.

        Evidence in several steps is found this way (pseudo-relevance feedback, Lavrenko & Croft 2001): the record that
        answers the first step names what the second is about. Turns of a conversation are not followed: their neighbours
        are in the index already, and on single turns links took away more than they gave.
        """
        rows = [row for row, _, _ in lexical[:LINKS]]
        marks = ", ".join("?" * len(rows))
        said = self.store.database.rows(
            f"SELECT context, action, result FROM records WHERE row IN ({marks}) AND conversation IS NULL", rows
        )
        words = [set(terms(" ".join(record))) - known - STOP_WORDS for record in said]
        value = {
            word: rarity.idf(word)
            for word in set().union(*words)
            if 2 <= rarity.frequency(word) <= max(2.0, min(MOST_LINKED, COMMON * rarity.total))
        }
        ranked = sorted(value, key=lambda word: (-value[word] * sum(word in each for each in words), word))
        return ranked[:LINK_WORDS]

    def _held(self, pool: Pool, rows: Sequence[int], *, own: bool = False) -> dict[int, dict[int, Asked]]:
        """Which concepts each row has, and by what; those that were too common to be looked up are looked for now."""
        found: dict[int, dict[int, Asked]] = {row: {} for row in rows}
        for number, concept in enumerate(pool.concepts):
            have = pool.held[own].get(number, {})
            if rows and not any(one.much >= FORM for one in have.values()):
                forms = [form for form, much in concept.forms.items() if much >= FORM]
                had = {row: form for form in forms for row in self.store.words.having(form, rows, own=own)}
                have = {**have, **{row: Asked(text=form, concept=number) for row, form in had.items()}}
            for row in found.keys() & have.keys():
                found[row][number] = have[row]
        return found


def _cut(ordered: Sequence[Kind], limit: int, kept: set[str], name: Callable[[Kind], str]) -> list[Kind]:
    """As many of them, in their order; those to be kept are among them."""
    room = limit - sum(name(each) in kept for each in ordered)
    found = []
    for each in ordered:
        room -= name(each) not in kept
        if room >= 0 or name(each) in kept:
            found.append(each)
    return found


def _is_own(word: str, forms: Mapping[str, bool]) -> bool:
    """Whether a word that was found is a form of one that was asked for: by the looked up text that begins most like it."""

    def common(each: str) -> int:
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(each, word, strict=False)))

    return max((common(each), own) for text, own in forms.items() for each in text.split())[1]


def _merged(one: Scan, other: Scan, count: int) -> list[tuple[int, str, float]]:
    return sorted([*one.best, *other.best], key=lambda found: (-found[2], -found[0]))[:count]
