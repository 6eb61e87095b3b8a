"""The AttentionBrain: wires blocks, EngramModule and pondering; word ids and vectors in, states out.

It must not own, open or find a store: the vocabulary's vectors are passed in with every call.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from engram_model.attention import Block, Dropout, causal_mask, rms_norm, rotary_turns
from engram_model.config import BrainConfig
from engram_model.head import MAX_SCALE
from engram_model.ngram import EngramModule
from engram_model.pondering import HaltGate
from engram_model.text import END_ID

START_SCALE = 4.0


@dataclass(frozen=True)
class BrainOutput:
    """What the brain thought at each word.

    Attributes:
        states: The residual stream, RMS-normed, after each loop that was run.
        gains: The halt gate's expected gain after each loop but the last possible one.
        loops: How many loops each word took (halting per word; all of them when a number was given).
        gate: How far the EngramModule's gate was open (zeros where the module is off).
    """

    states: tuple[Float[Tensor, "batch time dim"], ...]
    gains: tuple[Float[Tensor, "batch time"], ...]
    loops: Int[Tensor, "batch time"]
    gate: Float[Tensor, "batch time"]

    @property
    def state(self) -> Float[Tensor, "batch time dim"]:
        """The state with which each word stopped thinking."""
        if self.loops.numel() == 1:  # one word stops after the last loop that was run
            return self.states[-1]
        stacked = torch.stack(self.states)
        index = (self.loops - 1)[None, :, :, None].expand(1, *stacked.shape[1:])
        return stacked.gather(0, index)[0]


def concept(state: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
    """c = h / |h|, the predicted concept vector of unit length."""
    return state / state.shape[-1] ** 0.5


@dataclass
class Cache:
    """Keys and values of the words already read, one entry a layer, of one conversation (batch of one).

    Attributes:
        window: Words one layer looks back on.
        words: Number of words read so far, that is the position of the next one.
        tail: Ids of the last two words, for the phrases that the next word ends.
    """

    window: int
    words: int = 0
    tail: list[int] = field(default_factory=lambda: [END_ID, END_ID])
    _rows: dict[int, Float[np.ndarray, "2 heads places head_dim"]] = field(default_factory=dict)
    _ends: dict[int, int] = field(default_factory=dict)

    def extend(
        self,
        layer: int,
        keys: Float[np.ndarray, "heads new head_dim"],
        values: Float[np.ndarray, "heads new head_dim"],
    ) -> tuple[Float[np.ndarray, "heads seen head_dim"], Float[np.ndarray, "heads seen head_dim"]]:
        """Append the keys and values of new words; returns all that any of these may look at.

        A full table is replaced by one with room for another two windows: a word costs no copy of those before it.
        """
        heads, new, head_dim = keys.shape
        kept = min(self.words, self.window - 1)  # a word looks at itself and at so many before it
        rows, end = self._rows.get(layer), self._ends.get(layer, 0)
        if rows is None or end + new > rows.shape[2]:
            larger = np.empty((2, heads, kept + new + 2 * self.window, head_dim), dtype=keys.dtype)
            if rows is not None:
                larger[:, :, :kept] = rows[:, :, end - kept : end]
            self._rows[layer], rows, end = larger, larger, kept
        rows[0, :, end : end + new], rows[1, :, end : end + new] = keys, values
        self._ends[layer] = end + new
        seen = rows[:, :, end - kept : end + new]
        return seen[0], seen[1]

    def took(self, words: Sequence[int]) -> None:
        """Count words whose keys and values are now here."""
        self.words += len(words)
        self.tail = [*self.tail, *words][-2:]

    def phrases(self, ids: Int[Tensor, "1 time"]) -> Int[Tensor, "1 time 3"]:
        """`last_three` of new words, which go on where the words already read ended."""
        words = [*self.tail, *ids[0].tolist()]
        return torch.tensor([[words[end - 3 : end] for end in range(3, len(words) + 1)]])


def last_three(ids: Int[Tensor, "batch time"], segments: Int[Tensor, "batch time"]) -> Int[Tensor, "batch time 3"]:
    """The phrase of three words that ends at each place, latest last; before a text's first word stands <END>."""
    places = [ids]
    for back in (1, 2):
        earlier = torch.full_like(ids, END_ID)
        earlier[:, back:] = torch.where(segments[:, back:] == segments[:, :-back], ids[:, :-back], END_ID)
        places.append(earlier)
    return torch.stack(places[::-1], dim=-1)


def _additive(mask: Bool[Tensor, ...]) -> Float[Tensor, ...]:
    """0 where a word may look, -inf elsewhere: attention takes this a third faster than truth values."""
    return torch.zeros(mask.shape).masked_fill_(~mask, -math.inf)


class Brain(nn.Module):
    """4 layers by default: layer 0 once, then the EngramModule, then the other layers 1 to `max_ponder` times.

    Every loop thinks over the keys and values of the first, so a word that halts early costs later words nothing
    and a cache stays exact.

    Args:
        config: The shape of the brain.
    """

    def __init__(self, config: BrainConfig) -> None:
        super().__init__()
        self.config = config
        self.noise = torch.Generator()
        dropout = Dropout(config.dropout or 0.0, self.noise)
        self.layers = [Block(config.embed_dim, config.n_heads, dropout) for _ in range(config.n_layers)]
        self.blocks = nn.ModuleList(self.layers)
        self.loop_code = nn.Parameter(torch.zeros(config.max_ponder, config.embed_dim))
        self.exits = nn.Parameter(torch.zeros(config.max_ponder - 1, config.embed_dim, config.embed_dim))
        self.halt = HaltGate(config.embed_dim, config.max_ponder)
        self.log_scale = nn.Parameter(torch.tensor(math.log(START_SCALE)))
        self.memory = (
            EngramModule(config.embed_dim, config.ngram_table_size, config.ngram_dim, self.noise)
            if config.ngram_dim
            else None
        )

    @property
    def scale(self) -> Float[Tensor, ""]:
        """s, bounded so that exp stays within single precision whatever the gradient does."""
        return self.log_scale.clamp(max=math.log(MAX_SCALE)).exp()

    def forward(
        self,
        ids: Int[Tensor, "batch time"],
        vectors: Float[Tensor, "words dim"],
        *,
        segments: Int[Tensor, "batch time"] | None = None,
        loops: int | None = None,
        ngram: bool = True,
        cache: Cache | None = None,
    ) -> BrainOutput:
        """Think about every word of a batch.

        Args:
            ids: The words read; the state at each predicts the next one.
            vectors: The vocabulary's unit vectors.
            segments: Number of the text each word belongs to; None: each row is one text.
            loops: A fixed number of loops, or None to halt each word by the gate.
            ngram: False leaves the EngramModule out.
            cache: Keys and values of the words before these; is extended. Batch of one only.
        """
        segments = torch.zeros_like(ids) if segments is None else segments
        start = cache.words if cache else 0
        turns = rotary_turns(start, ids.shape[1], self.config.embed_dim // self.config.n_heads)
        mask = self._mask(segments, cache)
        x = vectors[ids.flatten()] * self.config.embed_dim**0.5
        x = self._first_pass(0, x, turns, mask, cache)[0]
        if self.memory is not None and ngram:
            phrases = cache.phrases(ids) if cache else last_three(ids, segments)
            added, gate = self.memory(x, phrases.flatten(0, 1))
            x = x + added
        else:
            gate = x.new_zeros(len(x))
        output = self._ponder(x, turns, mask, loops, gate.view(ids.shape), cache)
        if cache is not None:
            cache.took(ids[0].tolist())
        return output

    def _leave(self, normed: Float[Tensor, "words dim"], loop: int) -> Float[Tensor, "words dim"]:
        """h after a loop. Early loops leave through a map of their own, so that the stream need not be an answer yet."""
        if loop + 1 < self.config.max_ponder:
            return rms_norm(normed + F.linear(normed, self.exits[loop]))
        return normed

    def _mask(self, segments: Int[Tensor, "batch time"], cache: Cache | None) -> Float[Tensor, ...] | None:
        window = self.config.context_size
        if cache is None:
            return _additive(causal_mask(segments, window))
        seen, time = min(cache.words, window - 1), segments.shape[1]
        distance = torch.arange(time)[:, None] + seen - torch.arange(seen + time)[None, :]
        return _additive(((distance >= 0) & (distance < window))[None, None])

    def _first_pass(
        self, layer: int, x: Tensor, turns: Tensor, mask: Tensor | None, cache: Cache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        block = self.layers[layer]
        queries, keys, values = block.remember(x, turns)
        if cache is not None:
            seen = cache.extend(layer, *(found[0].detach().numpy() for found in (keys, values)))
            keys, values = (torch.from_numpy(found)[None] for found in seen)
        return block.update(x, queries, keys, values, mask), keys, values

    def _ponder(
        self,
        x: Tensor,
        turns: Tensor,
        mask: Tensor | None,
        loops: int | None,
        gate: Tensor,
        cache: Cache | None,
    ) -> BrainOutput:
        most = self.config.max_ponder if loops is None else min(loops, self.config.max_ponder)
        taken = torch.full(gate.shape, most if loops else 1)
        running = torch.ones(gate.shape, dtype=torch.bool)
        states, gains, seen = [], [], {}
        for loop in range(most):
            x = x + self.loop_code[loop]
            for layer in range(1, self.config.n_layers):
                if loop == 0:
                    x, *seen[layer] = self._first_pass(layer, x, turns, mask, cache)
                else:
                    block, (keys, values) = self.layers[layer], seen[layer]
                    x = block.update(x, block.query(x, turns), keys, values, mask)
            normed = rms_norm(x)
            states.append(self._leave(normed, loop).view(*gate.shape, -1))
            if loop + 1 < self.config.max_ponder:
                gains.append(self.halt(normed, loop + 1).view(gate.shape))
            if loops is None and loop + 1 < most:
                running &= self.halt.goes_on(gains[-1], loop + 1)
                taken += running
                if not running.any():
                    break
        return BrainOutput(tuple(states), tuple(gains), taken, gate)
