"""Words and their vectors: the one table that reads words in and scores words out, and how words are added.

It must not know how a vector is trained or how an answer is made.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from engram_model.columns import WordColumns, count_columns, read_words, word_problems, word_rows
from engram_model.errors import ConfigError
from engram_model.growing import GrowingTensor
from engram_model.meeting import drawn_towards, own_direction
from engram_model.nearest import NearestRows
from engram_model.rows import Rows, unit_vector
from engram_model.stores import Store
from engram_model.text import SPECIALS, UNK, UNK_ID

COLLECTION = "engram_vocab"
RARE_QUANTILE = 0.1
"""A new word starts at the resting level of a rare word: this share of the known words lies below it."""


class Vocabulary:
    """All words, by id: spelling, unit vector, resting level, count, and usual written form.

    Ids are stable: a removed word leaves an empty slot whose id is never given out again.

    Attributes:
        words: word of every id, None where a word was removed.
        forms: word -> its usual written form, only where that differs ("ada" -> "Ada").
    """

    def __init__(self, columns: WordColumns) -> None:
        """Take copies of whole columns; `Vocabulary.build` and `Vocabulary.from_rows` make them."""
        self.words: list[str | None] = list(columns.words)
        self.forms: dict[str, str] = {word: form for word, form in columns.forms.items() if word != form}
        self._vectors = NearestRows(columns.vectors)
        self._resting = GrowingTensor(columns.resting)
        self._counts = GrowingTensor(columns.counts)
        self._ids = _ids_of(self.words)
        self._dirty: set[int] = set()

    @classmethod
    def build(
        cls,
        counted: Mapping[str, int],
        *,
        dim: int,
        generator: torch.Generator,
        min_count: int = 1,
        forms: Mapping[str, str] | None = None,
    ) -> "Vocabulary":
        """Build from counted words: the specials, then by falling count, equals in alphabetical order.

        Vectors are random directions of `dim` numbers; resting levels are log relative frequencies,
        b(w) = ln(c(w) / sum c), where a word that never occurs counts as seen once. Rarer words than
        `min_count` are counted as <UNK>; at 1 nothing is unknown and <UNK> is never trained.

        Raises:
            ConfigError: if no word is left, or `dim` or `min_count` is below 1.
        """
        return cls(count_columns(counted, dim, generator, min_count, forms or {}))

    @property
    def vectors(self) -> Float[Tensor, "words dim"]:
        """Unit vector of every id (float32), a view of the table; assign a tensor to replace all."""
        return self._vectors.rows

    @vectors.setter
    def vectors(self, vectors: Float[Tensor, "words dim"]) -> None:
        self._vectors.replace(vectors)
        self._dirty.update(range(len(self)))

    @property
    def resting(self) -> Float[Tensor, " words"]:
        """Resting level b(w) of every id, the logit bias in nats; -inf where a word was removed."""
        return self._resting.rows

    @resting.setter
    def resting(self, resting: Float[Tensor, " words"]) -> None:
        removed = self.resting == -math.inf
        self._resting.replace(resting.masked_fill(removed, -math.inf))
        self._dirty.update(range(len(self)))

    @property
    def counts(self) -> Int[Tensor, " words"]:
        """How often every word was met in training or taught since."""
        return self._counts.rows

    @property
    def ids(self) -> Mapping[str, int]:
        """Word -> id of every word there is."""
        return self._ids

    @property
    def dim(self) -> int:
        """Size of a vector."""
        return self.vectors.shape[1]

    def __len__(self) -> int:
        """Return the number of ids, removed slots included."""
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        """Return whether the word has an id."""
        return word in self._ids

    def id_of(self, word: str) -> int:
        """Return the id of a word, UNK_ID if it is unknown."""
        return self._ids.get(word, UNK_ID)

    def encode(self, words: Iterable[str]) -> Int[Tensor, " words"]:
        """Return the ids of words as a LongTensor, UNK_ID for unknown ones."""
        return torch.tensor([self.id_of(word) for word in words], dtype=torch.long)

    def decode(self, ids: Iterable[int] | Int[Tensor, " words"]) -> list[str]:
        """Return the words of ids, <UNK> for a removed slot; ConfigError if an id lies outside the table."""
        wanted = ids.tolist() if isinstance(ids, Tensor) else list(map(int, ids))
        if not all(0 <= word_id < len(self) for word_id in wanted):
            raise ConfigError(f"word ids must be 0 to {len(self) - 1}, got {wanted}")
        return [self.words[word_id] or UNK for word_id in wanted]

    def nearest(self, word: str | Float[Tensor, " dim"], k: int = 5) -> list[tuple[str, float]]:
        """Return the k words closest to a word or a vector, best first, with their cosine (higher is closer).

        Specials, removed words and the word itself are left out.

        Raises:
            ConfigError: if the word is unknown or the vector is zero or not finite.
        """
        query = self.vectors[self._known(word)] if isinstance(word, str) else unit_vector(word, self.dim)
        left_out = self.resting == -math.inf
        left_out[: len(SPECIALS)] = True
        if isinstance(word, str):
            left_out[self._ids[word]] = True
        scores = (self.vectors @ query).masked_fill(left_out, -math.inf)
        best = scores.topk(min(k, int((~left_out).sum())))
        return list(zip(self.decode(best.indices), best.values.tolist(), strict=True))

    def add(
        self,
        word: str,
        vector: Float[Tensor, " dim"],
        resting: float | None = None,
        count: int = 1,
        form: str | None = None,
    ) -> int:
        """Give a new word a vector (normalised here) and the highest id so far plus one; return the id.

        Args:
            word: folded, without blanks.
            vector: its direction.
            resting: its resting level in nats; that of a rare word unless given. Too high: it is always said.
            count: how much its vector weighs against later contexts.
            form: its usual written form.

        Raises:
            ConfigError: if the word is known, blank, in two pieces or a special, or the vector does not fit.
        """
        self._check_new(word)
        unit = unit_vector(vector, self.dim)
        usual = self.resting[len(SPECIALS) :]
        level = float(usual[usual.isfinite()].quantile(RARE_QUANTILE)) if resting is None else resting
        if not math.isfinite(level):
            raise ConfigError(f"the resting level of {word!r} must be finite, got {level}")
        word_id = len(self)
        self.words.append(word)
        self._ids[word] = word_id
        self._vectors.extend(unit[None])
        self._resting.extend(torch.tensor([level]))
        self._counts.extend(torch.tensor([count]))
        self.forms |= {word: form} if form and form != word else {}
        self._dirty.add(word_id)
        return word_id

    def define(self, word: str, definition: Sequence[str]) -> int:
        """Add a word whose vector is the mean of the known words of its definition, rare words weighing more.

        The weight of w is max b - b(w), what it tells beyond the commonest word, so that "the" says nothing.

        Raises:
            ConfigError: as `add`, and if the definition holds no known word with a weight.
        """
        self._check_new(word)
        words = [w for w in definition if w not in SPECIALS and any(map(str.isalnum, w))]
        known = [self._ids[w] for w in words if w in self._ids]
        weights = self.resting[len(SPECIALS) :].max() - self.resting[known]
        if float(weights.sum()) <= 0:
            raise ConfigError(f"the definition of {word!r} has no telling word that is known; use other words")
        return self.add(word, weights @ self.vectors[known])

    def learn_from_contexts(self, word: str, states: Float[Tensor, "n dim"]) -> int:
        """Learn a word from the concept vectors that were predicted where it stood, and return its id.

        The n unit states pull its vector near their mean (`drawn_towards`) from its own direction, which a new
        word takes from its spelling. A known word of count c moves as far as n outweighs c; its count grows by n.

        Raises:
            ConfigError: as `add`, and if there is no state or the word is a special.
        """
        if len(states) == 0:
            raise ConfigError(f"nothing to learn {word!r} from; use it at least once in a sentence")
        mean = normalize(states.detach().to(torch.float32), dim=-1).sum(dim=0)
        if word not in self._ids:
            return self.add(word, drawn_towards(mean, own_direction(word, self.dim)), count=len(states))
        word_id = self._changeable(word)
        known = self.vectors[word_id]
        known[:] = unit_vector(self.counts[word_id] * known + len(states) * drawn_towards(mean, known), self.dim)
        self.counts[word_id] += len(states)
        self._dirty.add(word_id)
        return word_id

    def rename(self, old: str, new: str, form: str | None = None) -> int:
        """Spell a word anew and return its id; vector, resting level and count stay.

        Raises:
            ConfigError: if `old` is unknown or a special, or `new` is no new word.
        """
        word_id = self._changeable(old)
        self._check_new(new)
        self.words[word_id] = new
        self._ids[new] = self._ids.pop(old)
        self.forms.pop(old, None)
        self.forms |= {new: form} if form and form != new else {}
        self._dirty.add(word_id)
        return word_id

    def remove(self, word: str) -> int:
        """Forget a word and return its id; the slot is never said (resting level -inf) and never found again.

        Raises:
            ConfigError: if the word is unknown or a special.
        """
        word_id = self._changeable(word)
        del self._ids[word]
        self.forms.pop(word, None)
        self.words[word_id] = None
        self.counts[word_id] = 0
        self.resting[word_id] = -math.inf
        self.vectors[word_id] = torch.eye(1, self.dim)[0]
        self._dirty.add(word_id)
        return word_id

    def rows(self) -> Rows:
        """Return all ids as rows of a collection; a removed slot is a row without a word."""
        return word_rows(self._columns(), range(len(self)))

    @classmethod
    def from_rows(cls, rows: Rows) -> "Vocabulary":
        """Build from the rows of a collection.

        Raises:
            StoreError: if a row is missing or damaged, or the words are not those of one vocabulary.
        """
        return cls(read_words(rows))

    def flush(self, store: Store) -> int:
        """Write the words that changed since the last time in one batch; return how many."""
        changed = sorted(self._dirty)
        if changed:
            store.upsert(COLLECTION, word_rows(self._columns(), changed))
            self.mark_saved()
        return len(changed)

    def mark_saved(self) -> None:
        """Take all words as written, after `rows()` was put into a store whole."""
        self._dirty.clear()

    def verify(self) -> list[str]:
        """Return the problems of this table in plain words, none when it is sound."""
        in_order = self._ids == _ids_of(self.words)
        return word_problems(self._columns()) + ([] if in_order else ["the ids of the words are out of order"])

    def _columns(self) -> WordColumns:
        return WordColumns(self.words, self.vectors, self.resting, self.counts, self.forms)

    def _known(self, word: str) -> int:
        if word not in self._ids:
            raise ConfigError(f"the word {word!r} is not known; words are folded to lower case")
        return self._ids[word]

    def _changeable(self, word: str) -> int:
        if word in SPECIALS:
            raise ConfigError(f"{word} is a marker, not a word; it cannot be changed")
        return self._known(word)

    def _check_new(self, word: str) -> None:
        if word.split() != [word] or word in SPECIALS:
            raise ConfigError(f"a word must be one stretch without blanks and no marker, got {word!r}")
        if word in self._ids:
            raise ConfigError(f"{word!r} is known already (id {self._ids[word]}); rename or remove it first")


def _ids_of(words: Sequence[str | None]) -> dict[str, int]:
    return {word: word_id for word_id, word in enumerate(words) if word is not None}
