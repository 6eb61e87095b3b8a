"""The web page: the strip of an answer, visitors who never meet, the map, and the whole page in a browser."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from app import parser
from conftest import HOME
from engram_model.config import BrainConfig, GenerationConfig, TrainingConfig
from engram_model.engram import Engram
from engram_model.errors import ConfigError, TextError
from engram_model.generation import Thought
from engram_model.text import split_words
from engram_scripts.web_map import HEIGHT, LETTER, WIDTH, common_words, concept_map, place_labels, principal_plane
from engram_scripts.web_screenshot import CHROMIUM, browser, say
from engram_scripts.web_session import Visitor, Visitors, drawing, own_copy
from engram_scripts.web_strip import COLOURS, SOURCES, blended, safe, strip_end, strip_item
from engram_scripts.web_training import BackgroundTraining, Stage, stage_html

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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


@given(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3))
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
    assert drawing(0.3, 7.0, 11.0, "auto", 5, True, False) == GenerationConfig(
        temperature=0.3, top_k=7, max_words=11, loops=None, seed=5, ngram=True, episodes=False
    )
    assert drawing(1.0, 0, 5, "2", 0, False, True).loops == 2
    with pytest.raises(ConfigError):
        drawing(0.0, 0, 5, "2", 0, False, True)


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


# ------------------------------------------------------------------------------------------------ training


def test_the_stage_is_shown_and_reasons_are_escaped() -> None:
    stage = Stage("training", 0.43, 2.5, 75.0, (30.0, 20.0, 15.0), 22.0)
    shown = stage_html(stage)
    assert all(part in shown for part in ("43", "2.50 nats", "1 min 15 s", "15.0", "22.0", "<polyline"))
    assert shown.split('points="')[1].split('"')[0].count(",") == 3
    assert "<svg" not in stage_html(Stage("training", baseline=22.0)) and "–" in stage_html(Stage())
    failed = stage_html(Stage(failed="<script>"))
    assert "&lt;script&gt;" in failed and "<script>" not in failed


def test_a_training_that_cannot_begin_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ready: list[Engram] = []
    short = tmp_path / "short.txt"
    short.write_text("too short")
    training = BackgroundTraining(tmp_path / "brain", [short], BrainConfig(), TrainingConfig(), None, ready.append)
    training.start()
    training.stop()
    assert "short.txt" in training.stage.failed and not ready
    assert capsys.readouterr().err.startswith("error: ")


# ------------------------------------------------------------------------------------------------ the script


def test_help_is_quick_and_has_examples() -> None:
    began = time.perf_counter()
    found = subprocess.run([sys.executable, "app.py", "--help"], cwd=HOME, capture_output=True, text=True, check=True)
    assert time.perf_counter() - began < 1.0
    assert "uv run app.py" in found.stdout and "--minutes" in found.stdout


def test_a_space_listens_where_it_is_expected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert (parser().parse_args([]).host, parser().parse_args([]).port) == ("127.0.0.1", None)
    monkeypatch.setenv("SPACE_ID", "someone/engram")
    assert (parser().parse_args([]).host, parser().parse_args([]).port) == ("0.0.0.0", 7860)


# ------------------------------------------------------------------------------------------------ in a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser; started before the server, so that it sees the training from early on."""
    if shutil.which(CHROMIUM) is None:
        pytest.skip("chromium is not installed; for these tests: apt-get install chromium")
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(
    chromium: Browser, tiny_text: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A server without a brain: it trains a nano one on the tiny text."""
    home = tmp_path_factory.mktemp("page")
    brain = home / "brain"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "app.py", "--brain", str(brain), "--port", str(port), "--size", "nano",
               "--minutes", "0.1", "--text", str(tiny_text)]  # fmt: skip
    with open(home / "log.txt", "w") as log:
        server = subprocess.Popen(command, cwd=HOME, stdout=log, stderr=log, env=os.environ | {"HOME": str(home)})
    try:
        wait_for_port(port, server)
        yield f"http://127.0.0.1:{port}", brain
        server.terminate()
        assert server.wait(30) == 0, (home / "log.txt").read_text()
    finally:
        server.kill()
        server.wait()


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(1_200):
        assert server.poll() is None, "the server ended early"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server did not listen within a minute")


@pytest.fixture(scope="module")
def page(chromium: Browser, address: tuple[str, Path]) -> Iterator[Page]:
    """The page in a browser; it must not ask anybody outside for anything."""
    outside: list[str] = []
    found = chromium.new_page(viewport={"width": 1200, "height": 900})
    found.on("request", lambda request: outside.append(request.url) if address[0] not in request.url else None)
    found.goto(address[0])
    yield found
    found.close()
    assert not [url for url in outside if not url.startswith(("data:", "blob:"))]


@pytest.mark.slow
def test_without_a_brain_it_trains_one_and_then_opens_the_chat(page: Page, address: tuple[str, Path]) -> None:
    page.wait_for_selector("#progress .percent", timeout=30_000)
    page.wait_for_function("() => parseInt(document.querySelector('#progress .percent')?.innerText) > 0")
    assert "Kneser-Ney" in page.inner_text("#progress")
    assert not page.is_visible("#box textarea")
    page.wait_for_selector("#box textarea", timeout=45_000)
    assert not page.is_visible("#progress .percent")
    assert (address[1] / "engram.json").exists()
    assert "parameters" in page.inner_text("#head")


WATCH = """() => {
  window.lengths = new Set();
  const look = () => {
    const spoken = document.querySelectorAll('#chat .bot .message-content');
    if (spoken.length) window.lengths.add(spoken[spoken.length - 1].innerText.length);
  };
  const all = {subtree: true, childList: true, characterData: true};
  new MutationObserver(look).observe(document.querySelector('#chat'), all);
}"""


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def episodes_shown(page: Page) -> int:
    open_tab(page, "Memory")
    page.wait_for_selector("#memory-note b")
    page.wait_for_timeout(300)
    return int(page.inner_text("#memory-note b").split()[0])


@pytest.mark.slow
def test_a_visit(page: Page, tmp_path: Path) -> None:
    """One visit in order: it talks, switches the episodes off, teaches, forgets, looks at the map."""
    page.wait_for_selector("#box textarea", timeout=60_000)
    page.evaluate(WATCH)
    say(page, "My name is <b>Zuzu</b> ${1+1}")
    said = page.locator("#chat .user .message-content")
    assert said.inner_text() == "My name is <b>Zuzu</b> ${1+1}" and said.locator("b").count() == 0
    say(page, "What is my name?")
    assert page.evaluate("window.lengths.size") > 2, "the words came one by one"
    answer = page.locator("#chat .bot .message-content").last.inner_text()
    chips = page.locator("#strip .chip b")
    assert split_words(" ".join(chips.all_inner_texts())) == split_words(answer)
    assert page.locator("#strip .moment").count() > 0, "episodes came to mind"
    page.locator("#strip .chip").last.hover()
    assert page.locator("#strip .card:visible").count() == 1
    page.screenshot(path=tmp_path / "desktop.png", full_page=True)

    page.uncheck("#episodes input")
    say(page, "What is my name?")
    assert page.locator("#strip .chip").count() > 0 and page.locator("#strip .moment").count() == 0

    open_tab(page, "Teach")
    page.fill("#word textarea", "zorple")
    page.fill("#definition textarea", "the goat likes cheese by the lake")
    page.click("#teach")
    page.wait_for_selector("#word-lesson .bar")
    assert "unknown" in page.inner_text("#word-lesson") and page.locator("#word-lesson .bar").count() == 5
    page.fill("#word textarea", "two words")
    page.click("#teach")
    page.wait_for_selector("#word-lesson .failed")

    before = episodes_shown(page)
    page.locator("#memory [role=gridcell] input[type=checkbox]").first.check()
    page.click("#forget")
    page.wait_for_function("n => parseInt(document.querySelector('#memory-note b').innerText) === n", arg=before - 1)

    open_tab(page, "Map")
    page.fill("#focus input", "goat")
    page.press("#focus input", "Enter")
    page.wait_for_selector("#map .focus")
    assert page.text_content("#map .focus text") == "goat" and page.locator("#map .taught").count() == 1
    page.set_viewport_size({"width": 390, "height": 800})
    open_tab(page, "Talk")
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out of a phone"


@pytest.mark.slow
def test_another_visitor_has_an_empty_memory(chromium: Browser, page: Page, address: tuple[str, Path]) -> None:
    other = chromium.new_context().new_page()
    other.goto(address[0])
    other.wait_for_selector("#box textarea", timeout=30_000)
    assert episodes_shown(other) == 0
    assert episodes_shown(page) > 0
