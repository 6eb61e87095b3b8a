"""Charts of a page: lines over time, dots with whiskers, bars. Inline SVG and CSS; every figure also stands as text.

It must not know what the figures mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engram_agent.page_html import Html, element

COLOURS = 6
MARGIN = 0.08
"""Share of a chart's height that stays free above and below its lines."""


def lines(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> Html:
    """A line chart: values over time, with a legend that gives each line's last value.

    Lines that are the same from end to end are drawn once and named together.

    Args:
        title: What is shown.
        series: Points (place from left to right, value) of each line, in order.
    """
    places = [place for points in series.values() for place, _ in points]
    values = [value for points in series.values() for _, value in points]
    left, right = min(places), max(places)
    low, high = bounds(values)
    drawn, legend = [], []
    names: dict[tuple[tuple[float, float], ...], list[str]] = {}
    for name, points in series.items():
        names.setdefault(tuple(points), []).append(name)
    for number, (points, same) in enumerate(names.items()):
        colour = f"c{number % COLOURS}"
        ends = [*points, (right, points[-1][1])]
        drawn.append(
            element("polyline", points=" ".join(_point(x, y, left, right, low, high) for x, y in ends), class_=colour)
        )
        key = element("i", class_=f"key {colour}")
        legend.append(element("li", key, f"{', '.join(same)} ", element("b", f"{points[-1][1]:.2f}")))
    chart = element(
        "svg",
        drawn,
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=f"{title}: lines over time",
    )
    scale = element("div", element("span", f"{high:.2f}"), element("span", f"{low:.2f}"), class_="scale")
    return element(
        "figure",
        element("figcaption", title),
        element("div", scale, element("div", chart, class_="plot"), class_="chart"),
        element("ul", legend, class_="legend"),
    )


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Least and greatest value of an axis: a little outside the figures, and never one and the same."""
    low, high = min(values), max(values)
    spread = max(high - low, 0.1)
    return low - MARGIN * spread, high + MARGIN * spread


def whisker(low: float, estimate: float, high: float) -> Html:
    """A dot with its interval on a line from 0 to 1."""
    percent = [f"{100.0 * min(1.0, max(0.0, value)):.1f}%" for value in (low, estimate, high)]
    label = f"{estimate:.0%}, 95 % interval {low:.0%} to {high:.0%}"
    return element(
        "svg",
        element("title", label),
        element("line", x1="0%", x2="100%", y1="50%", y2="50%", class_="axis"),
        element("line", x1="50%", x2="50%", y1="20%", y2="80%", class_="axis"),
        element("line", x1=percent[0], x2=percent[2], y1="50%", y2="50%", class_="interval"),
        element("circle", cx=percent[1], cy="50%", r="5"),
        class_="whisker",
        role="img",
        aria_label=label,
    )


def bars(counts: Mapping[str, float]) -> Html:
    """Counts as bars, each with its name and number."""
    largest = max(counts.values(), default=0.0) or 1.0
    rows = [
        element(
            "li",
            element("span", name, class_="name"),
            element("span", f"{count:,.0f}", class_="count"),
            element("span", element("i", style=f"width:{100.0 * count / largest:.1f}%"), class_="bar"),
        )
        for name, count in counts.items()
    ]
    return element("ul", rows, class_="bars")


def _point(place: float, value: float, left: float, right: float, low: float, high: float) -> str:
    x = 100.0 * (place - left) / (right - left) if right > left else 50.0
    return f"{x:.2f},{100.0 * (high - value) / (high - low):.2f}"


def figures(numbers: Mapping[str, Any]) -> Html:
    """Large numbers, each with what it counts."""
    return element(
        "dl",
        [element("div", element("dd", f"{value:,}"), element("dt", name)) for name, value in numbers.items()],
        class_="figures",
    )
