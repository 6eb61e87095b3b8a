"""A budget of tokens: kept, nothing skipped, and at least the beginning of the best."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_agent.errors import AgentError
from engram_agent.hits import Hit
from engram_agent.memory import Memory
from engram_agent.records import Record
from engram_agent.summaries import CHARACTERS, within


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 97), max_size=7), st.integers(0, 60))
def test_a_budget_is_kept(sizes: list[int], tokens: int) -> None:
    def hit(number: int, size: int) -> Hit:
        record = Record(
            id=f"m{number}", agent_id="a", memory_type="context", context="c", action="", result="so " * size,
            created_at=1.0, updated_at=1.0,
        )  # fmt: skip
        return Hit(id=record.id, score=1.0, relevance=1.0, why="", record=record, ranks={})

    hits = [hit(number, size) for number, size in enumerate(sizes)]
    found = within(hits, tokens)
    used = sum(len(each.record.context + each.record.action + each.record.result) for each in found)
    assert used <= tokens * CHARACTERS
    assert [each.id for each in found] == [each.id for each in hits[: len(found)]], "none is skipped"
    assert all(whole == part for whole, part in zip(hits, found[:-1], strict=False))


def test_a_budget_that_fits_nothing_whole_gives_the_beginning_of_the_best() -> None:
    memory = Memory(":memory:", explore=False)
    best = memory.store("kumquat harvest report: " + "the kumquat trees did well this year. " * 80)
    memory.store("kumquat price is five")
    for tokens in (500, 7, 1):
        (hit,) = memory.search("kumquat harvest report", budget=tokens)
        assert (
            hit.id == best and 0 < len(hit.record.context) <= tokens * CHARACTERS and hit.record.context.endswith("…")
        )
    for wrong in (0, -5, 2.5):
        with pytest.raises(AgentError, match="budget must be from 1"):
            memory.search("kumquat", budget=wrong)


@pytest.mark.parametrize(
    ("text", "for_a_token"), [("登录接口返回错误", 1), ("ошибка при входе ", 2), ("the login fails ", 4)]
)
def test_a_token_is_fewer_characters_of_other_scripts(text: str, for_a_token: int) -> None:
    memory = Memory(":memory:", explore=False)
    memory.store(text * 40)
    (hit,) = memory.search(text, budget=20)
    assert 0.6 * 20 * for_a_token <= len(hit.record.context) <= 1.2 * 20 * for_a_token
