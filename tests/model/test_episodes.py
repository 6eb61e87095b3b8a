"""The episodic memory: what is remembered, recalled and forgotten, and its way through a store."""

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from torch import Tensor
from torch.nn.functional import normalize

from engram_model.episodes import COLLECTION, CONTEXT_WORDS, Episode, EpisodicMemory, RunningMean
from engram_model.errors import ConfigError, StoreError
from engram_model.rows import Rows
from engram_model.stores import Store
from engram_model.text import UNK_ID

DIM = 13
IDS = {"<UNK>": 0, "<END>": 1, "<USER>": 2, "<BOT>": 3, "my": 4, "name": 5, "is": 6, "ada": 7, "eve": 8}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def remember(memory: EpisodicMemory, word: str, seed: int = 0, **changes: object) -> str:
    context = ["<USER>", "my", "name", "is"]
    values: dict[str, object] = {
        "key": torch.randn(memory.dim, generator=seeded(seed)),
        "next_word": word,
        "next_id": IDS.get(word, -1),
        "context": context,
        "context_ids": [IDS[w] for w in context],
        "surprise": 5.0 + seed / 3,
        "conversation": f"talk {seed % 3}",
    }
    return memory.add(**{**values, **changes})  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------- what is remembered


def test_an_episode_keeps_what_was_given() -> None:
    memory = EpisodicMemory(DIM)
    before = time.time()
    episode_id = remember(memory, "ada", seed=1)
    episode = memory.episodes[0]
    assert memory.id_at(0) == episode.id == episode_id
    assert episode.next_word == "ada" and episode.context == ("<USER>", "my", "name", "is")
    assert episode.conversation == "talk 1" and memory.conversations == {"talk 1": 1}
    assert before - 0.001 <= episode.time <= time.time() + 0.001
    assert torch.allclose(memory.keys[0], normalize(torch.randn(DIM, generator=seeded(1)), dim=0))
    assert memory.next_ids.tolist() == [7] and memory.suffixes.tolist() == [[6, 5, 4, 2]]
    assert memory.verify() == []


def test_suffixes_are_padded_and_contexts_cut() -> None:
    memory = EpisodicMemory(DIM)
    for words in ([], ["my"], ["my", "name"], ["is"] * (CONTEXT_WORDS + 3)):
        remember(memory, "ada", context=words, context_ids=[IDS[w] for w in words])
    assert memory.suffixes.tolist() == [[-1] * 4, [4, -1, -1, -1], [5, 4, -1, -1], [6] * 4]
    assert [len(episode.context) for episode in memory.episodes] == [0, 1, 2, CONTEXT_WORDS]


def test_keys_that_do_not_fit_are_refused() -> None:
    memory = EpisodicMemory(DIM)
    for key in (torch.ones(DIM + 1), torch.zeros(DIM), torch.full((DIM,), math.inf)):
        with pytest.raises(ConfigError, match=f"{DIM} finite numbers"):
            remember(memory, "ada", key=key)
    with pytest.raises(ConfigError):
        EpisodicMemory(0)
    assert len(memory) == 0 and memory.verify() == []


def test_forgetting_by_id() -> None:
    memory = EpisodicMemory(DIM)
    ids = [remember(memory, word, seed=row) for row, word in enumerate(["ada", "eve", "ada", "is", "my"])]
    keys = memory.keys.clone()
    memory.forget(ids[1], ids[3])
    assert [episode.id for episode in memory.episodes] == [ids[0], ids[2], ids[4]]
    assert torch.equal(memory.keys, keys[[0, 2, 4]]) and memory.next_ids.tolist() == [7, 7, 4]
    assert memory.conversations == {"talk 0": 1, "talk 2": 1, "talk 1": 1}
    with pytest.raises(ConfigError, match=ids[1]):
        memory.forget(ids[0], ids[1])
    assert len(memory) == 3 and memory.verify() == []
    assert remember(memory, "ada") not in ids


def test_a_full_memory_forgets_the_least_surprising_the_older_first() -> None:
    memory = EpisodicMemory(DIM, capacity=5)
    surprises = [3.0, 2.0, 9.0, 2.0, 4.0]
    ids = [remember(memory, "ada", surprise=surprise) for surprise in surprises]
    ids += [remember(memory, "ada", surprise=1.0), remember(memory, "ada", surprise=8.0)]
    assert [episode.id for episode in memory.episodes] == [ids[0], ids[2], ids[3], ids[4], ids[6]]
    large = EpisodicMemory(DIM, capacity=300)
    for row in range(301):
        remember(large, "ada", surprise=float(row))
    assert len(large) == 298 and large.episodes[0].surprise == 3.0, "a hundredth goes at once"
    assert large.verify() == []


@given(st.lists(st.floats(0, 20), min_size=1, max_size=400))
def test_surprising_is_one_and_a_half_times_the_running_mean(surprises: list[float]) -> None:
    memory = EpisodicMemory(DIM)
    imagined = [RunningMean.START] * RunningMean.IMAGINED
    for seen, surprise in enumerate(surprises):
        mean = memory.surprise.value
        if len(imagined) + seen < RunningMean.HORIZON:
            assert mean == pytest.approx(sum(imagined + surprises[:seen]) / (len(imagined) + seen))
        assert memory.is_surprising(surprise) == (surprise >= 1.5 * mean)


def test_the_running_mean_follows_its_horizon() -> None:
    mean = RunningMean()
    for _ in range(2_000):
        mean.update(7.0)
    assert mean.value == pytest.approx(7.0, abs=1e-3)
    mean.update(7.0 + RunningMean.HORIZON)
    assert mean.value == pytest.approx(8.0, abs=1e-2)


def test_searching_an_empty_memory_finds_nothing() -> None:
    memory = EpisodicMemory(DIM)
    cosines, rows = memory.search(torch.eye(DIM)[0], 5)
    assert len(cosines) == len(rows) == 0


def test_episodes_of_a_removed_word_are_kept_but_not_recalled() -> None:
    memory = EpisodicMemory(DIM)
    for seed, word in enumerate(["ada", "eve", "ada"]):
        remember(memory, word, seed=seed)
    query = memory.keys[1].clone()
    assert memory.search(query, 3)[1].tolist()[0] == 1
    memory.relink({word: word_id for word, word_id in IDS.items() if word != "eve"})
    assert memory.next_ids.tolist() == [7, -1, 7] and len(memory) == 3
    assert sorted(memory.search(query, 3)[1].tolist()) == [0, 2]
    memory.relink(IDS)
    assert memory.search(query, 3)[1].tolist()[0] == 1


# ------------------------------------------------------------------------------------------- the store


def assert_same(found: EpisodicMemory, expected: EpisodicMemory) -> None:
    assert found.episodes == expected.episodes
    assert torch.equal(found.keys, expected.keys)
    assert torch.equal(found.next_ids, expected.next_ids)
    assert torch.equal(found.suffixes, expected.suffixes)


def test_episodes_come_back_from_a_store(tmp_path: Path) -> None:
    memory = EpisodicMemory(DIM)
    with Store.open(tmp_path) as store:
        store.stage(COLLECTION, memory.rows(), 1)
        store.commit(COLLECTION, 1)
        assert len(EpisodicMemory.from_rows(store.read(COLLECTION), IDS, dim=DIM)) == 0
        ids = [remember(memory, "ada", seed=row, surprise=math.pi * row, time=1.7e9 + row / 7) for row in range(37)]
        remember(memory, "eve", context=["unheard", "<BOT>", "é", "😀"], context_ids=[UNK_ID, 3, UNK_ID, UNK_ID])
        remember(memory, "unheard", context=[], context_ids=[])
        memory.forget(ids[3])
        assert [memory.flush(store), memory.flush(store)] == [39, 0]
        memory.forget(ids[5], ids[7])
        assert memory.flush(store) == 2
    with Store.open(tmp_path) as store:
        rows = store.read(COLLECTION)
        found = EpisodicMemory.from_rows(rows, IDS, dim=DIM)
        assert_same(found, memory)
        assert found.verify() == [] and found.flush(store) == 0
        assert rows.documents[0] == "<USER> my name is → ada"
        assert remember(found, "ada") not in ids


def test_keys_are_computed_anew_after_training(tmp_path: Path) -> None:
    memory = EpisodicMemory(DIM)
    memory.rekey(lambda episodes: torch.empty(0, DIM))
    for row, word in enumerate(["ada", "eve", "my"]):
        remember(memory, word, seed=row)

    def encode(episodes: list[Episode]) -> Tensor:
        return torch.stack([(IDS[e.next_word] + 1) * torch.eye(DIM)[IDS[e.next_word]] for e in episodes])

    with Store.open(tmp_path) as store:
        memory.flush(store)
        memory.rekey(encode)
        assert torch.equal(memory.keys, torch.eye(DIM)[[7, 8, 4]])
        assert memory.search(torch.eye(DIM)[8], 1)[1].tolist() == [1]
        assert memory.flush(store) == 3
        assert_same(EpisodicMemory.from_rows(store.read(COLLECTION), IDS, dim=DIM), memory)


def test_a_renamed_word_is_renamed_where_it_was_heard(tmp_path: Path) -> None:
    memory = EpisodicMemory(DIM)
    for row, word in enumerate(["ada", "eve", "my"]):
        remember(memory, word, seed=row)
    remember(memory, "is", context=["ada"], context_ids=[7])
    with Store.open(tmp_path) as store:
        memory.flush(store)
        memory.rename_word("ada", "lovelace")
        assert memory.flush(store) == 2
        ids = {("lovelace" if word == "ada" else word): word_id for word, word_id in IDS.items()}
        found = EpisodicMemory.from_rows(store.read(COLLECTION), ids, dim=DIM)
    assert_same(found, memory)
    assert found.episodes[0].next_word == "lovelace" and found.episodes[3].context == ("lovelace",)


def test_verify_and_reading_find_what_is_broken() -> None:
    memory = EpisodicMemory(DIM)
    for row in range(5):
        remember(memory, "ada", seed=row)
    rows, keys = memory.rows(), memory.keys.clone()
    memory.keys[2] *= 2
    memory.episodes[3] = replace(memory.episodes[3], id="e000000000", surprise=math.nan)
    memory.capacity = 4
    problems = "; ".join(memory.verify())
    for problem in ("1 of 5 vectors", "order of their ids", "capacity of 4", "surprise"):
        assert problem in problems
    memory.episodes.pop()
    assert "length" in memory.verify()[0]
    for damage in ({"surprise": "much"}, {"time": None}):
        metadatas = [
            {name: value for name, value in {**m, **damage}.items() if value is not None} for m in rows.metadatas
        ]
        bad = Rows(ids=rows.ids, vectors=keys, documents=rows.documents, metadatas=metadatas)
        with pytest.raises(StoreError, match="an episode in the store"):
            EpisodicMemory.from_rows(bad, IDS, dim=DIM)


class MemoryMachine(RuleBasedStateMachine):
    """Whatever is remembered, forgotten, flushed and reopened, memory and store agree with a list."""

    directory: Path

    @initialize()
    def begin(self) -> None:
        self.store = Store.open(self.directory / str(time.monotonic_ns()))
        self.memory = EpisodicMemory(DIM, capacity=7)
        self.store.upsert(COLLECTION, self.memory.rows())
        self.model: list[tuple[str, str, float]] = []

    @rule(word=st.sampled_from(["ada", "eve", "unheard"]), seed=st.integers(0, 30))
    def add(self, word: str, seed: int) -> None:
        if len(self.model) == 7:
            self.model.remove(min(self.model, key=lambda entry: (entry[2], entry[0])))
        episode_id = remember(self.memory, word, seed=seed)
        self.model.append((episode_id, word, round(5.0 + seed / 3, 6)))

    @rule(place=st.integers(0, 6))
    def forget(self, place: int) -> None:
        if place < len(self.model):
            self.memory.forget(self.model.pop(place)[0])

    @rule()
    def flush_and_reopen(self) -> None:
        self.memory.flush(self.store)
        found = EpisodicMemory.from_rows(self.store.read(COLLECTION), IDS, dim=DIM, capacity=7)
        assert_same(found, self.memory)
        self.memory = found

    @rule()
    def lose_what_was_not_flushed(self) -> None:
        rows = self.store.read(COLLECTION)
        found = EpisodicMemory.from_rows(rows, IDS, dim=DIM, capacity=7)
        assert found.verify() == []

    @invariant()
    def same_as_the_model(self) -> None:
        assert [(e.id, e.next_word, e.surprise) for e in self.memory.episodes] == self.model
        assert self.memory.verify() == []
        assert self.memory.next_ids.tolist() == [IDS.get(word, -1) for _, word, _ in self.model]

    def teardown(self) -> None:
        self.store.close()


def test_any_history_of_an_episodic_memory(tmp_path: Path) -> None:
    MemoryMachine.directory = tmp_path
    run_state_machine_as_test(
        MemoryMachine,
        settings=settings(
            max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
