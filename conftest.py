"""What all tests share: a tiny trained brain, its text, a home of their own, and a clean start for each test.

Tensor shapes and types in the annotations of engram_model are checked at every call (jaxtyping with beartype).
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jaxtyping import install_import_hook

HOME = Path(__file__).parent
NO_TENSORS = ("__init__", "config", "engram")  # typing.Self, which beartype takes in decorated classes only
CHECKED = [path.stem for path in (HOME / "engram_model").glob("*.py") if path.stem not in NO_TENSORS]

install_import_hook([f"engram_model.{name}" for name in CHECKED], "beartype.beartype")
os.environ["OMP_NUM_THREADS"] = "1"  # of the scripts that tests start

collect_ignore = ["test_brain.py"]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Sums come out the same however many processors there are."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fresh_chroma() -> Iterator[None]:
    """Chroma shares one client for all that open the same path: none is left over for the next test."""
    yield
    if "chromadb" in sys.modules:
        from chromadb.api.shared_system_client import SharedSystemClient

        SharedSystemClient.clear_system_cache()


@pytest.fixture(scope="session")
def tiny_text() -> Path:
    """A text of 2,000 words about names, colours, places and animals, half of it dialogues."""
    return HOME / "tests" / "tiny_text.txt"


@pytest.fixture(scope="session")
def tiny_brain_dir(tiny_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A brain of 44,000 parameters trained on the tiny text; not to be changed: take `copy_of_brain` for that."""
    from engram_model import BrainConfig, Engram, TrainingConfig

    shape = BrainConfig(
        embed_dim=28, n_layers=3, n_heads=2, context_size=17, max_ponder=3, ngram_table_size=499, ngram_dim=13
    )
    training = TrainingConfig(epochs=16, batch_words=256, row_words=64, warmup_steps=5, held_out=0.2)
    directory = tmp_path_factory.mktemp("tiny") / "brain"
    brain = Engram.train([tiny_text], shape, training)
    brain.save(directory)
    brain.close()
    return directory


@pytest.fixture
def copy_of_brain(tiny_brain_dir: Path, tmp_path: Path) -> Path:
    """A copy of the tiny brain for one test alone."""
    return Path(shutil.copytree(tiny_brain_dir, tmp_path / "brain"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, where no setting of whoever runs it counts."""
    from agent_shell import enter

    return enter(tmp_path, monkeypatch)


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`engram` in that home."""
    from agent_shell import runner

    return runner(capsys)
