"""Texts as unit vectors: from their letters, from a trained brain, or from any embedding function of Chroma's.

It must not know what is stored. Nothing is downloaded unless an embedding function is named that does.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engram_agent.errors import AgentError
from engram_agent.index import STOP_WORDS
from engram_agent.scripts import words

DIM = 512
PIECE = 4
"""Letters of a piece of a word."""

Weight = Callable[[str], float]


class Embedder(Protocol):
    """Anything that turns texts into unit vectors.

    Attributes:
        name: Stored beside each vector; vectors of another name are not compared.
    """

    name: str

    def embed(self, texts: Sequence[str], weight: Weight | None = None) -> np.ndarray:
        """Unit vectors (texts, dim), float32; a text without words is a row of zeros.

        Args:
            texts: What is to be compared.
            weight: How much each word of a query tells; who cannot use it leaves it.
        """
        ...


class HashingEmbedder:
    """Words and their pieces, hashed with signs into 512 numbers (Weinberger et al. 2009, "Feature Hashing").

    A piece is four letters of a word with its borders (Bojanowski et al. 2017), so that `auth`, `author` and a
    misspelt `authentification` lie near `authentication`. Counts are dampened by 1 + log; words of grammar are left out.
    """

    name = f"hashing-{DIM}"

    def embed(self, texts: Sequence[str], weight: Weight | None = None) -> np.ndarray:
        """Unit vectors (texts, 512)."""
        found = np.zeros((len(texts), DIM), dtype=np.float32)
        for row, text in enumerate(texts):
            for word, count in Counter(words(text.casefold().replace("_", " "))).items():
                if word not in STOP_WORDS:
                    places, signs = _pieces(word)
                    size = (1.0 + math.log(count)) * (weight(word) if weight else 1.0)
                    np.add.at(found[row], places, signs * size)
        return unit(found)


class BrainEmbedder:
    """The mean of a trained brain's word vectors, the rarer a word the heavier (Arora et al. 2017, a / (a + p)).

    Args:
        path: A brain that `ingest.py` has made.
    """

    rarity = 1e-3

    def __init__(self, path: Path) -> None:
        from engram_model.engram import Engram

        self._engram = Engram.load(path)
        digest = hashlib.sha256(np.asarray(self._engram.vocabulary.vectors, dtype=np.float32).tobytes())
        self.name = f"brain-{digest.hexdigest()[:12]}"

    def embed(self, texts: Sequence[str], weight: Weight | None = None) -> np.ndarray:
        """Unit vectors (texts, 96); the brain's own counts say how much a word tells."""
        from engram_model.text import split_words

        vocabulary = self._engram.vocabulary
        counts = np.asarray(vocabulary.counts, dtype=np.float32)
        weights = self.rarity / (self.rarity + counts / counts.sum())
        vectors = np.asarray(vocabulary.vectors, dtype=np.float32)
        found = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        for row, text in enumerate(texts):
            ids = np.asarray(vocabulary.encode(split_words(text)), dtype=int)
            if len(ids):
                found[row] = weights[ids] @ vectors[ids]
        return unit(found)


class ChromaEmbedder:
    """An embedding function of Chroma's by name; what it needs (a model, a key, a network) is its own affair.

    Args:
        name: As Chroma knows it, such as "default" or "sentence_transformer".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            from chromadb.utils.embedding_functions import known_embedding_functions

            self._function: Any = known_embedding_functions[name]()
        except Exception as error:
            raise AgentError(
                "EmbeddingApiUnavailable", f"{name!r} cannot be used for vectors ({error})", "use 'hashing' or 'brain'"
            ) from error

    def embed(self, texts: Sequence[str], weight: Weight | None = None) -> np.ndarray:
        """Unit vectors (texts, dim of the function)."""
        try:
            return unit(np.asarray(self._function(list(texts)), dtype=np.float32))
        except Exception as error:
            raise AgentError(
                "EmbeddingApiUnavailable", f"{self.name!r} gave no vectors ({error})", "use 'hashing' or 'brain'"
            ) from error


def embedder(provider: str, brain: Path = Path("brain")) -> Embedder:
    """The embedder of a name: "hashing", "brain", or one of Chroma's.

    Raises:
        AgentError: EmbeddingApiUnavailable if Chroma has none of that name or it cannot start.
    """
    if provider == "hashing":
        return HashingEmbedder()
    return BrainEmbedder(brain) if provider == "brain" else ChromaEmbedder(provider)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length one; rows of zeros stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0.0, lengths, 1.0)


@lru_cache(maxsize=100_000)
def _pieces(word: str) -> tuple[np.ndarray, np.ndarray]:
    """Places and signed weights of a word: half its square length is the word's own, half its pieces'."""
    framed = f"<{word[:64]}>"
    pieces = [framed[start : start + PIECE] for start in range(max(1, len(framed) - PIECE + 1))]
    hashes = np.array([zlib.crc32(piece.encode()) for piece in [word, *pieces]], dtype=np.int64)
    weights = np.full(len(hashes), 1.0 / math.sqrt(len(pieces)), dtype=np.float32)
    weights[0] = 1.0
    return hashes % DIM, weights * np.where(hashes >> 16 & 1, 1.0, -1.0).astype(np.float32)
