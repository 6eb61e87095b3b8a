"""The last place of a search: given to another strategy now and then, known as such, learned from as often as it is seldom."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engram_agent.credit import DEFAULTS, STRATEGY, Evidence, Routing, weight
from engram_agent.database import Database
from engram_agent.memory import Memory
from engram_agent.router import LEAST_PROBING, PROBED, PROBED_HALF, PROBING, Router

ORDERS = {"lexical": ["a", "b", "c"], "vector": ["d", "a", "e"], "hybrid": ["a", "d", "b"]}
ROUTING = Routing(
    state="routine", actions=DEFAULTS, propensities=dict.fromkeys(DEFAULTS, 1.0), policy={"lexical/loose": 1.0}
)


@pytest.fixture
def router() -> Iterator[Router]:
    database = Database(Path(":memory:"))
    yield Router(database, True, random.Random(7))
    database.close()


def judged(router: Router) -> None:
    router.learn(router.choose("a plan"), Evidence(places={"hybrid": 1}, relevance=0.9), 1.0)


def test_nothing_is_tried_before_anybody_judges_or_where_the_caller_demands_it(router: Router) -> None:
    assert router.choose("a plan").probing == 0.0
    judged(router)
    assert router.choose("a plan").probing == PROBING
    assert router.choose("a plan", "lexical").probing == router.choose("a plan", None, "strict").probing == 0.0
    router.explore = False
    assert router.choose("a plan").probing == 0.0


def test_trying_fades_down_to_a_rest(router: Router) -> None:
    judged(router)
    shares = []
    for _ in range(1_000):
        routing = router.choose("a plan")
        shares.append(routing.probing)
        router.count(routing.state, False)
    assert shares[PROBED_HALF] == PROBING / 2 and shares[-1] == LEAST_PROBING and shares == sorted(shares, reverse=True)


def test_what_is_tried_is_the_first_that_each_strategy_misses_as_often_as_it_says(router: Router) -> None:
    routing = replace(ROUTING, probing=0.6)
    drawn = [router.probe(routing, ["a", "b", "c", "x", "y"], ORDERS) for _ in range(4_000)]
    assert all(one.probes == {"d": 0.6} for one, _ in drawn), "vector and hybrid miss the same"
    assert Counter(tried for _, tried in drawn)["d"] / 4_000 == pytest.approx(0.6, abs=0.03)
    drawn = [router.probe(routing, ["a", "d", "x", "y", "z"], ORDERS) for _ in range(4_000)]
    assert drawn[0][0].probes == pytest.approx({"b": 0.4, "e": 0.2})
    assert Counter(tried for _, tried in drawn)["e"] / 4_000 == pytest.approx(0.2, abs=0.03)


def test_where_nothing_is_missed_or_places_are_few_nothing_is_tried(router: Router) -> None:
    routing = replace(ROUTING, probing=1.0)
    assert router.probe(routing, ["a", "b", "c", "d", "e"], ORDERS) == (routing, "")
    assert router.probe(routing, list("avwx")[: PROBED - 1], ORDERS) == (routing, "")
    assert router.probe(ROUTING, list("avwxy"), ORDERS) == (ROUTING, "")


def test_a_memory_that_was_tried_weighs_by_how_seldom_it_would_be() -> None:
    tried = Evidence(places={"vector": 1}, relevance=0.5, probe=0.25)
    assert weight(ROUTING, tried) == pytest.approx(4.0)
    both = replace(ROUTING, policy={"lexical/loose": 0.8, "vector/loose": 0.2})
    assert weight(both, tried) == pytest.approx(1 / (0.2 + 0.8 * 0.25))
    assert weight(ROUTING, replace(tried, probe=0.0)) == pytest.approx(10.0), "not shown by anything known: bounded"


def test_a_search_serves_it_last_says_so_and_learns_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engram_agent.router.PROBING", 1.0)
    monkeypatch.setattr("engram_agent.router.EPSILON", 0.0)
    monkeypatch.setattr("engram_agent.router.LEAST_EPSILON", 0.0)
    with Memory(tmp_path / "m.db", seed=7) as memory:
        for place in ("harbour", "garden", "kitchen", "library", "workshop", "cellar", "museum", "orchard"):
            memory.store(f"the pump in the {place} leaks since the {place} was painted")
        memory.store("waterpumps, pumping, pumphouse")
        memory.router.defaults = DEFAULTS | {STRATEGY: "lexical/loose"}
        first = memory.search("pump leaks", 6)
        assert all("tried" not in hit.why for hit in first)
        memory.judge(first[0].id, 1.0)
        found = memory.search("pump leaks", 6)
        assert len(found) == 6 and [hit.id for hit in found[:5]] == [hit.id for hit in first[:5]]
        assert found[5].why.endswith("tried, by vector search alone") and found[5].id in found.routing.probes
        search = memory.searches.get(found.query_id, agent_id="default")
        evidence = search.evidence(found[5].id)
        assert evidence is not None and evidence.probe > 0.0 and "lexical" not in evidence.places
        before = memory.router.values(found.routing.state)[STRATEGY]
        memory.judge(found[5].id, 1.0)
        after = memory.router.values(found.routing.state)[STRATEGY]
        gained = {name: after[name] - before[name] for name in after}
        assert gained["vector/loose"] > gained["lexical/loose"]
