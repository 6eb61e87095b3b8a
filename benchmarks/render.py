"""Writes docs/results.md, and the short table in README.md, from the recorded results; no figure is typed."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from benchmarks import agent_table
from benchmarks.common import RESULTS

HOME = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- results begin -->", "<!-- results end -->"


def load() -> dict[str, dict[str, Any]]:
    """All recorded results by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))}


def shown(figure: dict[str, float], digits: int = 2, percent: bool = False) -> str:
    """A mean with its standard deviation over seeds, where there are several."""
    factor, unit = (100.0, " %") if percent else (1.0, "")
    text = f"{factor * figure['mean']:.{digits}f}"
    return text + (f" ± {factor * figure['std']:.{digits}f}" if figure["std"] else "") + unit


def source(result: dict[str, Any]) -> str:
    """Where a result came from, in one line."""
    machine = result["machine"]
    return (
        f"`{result['command']}` at {result['commit']}, {result['date']}; "
        f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}"
    )


def perplexity_table(figures: dict[str, dict[str, float]], baseline: str) -> list[str]:
    """Rows of a perplexity table, each with its ratio to a baseline."""
    base = figures[baseline]["mean"]
    rows = [f"| | perplexity | of the {baseline} |", "|---|---:|---:|"]
    rows += [f"| {name} | {shown(value)} | {value['mean'] / base:.2f} |" for name, value in figures.items()]
    return rows


def tinystories(result: dict[str, Any]) -> list[str]:
    """TinyStories, train -> test."""
    facts = (
        f"{result['words_learned']:,} words learned in {result['epochs']} passes "
        f"({result['minutes']:.0f} minutes on {result['threads']} thread{'s' * (result['threads'] > 1)}), "
        f"{result['test_words']:,} test words, vocabulary {result['vocabulary']:,}, {result['parameters']:,} brain "
        f"parameters; seeds: {result['seeds']}."
    )
    loops = ", ".join(f"{name} {found['mean']:.2f}" for name, found in result["loops"].items())
    return [
        "## TinyStories, test perplexity",
        "",
        facts,
        "",
        *perplexity_table(result["test_perplexity"], "Kneser-Ney 5-gram"),
        "",
        f"Mean loops: {loops}.",
        "",
        source(result),
        "",
    ]


def ablations(result: dict[str, Any]) -> list[str]:
    """The same training without one part."""
    return [
        "## What each part is worth, TinyStories valid perplexity",
        "",
        f"{result['epochs']} passes, seeds: {result['seeds']}. *Brain alone*: without the counted phrases.",
        "",
        *perplexity_table(result["valid_perplexity"], "everything"),
        "",
        source(result),
        "",
    ]


def novels(result: dict[str, Any]) -> list[str]:
    """A novel read for the first time."""
    name = result["benchmark"].removeprefix("novels_").replace("_", " ")
    gain = shown(result["episodes_lower_perplexity_by"], 1, percent=True)
    return [
        f"## Reading *{name}* for the first time, after three other novels",
        "",
        f"Scored word by word, remembering only what was already read ({result['words_read']:,} words; "
        f"{result['words_learned']:,} words learned before). Episodic memory lowers perplexity by {gain}.",
        "",
        *perplexity_table(result["perplexity"], "episodes off"),
        "",
        source(result),
        "",
    ]


def settings(result: dict[str, Any]) -> list[str]:
    """One setting of the default training changed at a time."""
    rows = [
        f"| {name} | {shown(row['held-out part'])} | {shown(row['held-out stories'])} "
        f"| {shown(row['questions answered'], 1, percent=True)} |"
        for name, row in result["settings"].items()
    ]
    return [
        "## Settings of the default size on the shipped text",
        "",
        "Perplexity on the held-out part of the training text is what they are judged by; the held-out stories and "
        f"questions stand beside it. Seeds: {result['seeds']}.",
        "",
        "| | held-out part | held-out stories | held-out questions answered |",
        "|---|---:|---:|---:|",
        *rows,
        "",
        source(result),
        "",
    ]


def speed(result: dict[str, Any]) -> list[str]:
    """Words a second."""
    rows = [f"| {name} | {value:,.0f} |" for name, value in result["words_per_second"].items()]
    return [
        "## Speed",
        "",
        f"{result['threads']} threads, one run, the median of {result['rounds']} rounds in turn.",
        "",
        "| | words a second |",
        "|---|---:|",
        *rows,
        "",
        source(result),
        "",
    ]


KINDS = {
    "agent": agent_table.tables,
    "tinystories": tinystories,
    "ablations": ablations,
    "settings": settings,
    "speed": speed,
}


def run(arguments: argparse.Namespace) -> None:
    """Write docs/results.md and the table between the marks in README.md."""
    results = load()
    lines = [
        "# Results",
        "",
        "Rendered from benchmarks/results/*.json by `uv run python -m benchmarks.run render`.",
        "",
    ]
    for name, result in results.items():
        kind = KINDS.get(name, novels)
        lines += kind(result)
    (HOME / "docs" / "results.md").write_text("\n".join(lines), encoding="utf-8")
    readme = HOME / "README.md"
    text = readme.read_text(encoding="utf-8")
    block = f"{BEGIN}\n{chr(10).join(summary(results))}\n{END}"
    readme.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, text, flags=re.S), encoding="utf-8")


def summary(results: dict[str, dict[str, Any]]) -> list[str]:
    """The few rows that the README shows."""
    if not results:
        return [
            "No benchmark is recorded yet; `uv run ingest.py` prints its held-out perplexity beside that of a Kneser-Ney 5-gram."
        ]
    rows = ["| | Engram | beside |", "|---|---:|---|"]
    if "tinystories" in results:
        found = results["tinystories"]["test_perplexity"]
        rivals = [
            f"{name}: {shown(found[name], 1)}" for name in ("plain GPT-2 stack", "Kneser-Ney 5-gram") if name in found
        ]
        rows.append(f"| TinyStories test perplexity | {shown(found['Engram'], 1)} | {', '.join(rivals)} |")
    if "novels_the_time_machine" in results:
        found = results["novels_the_time_machine"]["perplexity"]
        rows.append(
            f"| a novel read for the first time, perplexity | {shown(found['remembering everything read'], 1)} "
            f"| without episodes: {shown(found['episodes off'], 1)} |"
        )
    if "speed" in results:
        found = results["speed"]["words_per_second"]
        rows.append(
            f"| training, words a second | {found['training, default loops']:,.0f} "
            f"| plain GPT-2 stack: {found['training, plain GPT-2 stack']:,.0f} |"
        )
    return rows
