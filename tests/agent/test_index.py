"""Finding records by words: the score against a naive one, neighbours, filters, and an index that can be made anew."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_agent.concepts import MOST_WORDS
from engram_agent.index import STOP_WORDS, WEIGHTS, terms
from engram_agent.memory import Memory

WORDS = ("zug", "bahn", "gleis", "pfad", "rad", "kork", "lamp")
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join)


def bm25(weighted: list[dict[str, list[str]]], query: list[str]) -> list[float]:
    """BM25 with k1 = 1.2 and b = 0.75 over weighted counts, as SQLite documents it."""
    lengths = [sum(map(len, fields.values())) for fields in weighted]
    mean, scores = sum(lengths) / len(lengths), [0.0] * len(weighted)
    for word in query:
        having = sum(any(word in said for said in fields.values()) for fields in weighted)
        idf = max(math.log((len(weighted) - having + 0.5) / (having + 0.5)), 1e-6)
        for row, fields in enumerate(weighted):
            count = sum(WEIGHTS[field] * said.count(word) for field, said in fields.items())
            scores[row] += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * lengths[row] / mean))
    return scores


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=2, max_size=11), st.lists(st.sampled_from(WORDS), min_size=1, unique=True)
)
def test_a_score_is_the_weighted_formula(said: list[tuple[str, str]], query: list[str]) -> None:
    memory = Memory(":memory:")
    ids = [memory.store(context, action, conversation=f"c{n}") for n, (context, action) in enumerate(said)]
    fields = [{"context": context.split(), "action": action.split()} for context, action in said]
    expected = {name: score for name, score in zip(ids, bm25(fields, query), strict=True) if score > 0}
    found = {name: score for _, name, score in memory.records.words.search(query, "1", [], 99)}
    assert found == pytest.approx(expected, rel=1e-6)


def test_a_turn_is_found_by_what_was_said_around_it() -> None:
    memory = Memory(":memory:")
    said = ("where did you buy the bicycle ?", "in Hamburg, last week", "was it dear ?")
    turns = [memory.store(text, conversation="c", position=place) for place, text in enumerate(said)]
    assert {turns[0], turns[1]} == {hit.id for hit in memory.search("bicycle")}
    late = memory.store("a bell came with it", conversation="c", position=4)
    memory.store("dear indeed, it has nine gears", conversation="c", position=3)
    assert late in [hit.id for hit in memory.search("gears")], "a turn between two tells both"
    memory.delete(turns[0])
    assert turns[1] not in [hit.id for hit in memory.search("bicycle")], (
        "a forgotten turn is forgotten by its neighbours"
    )


def test_what_is_said_twice_in_a_conversation_is_two_turns_and_a_turn_told_twice_is_one() -> None:
    memory = Memory(":memory:")
    said = ("the bicycle is from Hamburg", "thank you!", "the kettle is from Delft", "thank you!")
    turns = [memory.store(text, conversation="c", position=place) for place, text in enumerate(said)]
    assert len(set(turns)) == 4 and memory.store("thank you!", conversation="c", position=3) == turns[3]
    assert turns[3] in [hit.id for hit in memory.search("kettle")], "and is found by what was said before it"


def test_turns_without_a_place_follow_each_other() -> None:
    memory = Memory(":memory:")
    turns = [
        memory.store(text, conversation="c") for text in ("where is the bicycle from?", "Hamburg", "dear, was it?")
    ]
    memory.store("where is the kettle from?", conversation="d")
    assert [memory.get(turn).position for turn in turns] == [0, 1, 2]
    assert {hit.id for hit in memory.search("bicycle")} == set(turns[:2])
    assert memory.store("Hamburg", conversation="c") == turns[1], "told again without its place, it is the same"


def test_filters_come_before_the_cut_and_nobody_finds_what_another_knows() -> None:
    memory = Memory(":memory:")
    for number in range(31):
        memory.store(f"the pump number {number} leaks", agent_id="bob")
        memory.store(f"the pump of house {number}", tags=["loud"], project="water")
    wanted = memory.store("a pump hums", memory_type="bugfix", tags=["loud", "old"], project="air")
    for chosen in ({"memory_type": "bugfix"}, {"project": "air"}, {"tags": ["old", "loud"]}):
        assert [hit.id for hit in memory.search("pump", limit=1, **chosen)] == [wanted]  # type: ignore[arg-type]
    assert all("leaks" not in hit.record.context for hit in memory.search("pump leaks", limit=99))
    assert memory.search("pump", agent_id="carol") == [] == memory.search("pump", tags=["new"])


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=23))
def test_any_text_can_be_asked(query: str) -> None:
    memory = Memory(":memory:")
    known = memory.store("so it is")
    assert {hit.id for hit in memory.search(query)} <= {known}


def test_words_in_common_are_named_in_any_form() -> None:
    memory = Memory(":memory:")
    memory.store("The login TIMES out", "retrying with backoff")
    (hit,) = memory.search("why do logins time out when I retry?")
    assert hit.why.startswith("shares login, times, out, retrying; near in meaning or spelling (0.")
    assert terms("the cat's tail, James's") == ["cat", "tail", "james"]
    assert not {"why", "do", "when", "i"} & set(terms("why do logins")) and terms("who are you") == [
        "who",
        "are",
        "you",
    ]
    assert all(word == word.casefold() for word in STOP_WORDS)


def test_the_index_can_be_made_anew(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as memory:
        for place in range(5):
            memory.store(f"turn {place} of gleis", tags=["a", "b c"], conversation="c", position=place)
        memory.delete(memory.latest()[2].id)
        select = "SELECT rowid, * FROM words ORDER BY rowid"
        before = [tuple(row) for row in memory.records.database.rows(select)]
        memory.records.words.rebuild()
        assert [tuple(row) for row in memory.records.database.rows(select)] == before and len(before) == 4


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["pump", "valve", "ledger", "piano"]), st.booleans()), max_size=13
    )
)
def test_however_turns_come_and_go_the_index_is_as_if_made_anew(steps: list[tuple[int, str, bool]]) -> None:
    """Two may stand at one place, where a conversation was taken in from two sources."""
    select = "SELECT rowid, * FROM words ORDER BY rowid"
    with Memory(":memory:", explore=False) as memory:
        for place, word, goes in steps:
            name = memory.store(f"the {word}", conversation="c", position=place)
            if goes:
                memory.delete(name)
        before = [tuple(row) for row in memory.records.database.rows(select)]
        memory.records.words.rebuild()
        assert [tuple(row) for row in memory.records.database.rows(select)] == before


def test_a_query_of_a_whole_file_is_answered_by_its_beginning(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db", explore=False) as memory:
        wanted = memory.store("the brass valve leaks")
        asked = "brass valve leaks " + " ".join(f"w{number}" for number in range(MOST_WORDS))
        assert [hit.id for hit in memory.search(asked, strategy="lexical")] in ([], [wanted])
        pool = memory.searcher.pool(asked, 10, "default", "1", [])
        assert len(pool.concepts) == MOST_WORDS and [name for _, name, _ in pool.lists["lexical"]] == [wanted]
