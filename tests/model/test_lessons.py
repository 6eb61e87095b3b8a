"""What was read as question and answer: found again by shared words, kept in the store, read together in training."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import few, seeded

from engram_model.corpus import Corpus
from engram_model.errors import StoreError
from engram_model.lessons import COLLECTION, LONGEST, SIMILAR, TOGETHER, Exchange, Lessons, exchanges, tells, together
from engram_model.rows import Rows
from engram_model.stores import Store
from engram_model.text import BOT, END, END_ID, USER
from engram_model.vocabulary import Vocabulary

ASKED = ["who bakes the bread ?", "who bakes the cake ?", "what colour is the sky ?", "is the pond deep ?"]
SAID = ["ada bakes the bread .", "berta bakes the cake .", "the sky is blue .", "no , it is not ."]
READ = [Exchange(tuple(q.split()), tuple(a.split())) for q, a in zip(ASKED, SAID, strict=True)]


def text_of(*found: Exchange) -> list[str]:
    return [word for e in found for word in e.text[:-1]] + [END]


# ------------------------------------------------------------------------------------------- exchanges


def test_exchanges_are_a_users_turn_and_the_answer_that_follows() -> None:
    assert exchanges(text_of(*READ)) == READ
    assert exchanges(["the", "sky", "is", "blue", ".", "<END>"]) == []
    assert exchanges([USER, "hello", END]) == [] == exchanges([BOT, "hello", USER, "you", BOT, END])
    told_twice = [USER, "a", USER, "b", BOT, "c", BOT, "d", END]
    assert exchanges(told_twice) == [Exchange(("b",), ("c",))]


# ------------------------------------------------------------------------------------------- recollection


@few
@given(st.lists(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=5), min_size=1, max_size=13))
def test_closeness_is_the_cosine_of_weighted_sets(asked: list[list[str]]) -> None:
    lessons = Lessons(Exchange(tuple(said), ("x",)) for said in asked)
    count = {w: sum(w in e.words for e in lessons.exchanges) for w in "abcdefgx"}
    weight = {w: math.log(1 + len(lessons) / (count[w] + 0.5)) for w in count}
    question = {"a", "b", "c"}
    for exchange, found in zip(lessons.exchanges, lessons.closeness(question), strict=True):
        words = set(exchange.words)
        product = sum(weight[w] ** 2 for w in words & question)
        norms = [math.sqrt(sum(weight[w] ** 2 for w in of)) for of in (words, question)]
        assert found == pytest.approx(product / (norms[0] * norms[1]), abs=1e-9)


def test_the_nearest_come_to_mind_best_last_and_strangers_do_not() -> None:
    lessons = Lessons([*READ, *READ])
    assert len(lessons) == 4, "each once"
    assert lessons.recollect(["who", "bakes", "bread", "?"])[-1] == READ[0]
    assert lessons.recollect(["who", "bakes", "ada's", "bread", "?"])[-1] == READ[0], "ada's is ada"
    assert lessons.recollect(["zebra", "?"]) == [] == Lessons([]).recollect(["hello"])
    close = lessons.closeness(["who", "bakes", "bread", "?"])
    found = lessons.recollect(["who", "bakes", "bread", "?"])
    assert all(close[READ.index(e)] >= SIMILAR for e in found)
    assert all(close[READ.index(a)] <= close[READ.index(b)] for a, b in pairwise(found))
    assert lessons.closeness(["the"], common=2).max() == 0 < lessons.closeness(["the"]).max()


def test_the_very_same_words_are_found_however_long_their_answer() -> None:
    story = Exchange(("tell", "me", "a", "story", "."), tuple(f"word{number}" for number in range(97)))
    lessons = Lessons([*READ, Exchange(("what", "can", "you", "do"), ("i", "can", "tell", "a", "story")), story])
    assert lessons.closeness(["tell", "me", "a", "story"]).argmax() == 4, "the whole exchange lies far"
    assert lessons.recollect(["tell", "me", "a", "story"])[-1] == story


# ------------------------------------------------------------------------------------------- rows


def words_of(*texts: list[str]) -> Vocabulary:
    counts = {word: 5 for text in texts for word in text if not word.startswith("<")}
    return Vocabulary.build(counts, dim=7, generator=seeded(), min_count=1, forms={"ada": "Ada"})


def test_what_people_tell_of_themselves_is_answered_as_the_like_was() -> None:
    known = Lessons([Exchange(*(tuple(part.split()) for part in line.split(" | "))) for line in (
        "what colour is ada's door ? | ada's door is red .",
        "my name is ben . | hello ben . ben is a short name .",
        "hello ! my house is old . | is your house big ?",
        "i am a nurse . | a nurse helps people who are ill .",
        "i like pears . | so do i .",
        "tell me my name . | your name is ben .",
    )])  # fmt: skip

    def told(words: str) -> list[str]:
        return [" ".join(each.words) for each in known.recollect(words.split())]

    assert told("my name is ada .") == ["my name is ada . hello ada . ada is a short name ."]
    assert told("i like apples .") == ["i like apples . so do i ."], "an answer without the word stays"
    assert told("i am a nurse .") == ["i am a nurse . a nurse helps people who are ill ."]
    assert told("i am a baker .") == [], "what holds of nurses need not hold of bakers"
    assert told("my sister has a cold .") == [] == told("my cat was green .")
    assert not any("hello ada" in each for each in told("is my name ada ?")), "a question is looked up by its words"
    assert told("ada's door is red .")[-1].startswith("what colour"), "so is what is not of the speaker"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("my name is ada", True), ("well , i am tired .", True), ("hello , we won", True), ("the miller is tired", False),
        ("is my name ada", False), ("hi , who am i", False), ("i am what ?", False), ("tell me of my dog", False), ("", False),
        ("hello !", False), ("i need the name of the river", False), ("i would love to know my name .", False),
    ],
)  # fmt: skip
def test_telling_of_oneself_is_known_from_asking(said: str, expected: bool) -> None:
    assert tells(said.split()) == expected


def test_rows_and_back() -> None:
    lessons = Lessons([*READ, Exchange(("zzz",), ("yyy",))])
    rows = lessons.rows(words_of(text_of(*READ)))
    assert Lessons.from_rows(rows).exchanges == lessons.exchanges
    assert rows.documents[0] == "Who bakes the bread? → Ada bakes the bread."
    torch.testing.assert_close(rows.vectors.norm(dim=1), torch.ones(5))
    assert float(rows.vectors[0] @ rows.vectors[1]) > float(rows.vectors[0] @ rows.vectors[2])
    assert Lessons.from_rows(Lessons([]).rows(words_of(["a"]))).exchanges == []


def test_a_word_spelled_anew_is_spelled_so_in_what_was_read_and_in_the_store(tmp_path: Path) -> None:
    words = words_of(text_of(*READ))
    with Store.open(tmp_path) as store:
        store.upsert(COLLECTION, Lessons(READ).rows(words))
        store.delete(COLLECTION, ["l000000001"])
        lessons = Lessons.from_rows(store.read(COLLECTION))
        words.rename("sky", "heaven")
        lessons.rename_word("sky", "heaven")
        assert lessons.recollect(["what", "colour", "is", "the", "heaven", "?"])[-1].answer == (
            "the",
            "heaven",
            "is",
            "blue",
            ".",
        )
        assert lessons.recollect(["sky"]) == []
        lessons.flush(store, words)
        again = Lessons.from_rows(store.read(COLLECTION))
        assert again.exchanges == lessons.exchanges and len(again) == 3 and again.ids == lessons.ids


def test_a_damaged_row_is_one_line() -> None:
    rows = Rows(ids=["l0"], vectors=torch.eye(7)[:1], documents=[""], metadatas=[{"said": "hello"}])
    with pytest.raises(StoreError, match="answer"):
        Lessons.from_rows(rows)


# ------------------------------------------------------------------------------------------- read together


def test_exchanges_of_one_subject_are_read_together_each_text_once() -> None:
    subjects = [[f"{word}{number}" for word in ("colour", "door", "red")] for number in range(11)]
    found = [Exchange((*words, f"how{n}", "?"), (*words, f"so{n}", ".")) for words in subjects for n in range(5)]
    texts = [text_of(exchange) for exchange in found]
    texts += [text_of(*READ), text_of(found[0]), text_of(Exchange(tuple(subjects[0]) * 30, ("red0",)))]
    groups = together(texts, seeded())
    places = [place for group in groups for place in group]
    assert len(places) == len(set(places)) and all(2 <= len(group) <= TOGETHER for group in groups)
    assert all(len({place // 5 for place in group}) == 1 for group in groups), "of one subject"
    assert max(places) < 55 and len(texts[-1]) > LONGEST, "no dialogue, no copy, nothing long"
    assert len(places) >= 44 and groups == together(texts, seeded()) != together(texts, seeded(1))


def test_texts_read_together_are_one_text_in_random_order_and_lose_nothing() -> None:
    texts = [[10 * number + place for place in range(5, 8)] + [END_ID] for number in range(1, 8)]
    corpus, orders = Corpus(texts, [[1, 4, 5]]), set()
    for seed in range(60):
        (batch,) = corpus.shuffled(seeded(seed), 1, 28)
        words, segments = batch.targets[0].tolist(), batch.segments[0].tolist()
        assert sorted(words) == sorted(word for text in texts for word in text)
        around = sorted((25, 55, 65), key=words.index)
        first = words.index(around[0])
        if words[first : first + 12 : 4] == around:  # not cut by the offset of the row
            assert len(set(segments[first : first + 12])) == 1
            assert len(set(segments)) == 5 or len(set(segments)) == 6, "the others stay alone; one may be cut"
            orders.add(tuple(around))
    assert len(orders) == 6
    assert Corpus(texts).units == [[place] for place in range(7)]
