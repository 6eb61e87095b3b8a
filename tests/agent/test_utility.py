"""What has helped moves up a little: relevance comes first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_agent.hits import LENIENCE, SHIFT, Hit, moved
from engram_agent.memory import Memory
from engram_agent.records import Record
from engram_agent.search import RRF_K

RELEVANCES = st.lists(st.floats(0, 1), min_size=1, max_size=31)
UTILITIES = st.dictionaries(st.integers(0, 30).map(str), st.floats(0, 1))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path / "m.db", explore=False) as found:
        yield found


def hits(relevances: list[float]) -> list[Hit]:
    """Hits by reciprocal ranks, named by their places from 0."""
    record = Record(
        id="m", agent_id="a", memory_type="context", context="c", action="", result="", created_at=0.0, updated_at=0.0
    )
    return [
        Hit(id=str(place), score=(RRF_K + 1) / (RRF_K + 1 + place), relevance=each, why="", record=record, ranks={})
        for place, each in enumerate(relevances)
    ]


def order(relevances: list[float], utilities: dict[str, float]) -> list[int]:
    return [int(hit.id) for hit in moved(hits(relevances), utilities)]


@settings(max_examples=100, deadline=None)
@given(RELEVANCES, UTILITIES)
def test_nothing_is_lost_and_no_memory_passes_one_that_answers_clearly_more(
    relevances: list[float], utilities: dict[str, float]
) -> None:
    found = moved(hits(relevances), utilities)
    assert sorted(int(hit.id) for hit in found) == list(range(len(relevances)))
    scores = [hit.score for hit in found]
    assert scores == sorted(scores, reverse=True) and 0.0 < scores[-1] <= scores[0] <= 1.0 + SHIFT
    for place, hit in enumerate(found):
        passed = [other for other in found[place + 1 :] if int(other.id) < int(hit.id)]
        for other in passed:
            lead = 2.0 * (utilities.get(hit.id, 0.5) - utilities.get(other.id, 0.5))
            assert other.relevance <= hit.relevance + LENIENCE * lead + 1e-9 <= hit.relevance + 2 * LENIENCE + 1e-6


@settings(max_examples=30, deadline=None)
@given(RELEVANCES, st.floats(0, 1))
def test_what_was_never_judged_or_all_the_same_stays_as_it_is(relevances: list[float], same: float) -> None:
    assert order(relevances, {}) == list(range(len(relevances)))
    assert order(relevances, {str(place): same for place in range(31)}) == list(range(len(relevances)))


def test_among_equals_utility_moves_a_memory_a_little_and_no_further() -> None:
    equal = [0.9] * 40
    assert order(equal, {"3": 1.0})[0] == 3 and order(equal, {"0": 0.0}).index(0) > 3, "it is moved"
    assert order(equal, {"39": 1.0}).index(39) > 20 and order(equal, {"0": 0.0}).index(0) < 15, (
        "and not to the other end"
    )


def test_equals_are_ordered_by_their_shifted_scores() -> None:
    utilities = {"1": 0.9, "2": 0.2, "5": 1.0, "6": 0.0}
    shifted = {int(hit.id): hit.score * (1 + SHIFT * (2 * utilities.get(hit.id, 0.5) - 1)) for hit in hits([0.7] * 7)}
    assert order([0.7] * 7, utilities) == sorted(shifted, key=lambda place: -shifted[place]) != list(range(7))


def test_ten_judgements_lift_a_memory_over_its_like_and_not_over_one_that_answers_clearly_more(memory: Memory) -> None:
    whole = memory.store("the boiler of the cellar leaks at the brass valve", "", "a new washer")
    part = memory.store("a new pump for the cellar, which has a handle of brass, and its hose", "", "it was soldered")
    like = memory.store("the boiler of the cellar leaks at the brass valve of the pump", "", "a new ring")
    asked = "boiler in the cellar leaks at the brass valve"
    before = [hit.id for hit in memory.search(asked, strategy="lexical")]
    relevance = {hit.id: hit.relevance for hit in memory.search(asked, strategy="lexical")}
    assert (
        before == [whole, like, part]
        and relevance[whole] - relevance[part] > LENIENCE > relevance[whole] - relevance[like]
    )

    def taught(name: str) -> list[str]:
        for _ in range(10):
            memory.judge(name, 1.0, query_id=memory.search(asked, strategy="lexical").query_id)
        return [hit.id for hit in memory.search(asked, strategy="lexical")]

    assert taught(part) == before
    assert taught(like) == [like, whole, part]


def test_what_has_helped_comes_up_from_behind_the_last_place(memory: Memory) -> None:
    for number in range(9):
        memory.store(f"the cellar key hangs by the {number}th door")
    *_, last = [hit.id for hit in memory.search("cellar key", limit=9, strategy="lexical")]
    assert last not in [hit.id for hit in memory.search("cellar key", limit=5, strategy="lexical")]
    for _ in range(20):
        memory.judge(last, 1.0, query_id=memory.search("cellar key", limit=9, strategy="lexical").query_id)
    assert last in [hit.id for hit in memory.search("cellar key", limit=5, strategy="lexical")]


def test_who_may_only_read_a_memory_does_not_move_it(memory: Memory) -> None:
    ids = [memory.store(f"the cellar key hangs by {place}", agent_id="alice") for place in ("a stove", "a clock")]
    memory.share("alice", "bob", scope="all")
    before = [hit.id for hit in memory.search("cellar key", agent_id="alice", strategy="lexical")]
    for _ in range(20):
        served = memory.search("cellar key", agent_id="bob", strategy="lexical")
        assert memory.judge(before[0], 0.0, agent_id="bob", query_id=served.query_id).utility == 0.5
    assert [hit.id for hit in memory.search("cellar key", agent_id="alice", strategy="lexical")] == before
    assert sorted(before) == sorted(ids) and memory.get(before[0], agent_id="alice").used_count == 0
    assert {row["updates"] for row in memory.learned()["q_values"]} == {20}, (
        "the router has learned from it all the same"
    )
