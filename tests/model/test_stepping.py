"""One word at a time in NumPy gives the thoughts that PyTorch gives of whole texts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import LOOPS, WINDOW, WORDS, brain, few, unit_vectors, word_ids

from engram_model.brain import Brain, BrainOutput, Cache
from engram_model.stepping import Stepper
from engram_model.text import END_ID

VECTORS = unit_vectors()
TIME = 3 * WINDOW
MODES: list[dict[str, Any]] = [{"loops": 1}, {"loops": 2}, {"loops": LOOPS}, {"loops": LOOPS + 4}, {}, {"ngram": False}]
SHAPES: list[dict[str, Any]] = [{}, {"max_ponder": 1}, {"ngram_dim": 0}, {"n_layers": 2}, {"n_heads": 1}]


def halting(thinker: Brain) -> Brain:
    """The brain with thresholds at which its words halt after each of its loops."""
    gains = thinker(word_ids(7, TIME, seed=8), VECTORS, loops=LOOPS).gains
    for loop, found in enumerate(gains):
        thinker.halt.thresholds[loop] = found.quantile(0.4)
    return thinker


def stepped(thinker: Brain, words: list[int], **mode: Any) -> tuple[list[BrainOutput], Cache]:
    stepper, cache = Stepper(thinker), Cache(WINDOW)
    return [stepper.think(word, VECTORS[word], cache, **mode) for word in words], cache


@pytest.mark.parametrize("changes", SHAPES, ids=str)
@pytest.mark.parametrize("mode", MODES, ids=str)
@torch.no_grad()
def test_every_thought_is_that_of_the_whole_text(changes: dict[str, Any], mode: dict[str, Any]) -> None:
    thinker, ids = halting(brain(**changes)), word_ids(1, TIME)
    whole = thinker(ids, VECTORS, **mode)
    steps, cache = stepped(thinker, ids[0].tolist(), **mode)
    assert torch.equal(torch.cat([step.loops for step in steps], 1), whole.loops)
    if mode == {} and len(whole.gains) == LOOPS - 1:
        assert whole.loops.unique().tolist() == [1, 2, 3], "each number of loops is seen"
    for name in ("state", "gate"):
        found = torch.cat([getattr(step, name) for step in steps], 1)
        torch.testing.assert_close(found, getattr(whole, name), atol=1e-5, rtol=1e-4)
    for place, step in enumerate(steps):
        assert len(step.states) == int(whole.loops[0, place]), "a word that halts computes no further loop"
        for loop, gain in enumerate(step.gains):
            torch.testing.assert_close(gain[0, 0], whole.gains[loop][0, place], atol=1e-5, rtol=1e-4)
    assert cache.words == TIME and cache.tail == ids[0, -2:].tolist()


@settings(few, max_examples=15)
@given(st.lists(st.integers(4, WORDS - 1), min_size=1, max_size=TIME), st.integers(0, TIME), st.integers(0, TIME))
@torch.no_grad()
def test_both_ways_go_on_from_each_other(words: list[int], first: int, second: int) -> None:
    start, end = sorted((min(first, len(words)), min(second, len(words))))
    whole = THINKER(torch.tensor([words]), VECTORS)
    stepper, cache, parts = Stepper(THINKER), Cache(WINDOW), []
    for part in (words[:start], words[start:end], words[end:]):
        if part is words or len(part) > 1:
            parts.append(THINKER(torch.tensor([part]), VECTORS, cache=cache).state)
        parts += [stepper.think(word, VECTORS[word], cache).state for word in part if len(part) == 1]
    torch.testing.assert_close(torch.cat(parts, 1), whole.state, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_weights_are_shared_and_the_cache_does_not_grow() -> None:
    thinker = brain()
    stepper, cache = Stepper(thinker), Cache(WINDOW)
    before = stepper.think(END_ID, VECTORS[END_ID], Cache(WINDOW)).state
    thinker.layers[1].mix.weight += 0.5
    after = stepper.think(END_ID, VECTORS[END_ID], Cache(WINDOW)).state
    torch.testing.assert_close(after, thinker(torch.tensor([[END_ID]]), VECTORS).state, atol=1e-5, rtol=1e-4)
    assert (after - before).norm() > 0.01
    for word in range(4, 60):
        stepper.think(word, VECTORS[word], cache)
    assert all(rows.shape[2] <= 3 * WINDOW for rows in cache._rows.values()) and cache.words == 56


THINKER = halting(brain())
