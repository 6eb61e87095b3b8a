"""The one door to Chroma: collections of unit vectors in a directory or on a server, read and replaced whole.

It must not know what a row means: words and episodes describe their own rows.
"""

import logging
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromadb
import httpx
import numpy as np
import torch
from chromadb.api.models.Collection import Collection
from chromadb.config import Settings
from chromadb.errors import ChromaError, NotFoundError

from engram_model.errors import StoreError
from engram_model.rows import Rows, Scalar

Generation = int | str

NEXT = ".next"
"""Suffix of the collection into which the next generation of a collection is written."""

CONNECT_SECONDS = 5.0
"""How long a server may take to accept a connection before it counts as not there."""

_INDEX = {"hnsw": {"space": "ip", "ef_construction": 32, "max_neighbors": 8, "sync_threshold": 10**9}}
"""Inner product: for unit vectors 1 - <a, b> is the cosine distance, and they come back bit for bit; Chroma's
own "cosine" space divides every vector by its norm again and returns other bits than it was given. The index is
never synchronised to files of its own, which a kill could leave half written: the rows stand in Chroma's
database alone, whose transactions are whole, and the index is built from them at the first reading. A light
graph makes that fast, and still finds 97 of 100 neighbours among 5,000 words."""

_FAILURES = (ChromaError, httpx.HTTPError, OSError, ValueError)


class Store:
    """An open Chroma store.

    A store holds named collections. `read`, `upsert`, `delete` and `count` work on one at once, unless another
    program has replaced it; `stage`, `commit` and `settle` replace one whole: who is killed in between leaves
    the old or the new.

    Example:
        >>> import tempfile, torch
        >>> rows = Rows(ids=["a"], vectors=torch.eye(3)[:1], documents=["one"], metadatas=[{"n": 1}])
        >>> with Store.open(tempfile.mkdtemp()) as store:
        ...     store.stage("words", rows, generation=1)
        ...     store.commit("words", generation=1)
        ...     store.read("words").documents
        ['one']
    """

    def __init__(self, client: Any, location: str) -> None:
        """Wrap a connected Chroma client; use `Store.open`."""
        self._client = client
        self.location = location
        self._valid: dict[str, Generation] = {}
        with self._failing("ask for the largest batch"):
            self._batch = int(client.get_max_batch_size())

    @classmethod
    def open(cls, location: str | Path) -> "Store":
        """Open the store at a directory (created if missing) or at the address of a Chroma server.

        A server's address is "http://host:port" (or https; the port is 8000 unless given).

        Raises:
            StoreError: if the directory cannot be used or the server does not answer.
        """
        logging.getLogger("chromadb").setLevel(logging.ERROR)
        text = str(location)
        if re.match(r"[a-z]+://", text):
            return cls(_connect(text), text)
        path = Path(location).expanduser().resolve()
        return cls(_open_directory(path), str(path))

    def close(self) -> None:
        """Let go of the directory or the connection; a second call does nothing."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def __enter__(self) -> "Store":
        """Return the store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the store."""
        self.close()

    def count(self, name: str) -> int:
        """Return how many rows a collection has; StoreError if there is no such collection."""
        with self._failing(f"count {name!r}"):
            return int(self._existing(name).count())

    def read(self, name: str) -> Rows:
        """Return all rows of a collection, sorted by id; vectors have the very bits that were written.

        Raises:
            StoreError: if there is no such collection, a row is damaged, or the store fails.
        """
        with self._failing(f"read {name!r}"):
            collection = self._existing(name)
            pages: list[Any] = [
                collection.get(limit=self._batch, offset=start, include=["embeddings", "documents", "metadatas"])
                for start in range(0, collection.count(), self._batch)
            ]
        ids = [row_id for page in pages for row_id in page["ids"]]
        order = sorted(range(len(ids)), key=ids.__getitem__)
        documents = [document or "" for page in pages for document in page["documents"]]
        metadatas = [metadata or {} for page in pages for metadata in page["metadatas"]]
        vectors = np.concatenate([page["embeddings"] for page in pages]) if pages else np.empty((0, 0))
        return Rows(
            ids=[ids[row] for row in order],
            vectors=torch.from_numpy(vectors[order].astype(np.float32)),
            documents=[documents[row] for row in order],
            metadatas=[metadatas[row] for row in order],
        )

    def upsert(self, name: str, rows: Rows) -> None:
        """Write rows into a collection (created if missing); a row whose id exists is replaced.

        Raises:
            StoreError: if the store fails.
        """
        with self._failing(f"write to {name!r}"):
            if self._find(name) is None:
                self._create(name, {})
            self._write(self._existing(name), rows)

    def delete(self, name: str, ids: Sequence[str]) -> None:
        """Delete the rows with these ids; ids that are not there are passed over.

        Raises:
            StoreError: if there is no such collection or the store fails.
        """
        with self._failing(f"delete from {name!r}"):
            collection = self._existing(name)
            for start in range(0, len(ids), self._batch):
                collection.delete(ids=list(ids[start : start + self._batch]))

    def generation(self, name: str) -> Generation | None:
        """Return the generation of a collection that was committed whole, None if there is none."""
        with self._failing(f"look for {name!r}"):
            return _generation(self._find(name))

    def stage(self, name: str, rows: Rows, generation: Generation) -> None:
        """Write the next generation of a collection beside the present one, which stays as it is.

        Raises:
            StoreError: if the store fails.
        """
        with self._failing(f"stage {name!r}"):
            self._drop(name + NEXT)
            staged = self._create(name + NEXT, {"staging": True})
            self._write(staged, rows)
            staged.modify(metadata={"generation": generation, "complete": len(rows)})

    def commit(self, name: str, generation: Generation) -> None:
        """Put the staged collection of this generation in the place of the present one.

        Raises:
            StoreError: if this generation was not staged to its end, or the store fails.
        """
        with self._failing(f"commit {name!r}"):
            staged = self._find(name + NEXT)
            complete = staged is not None and staged.count() == (staged.metadata or {}).get("complete")
            if staged is None or not complete or _generation(staged) != generation:
                present = _generation(self._find(name))
                raise StoreError(
                    f"{self.location}: {name!r} is of generation {present!r}, the brain of {generation!r}; "
                    "restore brain and store from copies of one time, or train the brain again"
                )
            self._drop(name)
            staged.modify(name=name)
        self._valid[name] = generation

    def settle(self, name: str, generation: Generation) -> None:
        """Finish or undo what a killed writer left: then `name` has this generation and nothing is staged.

        Args:
            name: the collection.
            generation: the one that the brain's manifest calls valid.

        Raises:
            StoreError: if neither the collection nor its staged successor has this generation.
        """
        if self.generation(name) != generation:
            self.commit(name, generation)
        with self._failing(f"settle {name!r}"):
            self._drop(name + NEXT)
        self._valid[name] = generation

    def _create(self, name: str, metadata: dict[str, Scalar]) -> Collection:
        created: Collection = self._client.create_collection(
            name, configuration=_INDEX, metadata=metadata or None, embedding_function=None
        )
        return created

    def _find(self, name: str) -> Collection | None:
        try:
            found: Collection = self._client.get_collection(name, embedding_function=None)
        except NotFoundError:
            return None
        return found

    def _existing(self, name: str) -> Collection:
        found = self._find(name)
        if found is None:
            raise StoreError(f"{self.location}: there is no collection {name!r}; is this the brain's store?")
        if name in self._valid and _generation(found) != self._valid[name]:
            raise StoreError(f"{self.location}: another program replaced {name!r}; open the brain again")
        return found

    def _drop(self, name: str) -> None:
        with suppress(NotFoundError):
            self._client.delete_collection(name)

    def _write(self, collection: Collection, rows: Rows) -> None:
        vectors = rows.vectors.detach().cpu().to(torch.float32).numpy()
        for start in range(0, len(rows), self._batch):
            part = slice(start, start + self._batch)
            ids = list(rows.ids[part])
            erased = self._erased(collection, ids)
            collection.upsert(
                ids=ids,
                embeddings=vectors[part],
                documents=list(rows.documents[part]),
                metadatas=[erased.get(i, {}) | dict(m) for i, m in zip(ids, rows.metadatas[part], strict=True)],
            )

    def _erased(self, collection: Collection, ids: list[str]) -> dict[str, dict[str, Any]]:
        """Return the metadata names that these rows have so far, with None: Chroma would else keep the values."""
        held = collection.get(ids=ids, include=["metadatas"])
        return dict(zip(held["ids"], map(dict.fromkeys, held["metadatas"] or []), strict=True))

    @contextmanager
    def _failing(self, action: str) -> Iterator[None]:
        """Turn whatever Chroma raises inside into one clear line."""
        if self._client is None:
            raise StoreError(f"{self.location}: cannot {action}: the store is closed; open it again")
        try:
            yield
        except _FAILURES as error:
            raise _explain(self.location, action, error) from error


def _generation(collection: Collection | None) -> Generation | None:
    if collection is None:
        return None
    generation: Generation | None = (collection.metadata or {}).get("generation")
    return generation


def _settings() -> Settings:
    # A stray .env in the working directory must not change where or how memories are kept.
    return Settings(_env_file=None, anonymized_telemetry=False)  # type: ignore[call-arg]


def _connect(url: str) -> Any:
    with suppress(ValueError):  # a port that is no number
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 8000
        if parts.scheme in ("http", "https") and host and not parts.path.strip("/"):
            return _reach(url, host, port)
    raise StoreError(f"cannot read the address {url!r}; write it as http://host:port")


def _reach(url: str, host: str, port: int) -> Any:
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
        return chromadb.HttpClient(host, port, ssl=url.startswith("https"), settings=_settings())
    except Exception as error:  # whatever is no Chroma server may answer anything
        raise _explain(url, "connect", error) from error


def _open_directory(path: Path) -> Any:
    try:
        path.mkdir(parents=True, exist_ok=True)
        return chromadb.PersistentClient(path, settings=_settings())
    except _FAILURES as error:
        raise _explain(str(path), "open the store", error) from error


def _explain(location: str, action: str, error: Exception) -> StoreError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    if "://" in location:
        remedy = "is a Chroma server running there? start one with: chroma run --path DIRECTORY"
    else:
        remedy = "is the directory yours to write, undamaged, and is there room on the disk?"
    return StoreError(f"{location}: cannot {action}: {reason}; {remedy}")
