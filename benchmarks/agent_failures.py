"""Finding failures that come back, among errors planted and real: recall and precision of recurring signatures.

It must not know how errors are grouped. A failure recurs if its true event is met at least twice; a found group of at least
two errors is right if one event holds the most of it and no larger group has that event. Recall: the share of recurring
events that some group is right about. Precision: the share of found groups that are right. Errors pass through
`Memory.record`; the baseline takes errors for the same that are equal letter for letter.

Planted: errors of 24 statements with changing paths, ids, hosts and numbers, 2 to 12 of each, among as many one-offs in words
of their own. Real: lines of labelled system logs (loghub; Zhu et al. 2023), those of one system being one agent's errors.
"""

from __future__ import annotations

import csv
import json
import random
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import data_file
from engram_agent.memory import Memory
from engram_agent.patterns import RECURRING

SEEDS = 5
LINES = 400
SYSTEMS = ("Android", "Apache", "HDFS", "Hadoop", "HealthApp", "Linux", "OpenSSH", "Zookeeper")
NOUNS = [
    "socket", "table", "lease", "token", "worker", "cursor", "shard", "mirror",
    "buffer", "ledger", "beacon", "quorum", "parser", "thread", "volume", "bucket",
]  # fmt: skip
VERBS = ["refused", "lost", "rejected", "expired", "overflowed", "stalled", "vanished", "collided"]
SHAPES = (
    "{noun} {verb} at {path}: code {number}",
    "cannot open {noun} {hex}: it was {verb} by {host}",
    "{Noun}Error: request {number} {verb} after {number} ms",
)


def measure(data: Path) -> dict[str, Any]:
    """Recall and precision of recurring failures, planted and real, with the baseline.

    Args:
        data: Folder that holds logs/*.csv.
    """
    planted_sets = [planted(random.Random(seed)) for seed in range(SEEDS)]
    real = {system: lines(data_file(data, "logs", f"{system}.csv"), system) for system in SYSTEMS}
    plant = [scores(found(errors), [event for _, event in errors]) for errors in planted_sets]
    plain = [scores(equal(errors), [event for _, event in errors]) for errors in planted_sets]
    by_system = {name: scores(found(errors), [event for _, event in errors]) for name, errors in real.items()}
    baseline = {name: scores(equal(errors), [event for _, event in errors]) for name, errors in real.items()}
    return {
        "seeds": SEEDS,
        "errors of a system": LINES,
        "planted": means(plant),
        "planted, letter for letter": means(plain),
        "real": means(list(by_system.values())),
        "real, letter for letter": means(list(baseline.values())),
        "by system": by_system,
    }


def planted(chance: random.Random) -> list[tuple[str, str]]:
    """Errors with the statement that wrote each, in chance order."""
    pairs = chance.sample([(noun, verb, shape) for noun in NOUNS for verb in VERBS for shape in SHAPES], 24)
    made = [(fill(pair, chance), "/".join(pair)) for pair in pairs for _ in range(chance.randint(2, 12))]
    letters = "bcdfghklmnprst"
    for number in range(len(made)):
        words = ["".join(chance.choice(letters) + chance.choice("aeiou") for _ in range(3)) for _ in range(5)]
        made.append((f"{' '.join(words)} {chance.randrange(1000)}", f"once {number}"))
    chance.shuffle(made)
    return made


def fill(pair: tuple[str, str, str], chance: random.Random) -> str:
    """An error of a statement with what changes from time to time."""
    noun, verb, shape = pair
    return shape.format(
        noun=noun,
        Noun=noun.title(),
        verb=verb,
        path=f"/srv/{chance.choice(NOUNS)}/{chance.randrange(10**6)}.log",
        hex=f"0x{chance.randrange(16**8):08x}",
        host=f"node{chance.randrange(99)}.example.com",
        number=chance.randrange(10**5),
    )


def lines(path: Path, seed: str) -> list[tuple[str, str]]:
    """Some lines of a log with the event of each, drawn by chance, in their order."""
    with path.open(newline="") as file:
        rows = [(row["message"], row["event_id"]) for row in csv.DictReader(file)]
    return [rows[place] for place in sorted(random.Random(seed).sample(range(len(rows)), LINES))]


def found(errors: Sequence[tuple[str, str]]) -> list[Hashable]:
    """The pattern that each error belongs to after all were recorded."""
    with tempfile.TemporaryDirectory() as folder, Memory(Path(folder) / "m.db") as memory:
        with memory.records.database.transaction():
            for number, (error, _) in enumerate(errors):
                memory.record("a step of the job", "go on", "failure", error=error, task=str(number))
        recurring = memory.patterns(kind="failure", recurring=True, limit=10_000)
        member = {signature: pattern.name for pattern in recurring for signature in pattern.members}
        assert all(pattern.trials >= RECURRING for pattern in recurring)
        rows = memory.records.database.rows("SELECT signature FROM outcomes ORDER BY number")
        return [member.get(row["signature"], ("alone", place)) for place, row in enumerate(rows)]


def equal(errors: Sequence[tuple[str, str]]) -> list[Hashable]:
    """Groups of errors that are equal letter for letter."""
    return [error for error, _ in errors]


def scores(groups: Sequence[Hashable], events: Sequence[str]) -> dict[str, float]:
    """Recall and precision of the groups of two and more, and the counts behind them."""
    held: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
    for group, event in zip(groups, events, strict=True):
        held[group][event] += 1
    truth = {event for event, count in Counter(events).items() if count >= RECURRING}
    named = {group: count for group, count in held.items() if count.total() >= RECURRING}
    right = rightful(named)
    hit = {event for event in right.values() if event in truth}
    return {
        "recall": len(hit) / len(truth) if truth else 1.0,
        "precision": len(right) / len(named) if named else 1.0,
        "events": len(truth),
        "groups": len(named),
    }


def rightful(named: Mapping[Hashable, Counter[str]]) -> dict[Hashable, str]:
    """The event of each group that is right: it holds the most of the group, and the group the most of it."""
    best: dict[str, tuple[int, Hashable]] = {}
    for group, counted in named.items():
        event, count = counted.most_common(1)[0]
        if 2 * count > counted.total() and count > best.get(event, (1, None))[0]:
            best[event] = (count, group)
    return {group: event for event, (_, group) in best.items()}


def means(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each number."""
    return {name: statistics.mean(part[name] for part in parts) for name in parts[0]}


if __name__ == "__main__":
    import sys

    print(json.dumps(measure(Path(sys.argv[1])), indent=2))
