"""A brain in its directory: the same numbers after save and load, nothing lost when it is replaced, killed or full."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from engram_model import checkpoint
from engram_model.config import GenerationConfig, TrainingConfig
from engram_model.engram import Engram, episode_keys
from engram_model.errors import BrainError, EngramError, StoreError
from engram_model.generation import Reader
from engram_model.learning import Learning, prepare

TEXT = "User: What does the duck like?\nBot: The duck likes cake.\n\nBen went to the garden."
TRAINING = TrainingConfig(epochs=1, batch_words=256, row_words=64, warmup_steps=5, held_out=0.2)


@pytest.fixture
def engram(copy_of_brain: Path) -> Iterator[Engram]:
    found = Engram.load(copy_of_brain)
    yield found
    found.close()


def tell(engram: Engram, *said: str) -> None:
    """Say something to it that it remembers."""
    chat = engram.chat(GenerationConfig(max_words=3), "told")
    for text in said:
        chat.say(text)
    assert len(engram.episodes) > 0


def bits(engram: Engram) -> list[float]:
    """Every probability after a text and of a text, as it is."""
    return [*engram.log_probs(TEXT)[1], *engram.next_word("the goat likes").values()]


# ------------------------------------------------------------------------------------------- save and load


def test_the_same_bits_after_save_and_load(engram: Engram, tmp_path: Path) -> None:
    tell(engram, "my name is Zebulon.", "the goat likes figs.")
    before, state = bits(engram), engram.mind.brain.state_dict()
    engram.save(tmp_path / "other")
    assert bits(engram) == before
    engram.close()
    again = Engram.load(tmp_path / "other")
    assert bits(again) == before
    assert all(torch.equal(value, state[name]) for name, value in again.mind.brain.state_dict().items())
    assert torch.equal(again.mind.norms, engram.mind.norms)
    assert again.episodes.episodes == engram.episodes.episodes
    assert torch.equal(again.episodes.keys, engram.episodes.keys)
    assert again.verify() == [] == engram.verify()
    again.close()


def test_talking_is_kept_without_a_save(copy_of_brain: Path) -> None:
    first = Engram.load(copy_of_brain)
    tell(first, "my name is Zebulon.")
    kept = list(first.episodes.episodes)
    first.close()
    second = Engram.load(copy_of_brain)
    assert second.episodes.episodes == kept and "zebulon" in second.vocabulary
    second.close()


# ------------------------------------------------------------------------------------------- probabilities


@pytest.mark.parametrize("told", [(), ("the goat likes figs.", "the goat likes plums.", "my name is Zebulon.")])
def test_the_next_word_sums_to_one_and_is_what_the_text_is_scored_by(engram: Engram, told: tuple[str, ...]) -> None:
    if told:
        tell(engram, *told)
    words, scores = engram.log_probs("the goat likes cheese and the duck likes cake")
    for place in range(1, len(words) - 1):
        found = engram.next_word(" ".join(words[:place]))
        assert sum(found.values()) == pytest.approx(1.0, abs=1e-5)
        assert min(found.values()) >= 0
        assert found[words[place]] == pytest.approx(torch.tensor(scores[place]).exp().item(), rel=1e-4)


def test_stored_episodes_change_what_comes_next(engram: Engram) -> None:
    """Positive control of the test above."""
    before = engram.next_word("the goat likes")
    tell(engram, "the goat likes figs.", "the goat likes figs.")
    assert engram.next_word("the goat likes") != before


def test_a_removed_word_is_never_said(engram: Engram) -> None:
    assert engram.next_word("the goat likes")["cheese"] > 0.01
    engram.vocabulary.remove("cheese")
    reader = Reader(engram.mind, engram.episodes, GenerationConfig(temperature=1.0, top_k=0))
    word_id = len(engram.vocabulary) - 1
    found = engram.next_word("the goat likes")
    assert "cheese" not in found and sum(found.values()) == pytest.approx(1.0, abs=1e-5)
    reader.read(engram.vocabulary.encode(["the", "goat", "likes"]).tolist())
    probs = reader.predict().probs[0]
    removed = [place for place, word in enumerate(engram.vocabulary.words) if word is None]
    assert len(removed) == 1 and float(probs[removed[0]]) == 0.0 and word_id < len(probs)


# ------------------------------------------------------------------------------------------- a new brain in its place


def test_a_brain_trained_in_the_place_of_another_keeps_its_episodes(copy_of_brain: Path, tiny_text: Path) -> None:
    old = Engram.load(copy_of_brain)
    tell(old, "my name is Zebulon.", "my hen is black.")
    kept, old_keys = list(old.episodes.episodes), old.episodes.keys.clone()
    shape = old.mind.brain.config.override(embed_dim=20, dropout=0.1)
    learning = Learning(prepare([tiny_text], shape, TRAINING), shape, TRAINING)
    learning.run()
    new = learning.finish(old)
    new.save(copy_of_brain)
    new.close()
    again = Engram.load(copy_of_brain)
    assert again.episodes.episodes == kept
    assert again.episodes.keys.shape == (len(kept), 20) and old_keys.shape[1] == 28
    torch.testing.assert_close(again.episodes.keys, episode_keys(again.mind, kept))
    assert again.verify() == []
    again.close()


def test_a_brain_that_learns_on(copy_of_brain: Path, tiny_text: Path, tmp_path: Path) -> None:
    start = Engram.load(copy_of_brain)
    tell(start, "my name is Nils.")
    words, vectors = list(start.vocabulary.words), start.vocabulary.vectors.clone()
    kept = list(start.episodes.episodes)
    assert start.mind.phrases is not None
    old_phrases = start.mind.phrases
    more = tmp_path / "more.txt"
    more.write_text("The walrus likes pudding.\n\n" * 13 + "Ben went to the igloo.\n\n" * 13, encoding="utf-8")
    config, training = start.mind.brain.config, TRAINING.override(held_out=0.0)
    lesson = prepare([more], config, training, start)
    assert lesson.vocabulary.words[: len(words)] == words
    assert torch.equal(lesson.vocabulary.vectors[: len(words)], vectors), "known vectors are where it starts"
    assert {"walrus", "pudding", "igloo"} <= set(lesson.vocabulary.words[len(words) :])
    learning = Learning(lesson, config, training, start)
    for name, value in learning.learner.brain.state_dict().items():
        assert torch.equal(value, start.mind.brain.state_dict()[name]), f"{name} does not start where it was"
    learning.run()
    new = learning.finish(start)
    new.save(copy_of_brain)
    new.close()
    again = Engram.load(copy_of_brain)
    assert again.vocabulary.words[: len(words)] == words and again.episodes.episodes == kept
    assert again.mind.phrases is not None
    for known in ("the duck likes", "the walrus likes"):
        ids = again.vocabulary.encode(known.split()).tolist()
        old, merged = old_phrases.features(ids), again.mind.phrases.features(ids)
        assert (merged >= old).all() and merged.sum() > 0
    both = again.vocabulary.encode(["likes"]).tolist()
    assert again.mind.phrases.features(both)[0] > old_phrases.features(both)[0], "counts of both texts"
    again.close()


# ------------------------------------------------------------------------------------------- damage


def damage(directory: Path, how: str) -> None:
    manifest_file = directory / checkpoint.MANIFEST
    manifest: dict[str, Any] = json.loads(manifest_file.read_text(encoding="utf-8"))
    if how == "no store":
        shutil.rmtree(directory / checkpoint.STORE)
    elif how == "empty store":
        shutil.rmtree(directory / checkpoint.STORE)
        (directory / checkpoint.STORE).mkdir()
    elif how == "damaged store":
        for path in (directory / checkpoint.STORE).glob("*.sqlite3*"):
            path.write_bytes(b"hello" * 999)
    elif how == "other generation":
        manifest_file.write_text(json.dumps(manifest | {"generation": "another"}), encoding="utf-8")
    elif how == "other settings":
        shape = manifest["brain"] | {"n_layers": 7}
        manifest_file.write_text(json.dumps(manifest | {"brain": shape}), encoding="utf-8")
    elif how == "unknown settings":
        manifest_file.write_text(json.dumps(manifest | {"brain": {"colour": "red"}}), encoding="utf-8")
    elif how.startswith("no "):
        tensors = checkpoint.read_tensors(directory / checkpoint.WEIGHTS)
        del tensors[how.removeprefix("no ")]
        checkpoint.write_tensors(directory / checkpoint.WEIGHTS, tensors)
    else:
        checkpoint.write_tensors(directory / how, {"other": torch.zeros(3)})


DAMAGES = ["no store", "empty store", "damaged store", "other generation", "other settings", "unknown settings",
           "no norms", "no brain", "no episode_gate", *(checkpoint.WEIGHTS, checkpoint.WORD_TO_ID)]  # fmt: skip


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_brain_is_one_line(copy_of_brain: Path, how: str) -> None:
    damage(copy_of_brain, how)
    with pytest.raises(EngramError) as error:
        Engram.load(copy_of_brain).close()
    assert "\n" not in str(error.value) and len(str(error.value)) > 20
    if how == "no store":
        assert isinstance(error.value, BrainError) and checkpoint.STORE in str(error.value)


# ------------------------------------------------------------------------------------------- killed, or full

FORKS = multiprocessing.get_context("forkserver")


def save_for_ever(directory: Path, first: int, saved: Any, pause: float = 0.0) -> None:
    """Save one generation after another, each with its number in weights, words and episodes."""
    torch.set_num_threads(1)
    engram = Engram.load(directory)
    for number in range(first, first + 1000):
        engram.mind.norms[0] = float(number)
        engram.vocabulary.forms["goat"] = f"Goat{number}"
        engram.episodes.add(
            key=torch.ones(engram.vocabulary.dim), next_word="goat", next_id=engram.vocabulary.id_of("goat"),
            context=["the"], context_ids=[engram.vocabulary.id_of("the")], surprise=5.0, conversation=str(number),
        )  # fmt: skip
        engram.save(directory)
        saved.send(number)
        time.sleep(pause)


def test_killed_at_random_moments_of_a_save(copy_of_brain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    draw, last = random.Random(11), 0
    for _ in range(4):
        ours, theirs = FORKS.Pipe()
        process = FORKS.Process(target=save_for_ever, args=(copy_of_brain, last + 1, theirs))
        process.start()
        assert ours.poll(100), "the saving process did not get anywhere"
        sure, began = ours.recv(), time.perf_counter()
        assert ours.poll(100)
        sure, lasted = ours.recv(), time.perf_counter() - began
        time.sleep(draw.random() * lasted)
        process.kill()
        process.join(30)
        assert process.exitcode == -signal.SIGKILL
        found = Engram.load(copy_of_brain)
        last = len(found.episodes)
        assert last >= sure, "what was said to be saved is saved"
        assert float(found.mind.norms[0]) == last and found.vocabulary.forms["goat"] == f"Goat{last}"
        assert found.episodes.episodes[-1].conversation == str(last) and found.verify() == []
        found.close()


def test_loading_while_another_saves_takes_nothing_from_it(
    copy_of_brain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=save_for_ever, args=(copy_of_brain, 1, theirs, 0.1))
    process.start()
    sure = 0
    for _ in range(5):
        assert ours.poll(100), "the saving process did not get anywhere"
        sure = ours.recv()
        found = Engram.load(copy_of_brain)
        assert float(found.mind.norms[0]) >= sure and found.verify() == []
        assert found.store is not None
        found.store.close()
    assert process.is_alive(), "it went on saving all the while"
    process.kill()
    process.join(30)


@pytest.fixture
def small_disk(tmp_path: Path, tiny_brain_dir: Path) -> Iterator[Path]:
    """A disk on which the tiny brain has room once, with 200 KiB more."""
    size = sum(path.stat().st_blocks * 512 for path in tiny_brain_dir.rglob("*"))
    (tmp_path / "disk").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size + 200 * 1024}", "tmpfs", str(tmp_path / "disk")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        if "ENGRAM_NO_SKIP" in os.environ:
            pytest.fail(f"cannot mount a small disk: {done.stderr}")
        pytest.skip(f"mounting a small disk is not allowed here: {done.stderr.strip()}")
    yield tmp_path / "disk"
    subprocess.run(["umount", "-l", str(tmp_path / "disk")], check=True)


def test_a_full_disk_leaves_the_old_brain(small_disk: Path, tiny_brain_dir: Path) -> None:
    directory = small_disk / "brain"
    shutil.copytree(tiny_brain_dir, directory)
    engram = Engram.load(directory)
    before = bits(engram)
    (small_disk / "filler").write_bytes(b"\0" * 190 * 1024)
    with pytest.raises((BrainError, StoreError)) as error:
        engram.save(directory)
    assert "\n" not in str(error.value)
    assert engram.store is not None
    engram.store.close()
    (small_disk / "filler").unlink()
    again = Engram.load(directory)
    assert bits(again) == before and again.verify() == []
    again.close()


# ------------------------------------------------------------------------------------------- on a server


def test_a_brain_on_a_server_stays_there(copy_of_brain: Path, tmp_path: Path) -> None:
    from test_stores import Server

    server = Server(tmp_path / "data")
    try:
        engram = Engram.load(copy_of_brain)
        engram.save(copy_of_brain, server.url)
        engram.vocabulary.forms["goat"] = "Goat"
        engram.save(copy_of_brain)
        engram.close()
        shutil.rmtree(copy_of_brain / checkpoint.STORE)
        again = Engram.load(copy_of_brain)
        assert again.store is not None and again.store.location == server.url
        assert again.vocabulary.forms["goat"] == "Goat"
        again.save(tmp_path / "inside")
        again.close()
        inside = Engram.load(tmp_path / "inside")
        assert inside.store is not None and inside.store.location == str(tmp_path / "inside" / checkpoint.STORE)
        generation = inside.manifest["generation"]
    finally:
        server.end()
    with pytest.raises(StoreError) as error:
        inside.save(tmp_path / "inside", server.url)
    assert "\n" not in str(error.value) and server.url in str(error.value)
    assert inside.manifest["generation"] == generation, "nothing has changed"
    inside.close()
    Engram.load(tmp_path / "inside").close()
