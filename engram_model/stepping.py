"""Thinks about one word at a time, in NumPy: what `Brain.forward` gives for one word after a cache.

One word alone is two hundred products too small to fill a processor, and PyTorch takes longer to call one than NumPy
to compute it. It must not know how words are chosen; that both ways give the same thoughts is held by tests.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from engram_model.attention import SMALLEST_NORM, Block, rotary_turns
from engram_model.brain import Brain, BrainOutput, Cache
from engram_model.ngram import EngramModule, slots_of
from engram_model.pondering import HaltGate

Vector = Float[np.ndarray, " dim"]
Heads = Float[np.ndarray, "heads head_dim"]


def _array(tensor: Tensor) -> np.ndarray:
    """The very numbers of a tensor: what training changes in place is seen here."""
    return tensor.detach().numpy()


def _length(x: Vector) -> float:
    return math.sqrt(x.dot(x))


def _rms_norm(x: Vector) -> Vector:
    return x / np.float32(max(_length(x) * len(x) ** -0.5, SMALLEST_NORM))


class _Layer:
    """One block, `Block.query`, `Block.remember` and `Block.update` of a single word."""

    def __init__(self, block: Block) -> None:
        dim = block.seek.shape[1]
        self.seek, self.mix = _array(block.seek).reshape(3 * dim, dim), _array(block.mix.weight)
        self.expand, self.contract = _array(block.expand.weight), _array(block.contract.weight)
        self.heads, self.dim = block.heads, dim
        self.scale = np.float32(block.scale)

    def query(self, x: Vector, turn: Complex[np.ndarray, " half"]) -> Heads:
        return self._look(self.seek[: self.dim].dot(x), turn)

    def remember(self, x: Vector, turn: Complex[np.ndarray, " half"]) -> tuple[Heads, Heads, Heads]:
        found, root = self.seek.dot(x), np.float32(_length(x) * self.dim**-0.5)
        both = self._look(found[: 2 * self.dim], turn)
        return both[: self.heads], both[self.heads :], (found[2 * self.dim :] / root).reshape(self.heads, -1)

    def _look(self, found: Float[np.ndarray, " width"], turn: Complex[np.ndarray, " half"]) -> Heads:
        by_head = found.reshape(-1, self.dim // self.heads)
        norms = np.sqrt(np.einsum("hd,hd->h", by_head, by_head))
        by_head = by_head / np.maximum(norms, np.float32(SMALLEST_NORM))[:, None]
        return (by_head.view(np.complex64) * turn).view(np.float32)

    def update(
        self,
        x: Vector,
        queries: Heads,
        keys: Float[np.ndarray, "heads seen head_dim"],
        values: Float[np.ndarray, "heads seen head_dim"],
    ) -> Vector:
        # Both are unit vectors, so no score is above the scale: exp needs no maximum taken off.
        likeness = np.exp(keys @ (queries * self.scale)[:, :, None])
        seen = np.swapaxes(likeness, 1, 2) @ values / likeness.sum(axis=1, keepdims=True)
        x = x + self.mix.dot(seen.ravel())
        hidden = self.expand.dot(x)
        np.maximum(hidden, 0.0, out=hidden)
        hidden *= hidden
        return x + self.contract.dot(hidden) * np.float32(self.dim / x.dot(x))


class _Phrases:
    """The EngramModule for the phrase that ends at a single word."""

    def __init__(self, memory: EngramModule) -> None:
        self.tables = _array(memory.trigrams.weight), _array(memory.bigrams.weight)
        self.key, self.value, self.slots = _array(memory.key.weight), _array(memory.value.weight), memory.slots

    def read(self, x: Vector, phrase: list[int]) -> tuple[Vector, float]:
        trigrams, bigrams = self.tables
        three, two = (slots_of(np.array([words]), self.slots)[0] for words in (phrase, phrase[1:]))
        row = np.concatenate((bigrams[two], trigrams[three]))
        key = self.key.dot(row)
        norms = max(_length(x) * _length(key), SMALLEST_NORM)
        gate = 1.0 / (1.0 + math.exp(-float(x.dot(key)) / norms * len(x) ** 0.5))
        return x + np.float32(gate) * self.value.dot(row), gate


@dataclass
class _Linear:
    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, linear: nn.Linear) -> _Linear:
        return cls(_array(linear.weight), _array(linear.bias))

    def __call__(self, x: Vector) -> Float[np.ndarray, " width"]:
        made: np.ndarray = self.weight.dot(x) + self.bias
        return made


class _Halting:
    """The halt gate of a single word."""

    def __init__(self, gate: HaltGate) -> None:
        self.expand, self.contract = _Linear.of(gate.expand), _Linear.of(gate.contract)
        self.thresholds = _array(gate.thresholds)

    def gain(self, normed: Vector, loop: int) -> np.float32:
        hidden = np.maximum(self.expand(normed), 0.0)
        return np.float32(self.contract.weight[loop].dot(hidden) + self.contract.bias[loop])


class Stepper:
    """A brain that reads word by word, each after all that its cache holds.

    Args:
        brain: Whose thoughts these are; its weights are shared, not copied.
    """

    def __init__(self, brain: Brain) -> None:
        self.config = brain.config
        self.layers = [_Layer(block) for block in brain.layers]
        self.loop_code, self.exits = _array(brain.loop_code), _array(brain.exits)
        self.halting = _Halting(brain.halt)
        self.phrases = None if brain.memory is None else _Phrases(brain.memory)

    def think(
        self,
        word: int,
        vector: Float[Tensor, " dim"],
        cache: Cache,
        *,
        loops: int | None = None,
        ngram: bool = True,
    ) -> BrainOutput:
        """Think about one more word; arguments and result as of `Brain.forward` with a batch of one word.

        Args:
            word: Its id.
            vector: Its unit vector.
            cache: Keys and values of the words before it; is extended.
            loops: A fixed number of loops, or None to halt by the gate.
            ngram: False leaves the EngramModule out.
        """
        dim = self.config.embed_dim
        turn = rotary_turns(cache.words, 1, dim // self.config.n_heads)[0].numpy()
        x, gate = _array(vector) * np.float32(dim**0.5), 0.0
        x = self._first_pass(0, x, turn, cache)[0]
        if self.phrases is not None and ngram:
            x, gate = self.phrases.read(x, [*cache.tail, word])
        states, gains = self._ponder(x, turn, cache, loops)
        cache.took([word])
        return BrainOutput(
            tuple(torch.from_numpy(state)[None, None] for state in states),
            tuple(torch.full((1, 1), float(gain)) for gain in gains),
            torch.full((1, 1), len(states)),
            torch.full((1, 1), gate),
        )

    def _first_pass(
        self, layer: int, x: Vector, turn: Complex[np.ndarray, " half"], cache: Cache
    ) -> tuple[Vector, np.ndarray, np.ndarray]:
        queries, key, value = self.layers[layer].remember(x, turn)
        keys, values = cache.extend(layer, key[:, None], value[:, None])
        return self.layers[layer].update(x, queries, keys, values), keys, values

    def _ponder(
        self, x: Vector, turn: Complex[np.ndarray, " half"], cache: Cache, loops: int | None
    ) -> tuple[list[Vector], list[np.float32]]:
        possible = self.config.max_ponder
        most = possible if loops is None else min(loops, possible)
        states: list[Vector] = []
        gains: list[np.float32] = []
        seen: dict[int, list[np.ndarray]] = {}
        for loop in range(most):
            x = x + self.loop_code[loop]
            for number, layer in enumerate(self.layers[1:], 1):
                if loop == 0:
                    x, *seen[number] = self._first_pass(number, x, turn, cache)
                else:
                    x = layer.update(x, layer.query(x, turn), *seen[number])
            normed = _rms_norm(x)
            if loop + 1 == possible:
                return [*states, normed], gains
            states.append(_rms_norm(normed + self.exits[loop].dot(normed)))
            gains.append(self.halting.gain(normed, loop))
            if loops is None and gains[-1] <= self.halting.thresholds[loop]:
                break
        return states, gains
