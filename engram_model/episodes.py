"""The episodic memory: surprising moments as keys, the words that came next, and what is kept of both.

It must not know how a state is computed or how far an episode is believed.
"""

import time as clock
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from engram_model.endings import Endings
from engram_model.errors import ConfigError
from engram_model.growing import GrowingTensor
from engram_model.nearest import NearestRows
from engram_model.records import Episode, episode_rows, read_episodes
from engram_model.rows import Rows, norm_problems, unit_vector
from engram_model.stores import Store
from engram_model.text import UNK_ID

COLLECTION = "engram_episodes"
CONTEXT_WORDS = 128
SUFFIX_WORDS = 4
SURPRISING = 1.5
"""A moment is remembered if its surprise reaches this multiple of the running mean."""

FORGOTTEN_SHARE = 100
"""A full memory forgets one in so many episodes at once, so that forgetting costs little per episode."""


class RunningMean:
    """Mean that follows the last few hundred values.

    The first value counts beside eight imagined ones of 4 nats, a usual surprise, so that no first word is
    judged against nothing; after 200 values the mean is exponential, m <- m + (x - m) / 200.
    """

    START = 4.0
    IMAGINED = 8
    HORIZON = 200

    def __init__(self) -> None:
        """Start at the usual surprise."""
        self.value = self.START
        self._seen = self.IMAGINED

    def update(self, x: float) -> None:
        """Take in one value."""
        self._seen = min(self._seen + 1, self.HORIZON)
        self.value += (x - self.value) / self._seen


class EpisodicMemory:
    """Episodes in the order of remembering, with their keys and what recall needs of them, row by row.

    Attributes:
        capacity: how many episodes are kept. When one more comes to a full memory, the least surprising
            hundredth is forgotten first, of equally surprising ones the older.
        episodes: the episodes.
        surprise: the running mean of all surprises, remembered or not, in nats.
    """

    def __init__(self, dim: int, capacity: int = 100_000) -> None:
        """Make an empty memory for keys of `dim` numbers.

        Raises:
            ConfigError: if `dim` or `capacity` is below 1.
        """
        if dim < 1 or capacity < 1:
            raise ConfigError(f"dim and capacity must be at least 1, got {dim} and {capacity}")
        self.dim, self.capacity = dim, capacity
        self.episodes: list[Episode] = []
        self.surprise = RunningMean()
        self._nearest = NearestRows(torch.empty(0, dim))
        self._next_ids = GrowingTensor(torch.empty(0, dtype=torch.long))
        self._suffixes = GrowingTensor(torch.empty(0, SUFFIX_WORDS, dtype=torch.long))
        self._endings: Endings | None = None
        self._next_number = 0
        self._unlinked = 0
        self._unsaved: set[str] = set()
        self._forgotten: set[str] = set()

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self.episodes)

    @property
    def keys(self) -> Float[Tensor, "episodes dim"]:
        """The unit concept vector of every episode's moment."""
        return self._nearest.rows

    @property
    def next_ids(self) -> Int[Tensor, " episodes"]:
        """Id of the word that came next; -1 if the vocabulary no longer has it: kept, but not recalled."""
        return self._next_ids.rows

    @property
    def suffixes(self) -> Int[Tensor, "episodes 4"]:
        """Ids of the last four words of the context, latest first; -1 where there is none."""
        return self._suffixes.rows

    @property
    def conversations(self) -> dict[str, int]:
        """Names of the conversations in the order of their first episode, and how many episodes each has."""
        return dict(Counter(episode.conversation for episode in self.episodes))

    def id_at(self, row: int) -> str:
        """Return the id of the episode at a row."""
        return self.episodes[row].id

    def is_surprising(self, surprise: float) -> bool:
        """Return whether surprise >= 1.5 x running mean: worth remembering. Then take it into the mean."""
        worth = surprise >= SURPRISING * self.surprise.value
        self.surprise.update(surprise)
        return worth

    def add(
        self,
        *,
        key: Float[Tensor, " dim"],
        next_word: str,
        next_id: int,
        context: Sequence[str],
        context_ids: Sequence[int],
        surprise: float,
        conversation: str,
        time: float | None = None,
    ) -> str:
        """Remember a moment and return its id.

        Args:
            key: the concept vector at that moment (normalised here).
            next_word: the word that came next.
            next_id: its id.
            context: the words before it, oldest first; the last 128 are kept.
            context_ids: their ids.
            surprise: negative log-likelihood of the word, in nats.
            conversation: where it was said.
            time: seconds since 1970; now unless given.

        Raises:
            ConfigError: if the key does not fit or has no direction.
        """
        unit = unit_vector(key, self.dim)
        if len(self) >= self.capacity:
            self._make_room()
        episode = Episode(
            id=f"e{self._next_number:09d}",
            next_word=next_word,
            context=tuple(context[-CONTEXT_WORDS:]),
            surprise=surprise,
            time=clock.time() if time is None else time,
            conversation=conversation,
        )
        self._append([episode], unit[None])
        self._next_ids.extend(torch.tensor([next_id]))
        self._unlinked += next_id < 0
        suffix = _suffix(context_ids)
        self._suffixes.extend(torch.tensor([suffix]))
        if self._endings is not None:
            self._endings.add(len(self) - 1, suffix, next_id)
        self._unsaved.add(episode.id)
        return episode.id

    def forget(self, *ids: str) -> None:
        """Forget episodes.

        Raises:
            ConfigError: if there is no episode of one of these ids; then none is forgotten.
        """
        rows = {episode.id: row for row, episode in enumerate(self.episodes)}
        unknown = [episode_id for episode_id in ids if episode_id not in rows]
        if unknown:
            raise ConfigError(f"there is no episode {unknown[0]!r}; its id is shown beside each episode")
        self._drop({rows[episode_id] for episode_id in ids})

    @property
    def endings(self) -> Endings:
        """How the contexts end and which words came next, of all episodes that can be recalled."""
        if self._endings is None:
            self._endings = Endings(self.suffixes, self.next_ids)
        return self._endings

    def search(
        self,
        query: Float[Tensor, " dim"],
        k: int,
        lifted: tuple[Int[Tensor, " some"], Float[Tensor, " some"]] | None = None,
    ) -> tuple[Float[Tensor, " found"], Int[Tensor, " found"]]:
        """Return the cosines of the k nearest recallable episodes and their rows, as `NearestRows.search` does."""
        return self._nearest.search(query, k, self.next_ids < 0 if self._unlinked else None, lifted)

    def relink(self, ids: Mapping[str, int]) -> None:
        """Look up all words anew, after words were removed from the vocabulary or came back."""
        next_ids = [ids.get(episode.next_word, -1) for episode in self.episodes]
        self._next_ids = GrowingTensor(torch.tensor(next_ids, dtype=torch.long))
        self._unlinked = sum(next_id < 0 for next_id in next_ids)
        suffixes = [_suffix([ids.get(word, UNK_ID) for word in e.context[-SUFFIX_WORDS:]]) for e in self.episodes]
        self._suffixes = GrowingTensor(torch.tensor(suffixes, dtype=torch.long).view(-1, SUFFIX_WORDS))
        self._endings = None

    def rename_word(self, old: str, new: str) -> None:
        """Spell a word anew wherever it was heard, as the vocabulary does."""
        for row, episode in enumerate(self.episodes):
            if old == episode.next_word or old in episode.context:
                renamed = tuple(new if word == old else word for word in episode.context)
                next_word = new if episode.next_word == old else episode.next_word
                self.episodes[row] = replace(episode, context=renamed, next_word=next_word)
                self._unsaved.add(episode.id)

    def rekey(self, encode: Callable[[list[Episode]], Float[Tensor, "episodes dim"]]) -> None:
        """Compute all keys anew from the contexts, after the brain was trained further.

        Args:
            encode: gives the concept vector after each episode's context.
        """
        if self.episodes:
            keys = encode(list(self.episodes)).detach().to(torch.float32)
            self._nearest = NearestRows(normalize(keys, dim=-1))
            self._unsaved.update(episode.id for episode in self.episodes)

    def rows(self) -> Rows:
        """Return all episodes as rows of a collection."""
        return episode_rows(self.episodes, self.keys)

    @classmethod
    def from_rows(cls, rows: Rows, ids: Mapping[str, int], *, dim: int, capacity: int = 100_000) -> "EpisodicMemory":
        """Build from the rows of a collection and the vocabulary's word -> id.

        Raises:
            StoreError: if a row is damaged.
        """
        memory = cls(dim, capacity)
        memory._append(read_episodes(rows), rows.vectors.reshape(len(rows), dim))
        memory.relink(ids)
        return memory

    def flush(self, store: Store) -> int:
        """Write what was remembered, changed or forgotten since the last time; return how many episodes."""
        changed = len(self._unsaved) + len(self._forgotten)
        if self._forgotten:
            store.delete(COLLECTION, sorted(self._forgotten))
        if self._unsaved:
            chosen = [row for row, episode in enumerate(self.episodes) if episode.id in self._unsaved]
            store.upsert(COLLECTION, episode_rows([self.episodes[row] for row in chosen], self.keys[chosen]))
        self.mark_saved()
        return changed

    def mark_saved(self) -> None:
        """Take all episodes as written, after `rows()` was put into a store whole."""
        self._unsaved.clear()
        self._forgotten.clear()

    def verify(self) -> list[str]:
        """Return the problems of this memory in plain words, none when it is sound."""
        if len({len(self.episodes), len(self.keys), len(self.next_ids), len(self.suffixes)}) > 1:
            return ["episodes, keys, next ids and suffixes differ in length"]
        ids = [episode.id for episode in self.episodes]
        checks = {
            "episodes are not in the order of their ids, each once": ids != sorted(set(ids)),
            f"{len(self)} episodes are more than the capacity of {self.capacity}": len(self) > self.capacity,
            "an episode's surprise is negative or not finite": not all(
                0 <= episode.surprise < float("inf") for episode in self.episodes
            ),
        }
        return norm_problems(self.keys) + [problem for problem, found in checks.items() if found]

    def _append(self, episodes: list[Episode], keys: Float[Tensor, "new dim"]) -> None:
        self.episodes.extend(episodes)
        self._nearest.extend(keys)
        if episodes:
            self._next_number = int(episodes[-1].id[1:]) + 1

    def _make_room(self) -> None:
        surprises = torch.tensor([episode.surprise for episode in self.episodes])
        self._drop(surprises.argsort(stable=True)[: max(1, self.capacity // FORGOTTEN_SHARE)].tolist())

    def _drop(self, rows: Iterable[int]) -> None:
        dropped = set(rows)
        for row in dropped:
            self._unsaved.discard(self.episodes[row].id)
            self._forgotten.add(self.episodes[row].id)
        kept = torch.ones(len(self), dtype=torch.bool)
        kept[list(dropped)] = False
        self.episodes = [episode for row, episode in enumerate(self.episodes) if row not in dropped]
        self._nearest.keep(kept)
        self._next_ids.keep(kept)
        self._unlinked = int((self.next_ids < 0).sum())
        self._suffixes.keep(kept)
        self._endings = None


def _suffix(context_ids: Sequence[int]) -> list[int]:
    latest = list(reversed(context_ids[-SUFFIX_WORDS:]))
    return latest + [-1] * (SUFFIX_WORDS - len(latest))
