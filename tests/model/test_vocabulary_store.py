"""The vocabulary and its store: it comes back bit for bit, whatever was taught in between."""

import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from test_vocabulary import direction, some_vocabulary

from engram_model.errors import ConfigError, StoreError
from engram_model.rows import Rows
from engram_model.stores import Store
from engram_model.text import SPECIALS
from engram_model.vocabulary import COLLECTION, Vocabulary


def assert_same(found: Vocabulary, expected: Vocabulary) -> None:
    assert found.words == expected.words and found.forms == expected.forms
    assert torch.equal(found.vectors, expected.vectors)
    assert torch.equal(found.resting, expected.resting)
    assert torch.equal(found.counts, expected.counts)


def test_a_vocabulary_comes_back_bit_for_bit(tmp_path: Path) -> None:
    vocabulary = some_vocabulary()
    vocabulary.add("zorp", direction(), form="Zorp")
    vocabulary.remove("sat")
    with Store.open(tmp_path) as store:
        store.stage(COLLECTION, vocabulary.rows(), 1)
        store.commit(COLLECTION, 1)
    vocabulary.mark_saved()
    with Store.open(tmp_path) as store:
        found = Vocabulary.from_rows(store.read(COLLECTION))
        assert_same(found, vocabulary)
        assert vocabulary.flush(store) == found.flush(store) == 0
    assert found.id_of("zorp") == 12 and found.add("next", direction(2)) == 13


def test_the_last_removed_id_is_not_given_out_after_reopening(tmp_path: Path) -> None:
    vocabulary = some_vocabulary()
    removed = vocabulary.remove("rare")
    with Store.open(tmp_path) as store:
        store.upsert(COLLECTION, vocabulary.rows())
        assert Vocabulary.from_rows(store.read(COLLECTION)).add("zorp", direction()) == removed + 1


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    vocabulary = some_vocabulary()
    with Store.open(tmp_path) as store:
        store.upsert(COLLECTION, vocabulary.rows())
        vocabulary.add("zorp", direction())
        vocabulary.rename("zorp", "zarp")
        vocabulary.learn_from_contexts("cat", direction(4)[None])
        vocabulary.remove("dog")
        assert [vocabulary.flush(store), vocabulary.flush(store)] == [3, 0]
        assert_same(Vocabulary.from_rows(store.read(COLLECTION)), vocabulary)


def test_damaged_rows_are_refused_in_one_line() -> None:
    rows = some_vocabulary().rows()

    def changed(**columns: object) -> Rows:
        whole = {name: getattr(rows, name) for name in ("ids", "vectors", "documents", "metadatas")}
        return Rows(**{**whole, **columns})

    def without(key: str) -> list[dict[str, object]]:
        return [{name: m[name] for name in m if (name, row) != (key, 5)} for row, m in enumerate(rows.metadatas)]

    gap = Rows(
        ids=rows.ids[:-2], vectors=rows.vectors[1:-1], documents=rows.documents[1:-1], metadatas=rows.metadatas[1:-1]
    )
    for bad in (
        gap,
        changed(documents=["<UNK>", *rows.documents[1:-1], "the"]),
        changed(documents=["word", *rows.documents[1:]]),
        changed(metadatas=without("id")),
        changed(metadatas=without("count")),
        changed(metadatas=[{**m, "resting": "loud"} for m in rows.metadatas]),
    ):
        with pytest.raises(StoreError, match="restore") as caught:
            Vocabulary.from_rows(bad)
        assert "\n" not in str(caught.value)
    assert_same(Vocabulary.from_rows(rows), some_vocabulary())


WORDS = st.sampled_from(["ada", "eve", "zorp", "glim", "the", "cat", "<END>", "two words"])


class VocabularyMachine(RuleBasedStateMachine):
    """Whatever is taught, renamed, removed, flushed and reopened: words keep their ids and vectors."""

    directory: Path

    @initialize()
    def begin(self) -> None:
        self.store = Store.open(self.directory / str(time.monotonic_ns()))
        self.vocabulary = some_vocabulary()
        self.store.upsert(COLLECTION, self.vocabulary.rows())
        self.model = dict(self.vocabulary.ids)
        self.size = len(self.vocabulary)

    def may_be_added(self, word: str) -> bool:
        return word not in self.model and word != "two words"

    @rule(word=WORDS, seed=st.integers(0, 9))
    def add(self, word: str, seed: int) -> None:
        if not self.may_be_added(word):
            with pytest.raises(ConfigError):
                self.vocabulary.add(word, direction(seed))
            return
        assert self.vocabulary.add(word, direction(seed)) == self.size
        self.model[word] = self.size
        self.size += 1

    @rule(word=WORDS, seed=st.integers(0, 9))
    def learn(self, word: str, seed: int) -> None:
        if word in self.model and word not in SPECIALS:
            assert self.vocabulary.learn_from_contexts(word, direction(seed)[None]) == self.model[word]

    @rule(old=WORDS, new=WORDS)
    def rename(self, old: str, new: str) -> None:
        if old in self.model and old not in SPECIALS and self.may_be_added(new):
            self.vocabulary.rename(old, new)
            self.model[new] = self.model.pop(old)

    @rule(word=WORDS)
    def remove(self, word: str) -> None:
        if word in self.model and word not in SPECIALS:
            assert self.vocabulary.remove(word) == self.model.pop(word)

    @rule()
    def flush_and_reopen(self) -> None:
        self.vocabulary.flush(self.store)
        found = Vocabulary.from_rows(self.store.read(COLLECTION))
        assert_same(found, self.vocabulary)
        self.vocabulary = found

    @invariant()
    def sound(self) -> None:
        assert self.vocabulary.verify() == []
        assert dict(self.vocabulary.ids) == self.model and len(self.vocabulary) == self.size
        assert Counter(word is None for word in self.vocabulary.words)[True] == self.size - len(self.model)

    def teardown(self) -> None:
        self.store.close()


def test_any_history_of_a_vocabulary(tmp_path: Path) -> None:
    VocabularyMachine.directory = tmp_path
    run_state_machine_as_test(
        VocabularyMachine,
        settings=settings(
            max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
