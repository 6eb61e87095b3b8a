"""Whatever text or address ingest.py is given: one line that says what was expected, or a brain; never a traceback."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_ingest import HOME, SHAPE

import ingest
from engram_model import checkpoint
from engram_model.config import BrainConfig, TrainingConfig
from engram_model.engram import Engram
from engram_model.errors import StoreError
from engram_model.learning import prepare
from engram_model.stores import Store
from engram_scripts.common import run_main

QUICK = (*SHAPE, "--epochs", 1)
DIALOGUES = "User: Ça va, Zoë?\nBot: Très bien, merci.\n\n" * 23


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def chroma_server(directory: Path, port: int) -> subprocess.Popen[bytes]:
    """A Chroma server that answers."""
    command = [Path(sys.executable).parent / "chroma", "run", "--path", directory, "--port", str(port)]
    server = subprocess.Popen([*command, "--host", "127.0.0.1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            Store.open(f"http://127.0.0.1:{port}").close()
            return server
        except StoreError:
            time.sleep(0.1)
    pytest.fail("the Chroma server did not start")


class Told:
    """What a run of ingest.py in this process said: `code`, `out`, `err`."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch

    def run(self, *arguments: object) -> int:
        self.monkeypatch.setattr(sys, "argv", ["ingest.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_main(ingest.main)
        self.out, self.err = self.capsys.readouterr()
        return int(ended.value.code or 0)

    def fails(self, *arguments: object) -> str:
        """Run what must fail, and return its one line."""
        code = self.run(*arguments)
        lines = self.err.splitlines()
        assert code in (1, 2) and len(lines) == 1 and lines[0].startswith("error: "), (code, self.err)
        return f"{code} {lines[0]}"


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(capsys, monkeypatch)


# ------------------------------------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no file"),
        ("directory", "folder"),
        (b"", "empty"),
        (b" \n\t\n ", "empty"),
        (b"hello", "only"),
        (bytes(range(256)) * 99, "binary"),
        ("🙂 🙃".encode(), "only"),
    ],
)
def test_what_is_no_text_to_learn_from(told: Told, tmp_path: Path, content: bytes | str | None, says: str) -> None:
    path = tmp_path / "given.txt"
    if content == "directory":
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    line = told.fails("--text", path, "--brain", tmp_path / "brain", *QUICK)
    assert line.startswith("1 ") and str(path) in line
    assert says in line
    assert not (tmp_path / "brain").exists()


@pytest.mark.parametrize(
    "content",
    [
        DIALOGUES.encode("latin-1"),
        b"\xef\xbb\xbf" + DIALOGUES.encode(),
        DIALOGUES.replace("\n", "\r\n").encode(),
        ("🙂 🙃 🙂 🎈 🙃\n\n" * 47).encode(),
        ("hello " * 997).encode(),
    ],
    ids=["latin-1", "bom", "crlf", "emoji", "one word again and again"],
)
def test_strange_text_is_learned(told: Told, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "given.txt").write_bytes(content)
    code = told.run("--text", tmp_path / "given.txt", "--brain", tmp_path / "brain", *QUICK)
    assert code == 0, told.err
    assert told.err == "" and told.out.count("engram  ") == 4
    brain = Engram.load(tmp_path / "brain")
    assert brain.verify() == []
    if b"va" in content:
        assert {"ça", "zoë", "très"} <= set(brain.vocabulary.ids)
        assert brain.chat().in_turns
    brain.close()


@pytest.mark.slow
def test_ten_megabytes_in_one_line(tmp_path: Path) -> None:
    """Only read and counted here: as many words as this take minutes to train on."""
    path = tmp_path / "line.txt"
    path.write_text("the small goat likes cheese and plums by the lake " * 200_000, encoding="utf-8")
    assert path.stat().st_size == 10_000_000
    began = time.process_time()
    lesson = prepare([path], BrainConfig(embed_dim=24, n_heads=2), TrainingConfig())
    assert lesson.words() + sum(map(len, lesson.held_out)) == 2_000_001
    assert time.process_time() - began < 60


# ------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    "given",
    [
        ("--embed-dim", 25), ("--n-heads", 0), ("--n-layers", 1), ("--context-size", 0), ("--max-ponder", 99),
        ("--phrase-order", 3), ("--dropout", 1.5), ("--epochs", 0), ("--minutes", 0), ("--minutes", "inf"),
        ("--minutes", "nan"), ("--row-words", 1), ("--batch-words", 7), ("--muon-rate", -1), ("--held-out", 0.9),
        ("--min-count", 0), ("--surprise-strength", 2), ("--patience", 0), ("--seed", -1), ("--seed", 10**30),
        ("--dropout", "nan"), ("--weight-decay", "nan"),
    ],
    ids=lambda pair: "=".join(map(str, pair)),
)  # fmt: skip
def test_a_setting_without_meaning(told: Told, tiny_text: Path, tmp_path: Path, given: tuple[str, object]) -> None:
    line = told.fails("--text", tiny_text, "--brain", tmp_path / "brain", *QUICK, *given)
    assert line.startswith("2 "), "as for a wrong option"
    assert given[0].removeprefix("--").replace("-", "_").split("_rate")[0].split("_")[-1] in line or "rate" in line


def test_a_wrong_option(told: Told) -> None:
    for wrong in (["--no-such"], ["--size", "huge"], ["--epochs", "many"]):
        assert told.run(*wrong) == 2 and wrong[-1] in told.err


# ------------------------------------------------------------------------------------------- going on


def test_nothing_to_go_on_with(told: Told, tiny_text: Path, copy_of_brain: Path, tmp_path: Path) -> None:
    assert "no broken-off training" in told.fails("--text", tiny_text, "--brain", tmp_path / "new", "--resume", *QUICK)
    assert not (tmp_path / "new").exists()
    assert "there is no brain" in told.fails("--text", tiny_text, "--brain", tmp_path / "new", "--continue")
    line = told.fails("--text", tiny_text, "--brain", copy_of_brain, "--continue", "--embed-dim", 24)
    assert line.startswith("2 ") and "keeps its shape" in line


def test_a_damaged_brain_is_not_overwritten(told: Told, tiny_text: Path, copy_of_brain: Path) -> None:
    (copy_of_brain / checkpoint.WEIGHTS).write_bytes(b"hello")
    for options in ((), ("--continue",)):
        line = told.fails("--text", tiny_text, "--brain", copy_of_brain, *options)
        assert checkpoint.WEIGHTS in line and "damaged" in line
    assert (copy_of_brain / checkpoint.STORE).is_dir()
    line = told.fails("--text", tiny_text, "--brain", copy_of_brain, *QUICK)
    assert "another --brain" in line


# ------------------------------------------------------------------------------------------- a server


def test_where_no_server_listens(told: Told, tiny_text: Path, copy_of_brain: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for brain in (tmp_path / "new", copy_of_brain):
        line = told.fails("--text", tiny_text, "--brain", brain, "--chroma", url, *QUICK)
        assert url in line and told.out == "", "before the training, not after it"
    assert "http://host:port" in told.fails("--text", tiny_text, "--brain", copy_of_brain, "--chroma", "nonsense://")
    assert not (tmp_path / "new").exists()
    Engram.load(copy_of_brain).close()


def test_a_server_that_goes_away_before_the_save(tiny_text: Path, tmp_path: Path) -> None:
    port = free_port()
    server, url = chroma_server(tmp_path / "data", port), f"http://127.0.0.1:{port}"
    brain = tmp_path / "brain"
    arguments = ["--text", tiny_text, "--brain", brain, "--chroma", url, *QUICK]
    process = subprocess.Popen(
        [sys.executable, HOME / "ingest.py", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HOME, bufsize=1,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "words to learn" in line:
            break
    server.terminate()
    server.wait(timeout=20)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 1 and err.startswith("error: ") and len(err.splitlines()) == 1, err
    assert url in err
    assert (brain / checkpoint.TRAINING_STATE).exists(), "nothing is lost: --resume has the last step left"
    assert not checkpoint.exists(brain)
    done = subprocess.run(
        [sys.executable, HOME / "ingest.py", *map(str, arguments[:4]), *map(str, QUICK), "--resume", "--json"],
        capture_output=True, text=True, cwd=HOME, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["figures"]["epochs"] == 1
    shutil.rmtree(tmp_path / "data")
    Engram.load(brain).close()
