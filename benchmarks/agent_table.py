"""The tables of docs/results.md about the agents' memory, from its record.

It must not know how anything is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Rows = list[tuple[str, str, str]]


def tables(result: dict[str, Any]) -> list[str]:
    """One table: what was measured, what it gave, and what stands beside it in the same run."""
    lines = ["## The agents' memory", "", "| what | Engram | beside, in the same run |", "|---|---:|---|"]
    for name, part in result["parts"].items():
        for what, figure, beside in ROWS[name](part["figures"]):
            lines.append(f"| {what} | {figure} | {beside} |")
    measured = ", ".join(f"{name} at {part['commit']}" for name, part in result["parts"].items())
    machine = result["machine"]
    return [
        *lines,
        "",
        "Strategies, rules and thresholds were chosen on these data, so expect a little less elsewhere; the secrets are tables "
        "of the project's own. To the first the rules were fitted; the second was written by one who had not seen them.",
        "",
        f"`python -m benchmarks.run agent --data DIR`: {measured}; {result['date']}; {machine['cpu']}, {machine['cores']} cores",
        "",
    ]


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %"


def _words(found: dict[str, float]) -> str:
    beside = (("BM25F", "BM25F"), ("lexical", "with other words"), ("vector", "vectors"))
    return ", ".join(f"{label} {_percent(found[name])}" for name, label in beside)


def _search(figures: dict[str, Any]) -> Rows:
    rows = []
    for name, told in (("whole", "questions of 2 to 4 steps"), ("single", "questions of one step")):
        found, count = figures["recall_at_10"][name], figures["questions"][name]
        rows.append(
            (
                f"evidence in the first ten of {figures['paragraphs']:,} paragraphs, {count} {told} (MuSiQue)",
                _percent(found["hybrid"]),
                _words(found),
            )
        )
    every = figures["all_evidence_at_10"]
    rows.append(("all evidence of a question in the first ten", _percent(every["hybrid"]), _words(every)))
    turns = figures["turns"]
    for kind in ("turn", "session"):
        found = {name: each[kind] for name, each in turns["recall_at_10"].items()}
        what = (
            f"the {kind} with the answer in the first ten of {turns['turns']:,} turns, {turns['questions']} questions"
        )
        rows.append((what, _percent(found["hybrid"]), _words(found)))
    for floor, found in figures["abstention"].items():
        what = f"questions without evidence that are answered by nothing, {floor} floor"
        rows.append((what, _percent(1 - found["absent"]), f"of those with evidence {_percent(1 - found['there'])}"))
    return rows


def _router(figures: dict[str, Any]) -> Rows:
    rows = []
    for name, found in figures["sets"].items():
        fixed = ", ".join(
            f"{action} {_percent(value)}" for action, value in found["fixed"].items() if "loose" in action
        )
        for run in ("learned", "learned from a wrong default"):
            gap = 100 * found[run]["above the best fixed in the last half"]
            what = f"router, {run}: recall over {found['questions']} questions ({name}, {figures['seeds']} seeds)"
            rows.append(
                (what, _percent(found[run]["recall"]), f"fixed: {fixed}; last half {gap:+.1f} points to the best")
            )
    return rows


def _grouping(figures: dict[str, Any]) -> Rows:
    least = min(figures["systems"], key=lambda name: figures["systems"][name]["signatures"])
    mean = figures["mean"]
    beside = f"numbers masked {_percent(mean['numbers masked'])}, same text {_percent(mean['same text'])}"
    worst = _percent(figures["systems"][least]["signatures"])
    return [(f"grouping accuracy of log lines, mean of {len(figures['systems'])} systems (least {worst}, {least})",
             _percent(mean["signatures"]), beside)]  # fmt: skip


def _prediction(figures: dict[str, Any]) -> Rows:
    brier = figures["brier"]
    others = brier["mean of the task's other runs"]
    beside = f"base rate {brier['base rate']:.3f}, mean of the task's other runs {others:.3f}"
    what = f"predicting success of {figures['runs']} agent runs, Brier score"
    return [
        (f"{what}, before the run", f"{brier['before the run']:.3f}", beside),
        (f"{what}, after it, its actions known", f"{brier['after the run']:.3f}", beside),
    ]


def _failures(figures: dict[str, Any]) -> Rows:
    def both(found: dict[str, float]) -> str:
        return f"{_percent(found['recall'])} / {_percent(found['precision'])}"

    return [
        (f"recurring failures, {kind}: recall / precision", both(figures[kind]),
         f"letter for letter {both(figures[f'{kind}, letter for letter'])}")
        for kind in ("planted", "real")
    ]  # fmt: skip


def _simulation(figures: dict[str, Any]) -> Rows:
    rows = []
    for name, world in figures["worlds"].items():
        mean = world["mean"]
        rows.append(
            (f"repeated failures of a simulated agent in {world['tasks']} tasks of {name}", f"{mean['memory']['repeated']:.0f}",
             f"without memory {mean['none']['repeated']:.0f}, with the last action only {mean['last']['repeated']:.0f}")
        )  # fmt: skip
        rows.append(
            (f"its success, {name}", _percent(mean["memory"]["success"]),
             f"without memory {_percent(mean['none']['success'])}, with the last action only {_percent(mean['last']['success'])}")
        )  # fmt: skip
    return rows


def _conversations(figures: dict[str, Any]) -> Rows:
    rows = []
    for name, parties in (("friends", "two friends"), ("assistant", "a user and an assistant")):
        found, recall = figures[name], figures[name]["recall_at_10"]
        for unit in ("turn", "session"):
            beside = _words({strategy: each[unit] for strategy, each in recall.items()})
            beside += f", without the turns around {_percent(recall['alone'][unit])}"
            what = f"the {unit}s with the evidence in the first ten of {found['turns']} turns of {parties}, asked in other words"
            rows.append((f"{what}, {found['questions']} questions", _percent(recall["hybrid"][unit]), beside))
    return rows


def _secrets(figures: dict[str, Any]) -> Rows:
    rows = []
    for name, found in (("", figures), (" that no rule was fitted to", figures["unseen"])):
        own, plain = found["redact"], found["name = value"]
        rows += [
            (f"secrets{name} taken out, of {found['strings']}", _percent(own["redacted"]),
             f"a plain rule {_percent(plain['redacted'])}"),
            (f"ordinary lines{name} touched, of {found['ordinary_lines']}", _percent(own["false_alarms"]),
             f"a plain rule {_percent(plain['false_alarms'])}"),
        ]  # fmt: skip
    in_file = figures["redacted_secrets_in_the_file"]
    return [*rows, ("of the secrets taken out, those in the raw bytes of the file", str(in_file), "0")]


def _writers(figures: dict[str, Any]) -> Rows:
    many, killed = figures["many writers"], figures["killed writers"]
    alone, bare = (
        figures["one writer, store, ms"],
        figures["baseline: one row into SQLite with the same durability, ms"],
    )
    return [
        (f"acknowledged writes lost, {many['processes']} processes at once", str(many["lost"]), f"of {many['acknowledged']:,}"),
        (f"acknowledged writes lost, killed {killed['kills']} times", str(killed["lost"]), f"of {killed['acknowledged']:,}"),
        ("store, one writer, 95th percentile", f"{alone['p95']:.1f} ms", f"a bare SQLite row {bare['p95']:.1f} ms"),
    ]  # fmt: skip


def _speed(figures: dict[str, Any]) -> Rows:
    rows = [("`engram --help`, median", f"{figures['command_start_s']['median']:.2f} s", "")]
    for size in ("10000", "100000"):
        search, store = figures[size]["search_ms"], figures[size]["store_ms"]
        for name, found in (("search", search), ("store", store)):
            what = f"{name} in {int(size):,} records, 95th percentile"
            rows.append((what, f"{found['p95']:.0f} ms", f"median {found['median']:.0f} ms"))
    return rows


ROWS: dict[str, Callable[[dict[str, Any]], Rows]] = {
    "search": _search,
    "router": _router,
    "grouping": _grouping,
    "prediction": _prediction,
    "failures": _failures,
    "simulation": _simulation,
    "conversations": _conversations,
    "secrets": _secrets,
    "writers": _writers,
    "speed": _speed,
}
