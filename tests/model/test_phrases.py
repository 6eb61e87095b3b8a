"""Counted phrases: against a textbook with dicts and by their algebra."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engram_model.errors import BrainError, ConfigError, TextError
from engram_model.phrases import PhraseCounts
from engram_model.smoothing import WORD_BITS, WORD_MASK, estimate_discounts, join_keys
from engram_model.text import END_ID

VOCAB = 7
Gram = tuple[int, ...]


class Textbook:
    """Modified Kneser-Ney with dicts: raw counts of n-grams, everything else counted again when asked."""

    def __init__(self, texts: Sequence[Sequence[int]], vocab_size: int, order: int) -> None:
        self.vocab_size, self.order = vocab_size, order
        self.raw: Counter[Gram] = Counter()
        for text in texts:
            for place in range(len(text)):
                self.raw.update(self.ending_at(text, place))
        self.recount()
        self.discounts = [self.estimate(n) for n in range(1, order + 1)]

    def ending_at(self, text: Sequence[int], place: int) -> list[Gram]:
        """All n-grams that end with the word at a place; the boundary may begin one but not end it."""
        line = (END_ID, *text)
        return [line[start : place + 2] for start in range(max(0, place + 2 - self.order), place + 2)]

    def recount(self) -> None:
        """Raw counts for the longest n-grams and those from the boundary; left neighbours for all others."""
        self.counts: dict[Gram, int] = {}
        for gram in self.raw:
            if len(gram) == self.order or (len(gram) > 1 and gram[0] == END_ID):
                self.counts[gram] = self.raw[gram]
            else:
                self.counts[gram] = sum(n > 0 and longer[1:] == gram for longer, n in self.raw.items())

    def estimate(self, n: int) -> list[float]:
        """0, D1, D2, D3+ of the n-grams."""
        kinds = Counter(count for gram, count in self.counts.items() if len(gram) == n)
        found = [0.0]
        for c in (1, 2, 3):
            d = c / 2
            if kinds[c] and kinds[1]:
                d = c - (c + 1) * kinds[1] / (kinds[1] + 2 * kinds[2]) * kinds[c + 1] / kinds[c]
            found.append(d if 0 < d < c else c / 2)
        return found

    def followers(self, context: Gram) -> list[Gram]:
        """The n-grams that go on from a context."""
        return [gram for gram, n in self.counts.items() if n and gram[:-1] == context]

    def prob(self, word: int, context: Gram) -> float:
        """p(word | context), the recursion of the paper."""
        lower = 1 / self.vocab_size if not context else self.prob(word, context[1:])
        discounts = self.discounts[len(context)]
        grams = self.followers(context)
        total = sum(self.counts[gram] for gram in grams)
        if total == 0:
            return lower
        count = self.counts.get((*context, word), 0)
        freed = sum(discounts[min(self.counts[gram], 3)] for gram in grams)
        return (count - discounts[min(count, 3)] + freed * lower) / total

    def score(self, text: Sequence[int], place: int) -> tuple[float, list[float]]:
        """Probability and features of the word at a place."""
        longest = self.ending_at(text, place)[0]
        features = []
        for size in range(1, self.order):
            context = longest[-size - 1 : -1] if size < len(longest) else None
            seen = [n for gram, n in self.raw.items() if n and gram[:-1] == context]
            features += [np.log1p(sum(seen)), np.log1p(len(seen))]
        return self.prob(text[place], longest[:-1]), features


def arrays(texts: Sequence[Sequence[int]]) -> list[np.ndarray]:
    return [np.array(text, dtype=np.int64) for text in texts]


words = st.lists(st.integers(0, VOCAB - 1), max_size=11)
texts_of_words = st.lists(words.map(lambda text: [*text, END_ID]), min_size=1, max_size=5)
orders = st.integers(2, 5)


@settings(deadline=None, max_examples=40)
@given(texts=texts_of_words, new=words, order=orders)
def test_scores_are_those_of_the_textbook(texts: list[list[int]], new: list[int], order: int) -> None:
    """Seen and new texts alike, <END> within a text, words never seen, texts shorter than the order."""
    counts, book = PhraseCounts.fit(arrays(texts), VOCAB, order), Textbook(texts, VOCAB, order)
    for text in [*texts, [*new, END_ID]]:
        scores = counts.score(np.array(text))
        slow = [book.score(text, place) for place in range(len(text))]
        np.testing.assert_allclose(scores.probs, [prob for prob, _ in slow], rtol=0, atol=1e-12)
        np.testing.assert_allclose(scores.features, [features for _, features in slow], rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(first=texts_of_words, second=texts_of_words, order=orders)
def test_merged_counts_are_those_of_all_texts(first: list[list[int]], second: list[list[int]], order: int) -> None:
    """Merging two counts gives, bit for bit, the state of counting all texts together."""
    parts = [PhraseCounts.fit(arrays(texts), VOCAB, order) for texts in (first, second)]
    whole = PhraseCounts.fit(arrays([*first, *second]), VOCAB, order).tensors()
    merged = parts[0].merged(parts[1]).tensors()
    assert all(torch.equal(tensor, merged[name]) for name, tensor in whole.items())


@settings(deadline=None, max_examples=40)
@given(texts=texts_of_words, new=words, order=orders, added=st.sampled_from([0, 5]))
def test_distributions_sum_to_one_and_hold_the_scores(
    texts: list[list[int]], new: list[int], order: int, added: int
) -> None:
    """Every word has a chance, those added later too; score, distribution and features agree."""
    counts, size = PhraseCounts.fit(arrays(texts), VOCAB, order), VOCAB + added
    text = np.array([*new, size - 1, END_ID])
    scores = counts.score(text, size)
    for place, word in enumerate(text):
        probs = counts.distribution(text[:place], size)
        assert probs.shape == (size,) and probs.min() > 0
        assert abs(probs.sum() - 1) < 1e-12
        assert abs(probs[word] - scores.probs[place]) < 1e-12
        np.testing.assert_array_equal(counts.features(text[:place]), scores.features[place])


def test_a_bigram_by_hand() -> None:
    """Texts "a b" and "a c": p(b | a) from the formula, all discounts at their stand-ins 0.5, 1, 1.5."""
    a, b, c = 4, 5, 6
    counts = PhraseCounts.fit(arrays([[a, b, END_ID], [a, c, END_ID]]), VOCAB, order=2)
    # Words follow different words: a 1 (only the boundary), b 1, c 1, <END> 2; n_1 = 3, n_2 = 1, Y = 3/5.
    d1, d2 = 1 - 2 * 3 / 5 / 3, 1.0
    lower = (1 - d1 + (3 * d1 + d2) / VOCAB) / 5
    # Pairs: <END> a 2, the others 1; n_1 = 4, n_2 = 1, Y = 2/3. Two words follow a, once each.
    e1 = 1 - 2 * 2 / 3 / 4
    assert counts.distribution([a])[b] == pytest.approx((1 - e1 + 2 * e1 * lower) / 2, abs=1e-15)


def test_discounts_by_hand() -> None:
    """n_1..n_4 = 20, 8, 5, 3 give Y = 5/9 and D_c = c - (c + 1) Y n_{c+1} / n_c."""
    counts = np.repeat([1, 2, 3, 4, 9], [20, 8, 5, 3, 2])
    expected = [0, 1 - 2 * 5 / 9 * 8 / 20, 2 - 3 * 5 / 9 * 5 / 8, 3 - 4 * 5 / 9 * 3 / 5]
    np.testing.assert_allclose(estimate_discounts(counts), expected, atol=1e-15)


@given(st.lists(st.integers(0, 30), max_size=23))
def test_discounts_keep_and_free_something_at_every_count(counts: list[int]) -> None:
    discounts = estimate_discounts(np.array(counts, dtype=np.int64))
    assert discounts[0] == 0
    assert (discounts[1:] > 0).all() and (discounts[1:] < [1, 2, 3]).all()


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_keys_are_exact(context: int, word: int) -> None:
    """Both ids can be read back from a key, so no two phrases share one."""
    key = join_keys(np.array([context]), np.array([word]))[0]
    assert (key >> WORD_BITS, key & WORD_MASK) == (context, word)
    assert join_keys(np.array([-1]), np.array([word]))[0] < 0


def stories(seed: int, texts: int) -> list[np.ndarray]:
    """Texts of a Markov chain over 97 words in which each word has five likely successors."""
    likely = np.random.default_rng(5).integers(4, 97, size=(97, 5))
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(texts):
        text = [int(generator.integers(4, 97))]
        for _ in range(30):
            known = generator.random() < 0.9
            text.append(int(generator.choice(likely[text[-1]]) if known else generator.integers(4, 97)))
        made.append(np.array([*text, END_ID]))
    return made


def test_phrases_pay_and_longer_ones_do_where_text_repeats() -> None:
    """Pairs tell a chain, far below its 97 words; the longest phrases tell sentences that repeat."""
    counts = PhraseCounts.fit(stories(1, 300), 97, order=2)
    assert counts.perplexity(stories(2, 100)) < 20
    sentences = [np.array([4, 5, 6, 5, 7, END_ID]), np.array([8, 5, 6, 5, 9, END_ID])] * 13
    assert PhraseCounts.fit(sentences, 11, order=5).distribution([4, 5, 6, 5])[7] > 0.9
    assert PhraseCounts.fit(sentences, 11, order=2).distribution([4, 5, 6, 5])[7] < 0.5


def test_texts_do_not_touch() -> None:
    """Their order is nothing, scores of many are those of each, a first word has only <END> before it."""
    texts = stories(3, 23)
    counts, reversed_counts = PhraseCounts.fit(texts, 97), PhraseCounts.fit(texts[::-1], 97)
    for name, tensor in counts.tensors().items():
        assert torch.equal(tensor, reversed_counts.tensors()[name])
    together = counts.score_texts(texts)
    np.testing.assert_array_equal(together.probs, np.concatenate([counts.score(text).probs for text in texts]))
    assert together.features.shape == (sum(map(len, texts)), 8)
    assert together.features.dtype == np.float32
    starts = np.cumsum([0, *map(len, texts[:-1])])
    np.testing.assert_array_equal(together.features[starts, 0], np.full(23, np.log1p(23), dtype=np.float32))
    assert not together.features[starts, 2:].any()


def test_a_later_word_changes_nothing_before_it() -> None:
    counts, text = PhraseCounts.fit(stories(3, 23), 97), stories(4, 1)[0]
    changed = text.copy()
    changed[13] = (changed[13] + 1) % 97
    before, after = counts.score(text), counts.score(changed)
    np.testing.assert_array_equal(before.probs[:13], after.probs[:13])
    np.testing.assert_array_equal(before.features[:14], after.features[:14])
    assert before.probs[13] != after.probs[13]


@pytest.mark.parametrize("context", [[], [11], [11, 13]])
def test_more_boundaries_in_front_change_nothing(context: list[int]) -> None:
    counts = PhraseCounts.fit(stories(3, 23), 97)
    padded = [END_ID] * 4 + context
    np.testing.assert_array_equal(counts.distribution(context), counts.distribution(padded))
    np.testing.assert_array_equal(counts.features(context), counts.features(padded))


def test_only_the_last_words_of_a_context_count() -> None:
    texts = stories(3, 23)
    counts, text = PhraseCounts.fit(texts, 97), texts[11]
    np.testing.assert_array_equal(counts.distribution(text[:17]), counts.distribution(text[13:17].tolist()))
    assert (counts.distribution(text[:17]) != counts.distribution(text[14:17])).any()


def test_state_round_trips_bit_for_bit() -> None:
    counts, text = PhraseCounts.fit(stories(3, 23), 97), stories(4, 1)[0]
    state = counts.tensors()
    again = PhraseCounts.from_tensors({name: tensor.clone() for name, tensor in state.items()})
    assert all(tensor.dtype == torch.int64 for tensor in state.values())
    assert state.keys() == again.tensors().keys()
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in state.items())
    np.testing.assert_array_equal(counts.score(text).probs, again.score(text).probs)
    np.testing.assert_array_equal(counts.distribution(text[:7]), again.distribution(text[:7]))


def test_a_single_word_is_enough() -> None:
    counts = PhraseCounts.fit(arrays([[END_ID]]), VOCAB)
    assert counts.distribution([]).argmax() == END_ID
    assert counts.perplexity(arrays([[END_ID]])) == pytest.approx(1 / counts.distribution([])[END_ID])


def test_errors_say_what_was_expected() -> None:
    texts = arrays([[4, 5, END_ID]])
    counts = PhraseCounts.fit(texts, VOCAB)
    with pytest.raises(TextError, match="at least one word"):
        PhraseCounts.fit([], VOCAB)
    with pytest.raises(ConfigError, match="order of at least 2"):
        PhraseCounts.fit(texts, VOCAB, order=1)
    with pytest.raises(ConfigError, match="ids from 0 to 4, got 1 to 5"):
        PhraseCounts.fit(texts, 5)
    with pytest.raises(ConfigError, match="ids from 0 to 6, got 1 to 7"):
        counts.score(np.array([VOCAB]))
    with pytest.raises(ConfigError, match="at least the 7 words"):
        counts.distribution([], vocab_size=VOCAB - 1)
    state = counts.tensors()
    with pytest.raises(BrainError, match="keys_3"):
        PhraseCounts.from_tensors({name: tensor for name, tensor in state.items() if name != "keys_3"})
    with pytest.raises(BrainError, match="one count for each phrase"):
        PhraseCounts.from_tensors({**state, "raw_3": state["raw_3"][1:]})
