"""Reading whole texts at once: the same as word by word, in any chunks, and blind to what is still to come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import DIM, LOOPS, WORDS, few, mind, seeded, some_texts

from engram_model import reading
from engram_model.brain import concept
from engram_model.config import GenerationConfig
from engram_model.corpus import WordIds
from engram_model.episodes import EpisodicMemory
from engram_model.generation import PHRASE_REACH, Reader
from engram_model.mind import phrase_view, predict
from engram_model.reading import Reading, contexts_of, predictions, read, target_log_probs
from engram_model.recall import SUFFIX, Trust, recall_one
from engram_model.text import END_ID

MIND = mind()
TEXTS = some_texts()
LONG = some_texts((67,))[0]


def remember(memory: EpisodicMemory, found: Reading, row: int) -> None:
    """Keep one moment of a reading."""
    context = [word for word in reversed(found.suffixes[row].tolist()) if word >= 0]
    word = int(found.targets[row])
    memory.add(
        key=concept(found.states[row]), next_word=MIND.vocabulary.decode([word])[0], next_id=word,
        context=MIND.vocabulary.decode(context), context_ids=context, surprise=5.0, conversation="toy",
    )  # fmt: skip


def episodes() -> EpisodicMemory:
    memory, found = EpisodicMemory(DIM), read(MIND, some_texts((43,), seed=9))
    for row in range(len(found)):
        remember(memory, found, row)
    return memory


# ------------------------------------------------------------------------------------------- states


@pytest.mark.parametrize("loops", [None, 1, LOOPS])
@pytest.mark.parametrize("ngram", [True, False])
@torch.no_grad()
def test_a_reading_holds_what_the_brain_thinks_of_each_text_alone_in_order(loops: int | None, ngram: bool) -> None:
    found, start = read(MIND, TEXTS, loops=loops, ngram=ngram), 0
    assert len(found) == sum(map(len, TEXTS)) and len(found.loops.unique()) == (1 if loops else LOOPS)
    for text in TEXTS:
        rows = slice(start, start := start + len(text))
        ids = torch.tensor([[END_ID, *text[:-1].tolist()]])
        out = MIND.brain(ids, MIND.vocabulary.vectors, loops=loops, ngram=ngram)
        assert found.targets[rows].tolist() == text.tolist()
        torch.testing.assert_close(found.states[rows], out.state[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(found.gate[rows], out.gate[0], atol=1e-5, rtol=1e-5)
        assert torch.equal(found.loops[rows], out.loops[0])
        for column, gain in enumerate(out.gains[: found.gains.shape[1]]):
            torch.testing.assert_close(found.gains[rows, column], gain[0], atol=1e-5, rtol=1e-4)


def test_every_loop_is_kept_where_asked_for() -> None:
    found = read(MIND, TEXTS, loops=LOOPS, every_loop=True)
    assert found.every_state is not None and read(MIND, TEXTS).every_state is None
    for loop in range(LOOPS):
        torch.testing.assert_close(found.every_state[loop], read(MIND, TEXTS, loops=loop + 1).states)


@few
@given(st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=13), min_size=1, max_size=3))
def test_contexts_are_a_naive_loop(texts: list[list[int]]) -> None:
    contexts, suffixes = contexts_of(texts)
    row = 0
    for text in texts:
        for end in range(len(text)):
            assert contexts[row] == text[:end][-PHRASE_REACH:]
            assert suffixes[row].tolist() == [text[end - back] if end >= back else -1 for back in range(1, SUFFIX + 1)]
            row += 1
    assert row == len(contexts)


# ------------------------------------------------------------------------------------------- against word by word


@pytest.mark.parametrize("config", [{}, {"loops": 1}, {"ngram": False}], ids=str)
@pytest.mark.parametrize("remembers", [False, True])
def test_a_text_read_at_once_is_predicted_as_word_by_word(config: dict[str, bool], remembers: bool) -> None:
    memory, switches = episodes() if remembers else None, GenerationConfig(**config)
    found = read(MIND, [LONG], loops=switches.loops, ngram=switches.ngram)
    reader = Reader(MIND, memory, switches)
    one_by_one = [thought.surprise for thought in reader.hear(LONG.tolist())]
    log_probs = target_log_probs(MIND, found, ngram=switches.ngram, memory=memory)
    assert (-log_probs).tolist() == pytest.approx(one_by_one, abs=1e-3)
    if remembers:
        assert not torch.allclose(log_probs, target_log_probs(MIND, found, ngram=switches.ngram), atol=0.01)


def test_a_text_longer_than_a_row_is_read_as_word_by_word() -> None:
    who, text = mind(context_size=293, ngram_table_size=499), some_texts((2_003,))[0]
    found = read(who, [text])
    reader = Reader(who, None, GenerationConfig())
    states = []
    for part in np.array_split(text[:-1], 11):
        reader.read(part.tolist())
        states.append(reader._output.state[0])
    torch.testing.assert_close(found.states[1:], torch.cat(states), atol=1e-4, rtol=1e-4)


# ------------------------------------------------------------------------------------------- chunks and moments


def all_probs(found: Reading, kept: torch.Tensor | None = None, memory: EpisodicMemory | None = None) -> torch.Tensor:
    return torch.cat([p.probs for _, p in predictions(MIND, found, memory=memory, remember=kept)])


def some_remembered(count: int) -> torch.Tensor:
    return torch.rand(count, generator=seeded(1)) < 0.4


@pytest.mark.parametrize("way", ["nothing", "memory", "all", "some"])
def test_predictions_do_not_depend_on_the_chunks(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(MIND, [LONG])
    masks = {"all": torch.ones(len(found), dtype=torch.bool), "some": some_remembered(len(found))}
    memory = episodes() if way == "memory" else None
    whole = all_probs(found, masks.get(way), memory)
    for chunk in (1, 7, len(found) - 1):
        monkeypatch.setattr(reading, "CHUNK", chunk)
        torch.testing.assert_close(all_probs(found, masks.get(way), memory), whole, atol=1e-6, rtol=1e-4)
    if way != "nothing":
        assert not torch.allclose(all_probs(found), whole, atol=1e-3)


@pytest.mark.parametrize("texts", [[LONG], TEXTS], ids=["one text", "texts that begin alike"])
def test_remembering_while_reading_is_remembering_one_moment_after_the_other(texts: list[np.ndarray]) -> None:
    found = read(MIND, texts)
    kept, memory, trust = some_remembered(len(found)), EpisodicMemory(DIM), Trust()
    together = all_probs(found, kept)
    for row in range(len(found)):
        here = slice(row, row + 1)
        recalled = None
        if len(memory):
            recalled = recall_one([memory], concept(found.states[row]), found.suffixes[row].tolist(), WORDS)
        view = phrase_view(MIND, found.contexts[here])
        alone = predict(MIND, found.states[here], view, recalled, trust, found.targets[here]).probs
        torch.testing.assert_close(alone[0], together[row], atol=1e-6, rtol=1e-4)
        if kept[row]:
            remember(memory, found, row)


def test_remembering_nothing_is_no_memory() -> None:
    found = read(MIND, TEXTS)
    assert torch.equal(all_probs(found, torch.zeros(len(found), dtype=torch.bool)), all_probs(found))
    empty = all_probs(found, memory=EpisodicMemory(DIM))
    assert torch.equal(empty, all_probs(found))


def test_log_probabilities_are_those_of_the_words_that_came() -> None:
    found = read(MIND, TEXTS)
    probs = all_probs(found)
    torch.testing.assert_close(probs.sum(1), torch.ones(len(found)))
    expected = probs[torch.arange(len(found)), found.targets].double().log()
    torch.testing.assert_close(target_log_probs(MIND, found), expected)


# ------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("changed", [1, 30, 66])
def test_what_comes_later_never_weighs_in_however_much_is_remembered(changed: int) -> None:
    def log_probs(text: Sequence[int] | WordIds) -> list[torch.Tensor]:
        found = read(MIND, [text])
        masks = [None, torch.ones(len(found), dtype=torch.bool), some_remembered(len(found))]
        return [target_log_probs(MIND, found, remember=mask) for mask in masks]

    other = [*LONG[:changed].tolist(), *((LONG[changed:] + 13) % 60 + 5).tolist()]
    for before, after in zip(log_probs(LONG), log_probs(other), strict=True):
        assert torch.equal(before[:changed], after[:changed])
        assert not torch.isclose(before[changed:], after[changed:]).any()


def test_a_moment_does_not_remember_itself_but_the_next_one_does() -> None:
    found = read(MIND, [np.array([9, 9])])
    both = torch.ones(2, dtype=torch.bool)
    with_memory, without = all_probs(found, both), all_probs(found)
    assert torch.equal(with_memory[0], without[0]) and with_memory[1, 9] > without[1, 9]
