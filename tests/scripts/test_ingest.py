"""ingest.py as a user runs it: the table, the replies, breaking off by any signal, and going on to the same weights."""

import json
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from engram_model.checkpoint import MEMORY_MODULE, TRAINING_STATE, WEIGHTS, read_tensors

HOME = Path(__file__).parent.parent.parent
SHAPE = (
    "--size", "nano", "--embed-dim", 24, "--n-heads", 2, "--n-layers", 2, "--context-size", 17, "--max-ponder", 2,
    "--ngram-table-size", 499, "--ngram-dim", 5, "--batch-words", 256, "--row-words", 64,
)  # fmt: skip
SCRIPTS = ("ingest.py", "test_brain.py", "eval_brain.py", "app.py")


def command(*arguments: object, script: str = "ingest.py") -> list[str]:
    return [sys.executable, str(HOME / script), *map(str, arguments)]


def run(*arguments: object, script: str = "ingest.py") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, script=script), capture_output=True, text=True, cwd=HOME, timeout=120, check=False
    )


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HOME, bufsize=1
    )


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    """Read the output up to a line that holds this text."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"{text!r} never came; {process.communicate()[1]}")


def assert_same_weights(one: Path, other: Path) -> None:
    for name in (WEIGHTS, MEMORY_MODULE):
        ours, theirs = _flat(read_tensors(one / name)), _flat(read_tensors(other / name))
        assert ours.keys() == theirs.keys()
        for key, tensor in ours.items():
            assert torch.equal(tensor, theirs[key]), f"{key} differs"


def _flat(found: dict[str, object], prefix: str = "") -> dict[str, torch.Tensor]:
    flat = {}
    for name, value in found.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


@pytest.fixture(scope="module")
def whole(tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run of three passes that nothing interrupted, and what it printed."""
    directory = tmp_path_factory.mktemp("whole") / "brain"
    done = run("--text", tiny_text, "--brain", directory, "--epochs", 3, *SHAPE)
    assert done.returncode == 0, done.stderr
    return directory, done


# ------------------------------------------------------------------------------------------- what it prints


def test_the_table_and_four_replies(whole: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    directory, done = whole
    manifest = json.loads((directory / "engram.json").read_text())
    figures = manifest["figures"]
    assert f"Kneser-Ney 5-gram on the held-out words: perplexity {figures['kneser_ney_perplexity']:.2f}" in done.stdout
    assert re.search(rf"held-out perplexity +{figures['perplexity']:.2f}\n", done.stdout)
    assert re.search(rf"of a Kneser-Ney 5-gram +{figures['kneser_ney_perplexity']:.2f}\n", done.stdout)
    assert re.search(rf"parameters of the brain +{figures['parameters']:,}\n", done.stdout)
    assert len(re.findall(r"^you +\S", done.stdout, re.M)) == 4 == len(re.findall(r"^engram  ", done.stdout, re.M))
    assert done.stdout.count("held-out perplexity") == 4, "one a pass, and the last"
    assert f"talk to it: uv run test_brain.py --brain {directory}" in done.stdout
    assert "\x1b[" not in done.stdout, "no colours in a pipe"
    assert done.stderr == ""
    assert not (directory / TRAINING_STATE).exists()


def test_settings_by_name(whole: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    manifest = json.loads((whole[0] / "engram.json").read_text())
    for name, value in zip(SHAPE[2:14:2], SHAPE[3:14:2], strict=True):
        assert manifest["brain"][str(name).removeprefix("--").replace("-", "_")] == value
    assert (manifest["training"]["batch_words"], manifest["training"]["row_words"]) == (256, 64)
    assert manifest["training"]["epochs"] == 3 == manifest["figures"]["epochs"]


# ------------------------------------------------------------------------------------------- broken off


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_broken_off_and_resumed_is_the_same_bit_for_bit(
    how: signal.Signals, whole: tuple[Path, subprocess.CompletedProcess[str]], tiny_text: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "brain"
    arguments = ("--text", tiny_text, "--brain", directory, "--epochs", 3, *SHAPE)
    process = start(*arguments)
    wait_for(process, "pass 1:")
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert (directory / TRAINING_STATE).exists()
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130, err
        assert err == "" and "broken off and saved" in out
        assert out.rstrip().endswith("--resume") and f"--brain {directory}" in out.splitlines()[-1]
        progress = read_tensors(directory / TRAINING_STATE)["trainer"]["progress"]
        assert 0 < progress["step"] < progress["total_steps"], "it stopped on the way"
        assert (directory / "engram.json").exists(), "there is a brain to talk to already"
    done = run(*arguments, "--resume")
    assert done.returncode == 0, done.stderr
    assert_same_weights(directory, whole[0])
    assert not (directory / TRAINING_STATE).exists()


def test_the_json_is_all_there_is_on_stdout(tiny_text: Path, tmp_path: Path) -> None:
    done = run("--text", tiny_text, "--brain", tmp_path / "brain", "--epochs", 1, *SHAPE, "--json", "--held-out", 0)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {"brain", "figures", "replies"} and len(found["replies"]) == 4
    assert found["figures"]["perplexity"] is None and found["figures"]["words"] > 1000
    assert "words a second" in done.stderr


def test_minutes_shorten_the_training(tiny_text: Path, tmp_path: Path) -> None:
    given = ("--epochs", 400, "--minutes", 0.02, "--held-out", 0, "--json")
    done = run("--text", tiny_text, "--brain", tmp_path / "brain", *SHAPE, *given)
    assert done.returncode == 0, done.stderr
    assert "400 passes" in done.stderr, "what was asked for"
    assert json.loads(done.stdout)["figures"]["epochs"] < 200


def test_help_answers_at_once_without_torch() -> None:
    for script in SCRIPTS:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        watched = [sys.executable, "-X", "importtime", str(HOME / script), "--help"]
        done = subprocess.run(watched, capture_output=True, text=True, cwd=HOME, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0 and done.stdout.startswith("usage: ")
        assert not re.search(r"\| +(torch|chromadb|gradio|numpy)\b", done.stderr), f"{script} imports too much"
        assert "argparse" in done.stderr, "positive control: imports are listed"
        assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 2.0, script
