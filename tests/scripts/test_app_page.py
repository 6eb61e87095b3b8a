"""app.py as a visitor meets it: its help, the training behind the page, and a whole visit in a browser."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app import parser
from conftest import HOME
from engram_model.config import BrainConfig, TrainingConfig
from engram_model.engram import Engram
from engram_model.text import split_words
from engram_scripts.web_screenshot import CHROMIUM, PATIENCE_MS, browser, say
from engram_scripts.web_strip import COLOURS
from engram_scripts.web_training import BackgroundTraining, Stage, stage_html

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


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
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    found = subprocess.run([sys.executable, "app.py", "--help"], cwd=HOME, capture_output=True, text=True, check=True)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1.0, "seconds of processor time"
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
        missing = pytest.fail if "ENGRAM_NO_SKIP" in os.environ else pytest.skip
        missing("chromium is not installed; for these tests: apt-get install chromium")
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address(chromium: Browser, tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server without a brain: it trains a nano one on the tiny text."""
    home = tmp_path_factory.mktemp("page")
    brain, log = home / "brain", home / "log.txt"
    command = [sys.executable, "app.py", "--brain", str(brain), "--size", "nano", "--minutes", "0.1",
               "--text", str(tiny_text)]  # fmt: skip
    with open(log, "w") as out:
        server = subprocess.Popen(command, cwd=HOME, stdout=out, stderr=out, env=os.environ | {"HOME": str(home)})
    try:
        yield announced(log, server), brain
        server.terminate()
        assert server.wait(120) == 0, log.read_text()
    finally:
        server.kill()
        server.wait()


def announced(log: Path, server: subprocess.Popen[bytes]) -> str:
    """The address that the server says it listens at."""
    for _ in range(3_600):
        if found := re.search(r"open (http://127\.0\.0\.1:\d+)", log.read_text()):
            return found[1]
        assert server.poll() is None, log.read_text()
        time.sleep(0.05)
    pytest.fail("the server did not listen within three minutes")


@pytest.fixture(scope="module")
def page(chromium: Browser, address: tuple[str, Path]) -> Iterator[Page]:
    """The page in a browser; it must not ask anybody outside for anything."""
    outside: list[str] = []
    found = chromium.new_page(viewport={"width": 1200, "height": 900})
    found.set_default_timeout(PATIENCE_MS)
    found.on("request", lambda request: outside.append(request.url) if address[0] not in request.url else None)
    found.goto(address[0])
    yield found
    found.close()
    assert not [url for url in outside if not url.startswith(("data:", "blob:"))]


@pytest.mark.slow
def test_without_a_brain_it_trains_one_and_then_opens_the_chat(page: Page, address: tuple[str, Path]) -> None:
    page.wait_for_selector("#progress .percent")
    page.wait_for_function("() => parseInt(document.querySelector('#progress .percent')?.innerText) > 0")
    assert "Kneser-Ney" in page.inner_text("#progress")
    assert not page.is_visible("#box textarea")
    page.wait_for_selector("#box textarea")
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
    page.wait_for_selector("#box textarea")
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
    for source, colour in COLOURS.items():
        swatch = page.locator(f".legend .swatch.{source}")
        assert swatch.evaluate("e => getComputedStyle(e).backgroundColor") == f"rgb{colour}"
        assert swatch.evaluate("e => e.offsetWidth") < 20, "no other rule takes it for something else"
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
    page.wait_for_function("() => document.querySelector('#map .focus text')?.textContent === 'goat'")
    assert page.locator("#map g.taught").count() == 1 and page.locator("#map g.near").count() >= 6
    page.set_viewport_size({"width": 390, "height": 800})
    open_tab(page, "Talk")
    page.screenshot(path=tmp_path / "phone.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out of a phone"


@pytest.mark.slow
def test_another_visitor_has_an_empty_memory(chromium: Browser, page: Page, address: tuple[str, Path]) -> None:
    other = chromium.new_context().new_page()
    other.set_default_timeout(PATIENCE_MS)
    other.goto(address[0])
    other.wait_for_selector("#box textarea")
    assert episodes_shown(other) == 0
    assert episodes_shown(page) > 0
