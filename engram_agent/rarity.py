"""How much a word tells: the rarer it is among the records, the more.

It must not know what is asked.
"""

from __future__ import annotations

import math
from difflib import SequenceMatcher

from engram_agent.store import Store

BACKGROUND = 1_000
"""Records of other matters that are imagined beside those there are, so that in a small memory, too, a known word tells much."""
FORMS = 3
"""Stems that stand for a word that no record has."""
SHORT = 4
"""Fewest letters of either: shorter words are like too many others."""
LIKE = 0.75
"""Least likeness of such a stem."""
COMMON = 50
"""Records from which on the count of a word is kept from search to search; what is rarer is counted anew."""
GROWN = 1.05
"""Growth of a memory after which words are counted again."""


class Rarity:
    """Counts the words that an agent may see when they are first asked for.

    Args:
        store: The records.
        agent_id: The agent: what others write changes nothing for it.
    """

    def __init__(self, store: Store, agent_id: str) -> None:
        self.store, self.agent_id = store, agent_id
        self._counts: dict[str, int] = {}
        self._rare: dict[str, int] = {}
        self._counted_at = 0
        self.refresh()

    def idf(self, *forms: str) -> float:
        """What a word tells, in all these forms: the log of how rare it is (Robertson & Zaragoza 2009, equation 3.3)."""
        total = self.total + BACKGROUND
        n = min(total, sum(map(self.frequency, forms)))
        return math.log(1.0 + (total - n + 0.5) / (n + 0.5))

    def alike(self, word: str) -> list[str]:
        """The stems that a word of no record is most like: `authentification` is `authent`.

        A stem is like a word if one begins with the other, or if they share most letters in order.
        """
        if len(word) < SHORT:
            return []
        close = {stem: _likeness(word, stem) for stem in self.store.words.stems(word[:2])}
        ordered = sorted((stem for stem, value in close.items() if value >= LIKE), key=lambda stem: -close[stem])
        return [stem for stem in ordered if self.alone or self.frequency(stem)][:FORMS]

    def refresh(self) -> None:
        """Look how large the memory is by now; each search does so once."""
        first, last, rows = self.store.database.rows(
            "SELECT (SELECT min(agent_id) FROM records), (SELECT max(agent_id) FROM records), coalesce(max(row), 0) FROM records"
        )[0]
        self.alone = first == last == self.agent_id
        self._rare.clear()
        self.total = int(rows) if self.alone else self._seen()
        if self.total > GROWN * self._counted_at + 20 or self.total < self._counted_at:
            self._counts, self._counted_at = {}, self.total

    def frequency(self, word: str) -> int:
        """In how many records a word stands, in any of its forms; of common words, at least a tenth of the records."""
        known = self._counts.get(word, self._rare.get(word))
        if known is None:
            most = max(1_000, self.total // 10)
            condition = ("1", ()) if self.alone else self.store.seen_by(self.agent_id)
            known = self.store.words.frequency(word, most, *condition)
            (self._counts if known >= COMMON else self._rare)[word] = known
        return known

    def _seen(self) -> int:
        seen, values = self.store.seen_by(self.agent_id)
        return int(self.store.database.rows(f"SELECT count(*) AS n FROM records WHERE {seen}", values)[0]["n"])


def _likeness(word: str, stem: str) -> float:
    """The share of letters that two words have in order (Ratcliff & Obershelp 1988); 1 if one begins with the other."""
    if len(stem) < SHORT:
        return 0.0
    if word.startswith(stem) or stem.startswith(word):
        return 1.0
    return SequenceMatcher(None, word, stem, autojunk=False).ratio()
