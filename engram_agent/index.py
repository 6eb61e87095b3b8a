"""Finds records by their words: BM25 over weighted fields, a record's neighbours in its conversation among them.

It must not know who may see what; the caller says which records are looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engram_agent.database import Database
from engram_agent.records import Record
from engram_agent.scripts import MARKS, apart, together
from engram_agent.scripts import words as words_of

WEIGHTS = {"context": 1.0, "action": 1.0, "result": 1.0, "tags": 1.0, "before": 0.3, "after": 0.3}
"""How much a word counts in each field. A turn is also found by the words of the turns around it, which say what it is about."""
OWN = 4
"""The first fields, which are the record's own."""
STOP_WORDS = frozenset(
    """
    a an and are as at be been but by can could did do does for from had has have he her his how i if in is it its me my
    of on one or our she so than that the their them then there these they this to was we were what when where which who whom
    whose why will with would you your
    """.split()  # noqa: SIM905
)
POSSESSIVE = re.compile(r"(?<=\w)['’]s\b")
SAID = "context || ' ' || action || ' ' || result"
MARK = re.compile(f"\x01(.*?)\x02({MARKS})")
"""A word that was found, with the marks on its last letter: for the index they are no part of it."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A word that is looked up.

    Attributes:
        text: The word, or an expression.
        concept: Number of what it stands for.
        much: How much of that it is, 0 to 1.
        weight: What its score is multiplied by.
    """

    text: str
    concept: int
    much: float = 1.0
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What a search by words has found.

    Attributes:
        best: Row, id and score of the records that were asked for, best first; higher is closer.
        held: For each concept the rows that have it, and by what.
    """

    best: Sequence[tuple[int, str, float]]
    held: Mapping[int, Mapping[int, Asked]]


def terms(query: str) -> list[str]:
    """The words of a query that tell something, folded, each once; all of them where none does.

    Where a script has no blanks between words, each two neighbouring characters are one.
    """
    words = list(dict.fromkeys(words_of(POSSESSIVE.sub("", query.casefold()))))
    return [word for word in words if word not in STOP_WORDS] or words


class WordIndex:
    """The words of all records, kept beside them; derived data that `rebuild` makes anew.

    Scores are BM25F (Robertson & Zaragoza 2009, section 3.6) as SQLite computes it: the weighted counts of a word in all
    fields are added up before they saturate.

    Args:
        database: An open memory.
    """

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, record: Record) -> None:
        """Take in a record that has just been stored, and tell its neighbours."""
        self.database.execute(
            "INSERT INTO words (rowid, context, action, result, tags, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                self._row(record), apart(record.context), apart(record.action), apart(record.result),
                apart(" ".join(record.tags)), self._turn(record, -1), self._turn(record, 1),
            ],
        )  # fmt: skip
        self._tell(record)

    def remove(self, record: Record) -> None:
        """Forget a record that is about to be deleted; its neighbours forget it too."""
        self.database.execute("DELETE FROM words WHERE rowid = (SELECT row FROM records WHERE id = ?)", [record.id])
        self._tell(record, without=record.id)

    def rebuild(self) -> None:
        """Make the whole index anew from the records."""

        def turn(step: int) -> str:
            place = f"agent_id = r.agent_id AND conversation = r.conversation AND position = r.position + {step}"
            said = f"SELECT {SAID} AS said FROM records WHERE {place} ORDER BY row"
            return f"(SELECT apart(coalesce(group_concat(said, ' '), '')) FROM ({said}))"

        with self.database.transaction():
            self.database.execute("DELETE FROM words")
            self.database.execute(
                f"""
                INSERT INTO words (rowid, context, action, result, tags, before, after)
                SELECT r.row, apart(r.context), apart(r.action), apart(r.result),
                    (SELECT apart(coalesce(group_concat(value, ' '), '')) FROM json_each(r.tags)), {turn(-1)}, {turn(1)}
                FROM records r
                """
            )

    def search(
        self, asked: Sequence[str], where: str, values: Sequence[Any], count: int, *, own: bool = False
    ) -> list[tuple[int, str, float]]:
        """Records that have one of these words, best first: row, id and score (higher is closer).

        Args:
            asked: Words, as `terms` gives them.
            where: A condition on `records`, applied before the cut.
            values: What stands for its question marks.
            count: How many at most.
            own: Only a record's own words count, not those of its neighbours.
        """
        if not asked:
            return []
        weights = ", ".join(map(str, WEIGHTS.values()))
        found = self.database.rows(
            f"SELECT records.row, records.id, -bm25(words, {weights}) AS score FROM words "
            f"JOIN records ON records.row = words.rowid WHERE words MATCH ? AND ({where}) "
            "ORDER BY score DESC, records.row DESC LIMIT ?",
            [_any_of(asked, own), *values, count],
        )
        return [(row["row"], row["id"], row["score"]) for row in found]

    def scan(self, asked: Sequence[Asked], where: str, values: Sequence[Any], count: int, *, own: bool = False) -> Scan:
        """Records that have some of these words, best first.

        A concept counts once in a record: by the word for it that scores most there.

        Args:
            asked: Words, as `terms` gives them, or expressions; each stands for a concept.
            where: A condition on `records`, applied before the cut.
            values: What stands for its question marks.
            count: How many at most.
            own: Only a record's own words count, not those of its neighbours.
        """
        weights = ", ".join(map(str, WEIGHTS.values()))
        bm25 = f"SELECT rowid, -? * bm25(words, {weights}) FROM words WHERE words MATCH ?"
        scores: dict[int, dict[int, float]] = {}
        held: dict[int, dict[int, Asked]] = {}
        for one in sorted(asked, key=lambda each: each.much):  # so that what is more of the concept is what is held
            cursor = self.database.execute(bm25, [one.weight, _any_of([one.text], own)])
            cursor.row_factory = None
            found = dict(cursor.fetchall())
            best = scores.setdefault(one.concept, found)
            if best is not found:
                best.update({row: score for row, score in found.items() if score > best.get(row, 0.0)})
            held.setdefault(one.concept, {}).update(dict.fromkeys(found, one))
        total: dict[int, float] = {}
        for best in scores.values():
            for row, score in best.items():
                total[row] = total.get(row, 0.0) + score
        return Scan(best=self._allowed(total, where, values, count), held=held)

    def _allowed(
        self, scores: Mapping[int, float], where: str, values: Sequence[Any], count: int
    ) -> list[tuple[int, str, float]]:
        """Row, id and score of the best that meet a condition; more are looked at until there are enough."""
        rows, values_of = np.fromiter(scores, dtype=np.int64), np.fromiter(scores.values(), dtype=np.float64)
        ordered = rows[np.lexsort((-rows, -values_of))].tolist()
        found: list[tuple[int, str, float]] = []
        start, step = 0, 2 * count
        while start < len(ordered) and len(found) < count:
            names = self.database.rows(  # a cross join keeps SQLite from walking all records of an agent
                "SELECT records.row, records.id FROM json_each(?) AS wanted CROSS JOIN records"
                f" ON records.row = wanted.value WHERE {where}",
                [json.dumps(ordered[start : start + step]), *values],
            )
            known = {row["row"]: row["id"] for row in names}
            found += [(row, known[row], scores[row]) for row in ordered[start : start + step] if row in known]
            start, step = start + step, 4 * step
        return found[:count]

    def shared(self, asked: Sequence[str], rows: Sequence[int]) -> dict[int, list[str]]:
        """Which of these words each of these rows has in its own texts, as they stand there, folded."""
        if not asked or not rows:
            return {}
        marked = " || ' ' || ".join(f"highlight(words, {field}, char(1), char(2))" for field in range(OWN))
        found = self.database.rows(
            f"SELECT rowid, {marked} AS marked FROM words "
            f"WHERE words MATCH ? AND rowid IN ({', '.join('?' * len(rows))})",
            [_any_of(asked), *rows],
        )
        return {
            row["rowid"]: list(
                dict.fromkeys(together(word + marks).casefold() for word, marks in MARK.findall(row["marked"]))
            )
            for row in found
        }

    def having(self, word: str, rows: Sequence[int], *, own: bool = False) -> list[int]:
        """Those of these rows that have a word, in any of its forms; where `own`, in their own texts."""
        marks = ", ".join("?" * len(rows))
        asked = f"SELECT rowid FROM words WHERE words MATCH ? AND rowid IN ({marks})"
        return [row["rowid"] for row in self.database.rows(asked, [_any_of([word], own), *rows])]

    def frequency(self, word: str, most: int, where: str = "1", values: Sequence[Any] = ()) -> int:
        """In how many records that meet a condition a word stands, in any of its forms; counted up to `most`."""
        joined = "" if where == "1" else f"JOIN records ON records.row = words.rowid AND ({where})"
        count = f"SELECT count(*) AS n FROM (SELECT 1 FROM words {joined} WHERE words MATCH ? LIMIT ?)"
        return int(self.database.rows(count, [*values, _any_of([word]), most])[0]["n"])

    def stems(self, beginning: str) -> list[str]:
        """The stems of all words that begin so, the commonest first."""
        asked = "SELECT term FROM stems WHERE term >= ? AND term < ? ORDER BY doc DESC, term"
        return [row["term"] for row in self.database.rows(asked, [beginning, beginning + "\U0010ffff"])]

    def _row(self, record: Record) -> int:
        return int(self.database.rows("SELECT row FROM records WHERE id = ?", [record.id])[0]["row"])

    def _turn(self, record: Record, step: int, without: str = "") -> str:
        """What is said so many places after a record in its conversation, by all that stand there."""
        if record.conversation is None or record.position is None:
            return ""
        found = self.database.rows(
            f"SELECT {SAID} AS said FROM records WHERE agent_id = ? AND conversation = ? AND position = ? AND id <> ?"
            " ORDER BY row",
            [record.agent_id, record.conversation, record.position + step, without],
        )
        return apart(" ".join(row["said"] for row in found))

    def _tell(self, record: Record, without: str = "") -> None:
        """Give the turns beside a record what is said at its place by now."""
        if record.conversation is None or record.position is None:
            return
        said = self._turn(record, 0, without)
        for step, field in ((-1, "after"), (1, "before")):
            self.database.execute(
                f"UPDATE words SET {field} = ? WHERE rowid IN (SELECT row FROM records"
                " WHERE agent_id = ? AND conversation = ? AND position = ?)",
                [said, record.agent_id, record.conversation, record.position + step],
            )


def _any_of(words: Sequence[str], own: bool = False) -> str:
    any_of = " OR ".join(f'"{apart(word)}"' for word in words)
    return f"{{{' '.join(list(WEIGHTS)[:OWN])}}}: ({any_of})" if own else any_of
