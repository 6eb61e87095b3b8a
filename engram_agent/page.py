"""One page about a memory: what is remembered, what was learned, what keeps failing; whole in one file, without scripts.

It must not know how anything is remembered or learned.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram_agent.page_charts import bars, figures, lines, whisker
from engram_agent.page_html import Html, element, join
from engram_agent.plain import date

if TYPE_CHECKING:
    from engram_agent.memory import Memory

LATEST, TAGS, RATES, FAILURES, CHARTS = 10, 24, 16, 8, 6
READ = 2_000
"""Latest records of an agent whose tags are counted."""
ENOUGH = 3
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
DOCTYPE = "<!doctype html>\n"
WRITTEN = join("Written by ", element("code", "engram status --html"))


def page(memory: Memory, agent_id: str | None = None) -> str:
    """The page as HTML.

    Args:
        memory: What it is about.
        agent_id: Only what this agent may see; None for all agents of the file, each by its own eyes.
    """
    status = memory.status(agent_id=agent_id)
    agents = [agent_id] if agent_id else list(status["records"]["by_agent"])
    body = join(
        _head(status, agents),
        _remembered(memory, status, agents),
        _router(memory.learned()),
        _rates(_patterns(memory, agents)),
        _failures(_patterns(memory, agents, kind="failure", recurring=True)),
        element("footer", WRITTEN, ". Nothing on this page is loaded from elsewhere."),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("title", f"{Path(status['path']).name} - what is remembered"),
        element("style", Html(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))),
    )
    return DOCTYPE + element("html", head, element("body", body), lang="en") + "\n"


def is_page(text: str) -> bool:
    """Whether a text is such a page."""
    return text.startswith(DOCTYPE) and f"<footer>{WRITTEN}" in text


def _head(status: dict[str, Any], agents: Sequence[str]) -> Html:
    whose = f"{agents[0]}'s memory" if len(agents) == 1 else "One memory, many agents" if agents else "An empty memory"
    numbers = {"records": status["records"]["total"], ("agent" if len(agents) == 1 else "agents"): len(agents)}
    numbers |= {name: status[name] for name in ("outcomes", "searches", "judgements")}
    where = f"{status['path']}, {_size(status['bytes'])}, as of {date(time.time())}"
    return element("header", element("h1", whose), element("p", where), figures(numbers))


def _remembered(memory: Memory, status: dict[str, Any], agents: Sequence[str]) -> Html:
    records = {record.id: record for agent in agents for record in memory.latest(agent_id=agent, limit=READ)}
    latest = sorted(records.values(), key=lambda record: -record.created_at)
    if not latest:
        return _section(
            "What is remembered", _empty("Nothing yet. The first thing comes in with", 'engram store "..."')
        )
    said = {(record.context, record.action, record.result): record for record in reversed(latest)}
    shown = sorted(said.values(), key=lambda record: -record.created_at)[:LATEST]
    tags = Counter(tag for record in latest for tag in record.tags).most_common(TAGS)
    cloud = element("ul", [element("li", tag, " ", element("b", f"{count:,}")) for tag, count in tags], class_="tags")
    return _section(
        "What is remembered",
        element(
            "div",
            element("div", element("h3", "Types"), bars(status["records"]["by_type"])),
            element("div", element("h3", "Agents"), bars(status["records"]["by_agent"])),
            class_="two",
        ),
        [element("h3", "Tags"), cloud] if tags else None,
        element("h3", "Latest"),
        element("ul", [_record(record) for record in shown], class_="records"),
    )


def _record(record: Any) -> Html:
    then = [element("p", text, class_="then") for text in (record.action, record.result) if text]
    origin = f", learned from {record.origin}" if record.origin else ""
    about = f"{record.memory_type}, {record.agent_id}{origin}, {date(record.created_at)}"
    said = element("p", record.context, class_="context") if record.context else None
    return element("li", said, then, element("div", about, class_="meta"))


def _router(learned: dict[str, list[dict[str, Any]]]) -> Html:
    title = "What searching has learned"
    if not learned["q_history"]:
        return _section(
            title,
            _empty(
                "No search was judged yet, so every choice still stands at its default. A judgement teaches it:",
                "engram judge",
            ),
        )
    moved: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    moments = {when: place for place, when in enumerate(sorted({row["learned_at"] for row in learned["q_history"]}))}
    for row in sorted(learned["q_history"], key=lambda row: row["number"]):
        moved[row["decision"], row["state"]][row["action"]].append((float(moments[row["learned_at"]]), row["value"]))
    most = sorted(moved.items(), key=lambda item: -sum(len(points) for points in item[1].values()))[:CHARTS]
    charts = [lines(f"{decision} for {state} requests", series) for (decision, state), series in most]
    return _section(
        title,
        element("p", "The expected use of each choice (its Q-value) after every judgement, for each kind of request."),
        element("div", charts, class_="charts"),
    )


def _rates(patterns: Sequence[Any]) -> Html:
    title = "What works"
    if not any(each.kind != "failure" for each in patterns):
        command = 'engram memory record --context "..." --action "..." --outcome success'
        return _section(title, _empty("No outcome was recorded yet. The first comes with", command))
    tried = {(each.context, each.action): each for each in patterns if each.kind != "failure"}
    rows = [_rate(each) for each in sorted(tried.values(), key=lambda each: (-_trials(each), each.name))[:RATES]]
    ends = element("div", element("span", "0 %"), element("span", "50 %"), element("span", "100 %"), class_="ends")
    scale = element("div", element("span"), ends, class_="rate scale-row", aria_hidden="true")
    return _section(
        title,
        element(
            "p",
            f"Share of successes with its 95 % interval. Hollow: fewer than {ENOUGH} trials, which is not enough evidence.",
        ),
        element("div", rows, scale, class_="rates"),
    )


def _rate(pattern: Any) -> Html:
    trials = _trials(pattern)
    share = f"{pattern.successes:g} of {trials:g}, {pattern.low:.0%} to {pattern.high:.0%}"
    what = f"{pattern.context} → {pattern.action}" if pattern.action else pattern.context or pattern.name
    return element(
        "div",
        element("div", element("b", what), element("span", share), class_="name"),
        whisker(pattern.low, pattern.estimate, pattern.high),
        class_="rate" if trials >= ENOUGH else "rate few",
    )


def _failures(patterns: Sequence[Any]) -> Html:
    title = "What keeps failing"
    if not patterns:
        return _section(title, _empty("No failure has come back.", None))
    worst = sorted(patterns, key=lambda each: (-_trials(each), each.name))[:FAILURES]
    return _section(title, element("ul", [_failure(each) for each in worst], class_="failures"))


def _failure(pattern: Any) -> Html:
    known = pattern.prevention
    recovered = f"recovered from {pattern.successes:g}" if pattern.successes else "never recovered from"
    command = element("code", f"engram prevention generate --pattern {pattern.name}")
    remedy = ["Prevention: ", str(known)] if known else ["No prevention yet: ", command]
    return element(
        "li",
        element("b", pattern.name),
        element("p", pattern.signature or pattern.context),
        element("p", remedy, class_="quiet"),
        element(
            "div",
            f"{_trials(pattern):g} times, {recovered}, last {date(pattern.last_seen)}",
            class_="meta",
        ),
    )


def _patterns(memory: Memory, agents: Sequence[str], **filters: Any) -> list[Any]:
    found = {
        each.record_id: each for agent in agents for each in memory.patterns(agent_id=agent, limit=READ, **filters)
    }
    return list(found.values())


def _trials(pattern: Any) -> float:
    return float(pattern.successes + pattern.failures)


def _section(title: str, *content: Any) -> Html:
    return element("section", element("h2", title), *content)


def _empty(text: str, command: str | None) -> Html:
    return element("p", text, [" ", element("code", command)] if command else None, class_="empty")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
