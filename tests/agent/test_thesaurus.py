"""Other words for the same: the files that are shipped, forms, relatives, expressions, a file of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_agent.concepts import affordable, concepts
from engram_agent.errors import AgentError
from engram_agent.memory import Memory
from engram_agent.rarity import Rarity
from engram_agent.thesaurus import FORM, LONGEST, RELATED, WORDS, Thesaurus, shipped, stem

LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=13)


def test_every_line_that_is_shipped_is_well_formed_and_stands_once() -> None:
    for name in ("forms", "related", "opposites"):
        lines = (WORDS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        assert len(lines) > 50 and len(set(lines)) == len(lines)
        for line in lines:
            head, _, rest = line.rpartition(": ")
            entries = [*([head] if head else []), *rest.split(", ")]
            assert line == line.lower() == line.strip() and len(set(entries)) == len(entries) >= 2, line
            assert all(entry and len(entry.split()) <= (LONGEST if name != "forms" else 1) for entry in entries), line


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ("gone", "went"), ("bought", "buying"), ("children", "child"), ("stopped", "stops"), ("moving", "moved"),
        ("studies", "studied"), ("colours", "color"), ("auth", "authentication"), ("gave up", "give up"),
    ],
)  # fmt: skip
def test_forms_of_a_word_are_one(said: str, same: str) -> None:
    assert shipped().base(said) == shipped().base(same)


@pytest.mark.parametrize(
    "pair",
    [
        "plan plane", "car care", "win wine", "far fare", "rat rate", "hat hate", "war ware", "fir fire", "bar bare", "star stare",
        "cut cute", "past paste", "hop hope", "mat mate", "mic mice", "tire tired", "new news", "even evening", "bus bu", "this thi",
    ],
)  # fmt: skip
def test_words_that_are_not_one_stay_apart(pair: str) -> None:
    one, other = pair.split()
    assert shipped().base(one) != shipped().base(other)


def test_no_two_words_at_the_head_of_forms_are_one() -> None:
    heads = [line.split(", ")[0] for line in (WORDS / "forms.txt").read_text(encoding="utf-8").splitlines()]
    merged = {head: shipped().base(head) for head in heads if shipped().base(head) != head}
    assert len(merged) < 0.02 * len(heads), merged


@given(LETTERS)
def test_a_stem_is_never_empty_and_the_plural_has_it_too(word: str) -> None:
    assert stem(word)
    if len(word) > 3 and word[-1] not in "suiey" and not word.endswith(("ing", "ed")):
        assert stem(word + "s") == stem(word)


def test_what_stands_for_each_other_does_so_both_ways_and_what_is_covered_only_one_way() -> None:
    words = shipped()
    assert words.related("purchase")["buy"] == words.related("buy")["purchase"] == RELATED
    assert words.related("purchased")["bought"] == RELATED, "all forms of the other word"
    assert words.related("bought")["buy"] == FORM
    assert words.related("pets")["kitten"] == RELATED and "pet" not in words.related("kitten")
    assert words.base("pet") in words.akin(words.base("kitten")), "who compares sees it from both sides"
    assert words.related("zzgrmpf") == {} and not words.akin("zzgrmpf")
    assert words.knows("adopted") and not words.knows("authentification")


def test_an_expression_is_one_word() -> None:
    words = shipped()
    said = ["please", "roll", "out", "the", "table", "and", "roll"]
    assert words.units(said) == ["please", "roll out", "the", "table", "and", "roll"]
    assert list(words.phrases(said)) == [(1, 3)] and words.related("rolling out")["deploy"] == RELATED
    assert words.units([]) == []


def test_a_file_of_ones_own_adds_to_what_is_shipped(tmp_path: Path) -> None:
    own = tmp_path / "own.txt"
    own.write_text(
        "\ufeff# our own names\n  # and more, of them\n\nplatypus, the old billing service\nvault: safe, harbourmaster\n"
    )
    words = Thesaurus(own)
    assert words.related("platypus") == {"the old billing service": RELATED} != shipped().related("platypus")
    assert words.related("vault")["harbourmaster"] == RELATED and words.related("purchase") == shipped().related(
        "purchase"
    )


@pytest.mark.parametrize("line", ["alone", "pet:", ": dog", "buy,, purchase", "buy, ", "++, varnish", "a: b: varnish"])
def test_a_line_that_says_nothing_is_named_and_not_quoted(tmp_path: Path, line: str) -> None:
    own = tmp_path / "own.txt"
    own.write_text(f"# ours\nbuy, purchase\n\n{line}\n")
    with pytest.raises(AgentError, match=r"own\.txt, line 4 says nothing") as error:
        Thesaurus(own)
    assert line not in error.value.message
    assert error.value.name == "ConfigParseError" and "pet: dog" in error.value.hint
    with pytest.raises(AgentError, match=r"nowhere\.txt"):
        Thesaurus(tmp_path / "nowhere.txt")


# ------------------------------------------------------------------------------------------- in a search


def test_a_record_is_found_by_other_words_and_the_words_themselves_come_first() -> None:
    with Memory(":memory:", explore=False) as memory:
        other = memory.store("Ada purchased a red bicycle")
        memory.store("the harbour was full of ships")
        (hit,) = memory.search("what has she bought")
        assert hit.id == other and hit.why.startswith("related: purchased") and hit.relevance < 0.6
        same = memory.store("Ben bought a blue kettle")
        assert [hit.id for hit in memory.search("what has she bought")] == [same, other]
        assert memory.search("bought", strategy="lexical")[0].why.startswith("shares bought")
        assert memory.search("bought")[0].relevance > memory.search("bought")[1].relevance


def test_a_concept_counts_once_however_many_words_there_are_for_it() -> None:
    with Memory(":memory:", explore=False) as memory:
        for text in ("shop for it", "it is a purchase, shop for it", "kettle", "nine tins", "a green coat"):
            memory.store(text)
        wanted = concepts("bought kettle", Rarity(memory.records, "default"), shipped())
        asked = affordable(wanted, Rarity(memory.records, "default"))
        assert [one.word for one in wanted] == ["bought", "kettle"] and len(wanted[0].forms) == 2
        scan = memory.records.words.scan(asked, "1", [], 9)
        by_hand: dict[int, dict[int, float]] = {}
        for one in asked:
            for row, _, score in memory.records.words.search([one.text], "1", [], 9):
                concept = by_hand.setdefault(row, {})
                concept[one.concept] = max(concept.get(one.concept, 0.0), one.weight * score)
        expected = {row: sum(each.values()) for row, each in by_hand.items()}
        assert {row: score for row, _, score in scan.best} == pytest.approx(expected)
        assert len(scan.held[0]) == 2 and {one.much for one in scan.held[0].values()} == {RELATED}


def test_another_word_never_tells_more_than_the_one_it_stands_for() -> None:
    with Memory(":memory:", explore=False) as memory:
        for number in range(30):
            memory.store(f"bought thing number {number}")
        memory.store("purchased once")
        rarity = Rarity(memory.records, "default")
        (concept,) = concepts("bought", rarity, shipped())
        (asked,) = [one for one in affordable([concept], rarity) if one.text == "purchase"]
        assert asked.weight == pytest.approx(RELATED * rarity.idf("bought") / rarity.idf("purchase"))
        assert asked.weight < RELATED


def test_what_is_looked_up_is_bounded_and_the_rarest_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with Memory(":memory:", explore=False) as memory:
        for number in range(3):
            memory.store(f"pump number {number}", "" if number else "valve")
        rarity = Rarity(memory.records, "default")
        wanted = concepts("pump valve", rarity, shipped())
        assert [one.text for one in affordable(wanted, rarity)] == ["valve", "pump"]
        monkeypatch.setattr("engram_agent.concepts.POSTINGS", 2)
        assert [one.text for one in affordable(wanted, rarity)] == ["valve"]
        assert {hit.record.context for hit in memory.search("pump", strategy="lexical")} == {
            f"pump number {number}" for number in range(3)
        }, "one word at least"


def test_what_is_too_common_to_be_looked_up_still_counts_as_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with Memory(":memory:", explore=False) as memory:
        for place in ("harbour", "garden", "museum"):
            memory.store(f"Ada bought a kettle in the {place}")
        memory.store("Ben purchased a kettle made of tin")
        asked = "who bought a kettle of tin"
        whole = {hit.id: hit.relevance for hit in memory.search(asked)}
        monkeypatch.setattr("engram_agent.concepts.POSTINGS", 1)
        cut = {hit.id: hit.relevance for hit in memory.search(asked)}
        assert len(cut) == 4 and cut == pytest.approx(whole)
