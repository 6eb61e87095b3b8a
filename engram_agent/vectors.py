"""Finds records by vectors: those of their texts, kept beside them and compared one and all.

It must not know how texts become vectors, nor who may see what; the caller says which records are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engram_agent.database import Database
from engram_agent.embedders import Embedder, Weight
from engram_agent.records import Record

AT_ONCE = 500


class VectorIndex:
    """The vectors of all records; derived data that `rebuild` makes anew.

    They are compared exactly, by one product with all of them (a hundred thousand of 512 numbers: some 20 ms), and read from
    the file once; later only what other processes have added.

    Args:
        database: An open memory.
        embedder: Turns texts into unit vectors.
    """

    def __init__(self, database: Database, embedder: Embedder) -> None:
        self.database, self.embedder = database, embedder
        self._rows = np.empty(0, dtype=np.int64)
        self._vectors = np.empty((0, 0), dtype=np.float32)
        self._removals = -1

    def add(self, row: int, record: Record) -> None:
        """Take in a record that has just been stored."""
        self._insert([row], [_text(record.context, record.action, record.result)])

    def remove(self, row: int) -> None:
        """Forget a record that is about to be deleted."""
        self.database.execute("DELETE FROM vectors WHERE row = ?", [row])
        self._count_removal()

    def rebuild(self) -> None:
        """Make all vectors anew, by the present embedder."""
        with self.database.transaction():
            self.database.execute("DELETE FROM vectors")
            records = self.database.rows("SELECT row, context, action, result FROM records")
            for start in range(0, len(records), AT_ONCE):
                part = records[start : start + AT_ONCE]
                texts = [_text(record["context"], record["action"], record["result"]) for record in part]
                self._insert([record["row"] for record in part], texts)
            self._count_removal()

    def search(
        self, query: str, where: str, values: Sequence[Any], count: int, weight: Weight | None = None
    ) -> list[tuple[int, str, float]]:
        """Records near a query, best first: row, id and cosine.

        Args:
            query: Any text.
            where: A condition on `records`, applied before the cut.
            values: What stands for its question marks.
            count: How many at most.
            weight: How much a word of the query tells.
        """
        self._refresh()
        asked = self.embedder.embed([query], weight)[0]
        if not len(self._rows) or not asked.any():
            return []
        closeness = self._vectors @ asked
        looked, found = 4 * count, []
        while True:
            best = _highest(closeness, looked)
            found = self._allowed(best, where, values)[:count]
            if len(found) == count or looked >= len(closeness):
                return [(int(self._rows[place]), name, float(closeness[place])) for place, name in found]
            looked *= 8

    def _allowed(self, places: np.ndarray, where: str, values: Sequence[Any]) -> list[tuple[int, str]]:
        """Those of these places whose records the condition lets through, in their order, with their ids."""
        names: dict[int, str] = {}
        for start in range(0, len(places), 10_000):
            rows = [int(row) for row in self._rows[places[start : start + 10_000]]]
            asked = f"SELECT row, id FROM records WHERE row IN ({', '.join('?' * len(rows))}) AND ({where})"
            names |= {row["row"]: row["id"] for row in self.database.rows(asked, [*rows, *values])}
        return [(place, names[row]) for place in places if (row := int(self._rows[place])) in names]

    def _insert(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        for row, vector in zip(rows, self.embedder.embed(texts), strict=True):
            self.database.execute(
                "INSERT INTO vectors VALUES (?, ?, ?)", [row, self.embedder.name, vector.astype(np.float16).tobytes()]
            )

    def _count_removal(self) -> None:
        self.database.execute(
            "INSERT INTO state VALUES ('removals', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1"
        )

    def _refresh(self) -> None:
        """Read what was added since the last look; all of it if something was removed.

        Vectors that another embedder has made are made anew first, once.
        """
        if self._removals < 0 and self.database.rows(
            "SELECT 1 FROM vectors WHERE embedder != ? LIMIT 1", [self.embedder.name]
        ):
            self.rebuild()
        removals = self.database.rows("SELECT value FROM state WHERE name = 'removals'")
        count = removals[0]["value"] if removals else 0
        if count != self._removals:
            self._rows, self._vectors, self._removals = self._rows[:0], self._vectors[:0], count
        last = int(self._rows[-1]) if len(self._rows) else -1
        new = self.database.rows(
            "SELECT row, vector FROM vectors WHERE row > ? AND embedder = ? ORDER BY row", [last, self.embedder.name]
        )
        if new:
            read = np.frombuffer(b"".join(row["vector"] for row in new), dtype=np.float16).astype(np.float32)
            vectors = read.reshape(len(new), -1)
            self._rows = np.concatenate([self._rows, np.array([row["row"] for row in new], dtype=np.int64)])
            self._vectors = np.concatenate([self._vectors, vectors]) if len(self._vectors) else vectors


def _highest(values: np.ndarray, count: int) -> np.ndarray:
    """Places of the highest values, the highest first."""
    places = np.argpartition(-values, count)[:count] if count < len(values) else np.arange(len(values))
    return places[np.argsort(-values[places], kind="stable")]


def _text(context: str, action: str, result: str) -> str:
    return f"{context}\n{action}\n{result}"
