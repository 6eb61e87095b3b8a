"""The brain as a whole: causality, segments, windows, exact halting per word, and a cache that changes nothing."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import DIM, LAYERS, LOOPS, WINDOW, WORDS, brain, few, seeded, shape, unit_vectors, woken, word_ids

from engram_model.brain import Brain, BrainOutput, Cache, concept, last_three
from engram_model.head import MAX_SCALE
from engram_model.text import END_ID

ROWS, TIME = 3, 29
VECTORS = unit_vectors()
MODES: list[dict[str, Any]] = [{"loops": 1}, {"loops": 2}, {"loops": LOOPS}, {}, {"ngram": False}]


def halting_brain(**changes: Any) -> Brain:
    """A brain whose words halt after 1, 2 or 3 loops, about a third each."""
    thinker = brain(**changes)
    gains = torch.stack(thinker(word_ids(7, TIME, seed=8), VECTORS, loops=LOOPS).gains)
    with torch.no_grad():
        thinker.halt.contract.bias[:2] -= gains[:2].flatten(1).quantile(torch.tensor(0.4), dim=1)
    return thinker


def changed_at(ids: torch.Tensor, place: int, row: int = 0) -> torch.Tensor:
    other = ids.clone()
    other[row, place] = (other[row, place] - 3) % (WORDS - 4) + 4
    return other


def assert_same_thoughts(one: BrainOutput, other: BrainOutput) -> None:
    assert torch.equal(one.loops, other.loops)
    torch.testing.assert_close(one.state, other.state, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.gate, other.gate, atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------------------------- causality


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("place", [0, 11, TIME - 1])
@torch.no_grad()
def test_a_changed_word_leaves_all_before_it_bit_equal_and_moves_what_follows(mode: dict[str, Any], place: int) -> None:
    thinker, ids = halting_brain(), word_ids(ROWS, TIME)
    before, after = (thinker(rows, VECTORS, **mode) for rows in (ids, changed_at(ids, place, row=1)))
    same = (before.state == after.state).all(-1)
    assert same[[0, 2]].all() and same[1, :place].all()
    assert torch.equal(before.loops[:, :place], after.loops[:, :place])
    assert not same[1, place : place + WINDOW].any()


@pytest.mark.parametrize("ngram", [False, True])
@torch.no_grad()
def test_a_word_is_felt_as_far_as_the_windows_reach_and_no_further(ngram: bool) -> None:
    thinker, ids = brain(), word_ids(1, TIME)
    before, after = (thinker(rows, VECTORS, loops=LOOPS, ngram=ngram) for rows in (ids, changed_at(ids, 3)))
    moved = (before.state != after.state).any(-1)[0]
    # Loops look at the keys and values of the first, so that they do not reach further than one pass. The phrase of
    # three words, which enters after layer 0, reaches two words back.
    reach = max(LAYERS * (WINDOW - 1), (LAYERS - 1) * (WINDOW - 1) + 2 * ngram)
    assert moved[3 : 3 + reach + 1].all() and not moved[:3].any() and not moved[3 + reach + 1 :].any()


@torch.no_grad()
def test_a_text_knows_nothing_of_the_text_before_it_in_its_row() -> None:
    thinker, ids = halting_brain(), word_ids(1, TIME)
    segments = torch.tensor([[4] * 11 + [7] * 13 + [2] * 5])
    before, after = (thinker(rows, VECTORS, segments=segments) for rows in (ids, changed_at(ids, 10)))
    assert torch.equal(before.state[:, 11:], after.state[:, 11:])
    assert not (before.state == after.state).all(-1)[0, 10]
    joined = [thinker(rows, VECTORS, segments=segments // 8) for rows in (ids, changed_at(ids, 10))]
    assert not (joined[0].state == joined[1].state).all(-1)[0, 11 : 11 + WINDOW].any()


@torch.no_grad()
def test_a_text_in_a_row_of_texts_is_that_text_alone() -> None:
    thinker, ids = halting_brain(), word_ids(1, TIME)
    packed = thinker(ids, VECTORS, segments=torch.tensor([[4] * 11 + [7] * 13 + [2] * 5]))
    alone = thinker(ids[:, 11:24], VECTORS)
    assert torch.equal(packed.loops[:, 11:24], alone.loops)
    torch.testing.assert_close(packed.state[:, 11:24], alone.state, atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------------------------------- pondering


@torch.no_grad()
def test_words_halt_after_different_loops_where_their_gain_falls_to_the_threshold() -> None:
    thinker, ids = halting_brain(), word_ids(ROWS, TIME)
    full = thinker(ids, VECTORS, loops=LOOPS)
    walk = torch.where(full.gains[0] <= 0, 1, torch.where(full.gains[1] <= 0, 2, 3))
    assert torch.equal(thinker(ids, VECTORS).loops, walk) and walk.unique().tolist() == [1, 2, 3]
    thinker.halt.thresholds.fill_(math.inf)
    assert thinker(ids, VECTORS).loops.eq(1).all() and len(thinker(ids, VECTORS).states) == 1
    thinker.halt.thresholds.fill_(-math.inf)
    assert thinker(ids, VECTORS).loops.eq(LOOPS).all()


@torch.no_grad()
def test_a_row_alone_and_in_a_batch_thinks_the_same() -> None:
    thinker, ids = halting_brain(), word_ids(7, TIME)
    batch = thinker(ids, VECTORS)
    logits = batch.state @ VECTORS.T
    for row in range(7):
        alone = thinker(ids[row : row + 1], VECTORS)
        assert torch.equal(alone.loops[0], batch.loops[row])
        torch.testing.assert_close(alone.state[0], batch.state[row], atol=1e-5, rtol=1e-5)
        assert torch.equal((alone.state[0] @ VECTORS.T).argmax(-1), logits[row].argmax(-1))


@torch.no_grad()
def test_a_word_that_halts_early_changes_nothing_for_later_words() -> None:
    thinker, ids = halting_brain(), word_ids(ROWS, TIME)
    full, halted = thinker(ids, VECTORS, loops=LOOPS), thinker(ids, VECTORS)
    chosen = torch.stack(full.states).gather(0, (halted.loops - 1)[None, ..., None].expand(1, ROWS, TIME, DIM))[0]
    assert torch.equal(halted.state, chosen)
    for loops in (1, 2):
        fewer = thinker(ids, VECTORS, loops=loops)
        assert all(map(torch.equal, fewer.states, full.states)) and fewer.loops.eq(loops).all()
    # Word by word, where a word that halts really computes no further loop:
    cache, thoughts = Cache(WINDOW), []
    for place in range(TIME):
        thoughts.append(thinker(ids[:1, place : place + 1], VECTORS, cache=cache))
        assert len(thoughts[-1].states) == int(halted.loops[0, place])
    torch.testing.assert_close(torch.cat([t.state for t in thoughts], 1), halted.state[:1], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_every_loop_thinks_on() -> None:
    states = brain()(word_ids(ROWS, TIME), VECTORS, loops=LOOPS).states
    assert all((one - other).norm(dim=-1).min() > 0.01 for one, other in pairwise(states))


@torch.no_grad()
def test_more_loops_than_there_are_mean_all_of_them() -> None:
    thinker, ids = brain(), word_ids(ROWS, 5)
    assert torch.equal(thinker(ids, VECTORS, loops=LOOPS + 4).state, thinker(ids, VECTORS, loops=LOOPS).state)
    assert brain(max_ponder=1)(ids, VECTORS).gains == ()


@torch.no_grad()
def test_states_have_mean_square_one_and_concepts_norm_one() -> None:
    state = halting_brain()(word_ids(ROWS, TIME), VECTORS).state
    torch.testing.assert_close(state.square().mean(-1), torch.ones(ROWS, TIME), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(concept(state).norm(dim=-1), torch.ones(ROWS, TIME), atol=1e-4, rtol=0.0)


# ------------------------------------------------------------------------------------------- memory and scale


@torch.no_grad()
def test_a_fresh_brain_is_the_vector_of_its_input_whatever_stands_around_it() -> None:
    ids = word_ids(ROWS, TIME)
    torch.testing.assert_close(concept(Brain(shape())(ids, VECTORS).state), VECTORS[ids], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_switching_the_phrase_tables_off_changes_every_state_once_they_are_awake() -> None:
    thinker, ids = brain(), word_ids(ROWS, TIME)
    on, off = thinker(ids, VECTORS), thinker(ids, VECTORS, ngram=False)
    assert not (on.state == off.state).all(-1).any()
    assert off.gate.eq(0).all() and ((on.gate > 0) & (on.gate < 1)).all()
    assert thinker.memory is not None
    thinker.memory.value.weight.zero_()
    assert torch.equal(thinker(ids, VECTORS).state, off.state)
    assert brain(ngram_dim=0).memory is None and brain(ngram_dim=0)(ids, VECTORS).gate.eq(0).all()


def test_the_scale_stays_within_its_bound() -> None:
    thinker = Brain(shape())
    for log_scale, scale in ((math.log(5.0), 5.0), (88.0, MAX_SCALE), (1e6, MAX_SCALE), (-200.0, 0.0)):
        thinker.log_scale.data.fill_(log_scale)
        assert thinker.scale.item() == pytest.approx(scale)


# ------------------------------------------------------------------------------------------- phrases


@few
@given(st.lists(st.lists(st.integers(0, 2), min_size=7, max_size=7), min_size=1, max_size=2))
def test_last_three_is_a_naive_loop(segments: list[list[int]]) -> None:
    ids = word_ids(len(segments), 7)
    found = last_three(ids, torch.tensor(segments)).tolist()
    for row, numbers in enumerate(segments):
        for place in range(7):
            before = [place - back for back in (2, 1, 0)]
            inside = [at >= 0 and numbers[at] == numbers[place] for at in before]
            assert found[row][place] == [
                int(ids[row, at]) if here else END_ID for at, here in zip(before, inside, strict=True)
            ]


@pytest.mark.parametrize("time", [1, 2, 5])
def test_phrases_go_on_where_the_words_already_read_ended(time: int) -> None:
    ids, whole = word_ids(1, time), [END_ID, 5, *word_ids(1, time)[0].tolist()]
    assert Cache(9, tail=whole[:2]).phrases(ids)[0].tolist() == [whole[at : at + 3] for at in range(time)]


# ------------------------------------------------------------------------------------------- cache


@settings(few, max_examples=12)
@given(st.lists(st.integers(1, WINDOW), min_size=1, max_size=TIME), st.sampled_from((None, 1, LOOPS)))
@torch.no_grad()
def test_a_cache_changes_nothing_however_the_words_come(sizes: list[int], loops: int | None) -> None:
    thinker, ids = THINKER, word_ids(1, sum(sizes))
    whole = thinker(ids, VECTORS, loops=loops)
    cache, parts = Cache(WINDOW), []
    for part in ids.split(sizes, dim=1):
        parts.append(thinker(part, VECTORS, loops=loops, cache=cache))
    assert torch.equal(torch.cat([part.loops for part in parts], 1), whole.loops)
    torch.testing.assert_close(torch.cat([part.state for part in parts], 1), whole.state, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(torch.cat([part.gate for part in parts], 1), whole.gate, atol=1e-5, rtol=1e-4)
    assert cache.words == sum(sizes) and cache.tail == [END_ID, END_ID, *ids[0].tolist()][-2:]


@pytest.mark.parametrize("sizes", [(1,) * TIME, (TIME,), (19, 1, 9), (2, 27), (1, 1, 23, 1, 3)], ids=str)
@torch.no_grad()
def test_a_cache_changes_nothing_beyond_the_window(sizes: tuple[int, ...]) -> None:
    ids = word_ids(1, TIME)
    whole, cache = THINKER(ids, VECTORS), Cache(WINDOW)
    parts = [THINKER(part, VECTORS, cache=cache) for part in ids.split(sizes, dim=1)]
    assert torch.equal(torch.cat([part.loops for part in parts], 1), whole.loops)
    torch.testing.assert_close(torch.cat([part.state for part in parts], 1), whole.state, atol=1e-5, rtol=1e-4)
    assert len(cache._rows) == LAYERS and all(rows.shape[2] < 4 * WINDOW + TIME for rows in cache._rows.values())


@torch.no_grad()
def test_a_cache_does_not_grow_with_the_conversation() -> None:
    cache, places = Cache(WINDOW), set()
    for _ in range(10 * WINDOW):
        THINKER(word_ids(1, 1), VECTORS, cache=cache)
        places |= {rows.shape[2] for rows in cache._rows.values()}
    assert max(places) <= 3 * WINDOW and cache.words == 10 * WINDOW


@torch.no_grad()
def test_words_in_the_cache_are_seen() -> None:
    ids = word_ids(1, TIME)
    states = []
    for earlier in (ids, changed_at(ids, 20)):
        cache = Cache(WINDOW)
        THINKER(earlier[:, :23], VECTORS, cache=cache)
        states.append(THINKER(ids[:, 23:], VECTORS, cache=cache).state)
    assert not (states[0] == states[1]).all(-1).any()


THINKER = halting_brain()


# ------------------------------------------------------------------------------------------- gradients


def test_every_parameter_of_a_woken_brain_gets_a_gradient() -> None:
    thinker = woken(Brain(shape())).train()
    output = thinker(word_ids(ROWS, TIME), VECTORS, loops=LOOPS)
    aim = torch.randn(ROWS, TIME, DIM, generator=seeded(5))
    answers = torch.stack(output.states)
    (thinker.scale * (answers * aim).sum() + torch.stack(output.gains).square().sum()).backward()
    assert {name for name, p in thinker.named_parameters() if p.grad is None or not p.grad.any()} == set()
    unread = set(range(101)) - set(thinker.get_parameter("memory.bigrams.weight").grad.any(-1).nonzero()[:, 0].tolist())  # type: ignore[union-attr]
    assert unread, "rows of phrases that were not read get none"
