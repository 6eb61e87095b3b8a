"""One SQLite file that many processes read and write at once.

It must not know what its tables mean.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engram_agent.errors import AgentError
from engram_agent.migrations import MIGRATIONS
from engram_agent.scripts import apart

PATIENCE = 30.0
"""Seconds to wait for another process that writes."""


MEMORY = ":memory:"
"""SQLite's name for no file at all."""


class Database:
    """An open file with all its migrations applied.

    A write is acknowledged when its transaction has returned: it is on disk then (write-ahead log, synced at each
    commit), whatever is killed afterwards.

    Args:
        path: The file; it and its folder are created if missing, the file for the eyes of its owner only.

    Raises:
        AgentError: DatabaseUnavailable if it cannot be opened or is no database; MigrationRequired if a newer program
            has written it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _make(path)
            self._connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._connection.create_function("apart", 1, apart, deterministic=True)  # for indexes made in SQL
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.execute("PRAGMA secure_delete = ON")  # the default of some builds of SQLite, not of all
        except (sqlite3.Error, OSError) as error:
            raise _unavailable(path, error) from error
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self, light: bool = False) -> Iterator[None]:
        """Everything inside is written, or nothing; other writers wait. Inside another transaction it joins that.

        Args:
            light: Do not wait for the disk: for logs, whose last entries may be lost when the power goes.

        Raises:
            AgentError: DatabaseUnavailable if the file cannot be written.
        """
        if self._connection.in_transaction:
            yield
            return
        try:
            self._connection.execute(f"PRAGMA synchronous = {'NORMAL' if light else 'FULL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _unavailable(self.path, error) from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Everything inside sees one state of the file, and no writer waits for it. Inside a transaction it joins that."""
        if self._connection.in_transaction:
            yield
            return
        self.execute("BEGIN")
        try:
            yield
        finally:
            self.execute("ROLLBACK")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """One statement; DatabaseUnavailable if it fails."""
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise _unavailable(self.path, error) from error

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        return self.execute(statement, values).fetchall()

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _migrate(self) -> None:
        if self._applied() == [name for name, _ in MIGRATIONS]:
            return
        with self.transaction():
            self.execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at REAL NOT NULL)")
            applied = self._applied()
            if applied != [name for name, _ in MIGRATIONS[: len(applied)]]:
                raise AgentError(
                    "MigrationRequired",
                    f"{self.path} was written by a newer program (it has {applied[-1]!r})",
                    "update engram, or name another file with --db",
                )
            for name, script in MIGRATIONS[len(applied) :]:
                for statement in script.split(";\n"):
                    if statement.strip():
                        self.execute(statement)
                self.execute("INSERT INTO migrations VALUES (?, ?)", (name, time.time()))

    def _applied(self) -> list[str]:
        known = self.rows("SELECT 1 FROM sqlite_master WHERE name = 'migrations'")
        return [row["name"] for row in self.rows("SELECT name FROM migrations ORDER BY name")] if known else []


def _make(path: Path) -> None:
    """Make the file if there is none, for its owner only; SQLite gives the files beside it the same rights."""
    if str(path) == MEMORY:
        return
    with suppress(FileExistsError):  # never opened if it is there: closing it would end the locks of this process
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _unavailable(path: Path, error: Exception) -> AgentError:
    return AgentError(
        "DatabaseUnavailable", f"{path} cannot be used as a memory ({error})", "check the path, its rights and the disk"
    )
