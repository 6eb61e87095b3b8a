"""What an episode is, and how episodes are written as rows and read back.

It must not know which moments become episodes, nor what uses them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from engram_model.errors import StoreError
from engram_model.rows import Rows

SHOWN_WORDS = 12
"""How many words of an episode's context its readable document shows."""


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One surprising moment: what was said before, and the word that came next.

    Attributes:
        id: its name in the store, ascending in the order of remembering.
        next_word: the word that came.
        context: up to 128 words before it, oldest first.
        surprise: negative log-likelihood of the word, in nats, to six decimals.
        time: when it was remembered, in seconds since 1970, to the millisecond.
        conversation: the name of the conversation or text it is from.
    """

    id: str
    next_word: str
    context: tuple[str, ...]
    surprise: float
    time: float
    conversation: str

    def __post_init__(self) -> None:
        """Round what a store may return one unit in the 53rd bit away, so that episodes compare equal."""
        object.__setattr__(self, "surprise", round(self.surprise, 6))
        object.__setattr__(self, "time", round(self.time, 3))


def episode_rows(episodes: Sequence[Episode], keys: Float[Tensor, "episodes dim"]) -> Rows:
    """Return episodes and their keys as rows; the document ends in the word that came."""
    return Rows(
        ids=[episode.id for episode in episodes],
        vectors=keys,
        documents=[f"{' '.join(e.context[-SHOWN_WORDS:])} → {e.next_word}" for e in episodes],
        metadatas=[
            {
                "next_word": episode.next_word,
                "context": " ".join(episode.context),
                "surprise": episode.surprise,
                "time": episode.time,
                "conversation": episode.conversation,
            }
            for episode in episodes
        ],
    )


def read_episodes(rows: Rows) -> list[Episode]:
    """Return the episodes that `episode_rows` wrote, in the order of the rows.

    Raises:
        StoreError: if a row lacks a field.
    """
    try:
        return [
            Episode(
                id=row_id,
                next_word=str(metadata["next_word"]),
                context=tuple(str(metadata["context"]).split()),
                surprise=float(metadata["surprise"]),
                time=float(metadata["time"]),
                conversation=str(metadata["conversation"]),
            )
            for row_id, metadata in zip(rows.ids, rows.metadatas, strict=True)
        ]
    except (KeyError, ValueError) as error:
        raise StoreError(f"an episode in the store has a wrong or no {error}; delete that row") from error
