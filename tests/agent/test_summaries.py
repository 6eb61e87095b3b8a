"""Long texts shortened to what belongs to the query, and what is decided beside the ranking."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engram_agent.memory import Memory
from engram_agent.records import Record
from engram_agent.summaries import SHORT, summarise


def test_a_summary_has_the_sentences_that_belong_to_the_query_in_their_order() -> None:
    filler = [f"Nothing of note happened on day {number}." for number in range(41)]
    said = ["The cellar was locked.", *filler[:20], "Its key hangs by the stove.", *filler[20:]]
    record = Record(
        id="m1", agent_id="a", memory_type="context", context="The old house", action="", result=" ".join(said),
        created_at=0.0, updated_at=0.0,
    )  # fmt: skip
    assert summarise("where is the key of the cellar", record) == "The cellar was locked. Its key hangs by the stove."
    assert summarise("quantum chromodynamics", record) == "The old house"
    for query in ("day 3 7 11 13 17 19", "key", "nothing", ""):
        short = summarise(query, record)
        assert 0 < len(short) <= SHORT and all(part in record.result + record.context for part in short.split(". "))
    brief = replace(record, result="Cold.")
    assert summarise("stove", brief) == "The old house\nCold."


def test_what_is_decided_beside_the_ranking_is_done(tmp_path: Path) -> None:
    long = "The pump is old. " * 20 + "It leaks at the valve. " + "Nobody knows why. " * 20
    with Memory(tmp_path / "m.db", explore=False) as memory:
        memory.store("pump", "", long)
        for _ in range(3):
            memory.record("the valve leaks", "tighten it", "success")
        plain = memory.search("why leaks the valve of the pump?")
        assert not plain.suggestions and not any(hit.summary for hit in plain)
        state = plain.routing.state
        for decision, action in (("contextualisation", "summarise"), ("proactivity", "proactive")):
            memory.records.database.execute(
                "INSERT OR REPLACE INTO q_values VALUES (?, ?, ?, 0.97, 99, 1.0)", [decision, state, action]
            )
    with Memory(tmp_path / "m.db", explore=False) as memory:
        found = memory.search("why leaks the valve of the pump?")
        (shortened,) = [hit for hit in found if hit.record.result == long]
        assert "It leaks at the valve." in shortened.summary and len(shortened.summary) <= SHORT < len(long)
        assert [(one.action, one.trials) for one in found.suggestions] == [("tighten it", 3)]
