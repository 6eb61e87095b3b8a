"""Many processes write one memory, and some are killed while they write: is all there that was acknowledged, and how long a write takes.

It must not know how a memory keeps its promises, only what it has promised.
"""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engram_agent.memory import Memory

HOME = Path(__file__).parent.parent
WRITERS, WRITES, KILLS, STORES = 8, 200, 50, 500
ACTIONS = {"store": 10, "record": 3, "judge": 3, "delete": 2, "share": 2, "import": 1}
MAKING = ("store", "record", "import")
"""Actions that make a record."""
AT_A_TIME = 2
"""Processes that write while one is killed, that one among them."""


def write(path: Path, name: str, count: int, seed: int) -> None:
    """Write so many times, and print each write before it is begun and once it is acknowledged, as JSON.

    Args:
        path: The memory.
        name: The agent that writes.
        count: How many writes.
        seed: Of what is written.
    """
    draw = random.Random(seed)
    ids: list[str] = []
    with Memory(path) as memory:
        for number in range(count):
            action = draw.choices(list(ACTIONS), list(ACTIONS.values()))[0] if ids else "store"
            subject = ids.pop(draw.randrange(len(ids))) if action == "delete" else draw.choice(ids or [""])
            print(json.dumps(["will", action, subject]), flush=True)
            begun = time.perf_counter()
            made = _one(memory, name, number, action, subject, draw)
            print(json.dumps(["done", action, made, 1e3 * (time.perf_counter() - begun)]), flush=True)
            if action in MAKING:
                ids.append(made)


def many(path: Path, writers: int = WRITERS, writes: int = WRITES, seed: int = 0) -> list[list[Any]]:
    """What so many processes at once have printed, each a list of what it did."""
    processes = [start(path, f"agent{number}", writes, seed + number) for number in range(writers)]
    return [_lines(process.communicate()[0]) for process in processes]


def killed(path: Path, kills: int = KILLS, seed: int = 0) -> list[list[Any]]:
    """What processes have printed that were killed at random points of their writing, with others writing beside them."""
    draw = random.Random(seed)
    running: list[subprocess.Popen[str]] = []
    said = []
    for number in range(kills + AT_A_TIME - 1):
        if number < kills:
            running.append(start(path, f"agent{number}", 100_000, seed + number))
        if len(running) == AT_A_TIME or number >= kills:
            said.append(_lines(_kill(running.pop(0), draw)))
    return said


def promises(path: Path, said: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """What was acknowledged, and what of it does not hold; all counts but the first are 0 if all does.

    Args:
        path: The memory.
        said: What each process has printed.
    """
    stored: set[str] = set()
    deleted: set[str] = set()
    granted: set[str] = set()
    open_deletes: set[str] = set()
    for lines in said:
        for told, action, subject, *_ in lines:
            if told == "done" and action in MAKING:
                stored.add(subject)
            elif action == "delete":
                (deleted if told == "done" else open_deletes).add(subject)
            elif told == "done" and action == "share":
                granted.add(subject)
    with Memory(path) as memory:
        database = memory.records.database
        kept = {row["id"] for row in database.rows("SELECT id FROM records")}
        grants = {row["id"] for row in database.rows("SELECT id FROM grants")}
        return {
            "acknowledged": sum(line[0] == "done" for lines in said for line in lines),
            "lost": len(stored - open_deletes - kept) + len(granted - grants),
            "not deleted": len(deleted & kept),
            "not ok": [row[0] for row in database.rows("PRAGMA integrity_check")] != ["ok"],
            "log broken": not memory.audit_verify().sound,
            "indexes differ": _indexes_differ(memory),
        }


def latencies(said: Sequence[Sequence[Any]], action: str = "store") -> dict[str, float]:
    """Median and 95th percentile of how long an action took, in milliseconds."""
    return _percentiles([line[3] for lines in said for line in lines if line[:2] == ["done", action]])


def measure(data: Path | None = None) -> dict[str, Any]:
    """All figures of one run; no data are needed.

    Args:
        data: Not used.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.db"
        begun = time.perf_counter()
        said = many(path)
        seconds = time.perf_counter() - begun
        cut = killed(Path(folder) / "killed.db")
        alone = many(Path(folder) / "alone.db", writers=1, writes=STORES)
        return {
            "many writers": promises(path, said)
            | {"processes": WRITERS, "seconds": seconds, "store, ms": latencies(said), "all, by action": _counts(said)},
            "killed writers": promises(Path(folder) / "killed.db", cut) | {"kills": len(cut)},
            "one writer, store, ms": latencies(alone),
            "baseline: one row into SQLite with the same durability, ms": _bare(Path(folder) / "bare.db"),
        }


def start(path: Path, name: str, writes: int, seed: int) -> subprocess.Popen[str]:
    """A process that writes."""
    command = [sys.executable, "-m", "benchmarks.agent_writers", str(path), name, str(writes), str(seed)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HOME)


def _one(memory: Memory, name: str, number: int, action: str, subject: str, draw: random.Random) -> str:
    """One write; returns the id of what it was done to."""
    text = " ".join(draw.choices(WORDS, k=17))
    if action == "store":
        turn: dict[str, Any] = {"conversation": f"{name} talks", "position": number} if draw.random() < 0.5 else {}
        return memory.store(text, draw.choice(WORDS), "done", agent_id=name, tags=[draw.choice(WORDS)], **turn)
    if action == "import":
        record = {"id": f"{name}-{number}", "agent_id": "elsewhere", "memory_type": "context", "context": text,
                  "action": "", "result": "", "created_at": 1.0, "updated_at": 1.0}  # fmt: skip
        return memory.import_(
            {"version": 1, "kind": "engram", "agent_id": "elsewhere", "records": [record]}, agent_id=name
        ).ids[0]
    if action == "record":
        error = draw.choice(("", f"TimeoutError: no answer after {number} s", "FileNotFoundError: config.toml"))
        return memory.record(text, draw.choice(WORDS), "failure" if error else "success", agent_id=name, error=error)
    if action == "share":
        return memory.share(name, "reader", scope="record", value=subject).id
    if action == "judge":
        return memory.judge(subject, draw.random(), agent_id=name).record_id
    memory.delete(subject, agent_id=name)
    return subject


def _kill(process: subprocess.Popen[str], draw: random.Random) -> str:
    """What a process has printed until it was killed at some point of its work."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(1 + draw.randrange(60))]
    time.sleep(draw.uniform(0.0, 0.02))
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()
    process.wait()
    process.stdout.close()
    return "".join(lines) + rest


def _lines(text: str) -> list[Any]:
    """What was printed whole."""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _indexes_differ(memory: Memory) -> bool:
    """Whether words and vectors are other than those made anew from the records."""

    def rows() -> list[list[tuple[Any, ...]]]:
        asked = ("SELECT rowid, * FROM words ORDER BY rowid", "SELECT * FROM vectors ORDER BY row")
        return [[tuple(row) for row in memory.records.database.rows(each)] for each in asked]

    memory.records.database.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    kept = rows()
    numbers = [row["row"] for row in memory.records.database.rows("SELECT row FROM records ORDER BY row")]
    memory.records.rebuild()
    return kept != rows() or any([row[0] for row in table] != numbers for table in kept)


def _counts(said: Sequence[Sequence[Any]]) -> dict[str, int]:
    return dict(Counter(line[1] for lines in said for line in lines if line[0] == "done"))


def _bare(path: Path) -> dict[str, float]:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE notes (text TEXT)"):
        connection.execute(statement)
    draw, took = random.Random(0), []
    for _ in range(STORES):
        text = " ".join(draw.choices(WORDS, k=17))
        begun = time.perf_counter()
        connection.execute("INSERT INTO notes VALUES (?)", [text])
        took.append(1e3 * (time.perf_counter() - begun))
    connection.close()
    return _percentiles(took)


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=20)
    return {"median": statistics.median(values), "p95": cuts[-1]}


def _words() -> Iterator[str]:
    for first in ("lo", "ta", "mi", "ser", "qua", "den", "fu", "bre", "xi", "hol"):
        for second in ("gin", "ble", "ver", "che", "ry", "ne", "ck", "ut", "pa", "zo"):
            yield first + second


WORDS = tuple(_words())

if __name__ == "__main__":
    if len(sys.argv) == 5:
        write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        print(json.dumps(measure(), indent=2))
