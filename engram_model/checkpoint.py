"""The files of one brain directory, written whole or not at all.

It must not know what the tensors mean. A save first writes everything into `.next`, makes that durable and renames
it to `.commit`: that rename is the moment at which the new brain replaces the old one. Whoever opens the directory
next finishes moving the files, so a process may be killed at any moment. Saving and opening happen one at a time
(`alone`), so that nobody takes another's work for what a killed process left.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from engram_model.errors import BrainError

FORMAT_VERSION = 4
MANIFEST = "engram.json"
WEIGHTS = "engram_weights.pth"
MEMORY_MODULE = "engram_memory_module.pth"
WORD_TO_ID = "engram_word_to_id.pth"
TRAINING_STATE = "training_state.pth"
STORE = "engram_memory"
_FILES = (WEIGHTS, MEMORY_MODULE, WORD_TO_ID)
_NEXT, _COMMIT = ".next", ".commit"
_ALWAYS = {"format_version", "generation", "brain"}
PATIENCE = 60.0
"""Seconds to wait for another program that saves or opens the same directory."""
_DAMAGES = (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile)


@contextmanager
def _explained(action: str, directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BrainError(
            f"cannot {action} {directory}: {error.strerror or error}; free space or choose --brain"
        ) from error
    except RuntimeError as error:  # torch reports a full disk as a failed stream
        raise BrainError(f"cannot {action} {directory}: {str(error).splitlines()[0]}; is the disk full?") from error


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Hold a directory: every other process and thread that saves or opens here waits; who is killed lets go.

    Raises:
        BrainError: if another holds it for more than `PATIENCE` seconds, or it can be neither made nor opened.
    """
    with _explained("open", directory):
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory, os.O_RDONLY)
    try:
        _wait_for(handle, directory)
        yield
    finally:
        os.close(handle)


def _wait_for(handle: int, directory: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                raise BrainError(
                    f"another program is saving or opening {directory}; try again when it has finished"
                ) from error
        time.sleep(0.02)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_tensors(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write one file of tensors whole: beside it first, made durable, then renamed over it."""
    with _explained("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(path.name + ".part")
        try:
            torch.save(dict(tensors), beside)
            _sync(beside)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)


def read_tensors(path: Path) -> dict[str, Any]:
    """Read one file of tensors; nothing in it is executed.

    Raises:
        BrainError: if it is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load itself does not look at the checksums
            if archive.testzip() is not None:
                raise ValueError("wrong checksum")
        content: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
        return content
    except FileNotFoundError as error:
        raise BrainError(
            f"{path} is missing; the brain is incomplete: restore it from a copy or train it again"
        ) from error
    except _DAMAGES as error:
        raise BrainError(f"{path} is damaged; restore it from a copy or train the brain again") from error


def prepare(directory: Path, tensors: Mapping[str, Mapping[str, Any]], manifest: Mapping[str, Any]) -> None:
    """Write a new generation of the files beside the present one; only while `alone`, until `commit` or `discard`.

    Args:
        directory: The brain directory; created if missing.
        tensors: Contents of the tensor files, by file name.
        manifest: Contents of engram.json.
    """
    with _explained("write", directory):
        staging = directory / _NEXT
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        for name in _FILES:
            torch.save(dict(tensors[name]), staging / name)
            _sync(staging / name)
        with open(staging / MANIFEST, "w", encoding="utf-8") as file:
            json.dump({"format_version": FORMAT_VERSION, **manifest}, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        _sync(staging)


def commit(directory: Path) -> None:
    """Make the prepared generation the valid one, in one rename, and move it into place."""
    with _explained("write", directory):
        os.replace(directory / _NEXT, directory / _COMMIT)
        _sync(directory)
    settle(directory)


def settle(directory: Path) -> None:
    """Finish or undo what a killed writer left; only while `alone`."""
    with _explained("write", directory):
        shutil.rmtree(directory / _NEXT, ignore_errors=True)
        pending = directory / _COMMIT
        if not pending.is_dir():
            return
        for name in (*_FILES, MANIFEST):
            if (pending / name).exists():
                os.replace(pending / name, directory / name)
        _sync(directory)
        pending.rmdir()


def discard(directory: Path) -> None:
    """Throw away what was prepared but not committed."""
    shutil.rmtree(directory / _NEXT, ignore_errors=True)


def exists(directory: Path) -> bool:
    """Whether a brain was ever committed here."""
    return (directory / MANIFEST).exists() or (directory / _COMMIT / MANIFEST).exists()


def require(directory: Path) -> None:
    """Raise BrainError, with the remedy, where no brain was ever committed."""
    if not exists(directory):
        raise BrainError(
            f"there is no brain at {directory} (no {MANIFEST}); train one with: uv run ingest.py --brain {directory}"
        )


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read engram.json.

    Raises:
        BrainError: if there is no brain, or it is damaged or of another format version.
    """
    require(directory)
    path = directory / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
        if version == FORMAT_VERSION and not manifest.keys() >= _ALWAYS:
            raise KeyError(*_ALWAYS - manifest.keys())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrainError(f"{path} is damaged; restore it from a copy or train the brain again") from error
    if version != FORMAT_VERSION:
        raise BrainError(
            f"{directory} holds a brain of format version {version}, this program reads version {FORMAT_VERSION}; "
            "use the matching program or train the brain again"
        )
    return manifest


def read(directory: Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Read a brain's files, only while `alone`: tensors by file name, and the manifest.

    Raises:
        BrainError: if anything is missing, damaged or of another format version.
    """
    require(directory)
    settle(directory)
    manifest = read_manifest(directory)
    return {name: read_tensors(directory / name) for name in _FILES}, manifest
