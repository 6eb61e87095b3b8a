"""Reading whole texts at once: the state of every word in one sweep, predictions in chunks, memory only of what was read.

It must not know what is measured or learned from a reading. States do not depend on the memory, so a text can be
read in parallel and still be scored word by word exactly as if it had been read word by word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engram_model.brain import concept
from engram_model.corpus import Corpus, WordIds
from engram_model.episodes import EpisodicMemory
from engram_model.generation import PHRASE_REACH
from engram_model.mind import Mind, Prediction, phrase_view, predict
from engram_model.objective import BATCH_WORDS, whole_rows
from engram_model.recall import SUFFIX, Recalled, Trust, causal_recall, recall_one

CHUNK = 256


@dataclass(frozen=True)
class Reading:
    """States of every word of some texts, in order.

    Attributes:
        targets: The words themselves.
        states: The brain's state before each word.
        loops: Loops it pondered before each word.
        gate: How far the EngramModule's gate was open.
        gains: The halt gate's expected gains before each word (one column an early loop).
        every_state: State after every loop before each word, where asked for; else None.
        suffixes: Ids of the four words before each word, latest first, -1 where the text has fewer.
        contexts: The words before each word in its text, as far as phrases reach.
    """

    targets: Int[Tensor, " words"]
    states: Float[Tensor, "words dim"]
    loops: Int[Tensor, " words"]
    gate: Float[Tensor, " words"]
    gains: Float[Tensor, "words early"]
    every_state: Float[Tensor, "loops words dim"] | None
    suffixes: Int[Tensor, "words places"]
    contexts: list[list[int]]

    def __len__(self) -> int:
        """Number of words."""
        return len(self.targets)


def contexts_of(texts: Sequence[WordIds]) -> tuple[list[list[int]], Int[Tensor, "words places"]]:
    """The words before each word of each text (as far as phrases reach), and the last four of them latest first."""
    contexts: list[list[int]] = []
    for text in texts:
        ids = [int(word) for word in text]
        contexts.extend(ids[max(0, end - PHRASE_REACH) : end] for end in range(len(ids)))
    suffixes = torch.full((len(contexts), SUFFIX), -1)
    for row, context in enumerate(contexts):
        latest = context[::-1][:SUFFIX]
        suffixes[row, : len(latest)] = torch.tensor(latest, dtype=torch.int64)
    return contexts, suffixes


@torch.no_grad()
def read(
    mind: Mind,
    texts: Sequence[WordIds],
    *,
    loops: int | None = None,
    ngram: bool = True,
    every_loop: bool = False,
) -> Reading:
    """Let the brain think about every word of some texts.

    Args:
        mind: Who reads.
        texts: Word ids of each text.
        loops: A fixed number of loops, or None for the learned halting.
        ngram: False leaves the EngramModule out.
        every_loop: Keep the state after each loop; needs a fixed number of loops.
    """
    corpus = Corpus(texts)
    count, dim = len(corpus), mind.vocabulary.dim
    states, taken, gate = torch.empty(count, dim), torch.empty(count, dtype=torch.int64), torch.empty(count)
    most = mind.brain.config.max_ponder
    gains = torch.zeros(count, max(0, (loops or most) - 1))
    every = torch.empty(loops or most, count, dim) if every_loop else None
    mind.brain.eval()
    for batch, places in corpus.whole_texts(*whole_rows(mind.brain.config), BATCH_WORDS):
        out = mind.brain(batch.inputs, mind.vocabulary.vectors, segments=batch.segments, loops=loops, ngram=ngram)
        real = places >= 0
        where = places[real]
        states[where], taken[where], gate[where] = out.state[real], out.loops[real], out.gate[real]
        for early, gain in enumerate(out.gains[: gains.shape[1]]):
            gains[where, early] = gain[real]
        if every is not None:
            for loop, state in enumerate(out.states):
                every[loop, where] = state[real]
    contexts, suffixes = contexts_of(texts)
    return Reading(corpus.targets, states, taken, gate, gains, every, suffixes, contexts)


def predictions(
    mind: Mind,
    reading: Reading,
    *,
    ngram: bool = True,
    memory: EpisodicMemory | None = None,
    remember: Bool[Tensor, " words"] | None = None,
) -> Iterator[tuple[slice, Prediction]]:
    """Predictions of every word read, chunk by chunk.

    Args:
        mind: Who predicts.
        reading: The states.
        ngram: False leaves the counted phrases out.
        memory: Episodes to recall, as they stand; nothing is added.
        remember: Which moments of this very reading are remembered once they are past (instead of `memory`).
    """
    keys = concept(reading.states)
    trust = Trust()
    kept = torch.nonzero(remember)[:, 0] if remember is not None else torch.zeros(0, dtype=torch.int64)
    for start in range(0, len(reading), CHUNK):
        rows = slice(start, min(start + CHUNK, len(reading)))
        phrases = phrase_view(mind, reading.contexts[rows]) if ngram and mind.phrases is not None else None
        recalled: Recalled | None = None
        if remember is not None:
            visible = torch.searchsorted(kept, torch.arange(rows.start, rows.stop))
            seen = kept[: int(visible[-1])]
            if len(seen):
                recalled = causal_recall(
                    keys[seen],
                    reading.targets[seen],
                    reading.suffixes[seen],
                    keys[rows],
                    reading.suffixes[rows],
                    visible,
                    len(mind.vocabulary),
                )
        elif memory is not None and len(memory):
            places = range(*rows.indices(len(reading)))
            size = len(mind.vocabulary)
            found = [recall_one([memory], keys[row], reading.suffixes[row].tolist(), size) for row in places]
            recalled = Recalled(*(torch.cat([getattr(one, part.name) for one in found]) for part in fields(Recalled)))
        yield rows, predict(mind, reading.states[rows], phrases, recalled, trust, reading.targets[rows])


def target_log_probs(
    mind: Mind,
    reading: Reading,
    *,
    ngram: bool = True,
    memory: EpisodicMemory | None = None,
    remember: Bool[Tensor, " words"] | None = None,
) -> Float[Tensor, " words"]:
    """Natural logarithm of the probability of each word read; arguments as of `predictions`."""
    found = torch.empty(len(reading), dtype=torch.float64)
    for rows, prediction in predictions(mind, reading, ngram=ngram, memory=memory, remember=remember):
        chosen = prediction.probs.gather(1, reading.targets[rows, None])[:, 0]
        found[rows] = chosen.double().clamp(min=1e-30).log()
    return found
