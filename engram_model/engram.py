"""The aggregate: a mind with its episodes and its store, opened from and saved to one brain directory.

It must not know how a mind is trained, how words are drawn or how a conversation goes.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

from engram_model import checkpoint, episodes, lessons, vocabulary
from engram_model.brain import Brain, concept
from engram_model.config import BrainConfig, GenerationConfig, TrainingConfig
from engram_model.episodes import Episode, EpisodicMemory
from engram_model.errors import BrainError
from engram_model.lessons import Lessons
from engram_model.mind import Mind
from engram_model.phrases import PhraseCounts
from engram_model.recall import EpisodeGate
from engram_model.sources import PhraseGate
from engram_model.stores import Store
from engram_model.text import END_ID
from engram_model.vocabulary import Vocabulary

if TYPE_CHECKING:
    from engram_model.chat import Chat

MEMORY_PREFIX = "memory."
PHRASE_PREFIX = "phrases."
REKEY_BATCH = 32
COLLECTIONS = (vocabulary.COLLECTION, episodes.COLLECTION, lessons.COLLECTION)


class Engram:
    """A brain with its words, phrases and experiences.

    Attributes:
        mind: Brain, vocabulary, phrase memory and gates.
        episodes: The episodic memory.
        lessons: The exchanges it has read.
        store: The open Chroma store; None for a brain that was never saved.
        manifest: Settings, seed, data fingerprint and figures, as in engram.json.

    Example:
        >>> brain = Engram.load("brain")                    # doctest: +SKIP
        >>> brain.chat().say("hello")                       # doctest: +SKIP
    """

    def __init__(self, mind: Mind, memory: EpisodicMemory, manifest: dict[str, Any], read: Lessons) -> None:
        self.mind, self.episodes, self.lessons, self.manifest = mind, memory, read, manifest
        self.store: Store | None = None
        self.directory: Path | None = None

    @property
    def vocabulary(self) -> Vocabulary:
        """Words and their vectors; look up and add. `rename` and `remove` of this class keep the episodes in step."""
        return self.mind.vocabulary

    def rename(self, old: str, new: str, form: str | None = None) -> None:
        """Spell a word anew, in the vocabulary and in every episode and lesson that holds it.

        Raises:
            ConfigError: if `old` is unknown or a marker, or `new` is no new word.
        """
        self.vocabulary.rename(old, new, form)
        self.episodes.rename_word(old, new)
        self.lessons.rename_word(old, new)

    def remove(self, word: str) -> None:
        """Forget a word; episodes in which it came next are kept, but no longer recalled.

        Raises:
            ConfigError: if the word is unknown or a marker.
        """
        self.vocabulary.remove(word)
        self.episodes.relink(self.vocabulary.ids)

    @classmethod
    def load(cls, directory: str | Path, chroma: str | None = None) -> Self:
        """Open a brain.

        Args:
            directory: The brain directory.
            chroma: Address of a Chroma server; None opens the store inside the directory (or the server that the
                brain was saved to).

        Raises:
            BrainError: if it is missing, incomplete, damaged or of another version.
            StoreError: if its store cannot be opened or does not belong to it.
        """
        directory = Path(directory)
        checkpoint.require(directory)
        with checkpoint.alone(directory):
            tensors, manifest = checkpoint.read(directory)
            location = chroma or manifest.get("chroma") or directory / checkpoint.STORE
            if isinstance(location, Path) and not location.is_dir():
                raise BrainError(
                    f"{location} is missing; the brain is incomplete: restore it from a copy or train it again"
                )
            store = Store.open(location)
            try:
                for name in COLLECTIONS:
                    store.settle(name, manifest["generation"])
                words = Vocabulary.from_rows(store.read(vocabulary.COLLECTION))
                memory = EpisodicMemory.from_rows(store.read(episodes.COLLECTION), words.ids, dim=words.dim)
                read = Lessons.from_rows(store.read(lessons.COLLECTION))
                mind = _mind_from(tensors, manifest, words)
            except BaseException:
                store.close()
                raise
        found = cls(mind, memory, manifest, read)
        found.store, found.directory = store, directory
        return found

    def save(self, directory: str | Path, chroma: str | None = None) -> None:
        """Write brain, words and episodes whole, as one new generation; a kill at any moment leaves the old or the new.

        Args:
            directory: The brain directory; created if missing.
            chroma: Address of a Chroma server for words and episodes; None leaves them on the server where those of
                this directory are, else inside the directory.

        Raises:
            BrainError: if the directory cannot be written; nothing has changed then.
            StoreError: if the store cannot be written; nothing has changed then.
        """
        directory = Path(directory)
        with checkpoint.alone(directory):
            store = self._replace(directory, chroma)
        for kept in (self.vocabulary, self.episodes, self.lessons):
            kept.mark_saved()
        if self.store is not None and self.store is not store:
            self.store.close()
        self.store, self.directory = store, directory

    def _replace(self, directory: Path, chroma: str | None) -> Store:
        """Put this brain in the place of the one that is there; returns the store that holds it."""
        checkpoint.settle(directory)
        generation, chroma = uuid.uuid4().hex, chroma or self._server(directory)
        manifest = self.manifest | {"generation": generation, "chroma": chroma, "saved": time.time()}
        checkpoint.prepare(directory, _tensors_of(self.mind), manifest)
        try:
            store = self._store_at(chroma or directory / checkpoint.STORE)
            contents = self.vocabulary.rows(), self.episodes.rows(), self.lessons.rows(self.vocabulary)
            for name, rows in zip(COLLECTIONS, contents, strict=True):
                store.stage(name, rows, generation)
        except BaseException:
            checkpoint.discard(directory)
            raise
        checkpoint.commit(directory)
        self.manifest = manifest
        for name in COLLECTIONS:
            store.settle(name, generation)
        return store

    def _server(self, directory: Path) -> str | None:
        """Address of the server that holds the words of this directory's brain, if that is this one."""
        same = self.directory is not None and self.directory.resolve() == directory.resolve()
        return self.store.location if same and self.store is not None and "://" in self.store.location else None

    def _store_at(self, place: str | Path) -> Store:
        """The open store if it is there, else another."""
        location = place if isinstance(place, str) else str(place.expanduser().resolve())
        return self.store if self.store is not None and self.store.location == location else Store.open(place)

    def flush(self) -> None:
        """Write new words and episodes, and lessons spelled anew, to the store, in one batch each."""
        if self.store is not None:
            self.vocabulary.flush(self.store)
            self.episodes.flush(self.store)
            self.lessons.flush(self.store, self.vocabulary)

    def close(self) -> None:
        """Let go of the store; what was not flushed is written first."""
        if self.store is not None:
            self.flush()
            self.store.close()
            self.store = None

    def verify(self) -> list[str]:
        """Problems of words and episodes, in plain words; empty when sound."""
        return self.vocabulary.verify() + self.episodes.verify()

    def inherit(self, known: Engram) -> None:
        """Take over the episodes and the store of the brain that this one replaces; keys are computed anew."""
        keys = episode_keys(self.mind, list(known.episodes.episodes))
        rows = replace(known.episodes.rows(), vectors=keys)
        self.episodes = EpisodicMemory.from_rows(rows, self.vocabulary.ids, dim=self.vocabulary.dim)
        self.store, self.directory = known.store, known.directory
        self.manifest["chroma"] = known.manifest.get("chroma")

    def chat(
        self, config: GenerationConfig | None = None, conversation: str | None = None, remember: bool = True
    ) -> Chat:
        """Begin a conversation; with `remember` off it recalls, but leaves no trace (imported here: chat builds on this)."""
        from engram_model.chat import Chat

        return Chat(self, config or GenerationConfig(), conversation, remember=remember)

    def log_probs(self, text: str) -> tuple[list[str], list[float]]:
        """The words of a text, and the natural logarithm of each one's probability given all before it.

        The distribution is the one that the sampler draws from at temperature 1, stored episodes included. Paragraphs
        are texts of their own, each closed by <END>; unknown words are <UNK>.
        """
        from engram_model.evaluation import log_probs

        return log_probs(self, text)

    def next_word(self, text: str) -> dict[str, float]:
        """Probability of every word of the vocabulary to follow a text; they sum to one."""
        from engram_model.evaluation import next_word

        return next_word(self, text)

    @classmethod
    def train(
        cls,
        paths: list[str | Path],
        config: BrainConfig | None = None,
        training: TrainingConfig | None = None,
    ) -> Engram:
        """Train a brain on text files; `save` it to keep it (imported here, since training is built upon this file)."""
        from engram_model.learning import learn

        return learn([Path(path) for path in paths], config or BrainConfig(), training or TrainingConfig())


@torch.no_grad()
def episode_keys(mind: Mind, found: list[Episode]) -> Float[Tensor, "episodes dim"]:
    """The brain's concept at each episode's moment, computed anew from its stored context."""
    keys = torch.empty(len(found), mind.vocabulary.dim)
    mind.brain.eval()
    for start in range(0, len(found), REKEY_BATCH):
        part = [[END_ID, *mind.vocabulary.encode(e.context).tolist()] for e in found[start : start + REKEY_BATCH]]
        longest = max(map(len, part))
        ids = torch.tensor([words + [END_ID] * (longest - len(words)) for words in part])
        state = mind.brain(ids, mind.vocabulary.vectors).state
        keys[start : start + len(part)] = concept(state[torch.arange(len(part)), [len(words) - 1 for words in part]])
    return keys


def _tensors_of(mind: Mind) -> dict[str, dict[str, Any]]:
    brain = {name: value for name, value in mind.brain.state_dict().items() if not name.startswith(MEMORY_PREFIX)}
    module = {name: value for name, value in mind.brain.state_dict().items() if name.startswith(MEMORY_PREFIX)}
    counts = mind.phrases.tensors() if mind.phrases is not None else {}
    spelled = "\n".join(word or "" for word in mind.vocabulary.words).encode()
    return {
        checkpoint.WEIGHTS: {
            "brain": brain,
            "phrase_gate": mind.phrase_gate.state_dict(),
            "episode_gate": mind.episode_gate.state_dict(),
            "norms": mind.norms,
        },
        checkpoint.MEMORY_MODULE: module | {PHRASE_PREFIX + name: value for name, value in counts.items()},
        checkpoint.WORD_TO_ID: {
            "words": torch.frombuffer(bytearray(spelled), dtype=torch.uint8),
            "ids": torch.arange(len(mind.vocabulary)),
        },
    }


def _mind_from(tensors: dict[str, dict[str, Any]], manifest: dict[str, Any], words: Vocabulary) -> Mind:
    weights, module = tensors[checkpoint.WEIGHTS], tensors[checkpoint.MEMORY_MODULE]
    config = BrainConfig.from_mapping(manifest["brain"])
    brain, phrase_gate, episode_gate = Brain(config), PhraseGate(config.embed_dim), EpisodeGate()
    counts = {n.removeprefix(PHRASE_PREFIX): v for n, v in module.items() if n.startswith(PHRASE_PREFIX)}
    learned = {name: value for name, value in module.items() if name.startswith(MEMORY_PREFIX)}
    try:
        if len(tensors[checkpoint.WORD_TO_ID]["ids"]) > len(words) or words.dim != config.embed_dim:
            raise BrainError("the store holds another vocabulary than the brain was saved with; restore it from a copy")
        brain.load_state_dict(weights["brain"] | learned)
        phrase_gate.load_state_dict(weights["phrase_gate"])
        episode_gate.load_state_dict(weights["episode_gate"])
        phrases = PhraseCounts.from_tensors(counts) if counts else None
        return Mind(brain.eval(), words, phrases, phrase_gate.eval(), episode_gate.eval(), weights["norms"])
    except (RuntimeError, KeyError, TypeError) as error:
        raise BrainError(
            f"the brain's files do not fit its settings ({str(error).splitlines()[0]}); train it again"
        ) from error


def manifest_of(
    config: BrainConfig, training: TrainingConfig, fingerprint: str, figures: dict[str, Any]
) -> dict[str, Any]:
    """What engram.json says of a trained brain."""
    return {
        "brain": asdict(config),
        "training": asdict(training),
        "data_fingerprint": fingerprint,
        "figures": figures,
    }
