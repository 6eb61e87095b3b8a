"""The pictures of an evaluation: what each part brings, loops against perplexity, surprise, rare words, loops by band.

It must not compute anything: it draws the report that `engram_scripts.report` gathers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import ScalarFormatter

BRAIN, OTHER, GOOD, BAD, PALE = "#2a5d9f", "#c98a2b", "#3a8f5c", "#b5483f", "#8a94a3"


def draw_all(found: dict[str, Any], folder: Path) -> list[Path]:
    """Draw every picture into a folder; returns the files."""
    pictures = {
        "parts": (_parts, (9.0, 4.5)),
        "loops": (_loops, (7.0, 4.5)),
        "surprise": (_surprise, (8.0, 4.5)),
        "frequency": (_frequency, (9.0, 4.5)),
        "loops_by_band": (_loops_by_band, (11.0, 4.5)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, (draw, size) in pictures.items():
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes, found)
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1], dpi=150)
        plt.close(figure)
    return files


def _parts(axes: Axes, found: dict[str, Any]) -> None:
    """Change of perplexity by each part, with two standard errors."""
    parts = found["parts"][::-1]
    changes = [part["change_percent"] for part in parts]
    likely = [part["percent_range"] or (part["change_percent"],) * 2 for part in parts]
    errors = [[change - low for change, (low, _) in zip(changes, likely, strict=True)],
              [high - change for change, (_, high) in zip(changes, likely, strict=True)]]  # fmt: skip
    colours = [_verdict_colour(part) for part in parts]
    bars = axes.barh([part["label"].strip() for part in parts], changes, xerr=errors, color=colours, ecolor="#444444")
    axes.bar_label(bars, labels=[f"{change:+.1f} %" for change in changes], padding=4, fontsize=9)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.margins(x=0.2)
    axes.set_xlabel("change of perplexity when the part is switched on, in % (to the left is better)")
    axes.set_title("What each part brings (green pays, red costs, grey neither)")


def _verdict_colour(part: dict[str, Any]) -> str:
    """Learned halting is meant to save loops, not perplexity."""
    return PALE if part["name"] == "halting" else {"pays": GOOD, "costs": BAD}.get(part["verdict"], PALE)


def _loops(axes: Axes, found: dict[str, Any]) -> None:
    """Perplexity against mean loops: the sweep of the threshold, fixed numbers of loops, the learned halting."""
    loops = found["loops"]
    curve = sorted(loops["curve"], key=lambda point: point["mean_loops"])
    axes.plot([point["mean_loops"] for point in curve], [point["perplexity"] for point in curve],
              color=BRAIN, marker=".", label="halting, threshold swept")  # fmt: skip
    axes.plot(range(1, loops["most"] + 1), loops["by_loops"], "s", color=OTHER, label="always so many loops")
    axes.plot([loops["mean"]], [loops["perplexity"]], "*", markersize=16, color=GOOD,
              label=f"learned halting ({loops['mean']:.2f} loops)")  # fmt: skip
    axes.set_xlabel("mean loops a word")
    axes.set_ylabel("perplexity (lower is better)")
    axes.set_title("What thinking longer brings")
    axes.legend(frameon=False)


def _surprise(axes: Axes, found: dict[str, Any]) -> None:
    """Histogram of surprise, the bands shaded."""
    histogram = found["surprise_histogram"]
    edges, words = histogram["edges"], histogram["words"]
    ends = [*histogram["bands"][1:], edges[-1]]
    for number, (low, high) in enumerate(zip(histogram["bands"], ends, strict=True)):
        axes.axvspan(low, high, color=PALE, alpha=0.22 if number % 2 else 0.08, linewidth=0)
    axes.stairs(words, edges, fill=True, color=BRAIN)
    axes.axvline(found["overall"]["loss_nats"], color=OTHER, linewidth=2, label="mean")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"surprise of a word, in nats (the last bar: {edges[-2]:g} and more; shades: bands)")
    axes.set_ylabel("words")
    axes.set_title("How surprising the words were")
    axes.legend(frameon=False)


def _grouped(axes: Axes, names: Sequence[str], groups: Mapping[str, tuple[Sequence[float], str]], form: str) -> None:
    """Bars side by side, labelled with their values."""
    width = 0.8 / len(groups)
    for number, (label, (values, colour)) in enumerate(groups.items()):
        places = [place + (number - (len(groups) - 1) / 2) * width for place in range(len(names))]
        bars = axes.bar(places, values, width, label=label, color=colour)
        axes.bar_label(bars, fmt=form, fontsize=8, padding=2)
    axes.set_xticks(range(len(names)), names)
    axes.margins(y=0.12)


def _frequency(axes: Axes, found: dict[str, Any]) -> None:
    """Perplexity by how often a word was met in training, beside the baseline."""
    bands = found["frequency_bands"]
    groups = {"this brain": ([band["perplexity"] for band in bands], BRAIN)}
    if found["overall"]["baseline"]:
        label = f"Kneser-Ney {found['overall']['baseline']['order']}-gram"
        groups[label] = ([band["baseline_perplexity"] for band in bands], OTHER)
    groups["remembering what it reads"] = ([band["perplexity_remembering"] for band in bands], GOOD)
    axes.set_yscale("log")
    _grouped(axes, _shares(bands), groups, "%.0f")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel("how often the word was met in training (share of the words read)")
    axes.set_ylabel("perplexity (log scale, lower is better)")
    axes.set_title("Common and rare words")
    axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.2))


def _loops_by_band(axes: Axes, found: dict[str, Any]) -> None:
    """Mean loops by frequency and by surprise."""
    frequency, surprise = found["frequency_bands"], found["surprise_bands"]
    bands = [*frequency, *surprise]
    colours = [BRAIN] * len(frequency) + [OTHER] * len(surprise)
    bars = axes.bar(range(len(bands)), [band["mean_loops"] for band in bands], color=colours)
    axes.bar_label(bars, fmt="%.2f", fontsize=9, label_type="center", color="white")
    axes.axhline(found["loops"]["mean"], color="black", linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(bands)), [band["band"].replace(" ", "\n", 1) for band in bands], fontsize=8)
    axes.set_ylim(0.0, found["loops"]["most"] + 0.3)
    axes.set_xlabel("met in training (left, blue) and surprise (right, ochre); dashed: mean of all words")
    axes.set_ylabel("mean loops a word")
    axes.set_title("Which words it thinks about longer")


def _shares(bands: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{band['band']}\n({100 * band['share']:.0f} %)" for band in bands]
