"""The page about a memory: what stands on it, that nothing on it can run, and how it looks in a browser."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram_agent.memory import Memory
from engram_agent.page import page
from engram_agent.page_charts import bars, bounds, lines, whisker
from engram_agent.page_html import CLOSED, Html, element, join
from engram_scripts.web_screenshot import CHROMIUM, browser

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ATTACK = "<script>document.title = 'owned'</script><img src=x onerror=\"document.title='owned'\">&amp;"
NPM = "npm ERR! network timeout at: https://packages.example.org/left-pad-{}"


class Reader(HTMLParser):
    """Reads a page: its tags in order, its texts, and whether all that was opened was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in CLOSED
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Memory]:
    with Memory(tmp_path / "m.db") as memory:
        yield memory


@pytest.fixture
def full(empty: Memory) -> Memory:
    """A memory that has lived: records, judged searches, outcomes, a failure that came back, and an attack."""
    empty.store(ATTACK, ATTACK, ATTACK, agent_id="mallory", tags=[ATTACK], project=ATTACK)
    known = empty.store(
        "the login of the shop times out", "retry with backoff", "it worked", agent_id="alice", tags=["auth"]
    )
    for number in range(7):
        found = empty.search("debug the login that times out", agent_id="alice")
        empty.judge(known, number % 2, agent_id="alice", query_id=found.query_id)
    for number in range(5):
        outcome = "success" if number else "failure"
        empty.record("auth-failure", "retry with backoff", outcome, agent_id="alice")
        error = NPM.format(number) + ATTACK
        empty.record("npm install", "npm i", "failure", error=error, agent_id="alice", memory_type="bugfix")
    return empty


# ------------------------------------------------------------------------------------------- making


@given(st.text(st.characters(exclude_categories=("Cs",))), st.text(st.characters(exclude_categories=("Cs",))))
def test_a_text_is_never_more_than_a_text(text: str, value: str) -> None:
    found = Reader(element("p", text, element("b", text), title=value))
    assert found.tags == ["p", "b"] and [name for name, _ in found.attributes] == ["title"]
    assert isinstance(element("p", text), Html) and "<" not in join(text)


def test_attributes_and_empty_elements_are_written_as_html_has_them() -> None:
    assert element("p", class_="a", aria_label='"b"', id=None) == '<p class="a" aria-label="&quot;b&quot;"></p>'
    assert element("line", x1="0%") == '<line x1="0%" />'
    assert join("a", None, ["b", [element("i", "c")]], 3) == "ab<i>c</i>3"


def test_a_line_stays_inside_its_chart_and_is_higher_for_more() -> None:
    chart = lines("q", {"a": [(0.0, 0.25), (7.0, 0.5)], "b": [(3.0, 0.75)]})
    drawn = [
        [tuple(map(float, pair.split(","))) for pair in points.split()]
        for points in re.findall(r'points="(.*?)"', chart)
    ]
    assert all(0.0 <= x <= 100.0 and 0.0 <= y <= 100.0 for points in drawn for x, y in points)
    (start, end, last), (other, other_last) = drawn
    assert start[0] == 0.0 and end[0] == last[0] == other_last[0] == 100.0 and start[1] > end[1] > other[1]
    assert "0.50" in Reader(chart).text and "0.75" in Reader(chart).text


@pytest.mark.parametrize("values", [[0.5], [0.25, 0.75], [0.0, 0.0]])
def test_an_axis_holds_its_values_and_has_a_height(values: list[float]) -> None:
    low, high = bounds(values)
    assert low < min(values) <= max(values) < high


def test_a_whisker_is_where_its_interval_is() -> None:
    drawn = whisker(-0.125, 0.5, 0.75)
    assert 'x1="0.0%" x2="75.0%"' in drawn and 'cx="50.0%"' in drawn and "95 % interval" in drawn


def test_bars_are_as_long_as_their_counts() -> None:
    assert re.findall(r"width:([\d.]+)%", bars({"a": 8, "b": 2, "c": 0})) == ["100.0", "25.0", "0.0"]
    assert Reader(bars({})).tags == ["ul"]


# ------------------------------------------------------------------------------------------- the page


def test_an_empty_memory_says_what_to_do(empty: Memory) -> None:
    said = Reader(page(empty)).text
    assert "An empty memory" in said and "0 records" in said
    for part in ("Nothing yet", "No search was judged yet", "No outcome was recorded yet", "No failure has come back"):
        assert part in said
    assert 'engram store "..."' in said and "svg" not in Reader(page(empty)).tags


def test_what_is_remembered_and_learned_stands_there(full: Memory) -> None:
    found = Reader(page(full))
    assert "alice" in found.text and "mallory" in found.text and "auth 1" in found.text
    assert "the login of the shop times out" in found.text and "strategy for debug requests" in found.text
    assert "auth-failure → retry with backoff 4 of 5, " in found.text
    assert "npm" in found.text.split("What keeps failing")[1] and "5 times" in found.text
    assert {"svg", "polyline", "circle"} <= set(found.tags)


def test_the_figures_of_rates_are_those_of_the_memory(full: Memory) -> None:
    (best,) = (each for each in full.patterns(agent_id="alice", kind="decision") if each.action == "retry with backoff")
    assert f"4 of 5, {best.low:.0%} to {best.high:.0%}" in Reader(page(full)).text
    assert f'cx="{100 * best.estimate:.1f}%"' in page(full)


def test_of_one_agent_only_its_own_stands_there(full: Memory) -> None:
    said = Reader(page(full, "mallory")).text
    assert "mallory" in said and "alice" not in said and "login of the shop" not in said


def test_nothing_on_the_page_can_run_or_call(full: Memory) -> None:
    found = Reader(page(full))
    assert not {"script", "img", "iframe", "link", "object", "form", "a"} & set(found.tags)
    names = {name for name, _ in found.attributes}
    assert not {name for name in names if name.startswith("on") or name in ("src", "href")}
    assert "<script>document.title" in found.text
    assert "http" not in page(full).replace(NPM.partition("{")[0].split(": ")[1], "").replace("http-equiv", "")


# ------------------------------------------------------------------------------------------- in a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if shutil.which(CHROMIUM) is None:
        missing = pytest.fail if "ENGRAM_NO_SKIP" in os.environ else pytest.skip
        missing("chromium is not installed; for these tests: apt-get install chromium")
    with browser() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1100])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_any_screen(chromium: Browser, full: Memory, tmp_path: Path, width: int, scheme: str) -> None:
    full.store("x" * 900, "y" * 900, "z" * 900, agent_id="alice", tags=["t" * 90])
    (tmp_path / "page.html").write_text(page(full))
    opened = chromium.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    asked: list[str] = []
    faults: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: faults.append(message.text))
    opened.goto((tmp_path / "page.html").as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert len(asked) == 1 and not faults and "owned" not in opened.title()
    assert opened.locator("section").count() == 4 and opened.locator("script").count() == 0
    paper, ink = (opened.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert (brightness(paper) > brightness(ink)) == (scheme == "light")
    assert abs(brightness(paper) - brightness(ink)) > 150
    boxes = "all => all.map(each => each.getBoundingClientRect().toJSON())"
    for name in ("polyline", "circle"):
        for box in opened.eval_on_selector_all(name, boxes):
            assert (
                box["left"] >= -1
                and box["right"] <= width + 1
                and (name == "polyline" or box["width"] == box["height"] > 0)
            )
    for chart in opened.locator(".plot").all():
        frame, line = chart.bounding_box(), chart.locator("polyline").first.bounding_box()
        assert (
            frame
            and line
            and frame["y"] - 2 <= line["y"]
            and line["y"] + line["height"] <= frame["y"] + frame["height"] + 2
        )
    opened.close()


def brightness(colour: str) -> float:
    """Of 255."""
    red, green, blue = map(float, re.findall(r"[\d.]+", colour)[:3])
    return 0.299 * red + 0.587 * green + 0.114 * blue
