"""One contract for every store: a directory and a server keep rows alike, and say in one line what fails."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromadb
import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from engram_model.errors import StoreError
from engram_model.rows import Rows, Scalar
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


def test_nothing_of_a_replaced_row_stays(location: str | Path) -> None:
    def one_row(document: str, metadata: dict[str, Scalar]) -> Rows:
        return Rows(ids=["a"], vectors=torch.eye(DIM)[:1], documents=[document], metadatas=[metadata])

    with Store.open(location) as store:
        store.upsert(NAME, one_row("a document", {"form": "Ada", "n": 1}))
        store.upsert(NAME, one_row("", {"n": 2}))
        assert_same(store.read(NAME), one_row("", {"n": 2}))


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


def test_who_opened_an_older_generation_writes_nothing_into_a_newer(location: str | Path) -> None:
    with Store.open(location) as first, Store.open(location) as second:
        first.stage(NAME, some_rows(3), "one")
        first.commit(NAME, "one")
        second.settle(NAME, "one")
        second.upsert(NAME, some_rows(5))
        first.stage(NAME, some_rows(7, note="second"), "two")
        first.commit(NAME, "two")
        for action in (
            lambda: second.upsert(NAME, some_rows(2)),
            lambda: second.delete(NAME, ["r00001"]),
            lambda: second.read(NAME),
        ):
            with pytest.raises(StoreError, match="another program replaced"):
                action()
        assert_same(first.read(NAME), some_rows(7, note="second"))
        second.settle(NAME, "two")
        assert second.count(NAME) == 7


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
