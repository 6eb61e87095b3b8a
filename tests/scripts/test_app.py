"""What stands behind the web page: the strip of an answer, visitors who never meet, the map of concepts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.errors import ConfigError, TextError
from engram_model.generation import Thought
from engram_model.text import split_words
from engram_scripts.web_map import HEIGHT, LETTER, WIDTH, common_words, concept_map, place_labels, principal_plane
from engram_scripts.web_session import Visitor, Visitors, drawing, own_copy
from engram_scripts.web_strip import COLOURS, SOURCES, blended, safe, strip_end, strip_item

HOSTILE = "<script>alert(1)</script> \"' onload=x ${1+1} {{value}} `y`"
SURE = GenerationConfig(temperature=0.05, max_words=11)


@pytest.fixture(scope="module")
def engram(tiny_brain_dir: Path) -> Iterator[Engram]:
    """The tiny brain; the tests only read it."""
    opened = Engram.load(tiny_brain_dir)
    opened.close()
    yield opened


class ReadBack(HTMLParser):
    """Reads HTML back: every tag with its attributes, and the text of each chip."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.chips: list[str] = []
        self._inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "button":
            self.chips.append("")
        self._inside = tag if tag in ("button", "b") else self._inside

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag in ("button", "b") else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside == "b" and self.chips and not self.chips[-1]:
            self.chips[-1] = data

    def classes(self) -> list[str]:
        return [attributes.get("class") or "" for _, attributes in self.tags]


def thoughts_of(visitor: Visitor, line: str) -> list[tuple[Thought, str]]:
    return list(visitor.answer(line, SURE))


def strip_of(visitor: Visitor, line: str) -> str:
    moments = {episode.id: episode for episode in visitor.memory.episodes}
    return "".join(
        strip_item(thought, piece.strip() or thought.word, moments, visitor.vocabulary.forms)
        for thought, piece in thoughts_of(visitor, line)
    )


# ------------------------------------------------------------------------------------------------ the strip


@given(st.text(max_size=40))
def test_safe_text_reads_back_as_it_was_and_holds_no_live_mark(text: str) -> None:
    assert unescape(safe(text)) == text
    assert not set(safe(text)) & set("<>\"'{}$`")


def test_one_chip_a_word_with_the_words_of_the_answer(engram: Engram) -> None:
    visitor = Visitor(engram)
    page = ReadBack(strip_of(visitor, "Who are you?"))
    said = visitor.chat.history[-1]
    assert len(page.chips) == len(said.thoughts) > 0
    assert split_words(" ".join(page.chips)) == [thought.word for thought in said.thoughts]


def test_every_chip_shows_credit_that_sums_to_one_loops_and_five_candidates(engram: Engram) -> None:
    visitor = Visitor(engram)
    for thought, piece in thoughts_of(visitor, "Where does the cow live?"):
        html = strip_item(thought, piece.strip(), {}, {})
        grown = [float(share) for share in re.findall(r"flex-grow:([\d.]+)", html)]
        assert len(grown) == len(SOURCES)
        assert sum(grown) == pytest.approx(1.0, abs=2e-4)
        assert html.split('class="loops">')[1].split("<")[0] == "•" * thought.loops
        css = ReadBack(html).classes()
        assert css.count("said") + css.count("unsaid") == len(thought.candidates) == 5
        assert css.count("said") == any(word == thought.word for word, _ in thought.candidates)


@given(st.lists(st.floats(0.01, 1.0), min_size=len(SOURCES), max_size=len(SOURCES)))
def test_a_blended_colour_lies_between_the_colours_of_its_sources(weights: list[float]) -> None:
    credit = dict(zip(SOURCES, (weight / sum(weights) for weight in weights), strict=True))
    for channel, value in enumerate(map(int, blended(credit).split())):
        of_sources = [colour[channel] for colour in COLOURS.values()]
        assert min(of_sources) <= value <= max(of_sources)


@pytest.mark.parametrize("source", SOURCES)
def test_a_word_of_one_source_has_its_colour(source: str) -> None:
    assert blended({**dict.fromkeys(SOURCES, 0.0), source: 1.0}) == " ".join(map(str, COLOURS[source]))


def test_hostile_words_stay_words(engram: Engram) -> None:
    visitor = Visitor(engram)
    thoughts_of(visitor, HOSTILE)
    strip = strip_of(visitor, HOSTILE) + strip_end(visitor.chat.history[-1])
    assert "script" in visitor.vocabulary, "the hostile words were learned, so cards may show them"
    assert visitor.memory.episodes[0].id in strip, "recalled episodes are shown"
    assert {tag for tag, _ in ReadBack(strip).tags} <= {"span", "button", "b", "i", "em", "small"}
    assert not re.search(r"\$\{|\{\{|`", strip)
    for name in {name for _, attributes in ReadBack(strip).tags for name in attributes}:
        assert name in {"class", "style", "type", "aria-label"}


def test_recalled_episodes_are_shown_with_what_was_heard(engram: Engram) -> None:
    visitor = Visitor(engram)
    assert "moment" not in ReadBack(strip_of(visitor, "hello")).classes()
    thoughts_of(visitor, "My name is Zuzu.")
    strip = strip_of(visitor, "What is my name?")
    assert ReadBack(strip).classes().count("moment") > 0 and "<b>Zuzu</b>" in strip


# ------------------------------------------------------------------------------------------------ visitors


def test_a_visitor_shares_weights_and_owns_words_and_episodes(engram: Engram) -> None:
    own = own_copy(engram)
    assert own.mind.brain is engram.mind.brain and own.mind.phrases is engram.mind.phrases
    assert own.store is None and len(own.episodes) == 0
    assert torch.equal(own.vocabulary.vectors, engram.vocabulary.vectors)
    assert own.vocabulary.vectors.data_ptr() != engram.vocabulary.vectors.data_ptr()
    assert own.verify() == []


def test_visitors_do_not_see_each_other(engram: Engram, tiny_brain_dir: Path) -> None:
    vectors, size, state = engram.vocabulary.vectors.clone(), len(engram.vocabulary), files_of(tiny_brain_dir)
    visitors = Visitors()
    visitors.open(engram)
    ada, ben = visitors.visit(visitors.arrive()), visitors.visit(visitors.arrive())
    before = ben.ask("Who are you?")
    thoughts_of(ada, "My name is Zuzu.")
    ada.teach_word("zorple", "the goat likes cheese")
    ada.teach_fact("My favourite colour is blue.", "What is my favourite colour?")
    assert len(ada.memory) > 0 and {"zuzu", "zorple"} <= set(ada.vocabulary.ids)
    assert len(ben.memory) == 0 and not {"zuzu", "zorple"} & set(ben.vocabulary.ids)
    assert ben.ask("Who are you?") == before
    assert len(engram.episodes) == 0 and len(engram.vocabulary) == size
    assert torch.equal(engram.vocabulary.vectors, vectors)
    assert files_of(tiny_brain_dir) == state


def files_of(directory: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in directory.rglob("*") if path.is_file()}


def test_too_many_and_idle_visitors_are_let_go(engram: Engram) -> None:
    now = 0.0
    visitors = Visitors(most=3, idle_seconds=100.0, clock=lambda: now)
    visitors.open(engram)
    keys = [visitors.arrive() for _ in range(3)]
    first = visitors.visit(keys[0])
    fourth = visitors.arrive()
    assert len(visitors) == 3 and visitors.visit(keys[0]) is first, "the longest idle one went, which is not the first"
    now = 101.0
    visitors.visit(fourth)
    assert len(visitors) == 1
    assert visitors.visit(keys[0]) is not first
    visitors.leave(fourth)
    visitors.leave(None)
    assert len(visitors) == 1


@pytest.mark.parametrize("key", [None, ""])
def test_nobody_visits_without_a_key(engram: Engram, key: str | None) -> None:
    visitors = Visitors()
    visitors.open(engram)
    with pytest.raises(ConfigError, match="not ready"):
        visitors.visit(key)


def test_nobody_visits_before_there_is_a_brain() -> None:
    with pytest.raises(ConfigError, match="not ready"):
        Visitors().arrive()


def test_the_transcript_is_what_was_said(engram: Engram) -> None:
    visitor = Visitor(engram)
    pieces = "".join(piece for _, piece in thoughts_of(visitor, "Who are you?"))
    assert visitor.transcript == [
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": visitor.chat.history[-1].text},
    ]
    assert pieces == visitor.chat.history[-1].text
    with pytest.raises(TextError):
        thoughts_of(visitor, "word " * 2_001)
    assert len(visitor.transcript) == 2
    visitor.begin_talk()
    assert visitor.transcript == [] and visitor.chat.conversation == "talk 2"


def test_lessons_show_before_and_after(engram: Engram) -> None:
    visitor = Visitor(engram)
    lesson = visitor.teach_word("Zorple", "the goat likes cheese")
    assert lesson.before == () and len(lesson.after) == 5 and lesson.stored == len(visitor.memory) > 0
    assert visitor.vocabulary.forms["zorple"] == "Zorple" and visitor.taught == ["zorple"]
    with pytest.raises(ConfigError):
        visitor.teach_word("two words", "the goat")
    with pytest.raises(ConfigError):
        visitor.teach_word("blap", "xyzzy")
    assert visitor.taught == ["zorple"]
    told = visitor.teach_fact("My name is Zuzu.", "What is my name?")
    assert told.stored > 0 and told.after == visitor.ask("What is my name?")


def test_the_table_lists_the_episodes_latest_first_and_they_can_be_forgotten(engram: Engram) -> None:
    visitor = Visitor(engram)
    thoughts_of(visitor, "My name is Zuzu and I live by the lake.")
    rows = visitor.episode_rows()
    assert [row[-1] for row in rows] == [episode.id for episode in reversed(visitor.memory.episodes)]
    assert all(row[0] is False for row in rows)
    assert any(row[2] == "Zuzu" and str(row[1]).endswith("name is") for row in rows)
    visitor.memory.forget(str(rows[0][-1]))
    assert visitor.episode_rows() == rows[1:]


def test_controls_become_settings() -> None:
    assert drawing(0.3, 7.0, 11.0, "auto", 5, True, False, True) == GenerationConfig(
        temperature=0.3, top_k=7, max_words=11, loops=None, seed=5, ngram=True, episodes=False
    )
    found = drawing(1.0, 0, 5, "2", 0, False, True, False)
    assert found.loops == 2 and not found.lessons
    with pytest.raises(ConfigError):
        drawing(0.0, 0, 5, "2", 0, False, True, False)


# ------------------------------------------------------------------------------------------------ the map


def test_the_plane_holds_the_largest_variance(engram: Engram) -> None:
    vectors = engram.vocabulary.vectors
    plane = principal_plane(vectors, vectors).double()
    largest = torch.linalg.eigvalsh(torch.cov(vectors.double().T)).flip(0)[:2]
    torch.testing.assert_close(plane.var(dim=0), largest, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(principal_plane(vectors, vectors[3:8]).double(), plane[3:8], rtol=0, atol=1e-5)


@given(st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)), min_size=1, max_size=31))
def test_labels_never_cover_each_other(places: list[tuple[float, float]]) -> None:
    sides = place_labels(torch.tensor(places), ["label"] * len(places))
    right = [place for place, side in zip(places, sides, strict=True) if side == "right"]
    for number, (x, y) in enumerate(right):
        for other_x, other_y in right[:number]:
            assert abs(x - other_x) >= LETTER * 5 or abs(y - other_y) >= 14.9
    assert sides[0] != "" or not (60 < places[0][0] < WIDTH - 60)


def test_the_map_shows_common_words_taught_words_and_the_nearest(engram: Engram) -> None:
    visitor = Visitor(engram)
    visitor.teach_word("zorple", "the goat likes cheese")
    css = ReadBack(concept_map(visitor.vocabulary, visitor.taught, "goat")).classes()
    kinds = [name.split()[0] for name in css if name]
    assert kinds.count("focus") == 1 and kinds.count("near") + kinds.count("taught") >= 7
    plain = concept_map(visitor.vocabulary)
    assert plain.count("<g ") == len(common_words(visitor.vocabulary, 260))
    assert "zorple" in concept_map(visitor.vocabulary, visitor.taught) and ">goat<" in plain
    assert concept_map(visitor.vocabulary, ["unknown"], "unknown") == plain
