"""Who speaks: the blend in log space, the phrase gate, and the one output rule with every memory on and off."""

from __future__ import annotations

import math
from dataclasses import fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import TypeCheckError
from toys import DIM, WORDS, few, mind, seeded, some_texts, word_ids

from engram_model.brain import concept
from engram_model.head import word_logits
from engram_model.mind import Mind, Prediction, phrase_view, predict
from engram_model.recall import EMPTY, SUFFIX, Recalled, Trust, causal_recall, gate_features
from engram_model.sources import PHRASE_FEATURES, PhraseGate, best_share, blend

MOMENTS, FOUND = 5, 11
probabilities = st.floats(1e-30, 1.0)
logits = st.floats(-50.0, 50.0)


# ------------------------------------------------------------------------------------------- blend


@few
@given(probabilities, probabilities, logits)
def test_the_blend_is_the_log_of_the_mixture_and_lies_between_its_parts(p: float, q: float, logit: float) -> None:
    log_p, log_q, at = (torch.tensor(x, dtype=torch.float64) for x in (math.log(p), math.log(q), logit))
    rest, share = 1.0 / (1.0 + math.exp(logit)), 1.0 / (1.0 + math.exp(-logit))
    found = float(blend(log_p, log_q, at))
    assert found == pytest.approx(math.log(rest * p + share * q), rel=1e-9, abs=1e-12)
    assert min(log_p, log_q) - 1e-12 <= found <= max(log_p, log_q) + 1e-12


def test_the_blend_reaches_both_parts_and_survives_what_is_impossible() -> None:
    one, other = torch.tensor([-0.5, -0.5, -90.0]), torch.tensor([-7.0, -torch.inf, -95.0])
    assert torch.equal(blend(one, other, torch.full((3,), -200.0)), one)
    torch.testing.assert_close(blend(one, other, torch.full((3,), 200.0))[[0, 2]], other[[0, 2]])
    assert float(blend(one, other, torch.zeros(3))[1]) == pytest.approx(-0.5 - math.log(2))


def test_the_gradient_of_the_blend_raises_the_share_of_the_better_source() -> None:
    logit = torch.zeros(2, requires_grad=True)
    blend(torch.tensor([-1.0, -3.0]), torch.tensor([-3.0, -1.0]), logit).sum().backward()
    assert logit.grad is not None and logit.grad[0] < 0 < logit.grad[1]


@few
@given(st.integers(0, 999), st.floats(0.05, 0.95))
def test_the_best_constant_share_is_the_likeliest(seed: int, told: float) -> None:
    first, second = torch.rand(2, 97, generator=seeded(seed), dtype=torch.float64) + 1e-3
    second[: int(97 * told)] *= 5
    tried = torch.linspace(0, 1, 201, dtype=torch.float64)[:, None]
    likely = ((1 - tried) * first + tried * second).log().mean(1)
    share = best_share(first, second, rounds=300)
    assert float(((1 - share) * first + share * second).log().mean()) > float(likely.max()) - 1e-4
    assert 0.0 <= share <= 1.0


def test_a_source_that_is_always_better_gets_everything() -> None:
    first = torch.full((7,), 0.1, dtype=torch.float64)
    assert best_share(first, 9 * first) > 0.999 and best_share(9 * first, first) < 0.001
    assert best_share(first, first) == pytest.approx(0.5)


# ------------------------------------------------------------------------------------------- phrase gate


def test_a_fresh_phrase_gate_gives_every_moment_the_same_share_and_learns_with_all_its_parameters() -> None:
    torch.manual_seed(0)
    gate = PhraseGate(DIM)
    state, features = torch.randn(7, 3, DIM, generator=seeded()), torch.rand(7, 3, PHRASE_FEATURES, generator=seeded(1))
    assert gate(state, features).eq(-1.5).all()
    optimizer = torch.optim.SGD(gate.parameters(), lr=0.1)
    for missing in ({"expand.weight", "expand.bias"}, set()):
        optimizer.zero_grad()
        (gate(state, features) - torch.randn(7, 3, generator=seeded(2))).square().sum().backward()
        assert {name for name, p in gate.named_parameters() if p.grad is None or not p.grad.any()} == missing
        optimizer.step()
    assert gate(state, features).std() > 0
    with pytest.raises(TypeCheckError):
        gate(state, features[:5])


# ------------------------------------------------------------------------------------------- the output rule


MIND = mind()
ALONE = torch.randn(MOMENTS, DIM, generator=seeded(5))
STATES = ALONE / ALONE.square().mean(-1, keepdim=True).sqrt()
CONTEXTS = [text[: 3 * number].tolist() for number, text in enumerate(some_texts((13, 17, 19, 23, 29)))]


def remembered(moments: int = MOMENTS, words: int = WORDS) -> Recalled:
    """Episodes that came to mind, several naming the same word; at moment 1 there are none, at moment 2 two."""
    similarity = torch.rand(moments, FOUND, generator=seeded(6)).sort(dim=1, descending=True).values
    matched = torch.randint(5, (moments, FOUND), generator=seeded(7))
    named = torch.randint(4, words, (moments, FOUND), generator=seeded(8))
    named[:, 1:3] = named[:, :1]
    for moment, first in ((1, 0), (2, 2)):
        similarity[moment, first:], matched[moment, first:] = EMPTY, 0
    total = torch.tensor([211, 0, 2, 17, 1009])
    counts = torch.stack([torch.bincount(row, minlength=words) for row in named]) * (total > 0)[:, None]
    return Recalled(torch.arange(FOUND).expand(moments, FOUND), named, similarity, matched, counts / FOUND, total)


def part(recalled: Recalled, rows: slice) -> Recalled:
    """Some of the moments."""
    return Recalled(*(getattr(recalled, field.name)[rows] for field in fields(Recalled)))


def every_way(who: Mind) -> dict[str, Prediction]:
    """Predictions with none, one, or both of the memories."""
    phrases = phrase_view(who, CONTEXTS)
    return {
        "brain": predict(who, STATES),
        "phrase": predict(who, STATES, phrases),
        "episode": predict(who, STATES, None, remembered()),
        "all": predict(who, STATES, phrases, remembered()),
    }


@pytest.mark.parametrize("who", ["brain", "phrase", "episode", "all"])
def test_probabilities_and_shares_sum_to_one_with_every_set_of_memories(who: str) -> None:
    found = every_way(MIND)[who]
    torch.testing.assert_close(found.probs.sum(-1), torch.ones(MOMENTS))
    torch.testing.assert_close(found.shares.sum(-1), torch.ones(MOMENTS))
    assert (found.probs >= 0).all() and (found.shares >= 0).all()
    assert found.shares[:, 1].any() == (who in ("phrase", "all"))
    assert found.shares[:, 2].any() == (who in ("episode", "all"))


def test_each_memory_changes_the_prediction() -> None:
    ways = list(every_way(MIND).values())
    for one in range(4):
        for other in range(one):
            assert not torch.allclose(ways[one].probs, ways[other].probs, atol=1e-4)


@torch.no_grad()
def test_the_prediction_is_the_mixture_word_by_word() -> None:
    found, recalled = every_way(MIND)["all"], remembered()
    vectors, resting = MIND.vocabulary.vectors, MIND.vocabulary.resting
    assert MIND.phrases is not None
    for moment in range(MOMENTS):
        brain = word_logits(concept(STATES[moment]), MIND.brain.scale, vectors, resting).detach().softmax(-1)
        counted = torch.from_numpy(MIND.phrases.distribution(CONTEXTS[moment])).float()
        seen = torch.from_numpy(MIND.phrases.features(CONTEXTS[moment]))
        share = torch.sigmoid(MIND.phrase_gate(STATES[moment], seen)).detach()
        base = (1 - share) * brain + share * counted
        one = part(recalled, slice(moment, moment + 1))
        (weights, rest), entropy = MIND.episode_gate.weights(one), -(base * base.log()).sum()[None]
        at_recalled = base[one.words]
        told = gate_features(one, weights, rest, at_recalled, entropy, STATES[moment : moment + 1], vectors)
        believed = float(torch.sigmoid(MIND.episode_gate.share_logit(told))) * (moment != 1)
        expected = (1 - believed) * base + believed * float(rest) * one.background[0]
        for word, weight in zip(one.words[0].tolist(), weights[0].tolist(), strict=True):
            expected[word] += believed * weight
        torch.testing.assert_close(found.probs[moment], expected, atol=1e-5, rtol=1e-4)
        assert found.shares[moment].tolist() == pytest.approx(
            [(1 - believed) * (1 - float(share)), (1 - believed) * float(share), believed], abs=1e-5
        )


def test_a_moment_to_which_nothing_comes_is_as_without_episodes() -> None:
    ways = every_way(MIND)
    assert torch.equal(ways["all"].probs[1], ways["phrase"].probs[1])
    assert float(ways["all"].shares[1, 2]) == 0.0 and ways["all"].weights is not None
    assert ways["all"].weights[1].eq(0).all() and ways["all"].weights[2, 2:].eq(0).all()
    assert ways["all"].episode_probs is not None and ways["all"].episode_probs[1].eq(0).all()
    assert not torch.equal(ways["all"].probs[2], ways["phrase"].probs[2])


def test_an_empty_memory_is_no_memory() -> None:
    keys, words = torch.empty(0, DIM), torch.empty(0, dtype=torch.long)
    suffixes, visible = torch.full((MOMENTS, SUFFIX), -1), torch.zeros(MOMENTS, dtype=torch.long)
    empty = causal_recall(keys, words, suffixes[:0], STATES, suffixes, visible, WORDS)
    found = predict(MIND, STATES, None, empty)
    assert torch.equal(found.probs, predict(MIND, STATES).probs) and found.recalled is None


def test_many_moments_at_once_are_each_alone() -> None:
    together, recalled, phrases = every_way(MIND)["all"], remembered(), phrase_view(MIND, CONTEXTS)
    for moment in range(MOMENTS):
        row = slice(moment, moment + 1)
        alone = predict(MIND, STATES[row], (phrases[0][row], phrases[1][row]), part(recalled, row))
        torch.testing.assert_close(alone.probs[0], together.probs[moment], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(alone.shares[0], together.shares[moment], atol=1e-6, rtol=1e-4)


# ------------------------------------------------------------------------------------------- trust


def trusting(heard: torch.Tensor | None, trust: Trust | None) -> Prediction:
    return predict(MIND, STATES, phrase_view(MIND, CONTEXTS), remembered(), trust, heard)


def test_a_word_never_weighs_in_its_own_prediction_but_in_all_later_ones() -> None:
    heard = remembered().words[:, 0]
    other = torch.cat((heard[:3], heard[3:] % 60 + 5))
    one, two = Trust(rate=0.5), Trust(rate=0.5)
    before, after = trusting(heard, one), trusting(other, two)
    assert torch.equal(before.probs[:4], after.probs[:4]) and not torch.equal(before.probs[4], after.probs[4])
    assert one.level != two.level


def test_all_moments_at_once_trust_as_one_at_a_time() -> None:
    heard, together, alone = remembered().words[:, 0], Trust(rate=0.5), Trust(rate=0.5)
    found, phrases = trusting(heard, together), phrase_view(MIND, CONTEXTS)
    for moment in range(MOMENTS):
        row = slice(moment, moment + 1)
        seen = phrases[0][row], phrases[1][row]
        one = predict(MIND, STATES[row], seen, part(remembered(), row), alone, heard[row])
        torch.testing.assert_close(one.probs[0], found.probs[moment], atol=1e-6, rtol=1e-4)
    assert together.level == pytest.approx(alone.level, abs=1e-6) and alone.level != 0.0


def test_trust_that_hears_nothing_stays_and_without_any_the_gate_is_believed() -> None:
    trust = Trust(level=2.0)
    swayed, plain = trusting(None, trust), trusting(None, None)
    assert trust.level == 2.0 and torch.equal(trusting(None, Trust()).probs, plain.probs)
    logit = torch.logit(plain.shares[[0, 2, 3, 4], 2].double())
    torch.testing.assert_close(swayed.shares[[0, 2, 3, 4], 2], torch.sigmoid(logit + 2.0).float(), atol=1e-4, rtol=1e-3)
    assert float(swayed.shares[1, 2]) == 0.0


# ------------------------------------------------------------------------------------------- credit


@pytest.mark.parametrize("who", ["brain", "phrase", "episode", "all"])
def test_credit_is_the_posterior_of_the_sources_in_a_word(who: str) -> None:
    found = every_way(MIND)[who]
    for moment in range(MOMENTS):
        for word in (1, 4, 17, int(remembered().words[moment, 0])):
            said = found.credit(moment, word)
            assert set(said) == {"brain", "phrase", "episode"} and sum(said.values()) == pytest.approx(1.0)
            brain = float(found.shares[moment, 0] * found.brain_probs[moment, word] / found.probs[moment, word])
            assert said["brain"] == pytest.approx(brain, rel=1e-3, abs=1e-6)


def test_credit_goes_to_the_source_that_alone_expected_the_word() -> None:
    found, recalled = every_way(MIND)["all"], remembered()
    never = next(word for word in range(4, WORDS) if word not in recalled.words[0])
    assert found.credit(0, never)["episode"] == 0.0
    named = int(recalled.words[0, 0])
    said = predict(MIND, STATES, None, recalled)
    assert said.credit(0, named)["episode"] > 0.5 * float(said.shares[0, 2])
    assert every_way(MIND)["brain"].credit(0, named) == {"brain": 1.0, "phrase": 0.0, "episode": 0.0}


# ------------------------------------------------------------------------------------------- removed and new words


def test_a_removed_word_gets_nothing_and_the_rest_still_sums_to_one() -> None:
    who = mind()
    recalled = remembered()
    gone = next(word for word in range(4, WORDS) if word not in recalled.words)
    before = every_way(who)
    assert all(way.probs[:, gone].min() > 0 for way in before.values())
    who.vocabulary.remove(f"w{gone:02d}")
    for name, way in every_way(who).items():
        assert way.probs[:, gone].eq(0).all(), name
        torch.testing.assert_close(way.probs.sum(-1), torch.ones(MOMENTS))
        assert way.credit(0, gone) == {"brain": 0.0, "phrase": 0.0, "episode": 0.0}


def test_a_word_newer_than_the_counts_is_predicted_and_read() -> None:
    who = mind()
    new = who.vocabulary.add("new", torch.randn(DIM, generator=seeded(3)))
    probs, features = phrase_view(who, [[4, 5], [4, new], [4, 0]])
    torch.testing.assert_close(probs.sum(-1), torch.ones(3))
    assert (probs[:, new] > 0).all() and torch.equal(probs[1], probs[2]) and torch.equal(features[1], features[2])
    assert not torch.equal(probs[0], probs[1])
    assert predict(who, STATES[:3], (probs, features)).probs.shape == (3, WORDS + 1)


def test_gradients_stay_out_of_predictions() -> None:
    assert MIND.brain(word_ids(1, 3), MIND.vocabulary.vectors).state.requires_grad
    assert not any(way.probs.requires_grad for way in every_way(MIND).values())
