"""No kill and no full disk leaves half a collection, and no order of events anything but what was written."""

import json
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from test_stores import NAME, assert_same, some_rows

from engram_model.errors import StoreError
from engram_model.rows import Rows
from engram_model.stores import Store

# ------------------------------------------------------------------------------------------- kill -9

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "engram_model.stores"])
STEPS = {"create_collection", "upsert", "modify", "delete_collection"}
FACADES = ("chromadb/api/client.py", "chromadb/api/models/Collection.py")
BEFORE_THE_MANIFEST, AFTER_IT = (1, 3, 5, 7), (8, 9, 11)
"""Of the calls (even) and returns (odd) of a save: delete what was staged, create, write, mark as whole; with the
manifest written, delete the old, rename. A call is where the return before it was, but for the manifest."""
SAVED = 61


def generation_rows(generation: int) -> Rows:
    return some_rows(SAVED + generation, seed=generation, note=f"generation {generation}")


def write_manifest(directory: Path, generation: int) -> None:
    beside = directory / "manifest.part"
    beside.write_text(json.dumps(generation))
    os.replace(beside, directory / "manifest.json")


def save(store: Store, directory: Path, generation: int) -> None:
    store.stage(NAME, generation_rows(generation), generation)
    write_manifest(directory, generation)
    store.commit(NAME, generation)


def save_until_killed(directory: Path, die_at: int | None, started: Any) -> None:
    """Save one generation after another; `die_at` counts the calls and returns of Chroma's steps."""
    seen = -1

    def watch(frame: FrameType, event: str, _: object) -> None:
        nonlocal seen
        code = frame.f_code
        if event in ("call", "return") and code.co_name in STEPS and code.co_filename.endswith(FACADES):
            seen += 1
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    with Store.open(directory / "store") as store:
        started.send("started")
        if die_at is not None:
            sys.setprofile(watch)
        for generation in range(1, 1000):
            save(store, directory, generation)


def killed_save(directory: Path, die_at: int | None, delay: float = 0.0) -> None:
    ours, theirs = multiprocessing.Pipe()
    process = FORKS.Process(target=save_until_killed, args=(directory, die_at, theirs))
    process.start()
    assert ours.poll(30), "the saving process did not start"
    if die_at is None:
        time.sleep(delay)
        process.kill()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


def assert_recovered(directory: Path) -> int:
    generation = int(json.loads((directory / "manifest.json").read_text()))
    with Store.open(directory / "store") as store:
        store.settle(NAME, generation)
        assert_same(store.read(NAME), generation_rows(generation))
        assert [collection.name for collection in store._client.list_collections()] == [NAME]
        save(store, directory, generation + 1)
        assert_same(store.read(NAME), generation_rows(generation + 1))
    return generation


@pytest.fixture(scope="module")
def forks() -> Iterator[None]:
    """Let the server of forks find what it is to import once for all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield


@pytest.fixture
def saved(tmp_path: Path, forks: None) -> Path:
    with Store.open(tmp_path / "store") as store:
        save(store, tmp_path, 0)
    return tmp_path


def test_a_kill_before_or_after_any_step_leaves_old_or_new(saved: Path) -> None:
    found = []
    for die_at in BEFORE_THE_MANIFEST + AFTER_IT:
        with Store.open(saved / "store") as store:
            save(store, saved, 0)
        killed_save(saved, die_at)
        found.append(assert_recovered(saved))
    assert found == [0] * len(BEFORE_THE_MANIFEST) + [1] * len(AFTER_IT), "the manifest alone decides"


def test_a_kill_at_any_moment_leaves_old_or_new(saved: Path) -> None:
    delays = np.random.default_rng(5).uniform(0.0, 0.4, size=4)
    found = []
    for delay in delays:
        killed_save(saved, None, float(delay))
        found.append(assert_recovered(saved))
    print(f"killed after {np.round(delays, 2)} s, recovered generations {found}")
    assert len(found) == 4


def write_under_a_limit(directory: Path, limit: int, outcome: Any) -> None:
    store = Store.open(directory)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        store.stage(NAME, some_rows(3001, note="second"), 2)
        outcome.send("written")
    except StoreError as error:
        outcome.send(str(error))


def test_a_full_disk_is_one_line_and_harms_nothing(tmp_path: Path, forks: None) -> None:
    with Store.open(tmp_path) as store:
        store.stage(NAME, some_rows(11), 1)
        store.commit(NAME, 1)
    outcome, theirs = multiprocessing.Pipe()
    limit = (tmp_path / "chroma.sqlite3").stat().st_size + 100_000
    process = FORKS.Process(target=write_under_a_limit, args=(tmp_path, limit, theirs))
    process.start()
    said = outcome.recv() if outcome.poll(30) else "nothing"
    process.join()
    assert "cannot stage" in said and "room on the disk" in said and "\n" not in said
    with Store.open(tmp_path) as store:
        store.settle(NAME, 1)
        assert_same(store.read(NAME), some_rows(11))


# ------------------------------------------------------------------------------------------- any history

ROW_IDS = st.integers(0, 12)


class StoreMachine(RuleBasedStateMachine):
    """Whatever is done in whatever order, the store equals a dictionary."""

    directory: Path

    @initialize()
    def begin(self) -> None:
        self.path = self.directory / str(time.monotonic_ns())
        self.store = Store.open(self.path)
        self.model: dict[str, torch.Tensor] = {}
        self.generation = 0
        self.replace([0, 1], seed=0)

    @rule(rows=st.lists(ROW_IDS, unique=True, min_size=1), seed=st.integers(0, 99))
    def upsert(self, rows: list[int], seed: int) -> None:
        chosen = self.pick(rows, seed)
        self.store.upsert(NAME, chosen)
        self.model |= dict(zip(chosen.ids, chosen.vectors, strict=True))

    @rule(rows=st.lists(ROW_IDS, unique=True))
    def delete(self, rows: list[int]) -> None:
        self.store.delete(NAME, [f"r{row:05d}" for row in rows])
        for row in rows:
            self.model.pop(f"r{row:05d}", None)

    @rule(rows=st.lists(ROW_IDS, unique=True), seed=st.integers(0, 99))
    def replace(self, rows: list[int], seed: int) -> None:
        chosen = self.pick(rows, seed)
        self.generation += 1
        self.store.stage(NAME, chosen, self.generation)
        self.store.commit(NAME, self.generation)
        self.model = dict(zip(chosen.ids, chosen.vectors, strict=True))

    @rule(rows=st.lists(ROW_IDS, unique=True))
    def stage_in_vain(self, rows: list[int]) -> None:
        self.store.stage(NAME, self.pick(rows, 7), self.generation + 1)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.path)
        self.store.settle(NAME, self.generation)

    @invariant()
    def same_as_the_model(self) -> None:
        found = self.store.read(NAME)
        assert list(found.ids) == sorted(self.model)
        if self.model:
            assert torch.equal(found.vectors, torch.stack([self.model[row_id] for row_id in found.ids]))

    def teardown(self) -> None:
        self.store.close()

    def pick(self, rows: list[int], seed: int) -> Rows:
        whole = some_rows(13, seed)
        return Rows(
            ids=[whole.ids[row] for row in rows],
            vectors=whole.vectors[rows],
            documents=[whole.documents[row] for row in rows],
            metadatas=[whole.metadatas[row] for row in rows],
        )


def test_any_history_of_a_store(tmp_path: Path) -> None:
    StoreMachine.directory = tmp_path
    run_state_machine_as_test(
        StoreMachine,
        settings=settings(
            max_examples=6, stateful_step_count=10, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
