"""The one sampler: its cache against reading anew, its draws against the distribution, and the reasons it gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from engram_model.brain import concept
from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.episodes import EpisodicMemory
from engram_model.generation import SPEAKERS, Reader, Thought, draw, speak
from engram_model.head import word_logits
from engram_model.mind import Mind, Prediction, phrase_view, predict
from engram_model.recall import recall_one
from engram_model.text import BOT_ID, END_ID, UNK_ID, USER_ID

NEVER_SPOKEN = (UNK_ID, USER_ID, BOT_ID)
WINDOWS = 3
CLOSE = 1e-5


@pytest.fixture(scope="module")
def engram(tiny_brain_dir: Path) -> Engram:
    """The tiny brain, its store closed again."""
    found = Engram.load(tiny_brain_dir)
    found.close()
    return found


@pytest.fixture(scope="module")
def words(engram: Engram) -> list[int]:
    """More words than three windows hold: exchanges as the brain knows them, and words at random."""
    told = "<USER> my name is ada . <BOT> hello ada . <END> <USER> what is my name ? <BOT> your name is ada . <END>"
    known = engram.vocabulary.encode(told.split()).tolist()
    window = engram.mind.brain.config.context_size
    noise = torch.randint(4, len(engram.vocabulary), (WINDOWS * window,), generator=torch.Generator().manual_seed(2))
    return [*known, *noise.tolist(), *known]


@pytest.fixture(scope="module")
def memory(engram: Engram, words: list[int]) -> EpisodicMemory:
    """What was heard in the first 19 of those words, each of them an episode."""
    found = EpisodicMemory(engram.vocabulary.dim)
    reader = Reader(engram.mind, None, GenerationConfig())
    for place, thought in enumerate(reader.hear(words[:19])):
        context = words[:place]
        found.add(
            key=thought.key,
            next_word=thought.word,
            next_id=words[place],
            context=engram.vocabulary.decode(context),
            context_ids=context,
            surprise=thought.surprise,
            conversation="before",
        )
    return found


@pytest.fixture(scope="module")
def thoughts(engram: Engram, memory: EpisodicMemory, words: list[int]) -> list[Thought]:
    """What is thought of each of the words with all memories on."""
    return Reader(engram.mind, memory, GenerationConfig()).hear(words)


def recomputed(mind: Mind, memory: EpisodicMemory | None, config: GenerationConfig, ids: Sequence[int]) -> Prediction:
    """The prediction after some words by one forward pass over all of them, without any cache."""
    output = mind.brain(torch.tensor([[END_ID, *ids]]), mind.vocabulary.vectors, loops=config.loops, ngram=config.ngram)
    state = output.state[:, -1].detach()
    suffix = [*ids[::-1][:4], *[-1] * (4 - len(ids))]
    recalled = recall_one([memory], concept(state)[0], suffix, len(mind.vocabulary)) if memory else None
    return predict(mind, state, phrase_view(mind, [ids]) if config.ngram else None, recalled)


@pytest.mark.parametrize(("loops", "ngram"), [(None, True), (None, False), (1, True), (2, True)])
def test_the_cache_gives_what_reading_anew_gives(
    engram: Engram, memory: EpisodicMemory, words: list[int], loops: int | None, ngram: bool
) -> None:
    config = GenerationConfig(loops=loops, ngram=ngram)
    window = engram.mind.brain.config.context_size
    assert len(words) > WINDOWS * window
    step_by_step = Reader(engram.mind, memory, config)
    for place, word in enumerate(words, 1):
        step_by_step.advance(word)
        if place % 13 == 1 or place in (window - 1, window, window + 1, len(words)):
            at_once = Reader(engram.mind, memory, config)
            at_once.read(words[:place])
            anew = recomputed(engram.mind, memory, config, words[:place])
            torch.testing.assert_close(step_by_step.predict().probs, anew.probs, atol=CLOSE, rtol=0)
            torch.testing.assert_close(at_once.predict().probs, anew.probs, atol=CLOSE, rtol=0)
            assert at_once.ids == step_by_step.ids == words[:place]


def test_more_words_than_a_window_are_looked_back_on(engram: Engram, words: list[int]) -> None:
    """A positive control for the test above: what lies a window back matters, through the layers between."""
    window = engram.mind.brain.config.context_size
    config = GenerationConfig(ngram=False)
    other = [words[0] + 1, *words[1:]]
    first, second = (recomputed(engram.mind, None, config, ids[: window + 2]).probs for ids in (words, other))
    assert (first - second).abs().max() > 1e-7


def test_the_cache_draws_the_words_that_reading_anew_draws(
    engram: Engram, memory: EpisodicMemory, words: list[int]
) -> None:
    config = GenerationConfig(temperature=1.3, top_k=0, max_words=29)
    for seed in range(2):
        reader = Reader(engram.mind, memory, config)
        reader.read(words)
        drawn = [thought.word for thought in speak(reader, config, torch.Generator().manual_seed(seed))]
        generator, ids = torch.Generator().manual_seed(seed), list(words)
        for _ in range(config.max_words):
            ids.append(draw(recomputed(engram.mind, memory, config, ids).probs[0], config, generator))
            if ids[-1] == END_ID:
                break
        said = [word for word in ids[len(words) :] if word != END_ID]
        assert drawn == engram.vocabulary.decode(said)
        assert reader.ids == ids


def spoken(engram: Engram, seed: int) -> list[str]:
    config = GenerationConfig(temperature=1.5, top_k=0, max_words=11, seed=seed)
    return [thought.word for text in ("hello", "my name is ada") for thought in _answer(engram, text, config)]


def _answer(engram: Engram, text: str, config: GenerationConfig) -> list:
    return list(engram.chat(config, remember=False).stream(text))


def test_the_same_seed_gives_the_same_words_and_another_gives_others(engram: Engram) -> None:
    assert spoken(engram, 5) == spoken(engram, 5)
    assert len({tuple(spoken(engram, seed)) for seed in range(3)}) > 1


# ------------------------------------------------------------------------------------------------- drawing


@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 5e-324])
def test_the_greedy_limit_is_the_argmax_of_the_training_logits(
    engram: Engram, words: list[int], temperature: float
) -> None:
    mind, config = engram.mind, GenerationConfig(temperature=temperature, ngram=False, episodes=False)
    states = mind.brain(torch.tensor([[END_ID, *words]]), mind.vocabulary.vectors, ngram=False).state[0]
    logits = word_logits(concept(states), mind.brain.scale, mind.vocabulary.vectors, mind.vocabulary.resting)
    logits[:, list(NEVER_SPOKEN)] = -math.inf
    reader, generator = Reader(mind, None, config), torch.Generator().manual_seed(0)
    for place, word in enumerate(words):
        assert draw(reader.predict().probs[0], config, generator) == int(logits[place].argmax())
        reader.advance(word)


def distribution(words: int, seed: int) -> Tensor:
    return (2.0 * torch.randn(words, generator=torch.Generator().manual_seed(seed))).softmax(0)


@pytest.mark.parametrize(("temperature", "top_k", "draws"), [(0.7, 5, 20_000), (1.9, 0, 5_000)])
def test_draws_follow_the_softmax_of_log_p_over_temperature(temperature: float, top_k: int, draws: int) -> None:
    probs = distribution(13, seed=3)
    allowed = probs.clone()
    allowed[list(NEVER_SPOKEN)] = 0.0
    kept = allowed.topk(top_k or 10)
    expected = torch.zeros(13).scatter(0, kept.indices, (kept.values.log() / temperature).softmax(0))
    config, generator = GenerationConfig(temperature=temperature, top_k=top_k), torch.Generator().manual_seed(11)
    counts = torch.bincount(torch.tensor([draw(probs, config, generator) for _ in range(draws)]), minlength=13)
    drawn = expected > 0
    assert counts[~drawn].sum() == 0
    chi_square = ((counts[drawn] - draws * expected[drawn]) ** 2 / (draws * expected[drawn])).sum()
    assert chi_square < 33.7  # the 99.99 % quantile for 9 degrees of freedom, and more than that for fewer
    other = draws * distribution(13, seed=4)[drawn]
    assert ((counts[drawn] - other) ** 2 / other).sum() > 500  # another distribution would be noticed


@given(st.integers(0, 2**31), st.floats(1e-3, 100.0), st.integers(0, 20))
@settings(max_examples=50, deadline=None)
def test_only_the_best_words_are_drawn_and_never_a_marker(seed: int, temperature: float, top_k: int) -> None:
    probs = distribution(17, seed)
    probs[list(NEVER_SPOKEN)] += 1.0  # they would be drawn nearly always
    config = GenerationConfig(temperature=temperature, top_k=top_k)
    word = draw(probs / probs.sum(), config, torch.Generator().manual_seed(seed))
    assert word not in NEVER_SPOKEN
    better = int((probs[4:] > probs[word]).sum() + (probs[END_ID] > probs[word]))
    assert better < (top_k or 14)


def test_words_without_probability_are_never_drawn_however_hot() -> None:
    probs = torch.zeros(19)
    probs[[6, 11]] = torch.tensor([1.0 - 1e-6, 1e-6])
    config, generator = GenerationConfig(temperature=math.inf, top_k=0), torch.Generator().manual_seed(0)
    assert {draw(probs, config, generator) for _ in range(100)} == {6, 11}


def test_an_answer_ends_at_the_end_token_which_is_taken_in_but_not_said(engram: Engram) -> None:
    config = GenerationConfig(temperature=0.2)
    reader = Reader(engram.mind, None, config)
    reader.read(engram.vocabulary.encode(["<USER>", "hello", "!", "<BOT>"]).tolist())
    words = [thought.word for thought in speak(reader, config, torch.Generator().manual_seed(0))]
    assert 0 < len(words) < config.max_words
    assert "<END>" not in words
    assert reader.ids[-1] == END_ID


# ------------------------------------------------------------------------------------------------- reasons


def test_what_is_reported_is_what_was_drawn_from(engram: Engram, memory: EpisodicMemory, words: list[int]) -> None:
    config = GenerationConfig(temperature=1.2, top_k=0, max_words=31)
    reader, generator = Reader(engram.mind, memory, config), torch.Generator().manual_seed(7)
    reader.read(words)
    before, thoughts = list(words), list(speak(reader, config, generator))
    assert thoughts
    for thought in thoughts:
        prediction = recomputed(engram.mind, memory, config, before)
        word_id = engram.vocabulary.id_of(thought.word)
        best = prediction.probs[0].topk(5)
        assert thought.probability == pytest.approx(float(prediction.probs[0, word_id]), abs=CLOSE)
        assert thought.surprise == pytest.approx(-math.log(thought.probability))
        assert [p for _, p in thought.candidates] == pytest.approx(best.values.tolist(), abs=CLOSE)
        assert [p for _, p in thought.candidates] == sorted((p for _, p in thought.candidates), reverse=True)
        shares = dict(zip(SPEAKERS, [*prediction.shares[0].tolist(), 0.0], strict=True))
        assert thought.shares == pytest.approx(shares, abs=1e-4)
        before.append(word_id)


def test_shares_and_credit_sum_to_one(engram: Engram, thoughts: list[Thought]) -> None:
    for thought in thoughts:
        assert sum(thought.shares.values()) == pytest.approx(1.0, abs=1e-5)
        assert sum(thought.credit.values()) == pytest.approx(1.0, abs=1e-5)
        assert thought.credit[thought.spoken_by] == max(thought.credit.values())
        assert 0.0 <= thought.gate <= 1.0
        assert 1 <= thought.loops <= engram.mind.brain.config.max_ponder
        assert float(thought.key.norm()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("off", "silent"), [({"ngram": False}, "phrase"), ({"episodes": False}, "episode"), ({}, "nobody")]
)
def test_a_memory_that_is_off_has_no_share(
    engram: Engram, memory: EpisodicMemory, words: list[int], off: dict[str, bool], silent: str
) -> None:
    thoughts = Reader(engram.mind, memory, replace(GenerationConfig(), **off)).hear(words[:23])
    for source in ("brain", "phrase", "episode"):
        largest = max(thought.shares[source] for thought in thoughts)
        assert largest == 0.0 if source == silent else largest > 1e-3
    assert any(thought.recalled for thought in thoughts) == (silent != "episode")
    assert any(thought.gate > 0.0 for thought in thoughts) == (silent != "phrase")


def test_words_of_lessons_are_credited_to_lessons(engram: Engram, memory: EpisodicMemory, words: list[int]) -> None:
    for own in (None, memory):
        reader = Reader(engram.mind, own, GenerationConfig())
        reader.read(words[:7])
        reader.learn_again(words[11:29])
        assert reader.lessons is not None
        count = len(own) if own is not None else 0
        for word in words[7:17]:
            found = reader.predict()
            whole, thought = found.credit(0, word), reader.think(word, found)
            assert sum(thought.shares.values()) == pytest.approx(1.0, abs=1e-5)
            assert thought.credit["episode"] + thought.credit["lesson"] == pytest.approx(whole["episode"], abs=1e-6)
            assert thought.remembered_share == pytest.approx(float(found.shares[0, 2]), abs=1e-6)
            assert found.recalled is not None and found.weights is not None
            recalled, rest = found.recalled, 1.0 - float(found.weights.sum())
            moments = list(zip(recalled.rows[0].tolist(), recalled.words[0].tolist(), found.weights[0], strict=True))
            said = {True: 0.0, False: 0.0}
            for row, named, weight in moments:
                said[row >= count] += float(weight) * (named == word)
            for lesson, kept in ((True, reader.lessons), (False, own)):
                ids = kept.next_ids.tolist() if kept is not None else []
                said[lesson] += rest * ids.count(word) / int(recalled.total)
            expected = whole["episode"] * said[True] / max(sum(said.values()), 1e-30)
            assert thought.credit["lesson"] == pytest.approx(expected, abs=1e-5)
            assert (thought.shares["episode"] > 0.0) == (own is not None) and thought.shares["lesson"] > 0.0
            reader.advance(word)


def test_a_fixed_number_of_loops_is_kept(engram: Engram, words: list[int]) -> None:
    for loops in (1, 2, 3):
        thoughts = Reader(engram.mind, None, GenerationConfig(loops=loops)).hear(words[:11])
        assert {thought.loops for thought in thoughts} == {loops}


def test_recalled_episodes_are_named_as_they_were_stored(memory: EpisodicMemory, thoughts: list[Thought]) -> None:
    stored = {episode.id: episode.next_word for episode in memory.episodes}
    assert any(episode.matched >= 2 for thought in thoughts for episode in thought.recalled)
    for thought in thoughts:
        for episode in thought.recalled:
            assert stored[episode.id] == episode.word
            assert 0.0 <= episode.weight <= 1.0 + 1e-6
            assert episode.similarity <= 1.0 + 1e-5
        weights = [episode.weight for episode in thought.recalled]
        assert weights == sorted(weights, reverse=True)


def test_a_word_newer_than_the_counts_is_read_as_unknown_by_the_phrases(engram: Engram, words: list[int]) -> None:
    assert engram.mind.phrases is not None
    newer = len(engram.vocabulary)
    with_newer, with_unknown = (phrase_view(engram.mind, [[*words[:3], word]]) for word in (newer, UNK_ID))
    known, _ = phrase_view(engram.mind, [words[:4]])
    torch.testing.assert_close(with_newer, with_unknown, atol=0, rtol=0)
    assert (with_newer[0] - known).abs().max() > 1e-3
