"""The EngramModule: its hash against Python's integers and the law of chance, its gate at both ends, its gradients."""

from __future__ import annotations

import math
from functools import lru_cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import few, seeded, some_texts, woken, word_ids

from engram_model.attention import rms_norm
from engram_model.ngram import EngramModule, hash_phrases

DIM, SLOTS, ROW = 30, 101, 11
BATCH, TIME, WORDS = 2, 13, 71
SLOT_NUMBERS = (4_999, 20_011, 49_999)
MASK = (1 << 64) - 1


def module(row_dropout: float = 0.0, seed: int = 0) -> EngramModule:
    torch.manual_seed(seed)
    return EngramModule(DIM, SLOTS, ROW, seeded(), row_dropout)


def inputs(words: int = WORDS) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(BATCH, TIME, DIM, generator=seeded(1)), word_ids(BATCH, TIME, 3, words=words)


# ------------------------------------------------------------------------------------------- hash


def signed(x: int) -> int:
    """A 64-bit pattern as a signed number."""
    x &= MASK
    return x - (1 << 64) if x >> 63 else x


def hash_in_python(phrase: list[int], slots: int) -> int:
    """The hash with unbounded integers, cut to 64 signed bits after every product."""
    odd = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
    mixed = 0
    for word, constant in zip(phrase, odd, strict=False):
        mixed ^= signed((word + 1) * constant)
        mixed = signed((mixed ^ (mixed >> 29)) * 0xD6E8FEB86659FD93)
    return (mixed ^ (mixed >> 32)) % slots


@few
@given(st.lists(st.integers(0, 60_000), min_size=2, max_size=3), st.sampled_from((2, *SLOT_NUMBERS)))
def test_the_hash_is_that_of_python_integers(phrase: list[int], slots: int) -> None:
    assert int(hash_phrases(torch.tensor(phrase), slots)) == hash_in_python(phrase, slots)


def test_the_hash_is_pinned_since_saved_tables_depend_on_it() -> None:
    phrases = torch.tensor([[1, 1, 4], [1, 4, 5], [4, 5, 4999], [5, 4, 4999]])
    assert hash_phrases(phrases, 20_011).tolist() == [19762, 447, 11540, 16482]
    assert hash_phrases(phrases[:, 1:], 20_011).tolist() == [13186, 3076, 2877, 342]


@lru_cache
def zipf_phrases(length: int, words: int = 1_009) -> torch.Tensor:
    """The phrases of a text whose words follow Zipf's law, the commonest having the smallest ids; each once."""
    text = torch.from_numpy(some_texts((300_007,), words=words)[0])
    phrases = text.unfold(0, length, 1)
    keys = torch.unique(phrases @ words ** torch.arange(length))[:, None] // words ** torch.arange(length) % words
    return keys[torch.randperm(len(keys), generator=seeded())]


def share_used(slots_found: torch.Tensor, slots: int) -> float:
    return len(slots_found.unique()) / slots


@pytest.mark.parametrize("length", [2, 3])
@pytest.mark.parametrize("slots", SLOT_NUMBERS)
@pytest.mark.parametrize("load", [0.5, 1.0])
def test_collisions_follow_the_law_of_chance(length: int, slots: int, load: float) -> None:
    phrases = zipf_phrases(length)[: int(load * slots)]
    law = 1 - math.exp(-int(load * slots) / slots)
    assert share_used(hash_phrases(phrases, slots), slots) == pytest.approx(law, rel=0.05)


@pytest.mark.parametrize("slots", SLOT_NUMBERS[1:])
def test_the_naive_hash_is_far_off_that_law(slots: int) -> None:
    phrases = zipf_phrases(2)[:slots]
    naive = torch.remainder(31 * phrases[:, 0] ^ phrases[:, 1], slots)
    assert share_used(naive, slots) < 0.9 * (1 - math.exp(-1.0))


def test_phrases_that_share_a_bigram_slot_part_in_the_trigram_table() -> None:
    phrases = zipf_phrases(3)[: 997 * SLOTS]
    together = phrases[hash_phrases(phrases[:, 1:], SLOTS) == 17]
    law = 1 - math.exp(-len(together) / SLOTS)
    assert share_used(hash_phrases(together, SLOTS), SLOTS) == pytest.approx(law, rel=0.25)


@pytest.mark.parametrize("length", [2, 3])
def test_every_slot_can_be_reached(length: int) -> None:
    assert share_used(hash_phrases(zipf_phrases(length)[: 13 * 997], 997), 997) == 1.0


def test_the_order_of_words_matters() -> None:
    phrases = zipf_phrases(2)[:1_009]
    different = phrases[phrases[:, 0] != phrases[:, 1]]
    same = hash_phrases(different, 20_011) == hash_phrases(different.flip(1), 20_011)
    assert float(same.float().mean()) < 0.01


# ------------------------------------------------------------------------------------------- gate


def test_the_gate_spans_its_whole_range() -> None:
    hidden = torch.randn(7, DIM, generator=seeded())
    assert (EngramModule.gate(hidden, 5 * hidden) - 1 / (1 + math.exp(-(DIM**0.5)))).abs().max() < 1e-4
    assert (EngramModule.gate(hidden, -3 * hidden) - 1 / (1 + math.exp(DIM**0.5))).abs().max() < 1e-4


def test_learning_drives_the_gate_below_five_and_above_ninety_five_percent() -> None:
    memory = module()
    hidden, phrases = torch.randn(1, 2, DIM, generator=seeded(1)), torch.tensor([[[4, 5, 6], [7, 8, 9]]])
    optimizer = torch.optim.Adam([memory.bigrams.weight, memory.trigrams.weight, memory.key.weight], lr=0.02)
    assert ((memory(hidden, phrases)[1] > 0.05) & (memory(hidden, phrases)[1] < 0.95)).all()
    for _ in range(30):
        gate = memory(hidden, phrases)[1][0]
        (gate[0] - gate[1]).backward()
        optimizer.step()
        optimizer.zero_grad()
    closed, opened = memory(hidden, phrases)[1][0].tolist()
    assert closed < 0.05 and opened > 0.95


@few
@given(st.integers(0, 1_000))
def test_the_gate_is_its_formula_and_blind_to_length(seed: int) -> None:
    hidden, key = torch.randn(2, 5, DIM, generator=seeded(seed)).unbind()
    cosine = torch.nn.functional.cosine_similarity(hidden, key, dim=-1)
    torch.testing.assert_close(EngramModule.gate(hidden, 7 * key), torch.sigmoid(cosine * DIM**0.5))


# ------------------------------------------------------------------------------------------- module


def test_a_fresh_module_is_a_no_op_and_a_woken_one_is_not() -> None:
    added, gate = module()(*inputs())
    assert added.eq(0).all() and ((gate > 0) & (gate < 1)).all()
    added, _ = woken(module())(*inputs())
    assert added.norm(dim=-1).min() > 0


def test_the_module_is_its_formula() -> None:
    memory, (hidden, phrases) = woken(module()), inputs()
    added, gate = memory(hidden, phrases)
    for row, time in ((0, 0), (1, 5), (1, 12)):
        ids = phrases[row, time].tolist()
        slots = hash_in_python(ids[1:], SLOTS), hash_in_python(ids, SLOTS)
        rows = torch.cat((memory.bigrams.weight[slots[0]], memory.trigrams.weight[slots[1]]))
        key = rms_norm(memory.key.weight @ rows)
        expected = torch.sigmoid(rms_norm(hidden[row, time]) @ key / DIM**0.5)
        torch.testing.assert_close(gate[row, time], expected)
        torch.testing.assert_close(added[row, time], expected * (memory.value.weight @ rows), atol=1e-5, rtol=1e-4)


def test_it_sees_the_last_three_words_and_its_gate_the_state() -> None:
    memory, (hidden, phrases) = woken(module()), inputs()
    changed = phrases.clone()
    changed[0, 3, 0] += 1
    same = memory(hidden, phrases)[0].eq(memory(hidden, changed)[0]).all(-1)
    assert not same[0, 3] and same.sum() == BATCH * TIME - 1
    assert not memory(hidden, phrases)[1].eq(memory(-hidden, phrases)[1]).any()


def test_only_the_values_of_a_fresh_module_learn_at_first_and_after_one_step_everything() -> None:
    memory, (hidden, phrases) = module(), inputs()
    optimizer = torch.optim.SGD(memory.parameters(), lr=0.1)
    target = torch.randn(BATCH, TIME, DIM, generator=seeded(2))

    def without_gradient() -> set[str]:
        optimizer.zero_grad()
        (memory(hidden, phrases)[0] - target).square().sum().backward()
        return {name for name, p in memory.named_parameters() if p.grad is None or not p.grad.any()}

    assert without_gradient() == {"bigrams.weight", "trigrams.weight", "key.weight"}
    optimizer.step()
    assert without_gradient() == set()


def test_rows_are_hidden_in_training_only_and_by_the_generator() -> None:
    hidden, phrases = inputs()
    memory = woken(module(row_dropout=0.5))
    runs = []
    for _ in range(2):
        memory.generator.manual_seed(7)
        runs.append(memory(hidden, phrases)[0])
    assert torch.equal(*runs) and not torch.equal(runs[0], memory(hidden, phrases)[0])
    silent = runs[0].eq(0).all(-1).float().mean()
    assert 0.05 < float(silent) < 0.55  # both rows hidden: a quarter of the phrases
    whole = memory.eval()(hidden, phrases)[0]
    assert torch.equal(whole, woken(module()).train()(hidden, phrases)[0])
