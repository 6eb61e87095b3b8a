"""Remembering: all moments at once against one at a time, and never anything that is still to come."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import pad
from toys import DIM, WORDS, few, seeded, unit_vectors, woken

from engram_model.episodes import EpisodicMemory
from engram_model.ngram import EngramModule
from engram_model.recall import (
    EMPTY,
    GATE_FEATURES,
    RECALLED,
    SUFFIX,
    EpisodeGate,
    Recalled,
    Trust,
    causal_recall,
    episode_probs,
    gate_features,
    matched_words,
    recall_one,
    selection_score,
)
from engram_model.sources import blend

EPISODES = RECALLED + 89
MOMENTS, FOUND = 5, 11
suffix_words = st.lists(st.integers(-1, 2), min_size=SUFFIX, max_size=SUFFIX)


def stream(count: int = EPISODES, words: int = 7) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keys, next words and suffixes of a text with so few words that many phrases return."""
    ids = torch.randint(4, words, (count,), generator=seeded(1))
    suffixes = torch.full((count, SUFFIX), -1)
    for place in range(SUFFIX):
        suffixes[place + 1 :, place] = ids[: count - place - 1]
    return unit_vectors(count, DIM, 2), ids, suffixes


def remember(memory: EpisodicMemory, key: torch.Tensor, word: int, suffix: list[int]) -> None:
    context = [number for number in reversed(suffix) if number >= 0]
    memory.add(
        key=key, next_word=f"w{word:02d}", next_id=word, context=[f"w{number:02d}" for number in context],
        context_ids=context, surprise=5.0, conversation="toy",
    )  # fmt: skip


def memory_of(keys: torch.Tensor, ids: torch.Tensor, suffixes: torch.Tensor) -> EpisodicMemory:
    memory = EpisodicMemory(DIM)
    for key, word, suffix in zip(keys, ids.tolist(), suffixes.tolist(), strict=True):
        remember(memory, key, word, suffix)
    return memory


def recalled() -> Recalled:
    """What came to mind at five moments: at the second there are no episodes, at the third no more than three."""
    similarity = torch.rand(MOMENTS, FOUND, generator=seeded()).sort(dim=1, descending=True).values
    matched = torch.randint(5, (MOMENTS, FOUND), generator=seeded(1))
    words = torch.randint(4, 9, (MOMENTS, FOUND), generator=seeded(2))
    similarity[1], matched[1] = EMPTY, 0
    similarity[2, 3:], matched[2, 3:] = EMPTY, 0
    total = torch.tensor([211, 0, 3, 17, 1009])
    background = torch.rand(MOMENTS, WORDS, generator=seeded(3)) * (total > 0)[:, None]
    shares = background / background.sum(1, keepdim=True).clamp(min=1e-9)
    return Recalled(torch.arange(FOUND).expand(MOMENTS, FOUND), words, similarity, matched, shares, total)


# ------------------------------------------------------------------------------------------- phrases in common


@few
@given(st.lists(suffix_words, min_size=1, max_size=7), suffix_words)
def test_matched_words_is_a_naive_loop(suffixes: list[list[int]], here: list[int]) -> None:
    found = matched_words(np.array(suffixes), here).tolist()
    for suffix, length in zip(suffixes, found, strict=True):
        naive = 0
        while naive < SUFFIX and suffix[naive] == here[naive] >= 0:
            naive += 1
        assert length == naive


def test_a_phrase_counts_from_two_words_on() -> None:
    scores = selection_score(torch.full((5,), 0.25), torch.arange(5))
    assert scores.tolist() == pytest.approx([0.25, 0.25, 0.45, 0.55, 0.65])


# ------------------------------------------------------------------------------------------- weights


def test_weights_and_background_sum_to_one_where_there_are_episodes_and_to_zero_elsewhere() -> None:
    weights, background = woken(EpisodeGate()).weights(recalled())
    torch.testing.assert_close(weights.sum(1) + background, torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0]))
    assert weights[2, 3:].eq(0).all() and weights[2, :3].gt(0).all() and background[[0, 2, 3, 4]].gt(0).all()


@torch.no_grad()
def test_weights_are_their_formula() -> None:
    gate, found = woken(EpisodeGate()), recalled()
    weights, background = gate.weights(found)
    bonus = [0.0, *gate.phrase_bonus.tolist()]
    for moment in (0, 3, 4):
        scores = [
            math.exp(gate.log_sharpness.item()) * cosine + sum(bonus[: matched + 2])
            for cosine, matched in zip(found.similarity[moment].tolist(), found.matched[moment].tolist(), strict=True)
        ]
        likely = [math.exp(score) for score in scores]
        rest = int(found.total[moment]) * math.exp(gate.background.item())
        assert weights[moment].tolist() == pytest.approx([x / (sum(likely) + rest) for x in likely], rel=1e-4)
        assert float(background[moment]) == pytest.approx(rest / (sum(likely) + rest), rel=1e-4)


@torch.no_grad()
def test_a_sharp_gate_takes_the_nearest_and_a_blunt_one_all_alike() -> None:
    gate, found = EpisodeGate(), recalled()
    gate.phrase_bonus.zero_()
    gate.log_sharpness.fill_(9.0)
    assert gate.weights(found)[0][[0, 3, 4], 0].gt(0.99).all()
    gate.log_sharpness.fill_(-20.0)
    gate.background.fill_(-50.0)
    torch.testing.assert_close(gate.weights(found)[0][0], torch.full((FOUND,), 1 / FOUND))
    gate.background.fill_(50.0)
    assert gate.weights(found)[1][[0, 2, 3, 4]].gt(0.99).all()


@torch.no_grad()
def test_a_longer_phrase_in_common_never_weighs_less() -> None:
    matched, background = torch.arange(5)[None], torch.full((1, WORDS), 1 / WORDS)
    found = Recalled(matched, matched, torch.full((1, 5), 0.5), matched, background, torch.tensor([5]))
    weights, _ = EpisodeGate().weights(found)
    assert (weights.diff() >= 0).all() and float(weights[0, 4] / weights[0, 1]) > 3


@torch.no_grad()
def test_what_episodes_say_is_a_naive_sum_over_the_words_they_name() -> None:
    found = recalled()
    weights, background = EpisodeGate().weights(found)
    said = episode_probs(found, weights, background)
    for moment in range(MOMENTS):
        naive = (found.background[moment] * background[moment]).tolist()
        for word, weight in zip(found.words[moment].tolist(), weights[moment].tolist(), strict=True):
            naive[word] += weight
        assert said[moment].tolist() == pytest.approx(naive, abs=1e-6)
    torch.testing.assert_close(said.sum(1), (found.total > 0).float())


# ------------------------------------------------------------------------------------------- what the gate sees


def told_of(gate: EpisodeGate, found: Recalled, base: torch.Tensor, entropy: torch.Tensor) -> torch.Tensor:
    states = torch.randn(MOMENTS, DIM, generator=seeded(3))
    weights, background = gate.weights(found)
    return gate_features(found, weights, background, base, entropy, states, unit_vectors())


@torch.no_grad()
def test_gate_features_are_what_their_names_say() -> None:
    found, states, vectors = recalled(), torch.randn(MOMENTS, DIM, generator=seeded(3)), unit_vectors()
    gate, base = woken(EpisodeGate()), torch.rand(MOMENTS, FOUND, generator=seeded(4)) / FOUND
    entropy = torch.rand(MOMENTS, generator=seeded(5))
    features = told_of(gate, found, base, entropy)
    assert features.shape == (MOMENTS, GATE_FEATURES) and features.isfinite().all()
    weights, background = (part.tolist() for part in gate.weights(found))
    for moment in (0, 2, 4):
        names, share = found.words[moment].tolist(), weights[moment]
        retrieved = sum((weight * vectors[word] for word, weight in zip(names, share, strict=True)), torch.zeros(DIM))
        assert features[moment].tolist() == pytest.approx(
            [
                float(found.similarity[moment, 0]),
                sum(w * near for w, near in zip(share, found.similarity[moment].tolist(), strict=True)),
                int(found.matched[moment].max()) / SUFFIX,
                sum(w * m for w, m in zip(share, found.matched[moment].tolist(), strict=True)) / SUFFIX,
                float(entropy[moment]) / 4,
                sum(w * math.log(w) for w in share if w > 0) / 4,
                background[moment],
                math.log(sum(w * p for w, p in zip(share, base[moment].tolist(), strict=True))) / 4,
                float(torch.logit(EngramModule.gate(states[moment], retrieved))) / 5,
                math.log(int(found.total[moment])) / 8,
            ],
            abs=1e-3,
        )


def test_every_parameter_of_a_woken_gate_gets_a_gradient() -> None:
    gate, found = woken(EpisodeGate()), recalled()
    weights, background = gate.weights(found)
    told = told_of(gate, found, torch.full((MOMENTS, FOUND), 0.01), torch.ones(MOMENTS))
    (gate.share_logit(told).sum() + episode_probs(found, weights, background)[:, 5].log1p().sum()).backward()
    assert {name for name, p in gate.named_parameters() if p.grad is None or not p.grad.any()} == set()


@torch.no_grad()
def test_what_the_gate_sees_does_not_depend_on_empty_places() -> None:
    found, gate = recalled(), woken(EpisodeGate())
    base, entropy = torch.rand(MOMENTS, FOUND, generator=seeded(4)), torch.ones(MOMENTS)
    wider = Recalled(
        *(pad(part, (0, 7)) for part in (found.rows, found.words)),
        pad(found.similarity, (0, 7), value=EMPTY), pad(found.matched, (0, 7)), found.background, found.total,
    )  # fmt: skip
    told = told_of(gate, wider, pad(base, (0, 7), value=0.5), entropy)
    torch.testing.assert_close(told, told_of(gate, found, base, entropy))


# ------------------------------------------------------------------------------------------- trust


@few
@given(st.floats(-9, 9), st.floats(-3, 3), st.floats(1e-9, 1), st.floats(1e-9, 1))
def test_trust_follows_the_gradient_of_the_likelihood(logit: float, level: float, episodes: float, base: float) -> None:
    trust = Trust(level, rate=0.01)
    bias = torch.tensor(level, dtype=torch.float64, requires_grad=True)
    blend(*(torch.tensor(math.log(p), dtype=torch.float64) for p in (base, episodes)), logit + bias).backward()
    assert trust.follow(logit, episodes, base) == level and bias.grad is not None
    assert trust.level == pytest.approx(level + 0.01 * float(bias.grad), abs=1e-12)


def test_trust_grows_while_episodes_are_right_falls_while_they_are_wrong_and_rests_at_rate_zero() -> None:
    right, wrong, still = Trust(), Trust(), Trust(rate=0.0)
    for _ in range(100):
        right.follow(-2.0, 0.9, 0.01)
        wrong.follow(-2.0, 0.0, 0.5)
        still.follow(-2.0, 0.9, 0.01)
    assert wrong.level < -0.1 < 0.5 < right.level and still.level == 0.0
    assert Trust().follow(0.0, 0.0, 0.0) == 0.0


# ------------------------------------------------------------------------------------------- two ways to recall


@pytest.mark.parametrize("words", [7, WORDS])
def test_recalling_all_moments_at_once_is_recalling_one_at_a_time(words: int) -> None:
    keys, ids, suffixes = stream(words=words)
    moments = torch.arange(0, EPISODES, 19)
    together = causal_recall(keys, ids, suffixes, keys[moments], suffixes[moments], moments, WORDS)
    memory = EpisodicMemory(DIM)
    for row, moment in enumerate(moments.tolist()):
        for now in range(len(memory), moment):
            remember(memory, keys[now], int(ids[now]), suffixes[now].tolist())
        one = recall_one([memory], keys[moment], suffixes[moment].tolist(), WORDS)
        real = min(RECALLED, moment)
        assert one.rows.shape == (1, real)
        torch.testing.assert_close(one.similarity[0], together.similarity[row, :real], atol=1e-6, rtol=1e-5)
        for name in ("rows", "words", "matched"):
            assert torch.equal(getattr(one, name)[0], getattr(together, name)[row, :real]), name
        assert together.similarity[row, real:].eq(EMPTY).all() and together.matched[row, real:].eq(0).all()
        torch.testing.assert_close(one.background[0], together.background[row])
        assert int(one.total) == int(together.total[row]) == moment


def test_the_background_is_the_share_of_each_word_among_all_episodes() -> None:
    keys, ids, suffixes = stream()
    found = recall_one([memory_of(keys, ids, suffixes)], keys[0], suffixes[0].tolist(), WORDS)
    assert found.background[0].tolist() == pytest.approx([ids.tolist().count(w) / EPISODES for w in range(WORDS)])


def test_a_phrase_in_common_is_recalled_even_if_its_state_is_far_away() -> None:
    keys, ids, suffixes = stream(words=WORDS)
    query = keys[7]
    farthest = SUFFIX + int((keys @ query)[SUFFIX:].argmin())
    here, nearest = suffixes[farthest], (keys @ query).topk(RECALLED - SUFFIX).indices.tolist()
    for found in (
        recall_one([memory_of(keys, ids, suffixes)], query, here.tolist(), WORDS),
        causal_recall(keys, ids, suffixes, query[None], here[None], torch.tensor([EPISODES]), WORDS),
    ):
        assert found.similarity.shape == (1, RECALLED) and farthest in found.rows[0] and farthest not in nearest
        assert int(found.matched.max()) == SUFFIX and set(nearest) < set(found.rows[0].tolist())


def test_the_best_come_first() -> None:
    keys, ids, suffixes = stream()
    found = causal_recall(keys, ids, suffixes, keys, suffixes, torch.full((EPISODES,), EPISODES), WORDS)
    assert (selection_score(found.similarity, found.matched).diff(dim=1) <= 1e-6).all()
    assert torch.equal(found.rows[SUFFIX:, 0], torch.arange(SUFFIX, EPISODES))  # each moment is most like itself


# ------------------------------------------------------------------------------------------- time


def test_a_moment_never_sees_what_comes_later() -> None:
    keys, ids, suffixes = stream()
    visible = torch.arange(EPISODES)
    found = causal_recall(keys, ids, suffixes, keys, suffixes, visible, WORDS)
    real = found.similarity > -1.5
    assert (found.rows < visible[:, None])[real].all() and real.sum(1).equal(visible.clamp(max=RECALLED))
    later = 60
    other_keys, other_ids = keys.clone(), ids.clone()
    other_keys[later:], other_ids[later:] = unit_vectors(EPISODES - later, DIM, 9), 4
    again = causal_recall(other_keys, other_ids, suffixes, keys, suffixes, visible, WORDS)
    for name in ("rows", "words", "similarity", "matched"):
        one, other = getattr(found, name)[: later + 1], getattr(again, name)[: later + 1]
        assert torch.equal(one[real[: later + 1]], other[real[: later + 1]])
    assert torch.equal(found.background[: later + 1], again.background[: later + 1])
    assert not torch.equal(found.similarity[later + 1], again.similarity[later + 1])


def test_what_is_remembered_later_does_not_change_what_was_recalled() -> None:
    keys, ids, suffixes = stream()
    memory = memory_of(keys[:60], ids[:60], suffixes[:60])
    before = recall_one([memory], keys[70], suffixes[70].tolist(), WORDS)
    grown = recall_one([memory_of(keys, ids, suffixes)], keys[70], suffixes[70].tolist(), WORDS)
    assert int(grown.rows[0, 0]) == 70 and int(before.rows.max()) < 60


# ------------------------------------------------------------------------------------------- removed words


def test_an_episode_whose_word_was_removed_is_not_recalled() -> None:
    keys, ids, suffixes = stream()
    memory = memory_of(keys, ids, suffixes)
    known = {f"w{word:02d}": word for word in (4, 6)}
    assert (recall_one([memory], keys[70], suffixes[70].tolist(), WORDS).words == 5).any()
    memory.relink(known)
    found = recall_one([memory], keys[70], suffixes[70].tolist(), WORDS)
    assert set(found.words[0].tolist()) == {4, 6}
    assert torch.equal(memory.next_ids[found.rows], found.words)
    assert found.background[0].nonzero()[:, 0].tolist() == [4, 6] and int(found.total) == int((ids != 5).sum())


def test_a_memory_of_removed_words_only_says_nothing() -> None:
    keys, ids, suffixes = stream(5)
    memory = memory_of(keys, ids, suffixes)
    memory.relink({})
    found = recall_one([memory], keys[3], suffixes[3].tolist(), WORDS)
    assert found.rows.shape == (1, 0) and int(found.total) == 0 and found.background.eq(0).all()
    assert not any(part.any() for part in EpisodeGate().weights(found))


def test_several_memories_are_remembered_as_one() -> None:
    keys, ids, suffixes = stream()
    whole = recall_one([memory_of(keys, ids, suffixes)], keys[70], suffixes[70].tolist(), WORDS)
    for cut in (1, 70, 300):
        parts = [memory_of(keys[part], ids[part], suffixes[part]) for part in (slice(0, cut), slice(cut, None))]
        found = recall_one(parts, keys[70], suffixes[70].tolist(), WORDS)
        assert torch.equal(found.rows, whole.rows) and torch.equal(found.words, whole.words)
        assert torch.equal(found.matched, whole.matched) and torch.equal(found.total, whole.total)
        torch.testing.assert_close(found.similarity, whole.similarity)
        torch.testing.assert_close(found.background, whole.background)
