"""How alike two situations are: the same whatever numbers and forms, half where other words are used, the same both ways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_agent.likeness import likenesses
from engram_agent.memory import Memory
from engram_agent.thesaurus import RELATED, shipped

TEXT = st.lists(
    st.sampled_from(["deploy", "release", "repair", "fix", "table", "pump", "kitten", "pet"]), max_size=5
).map(" ".join)


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory(":memory:") as found:
        yield found


def alike(memory: Memory, one: str, *others: str) -> list[float]:
    return likenesses(one, others, memory.searcher.rarity("default"), shipped())


def test_the_same_but_for_numbers_and_forms_is_the_same(memory: Memory) -> None:
    others = ("Payment gateway timed out after 31 s", "payment gateways time out after 7 s", "the cat sleeps")
    assert alike(memory, "payment gateway times out after 30 s", *others) == pytest.approx([1.0, 1.0, 0.0])


def test_other_words_count_for_as_much_as_they_are_akin(memory: Memory) -> None:
    same, other = alike(memory, "repair the pump", "fix the pump", "paint the pump")
    assert same == pytest.approx((1 + RELATED) / 2) and other == pytest.approx(1 / 2), (
        "no word is known: all weigh the same"
    )
    assert alike(memory, "repair", "restore")[0] == RELATED and alike(memory, "roll out", "deployed")[0] == RELATED


def test_what_is_rare_counts_for_more(memory: Memory) -> None:
    for number in range(40):
        memory.store(f"pump of ship {number}")
    memory.store("a leaking valve")
    rare, common = alike(memory, "pump valve", "valve", "pump")
    assert rare > 2 / 3 > common


@settings(deadline=None)
@given(TEXT, TEXT)
def test_likeness_is_the_same_both_ways_and_reaches_its_bounds(one: str, other: str) -> None:
    with Memory(":memory:") as memory:
        (there,), (back,) = alike(memory, one, other), alike(memory, other, one)
        assert there == pytest.approx(back) and 0.0 <= there <= 1.0
        assert alike(memory, one, one) == pytest.approx([1.0 if one else 0.0])


def test_a_situation_told_in_other_words_is_advised_and_its_sister_is_not(memory: Memory) -> None:
    memory.record("migrate the user table for customer 13", "drop the index", 0)
    memory.record("repair the user table for customer 17", "lock the table", 1)
    found = memory.suggest("user table: fix it for customer 99")
    assert found[0].action == "lock the table" and found[0].low > found[1].low


def test_the_opposite_has_nothing_in_common(memory: Memory) -> None:
    for _ in range(4):
        memory.record("enable the firewall on the gateway", "ufw enable", 1)
    assert alike(memory, "disable the firewall", "enable the firewall", "disabling the firewall") == pytest.approx(
        [0, 1]
    )
    assert memory.suggest("disable the firewall on the gateway") == []
    assert alike(memory, "start and stop the pump", "start the pump")[0] > 0.5, "who says both says no opposite"
