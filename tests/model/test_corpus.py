"""Texts as one stream: every word once an epoch, never across texts, every place of a whole text exactly once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import few, seeded, some_texts

from engram_model.attention import causal_mask
from engram_model.corpus import Batch, Corpus
from engram_model.text import END_ID

lengths = st.lists(st.integers(1, 40), min_size=1, max_size=9)


def numbered(sizes: list[int]) -> Corpus:
    """A corpus whose words are numbered through, from 100 on, so that each word tells its place in the stream."""
    starts = np.concatenate(([0], np.cumsum(sizes))) + 100
    return Corpus([np.arange(start, start + size) for start, size in zip(starts, sizes, strict=False)])


def epoch(corpus: Corpus, rows: int, time: int, seed: int = 0) -> list[Batch]:
    return list(corpus.shuffled(seeded(seed), rows, time))


def seen(batch: Batch, window: int = 1_000) -> torch.Tensor:
    return causal_mask(batch.segments, window)[:, 0]


# ------------------------------------------------------------------------------------------- the stream


def test_each_text_is_read_from_an_end_before_it_to_the_word_before_its_last() -> None:
    texts = some_texts()
    corpus = Corpus(texts)
    assert len(corpus) == sum(map(len, texts))
    assert corpus.targets.tolist() == [word for text in texts for word in text]
    assert corpus.inputs.tolist() == [word for text in texts for word in (END_ID, *text[:-1])]


# ------------------------------------------------------------------------------------------- one epoch


@few
@given(lengths, st.integers(1, 3), st.integers(2, 11), st.integers(0, 99))
def test_an_epoch_of_full_batches_says_every_word_once(sizes: list[int], rows: int, time: int, seed: int) -> None:
    sizes.append(rows * time - sum(sizes) % (rows * time))
    batches = epoch(numbered(sizes), rows, time, seed)
    assert all(batch.inputs.shape == (rows, time) for batch in batches)
    places = torch.cat([batch.targets.flatten() for batch in batches]) - 100
    assert places.sort().values.tolist() == list(range(sum(sizes)))


def test_what_does_not_fill_a_batch_is_left_out_and_another_part_each_epoch() -> None:
    corpus, generator = numbered([13, 29, 7, 2, 31]), seeded()
    epochs = [list(corpus.shuffled(generator, 3, 7)) for _ in range(40)]
    said = [{word for batch in batches for word in batch.targets.flatten().tolist()} for batches in epochs]
    assert {len(words) for words in said} == {len(corpus) // 21 * 21}
    assert set.union(*said) == set(range(100, 100 + len(corpus))) and len({tuple(sorted(s)) for s in said}) > 5


@few
@given(lengths, st.integers(1, 3), st.integers(2, 50), st.integers(0, 99))
def test_a_word_sees_only_its_own_text_and_only_once(sizes: list[int], rows: int, time: int, seed: int) -> None:
    """Also where a text is so short that a row holds it several times."""
    for batch in epoch(numbered(sizes), rows, time, seed):
        mask = seen(batch)
        distance = torch.arange(time)[:, None] - torch.arange(time)
        assert (batch.targets[:, :, None] - batch.targets[:, None, :] == distance)[mask].all()
        assert mask.diagonal(dim1=1, dim2=2).all()


@few
@given(lengths, st.integers(2, 11))
def test_inputs_are_the_targets_one_word_earlier(sizes: list[int], time: int) -> None:
    first = set(np.cumsum([100, *sizes]).tolist())
    for batch in epoch(numbered(sizes), 2, time):
        before = torch.where(torch.isin(batch.targets, torch.tensor(sorted(first))), END_ID, batch.targets - 1)
        assert torch.equal(batch.inputs, before)


def test_words_of_one_text_do_see_each_other() -> None:
    batch = epoch(numbered([70]), 2, 35)[0]
    assert seen(batch).sum() > 35 * 36 / 2  # at most one of the two rows holds the end of the text and its start


def test_the_same_seed_gives_the_same_epoch_and_another_epoch_another_order() -> None:
    corpus, generator = numbered([13, 29, 7, 2, 19]), seeded(5)
    first, second = (list(corpus.shuffled(generator, 2, 7)) for _ in range(2))
    assert all(torch.equal(a.targets, b.targets) for a, b in zip(first, epoch(corpus, 2, 7, 5), strict=True))
    assert not all(torch.equal(a.targets, b.targets) for a, b in zip(first, second, strict=True))


def test_a_corpus_smaller_than_a_batch_still_fills_one() -> None:
    (batch,) = epoch(numbered([3, 2]), 3, 7)
    assert batch.inputs.shape == (3, 7) and batch.targets.unique().tolist() == [100, 101, 102, 103, 104]


# ------------------------------------------------------------------------------------------- whole texts


@few
@given(lengths, st.integers(2, 17), st.data(), st.integers(1, 60))
def test_whole_texts_say_every_place_exactly_once(sizes: list[int], most: int, data: st.DataObject, words: int) -> None:
    overlap = data.draw(st.integers(0, most - 1))
    corpus, found = numbered(sizes), []
    for batch, places in corpus.whole_texts(most, overlap, words):
        real = places >= 0
        assert torch.equal(batch.targets[real] - 100, places[real])
        assert batch.inputs.shape[1] <= most and (batch.inputs.numel() <= words or len(batch.inputs) == 1)
        found.extend(places[real].tolist())
    assert sorted(found) == list(range(sum(sizes)))


@few
@given(lengths, st.integers(2, 17), st.data())
def test_every_word_of_a_cut_text_has_its_context(sizes: list[int], most: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, most - 1))
    corpus = numbered(sizes)
    starts = np.repeat(np.cumsum([0, *sizes])[:-1], sizes)
    for batch, places in corpus.whole_texts(most, overlap, 37):
        context = seen(batch).sum(-1)
        for row, time in (places >= 0).nonzero().tolist():
            place = int(places[row, time])
            assert int(context[row, time]) >= min(overlap, place - int(starts[place])) + 1
            earlier = batch.targets[row, time - int(context[row, time]) + 1 : time + 1] - 100
            assert earlier.tolist() == list(range(place - len(earlier) + 1, place + 1))


def test_padding_is_seen_by_no_word() -> None:
    batch, places = next(numbered([11, 5, 3]).whole_texts(13, 3, 100))
    padding = places < 0
    assert padding.sum() == 33 - 19
    for row in range(3):
        real = ~padding[row]
        assert not seen(batch)[row][real][:, padding[row]].any()


def test_long_and_short_texts_share_no_batch() -> None:
    sizes = [len(batch.inputs) for batch, _ in numbered([31, 2, 2, 2, 29]).whole_texts(37, 5, 62)]
    assert sizes == [2, 3]


@pytest.mark.parametrize("rows", [slice(0, 1), slice(1, 3)])
def test_rows_of_a_batch_stay_together(rows: slice) -> None:
    batch = epoch(numbered([13, 29]), 3, 7)[0]
    some = batch.rows(rows)
    for name in ("inputs", "targets", "segments"):
        assert torch.equal(getattr(some, name), getattr(batch, name)[rows])
