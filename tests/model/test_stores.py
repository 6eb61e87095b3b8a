"""One contract for every store: a directory and a server keep rows alike, and no kill leaves a half."""

import json
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import chromadb
import numpy as np
import pytest
import torch
from chromadb.api.shared_system_client import SharedSystemClient
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from torch.nn.functional import normalize

from engram_model.errors import StoreError
from engram_model.rows import Rows
from engram_model.stores import NEXT, Store

DIM = 7
NAME = "engram_test"


def some_rows(count: int, seed: int = 0, note: str = "first") -> Rows:
    directions = torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed))
    return Rows(
        ids=[f"r{row:05d}" for row in range(count)],
        vectors=normalize(directions, dim=-1),
        documents=[f'{note} {row} é 😀 "quoted" it\'s' for row in range(count)],
        metadatas=[{"note": note, "row": row, "half": row + 0.5, "even": row % 2 == 0} for row in range(count)],
    )


def assert_same(found: Rows, expected: Rows) -> None:
    assert list(found.ids) == list(expected.ids)
    assert list(found.documents) == list(expected.documents)
    assert [dict(m) for m in found.metadatas] == [dict(m) for m in expected.metadatas]
    assert found.vectors.dtype == torch.float32
    assert torch.equal(found.vectors, expected.vectors), "vectors must come back bit for bit"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A Chroma server in a process of its own."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [Path(sys.executable).parent / "chroma", "run", "--path", directory, "--port", str(port)]
        with open(directory.with_suffix(".log"), "w") as log:
            self.process = subprocess.Popen([*command, "--host", "127.0.0.1"], stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 30
        while True:
            try:
                Store.open(self.url).close()
                return
            except StoreError:
                assert time.monotonic() < deadline, directory.with_suffix(".log").read_text()
                time.sleep(0.05)

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("server") / "data")
    yield found
    found.end()


@pytest.fixture(autouse=True)
def fresh_clients() -> Iterator[None]:
    """No test may see the clients that another one left open."""
    yield
    SharedSystemClient.clear_system_cache()


@pytest.fixture(params=["directory", "server"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    if request.param == "directory":
        return tmp_path / "store"
    server: Server = request.getfixturevalue("server")
    with Store.open(server.url) as store:
        for collection in store._client.list_collections():
            store._client.delete_collection(collection.name)
    return server.url


# ------------------------------------------------------------------------------------------- one contract


def test_rows_come_back_as_they_were_written(location: str | Path) -> None:
    rows = some_rows(41)
    with Store.open(location) as store:
        store.upsert(NAME, rows)
        assert_same(store.read(NAME), rows)
    with Store.open(location) as store:
        assert store.count(NAME) == 41
        assert_same(store.read(NAME), rows)


def test_cosine_space_would_lose_bits(tmp_path: Path) -> None:
    """Positive control: what the inner product avoids does happen in Chroma's own cosine space."""
    rows = some_rows(211)
    client = chromadb.PersistentClient(tmp_path)
    equal = {}
    for space in ("cosine", "ip"):
        configuration: Any = {"hnsw": {"space": space}}
        collection = client.create_collection(space + "_space", configuration=configuration)
        collection.add(ids=list(rows.ids), embeddings=rows.vectors.numpy())
        found = np.asarray(collection.get(include=["embeddings"])["embeddings"], dtype=np.float32)
        equal[space] = np.array_equal(found, rows.vectors.numpy())
    client.close()
    assert equal == {"cosine": False, "ip": True}


def test_more_rows_than_one_batch_or_one_sql_statement_holds(location: str | Path) -> None:
    with Store.open(location) as store:
        store._batch = 97
        rows = some_rows(3 * 97 + 5)
        store.stage(NAME, rows, 1)
        store.commit(NAME, 1)
        assert_same(store.read(NAME), rows)
        store.delete(NAME, rows.ids[: 2 * 97 + 1])
        assert list(store.read(NAME).ids) == list(rows.ids[2 * 97 + 1 :])


def test_upsert_replaces_and_delete_passes_over_what_is_not_there(location: str | Path) -> None:
    old, new = some_rows(11), some_rows(5, seed=1, note="second")
    with Store.open(location) as store:
        store.upsert(NAME, old)
        store.upsert(NAME, new)
        store.delete(NAME, ["r00007", "nobody"])
        found = store.read(NAME)
        assert list(found.ids) == [row_id for row_id in old.ids if row_id != "r00007"]
        assert torch.equal(found.vectors[:5], new.vectors)
        assert [m["note"] for m in found.metadatas] == ["second"] * 5 + ["first"] * 5


def test_an_empty_collection_reads_as_no_rows(location: str | Path) -> None:
    with Store.open(location) as store:
        store.stage(NAME, some_rows(0), 1)
        store.commit(NAME, 1)
        assert len(store.read(NAME)) == store.count(NAME) == 0


def test_what_is_not_there_is_said_in_one_line(location: str | Path) -> None:
    with Store.open(location) as store:
        for action in (
            lambda: store.read("engram_absent"),
            lambda: store.count("engram_absent"),
            lambda: store.delete("engram_absent", ["a"]),
            lambda: store.commit("engram_absent", 1),
            lambda: store.settle("engram_absent", 1),
        ):
            with pytest.raises(StoreError, match="engram_absent") as caught:
                action()
            assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="closed"):
        store.read(NAME)
    store.close()


def test_staging_changes_nothing_until_it_is_committed(location: str | Path) -> None:
    old, new = some_rows(13), some_rows(17, seed=2, note="second")
    with Store.open(location) as store:
        store.stage(NAME, old, "one")
        store.commit(NAME, "one")
        store.stage(NAME, new, "two")
        assert_same(store.read(NAME), old)
        assert store.generation(NAME) == "one"
        store.commit(NAME, "two")
        assert_same(store.read(NAME), new)
        assert store.generation(NAME) == "two"


@pytest.mark.parametrize(("valid", "note"), [("one", "first"), ("two", "second")])
def test_settle_follows_the_manifest(location: str | Path, valid: str, note: str) -> None:
    with Store.open(location) as store:
        store.stage(NAME, some_rows(3), "one")
        store.commit(NAME, "one")
        store.stage(NAME, some_rows(5, note="second"), "two")
    with Store.open(location) as store:
        for _ in range(2):  # settling twice is settling once
            store.settle(NAME, valid)
            assert {m["note"] for m in store.read(NAME).metadatas} == {note}
            assert [c.name for c in store._client.list_collections()] == [NAME]


def test_settle_refuses_a_third_generation_and_a_part_of_one(location: str | Path) -> None:
    with Store.open(location) as store:
        store.stage(NAME, some_rows(3), 1)
        store.commit(NAME, 1)
        store.stage(NAME, some_rows(5), 2)
        with pytest.raises(StoreError, match="generation 1, the brain of 3"):
            store.settle(NAME, 3)
        store.delete(NAME + NEXT, ["r00002"])
        with pytest.raises(StoreError, match="generation 1, the brain of 2"):
            store.settle(NAME, 2)
        assert len(store.read(NAME)) == 3


# ------------------------------------------------------------------------------------------- rows and errors


def test_rows_must_be_whole() -> None:
    good = some_rows(3)
    columns = {"ids": good.ids, "vectors": good.vectors, "documents": good.documents, "metadatas": good.metadatas}
    for change, reason in (
        ({"ids": ["a", "b"]}, "each row needs"),
        ({"ids": ["a", "b", "a"]}, "given twice"),
        ({"vectors": good.vectors * 1.01}, "3 of 3 vectors are not unit"),
        ({"vectors": good.vectors.where(torch.arange(DIM) != 2, torch.nan)}, "not unit vectors"),
    ):
        with pytest.raises(StoreError, match=reason):
            Rows(**{**columns, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "address", ["http://", "ftp://host:1", "http://host:port", "http://host:99999", "http://[::1", "http://host/path"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(StoreError, match="write it as http://host:port"):
        Store.open(address)


def test_no_server_and_a_server_that_goes_away(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"http://127.0.0.1:\d+: cannot connect.*chroma run"):
        Store.open(f"http://127.0.0.1:{free_port()}")
    server = Server(tmp_path / "data")
    store = Store.open(server.url)
    store.upsert(NAME, some_rows(3))
    server.end()
    for action in (lambda: store.read(NAME), lambda: store.stage(NAME, some_rows(3), 1)):
        with pytest.raises(StoreError, match=f"{server.url}: cannot .*chroma run") as caught:
            action()
        assert "\n" not in str(caught.value)


def test_a_directory_that_is_none_or_damaged(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "chroma.sqlite3").write_bytes(b"no database" * 1000)
    for location in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / "store"):
        with pytest.raises(StoreError, match="cannot open the store") as caught:
            Store.open(location)
        assert "\n" not in str(caught.value)


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
