"""Judgements: they move the memory that was judged and the way searches are done, once each, and a restart keeps it."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import HOME
from engram_agent.credit import DEFAULTS, STRATEGY
from engram_agent.errors import AgentError
from engram_agent.judging import heuristic
from engram_agent.memory import Memory
from engram_agent.router import Router
from engram_agent.searches import DAY, KEPT, KEPT_DAYS, PRUNED_EVERY

WORDS = "Where is the cellar key of the farmhouse"
LETTERS = "cellarage keyed farmhouses"


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path / "m.db", explore=False) as found:
        yield found


def disagree(memory: Memory) -> tuple[str, str]:
    """Memories of which words and letters each put another first: ids of the two firsts."""
    for number in range(23):
        memory.store(f"{WORDS if number % 7 == 0 else 'cellar'} {'and so on ' * number}")
        memory.store(f"{LETTERS} {'farm ' * (number % 5)}{number * 7919}")
    memory.store("key of the cellar " * 3 + "farmhouse")
    firsts = [memory.search(WORDS, strategy=name, floor="loose")[0].id for name in ("lexical", "vector")]
    assert firsts[0] != firsts[1]
    return firsts[0], firsts[1]


def counts(memory: Memory) -> tuple[float, float]:
    row = memory.learned()["utilities"][0]
    return row["helped"], row["hindered"]


def q_values(memory: Memory) -> list[dict[str, object]]:
    return memory.learned()["q_values"]


# ------------------------------------------------------------------------------------------- the loop closes


def teach(memory: Memory, strategy: str, count: int = 40) -> None:
    """As many judgements that say that this strategy's first is what helped, and nothing else."""
    found = memory.search(WORDS, strategy=strategy, floor="loose")
    for _ in range(count):
        served = memory.search(WORDS, strategy=strategy, floor="loose")
        memory.judge(found[0].id, 1.0, query_id=served.query_id)


def opened(path: Path, default: str) -> Memory:
    memory = Memory(path, explore=False)
    memory.router.defaults = DEFAULTS | {STRATEGY: f"{default}/loose"}
    return memory


@pytest.mark.parametrize(("default", "taught"), [("vector", "lexical"), ("lexical", "vector")])
def test_forty_judgements_change_what_is_served_and_a_restart_keeps_it(
    tmp_path: Path, default: str, taught: str
) -> None:
    with opened(tmp_path / "m.db", default) as memory:
        disagree(memory)
        before = memory.search(WORDS)
        assert before.routing.strategy == default and q_values(memory) == []
        wanted = memory.search(WORDS, strategy=taught, floor="loose")[0].id
        teach(memory, taught)
        after = memory.search(WORDS)
        assert after.routing.strategy == taught
        assert after[0].id == wanted != before[0].id and {row["updates"] for row in q_values(memory)} == {40}
    with opened(tmp_path / "m.db", default) as memory:
        again = memory.search(WORDS)
        assert again.routing.strategy == taught and [hit.id for hit in again] == [hit.id for hit in after]


def test_without_the_update_the_same_judgements_change_nothing_of_the_routing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = {}
    for learning in (True, False):
        with opened(tmp_path / f"{learning}.db", "vector") as memory:
            disagree(memory)
            if not learning:
                monkeypatch.setattr(Router, "learn", lambda *_, **__: None)
            teach(memory, "lexical")
            taken[learning] = memory.search(WORDS).routing.strategy
            assert bool(q_values(memory)) == learning and counts(memory) == (40.0, 0.0)
    assert taken == {True: "lexical", False: "vector"}


def test_a_wrong_default_is_left_by_judgements_of_what_it_served(tmp_path: Path) -> None:
    """Words find what helps first; the letters, with which the router begins, find it later: that is enough to learn."""
    with Memory(tmp_path / "m.db", seed=3) as memory:
        memory.router.defaults = DEFAULTS | {STRATEGY: "vector/loose"}
        helpful, _ = disagree(memory)
        taken = []
        for _ in range(60):
            found = memory.search(WORDS)
            taken.append(found.routing.strategy)
            if helpful in {hit.id for hit in found}:
                memory.judge(helpful, 1.0, query_id=found.query_id)
            elif found:
                memory.judge(found[0].id, 0.0, query_id=found.query_id)
        assert taken[0] == "vector" and taken[-20:].count("vector") <= 2


def test_a_judged_memory_moves_in_the_ranking_and_a_served_one_does_not(memory: Memory) -> None:
    ids = [memory.store(f"the cellar key hangs by {place}") for place in ("a stove", "a clock", "a door")]
    first = [hit.id for hit in memory.search("cellar key", strategy="lexical")]
    for _ in range(50):
        memory.search(f"cellar key {memory.get(first[-1]).context}", limit=1, strategy="lexical")
    assert memory.get(first[-1]).access_count > 40
    assert [hit.id for hit in memory.search("cellar key", strategy="lexical")] == first and set(first) == set(ids)
    for name, score in ((first[-1], 1.0), (first[0], 0.0)):
        memory.judge(name, score)
    assert [hit.id for hit in memory.search("cellar key", strategy="lexical")] == first[::-1]


# ------------------------------------------------------------------------------------------- one judgement


def test_a_judgement_is_of_the_latest_search_of_this_agent_that_served_the_memory(memory: Memory) -> None:
    one = memory.store("the cellar key", agent_id="alice")
    assert memory.judge(one, 0.7, agent_id="alice").query_id is None and q_values(memory) == []
    memory.search("cellar key", agent_id="alice")
    latest = memory.search("the key of the cellar", agent_id="alice")
    memory.search("quantum chromodynamics", agent_id="alice")
    memory.search("cellar key", agent_id="bob")
    assert memory.judge(one, 0.7, agent_id="alice").query_id == latest.query_id == latest[0].query_id
    assert counts(memory) == pytest.approx((1.4, 0.6)) and q_values(memory) != []


def test_judging_the_same_again_takes_the_place_of_the_first(memory: Memory) -> None:
    one = memory.store("the cellar key")
    memory.search("cellar key")
    memory.judge(one, 1.0)
    before = q_values(memory)
    for _ in range(31):
        memory.judge(one, 1.0)
    assert counts(memory) == pytest.approx((1.0, 0.0))
    assert [(row["value"], row["updates"]) for row in q_values(memory)] == [
        (row["value"], row["updates"]) for row in before
    ]
    memory.judge(one, 0.25)
    assert counts(memory) == pytest.approx((0.25, 0.75))
    memory.search("cellar key")
    memory.judge(one, 0.25)
    assert counts(memory) == pytest.approx((0.5, 1.5))


def test_a_candidate_that_was_not_served_teaches_what_would_have_served_it(memory: Memory) -> None:
    lexical, vector = disagree(memory)
    found = memory.search(WORDS, limit=1, strategy="lexical", floor="loose")
    assert [hit.id for hit in found] == [lexical]
    memory.judge(vector, 1.0, query_id=found.query_id)
    values = {row["action"]: row["value"] for row in q_values(memory) if row["decision"] == STRATEGY}
    assert values["vector/loose"] > values["lexical/loose"]


def test_what_a_search_had_nothing_to_do_with_teaches_the_memory_alone(memory: Memory) -> None:
    other = memory.store("a fine day in May")
    memory.store("the cellar key")
    found = memory.search("cellar key", limit=1, strategy="lexical")
    memory.judge(other, 1.0, query_id=found.query_id)
    assert q_values(memory) == [] and counts(memory) == (1.0, 0.0)


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_a_score_that_is_none_is_one_line_and_leaves_nothing(memory: Memory, score: float) -> None:
    one = memory.store("the cellar key")
    memory.search("cellar key")
    with pytest.raises(AgentError) as error:
        memory.judge(one, score)
    assert error.value.name == "InvalidValue" and "from 0 to 1" in str(error.value)
    assert memory.learned()["judgements"] == []


def test_nobody_judges_what_is_not_theirs_to_see_nor_by_a_search_of_another(memory: Memory) -> None:
    hers = memory.store("the cellar key", agent_id="alice")
    found, his = memory.search("cellar key", agent_id="alice"), memory.store("the cellar key", agent_id="bob")
    for asked in ((hers, None), (hers, found.query_id), (his, found.query_id), (his, "q0"), ("m0", None)):
        with pytest.raises(AgentError) as error:
            memory.judge(asked[0], 1.0, agent_id="bob", query_id=asked[1])
        assert error.value.name == "NotFound" and "\n" not in str(error.value)
    assert memory.learned()["judgements"] == [] and memory.learned()["utilities"] == []


def test_a_judgement_is_whole_or_nothing(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    one = memory.store("the cellar key")
    memory.search("cellar key")
    before = memory.learned()
    monkeypatch.setattr("engram_agent.judging.Judge._count", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        memory.judge(one, 1.0)
    assert memory.learned() == before


def test_the_heuristic_is_its_formula_and_is_used_where_nobody_says(memory: Memory) -> None:
    record = memory.get(memory.store("the cellar key", action="hang it by the stove"))
    late = record.created_at + 30.0 * DAY
    assert heuristic(record, "", record.created_at) == pytest.approx(0.3)
    assert heuristic(record, "where is the stove and the key", late) == pytest.approx(0.4 + 0.3 / math.e)
    assert heuristic(record, "stove moon", late + 900 * DAY) == pytest.approx(0.2, abs=1e-9)
    found = memory.search("stove moon")
    judged = memory.judge(record.id, query_id=found.query_id)
    assert judged.score == pytest.approx(0.5, abs=1e-3) and memory.learned()["judgements"][0]["source"] == "heuristic"


# ------------------------------------------------------------------------------------------- the log


def test_a_search_logs_what_it_decided_and_no_secret(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as memory:
        one = memory.store("the deploy script")
        found = memory.search("deploy with password=Zx9-qr7_Pm2", agent_id="default")
        row = dict(memory.records.database.rows("SELECT * FROM searches")[0])
        assert row["id"] == found.query_id and row["agent_id"] == "default" and "deploy" in row["query"]
        assert json.loads(row["routing"])["propensities"] == found.routing.propensities
        assert one in json.loads(row["candidates"])["lexical"]
        assert [memory.get(hit.id).access_count for hit in found] == [1] * len(found)
    assert b"Zx9-qr7_Pm2" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_old_searches_are_forgotten_and_judgements_never(memory: Memory) -> None:
    one, now = memory.store("the cellar key"), time.time()
    old = memory.search("cellar key")
    memory.judge(one, 1.0)
    memory.records.database.execute("UPDATE searches SET searched_at = ?", [now - (KEPT_DAYS + 1) * DAY])
    for _ in range(PRUNED_EVERY - 1):
        last = memory.search("cellar key")
    kept = {row["id"] for row in memory.records.database.rows("SELECT id FROM searches")}
    assert old.query_id not in kept and last.query_id in kept and len(kept) == PRUNED_EVERY - 1
    memory.searches.prune(KEPT + 101, now)
    assert len(memory.records.database.rows("SELECT id FROM searches")) == PRUNED_EVERY - 101
    assert len(memory.learned()["judgements"]) == 1


JUDGE = """
import sys
from engram_agent.memory import Memory
memory = Memory(sys.argv[1], explore=False)
for number in range(23):
    found = memory.search("cellar key")
    memory.judge(found[0].id, 1.0, query_id=found.query_id)
"""


def test_two_processes_that_judge_lose_no_judgement(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as memory:
        one = memory.store("the cellar key")
        command = [sys.executable, "-c", JUDGE, str(tmp_path / "m.db")]
        for process in [subprocess.Popen(command, cwd=HOME) for _ in range(2)]:
            assert process.wait(timeout=60) == 0
        assert counts(memory) == (46.0, 0.0) and memory.get(one).access_count == 46
        assert {row["updates"] for row in q_values(memory)} == {46}


def test_routing_and_logging_take_next_to_no_time(memory: Memory) -> None:
    with memory.records.database.transaction():
        for number in range(101):
            memory.store(f"the {number}th cellar has key {number * 7919}")
        spent = []
        for _ in range(101):
            asked = memory.searcher.pool("cellar key", 10, "default", "1", [])
            hits = memory.searcher.hits(asked, "hybrid", 10, "default", 0.1)
            started = time.perf_counter()
            routing = memory.router.choose("cellar key")
            orders = {
                name: [found for found, _ in memory.searcher.best(asked, name, 10)]
                for name in ("lexical", "vector", "hybrid")
            }
            memory.searches.keep("cellar key", routing, hits, orders, 10, "default")
            spent.append(time.perf_counter() - started)
    assert statistics.median(spent) < 0.003
