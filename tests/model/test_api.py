"""The Python block of README.md, on a brain of one's own, and what comes with `import engram_model`."""

import itertools
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

import engram_model
from engram_model import Engram

HOME = Path(__file__).parent.parent.parent


def test_the_block_of_the_readme_runs(copy_of_brain: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"^```python\n(.*?)^```", (HOME / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    for theirs, ours in (
        ('"brain"', repr(str(copy_of_brain))),
        ('"river"', '"bridge"'),
        ('["small", "still", "water"]', '["lake", "garden"]'),
        ("the bread is", "the goat likes"),
        ("The bread is warm.", "The goat likes cheese."),
    ):
        assert theirs in block
        block = block.replace(theirs, ours)
    names: dict[str, object] = {}
    exec(block, names)
    shown = capsys.readouterr().out
    assert "Thought(" in shown and "candidates=" in shown and "loops=" in shown
    assert names["words"] == ["the", "goat", "likes", "cheese", ".", "<END>"]
    assert all(value < 0 for value in names["log_probs"])  # type: ignore[attr-defined]
    again = Engram.load(copy_of_brain)
    assert "pond" in again.vocabulary, "close() wrote what changed"
    assert again.verify() == []
    again.close()


def test_what_the_block_promises(copy_of_brain: Path) -> None:
    brain = Engram.load(copy_of_brain)
    near = brain.vocabulary.nearest("bridge", 5)
    assert len(near) == 5 and all(a[1] >= b[1] for a, b in itertools.pairwise(near))
    assert math.isclose(sum(brain.next_word("the goat likes").values()), 1.0, abs_tol=1e-5)
    chat = brain.chat()
    assert chat.say("hello") == chat.history[-1].text
    thought = chat.history[-1].thoughts[0]
    assert 0 < thought.probability <= 1 and thought.word and thought.candidates and thought.loops >= 1
    brain.close()
    brain.close()
    assert brain.store is None


def test_the_public_names_are_there_and_come_late() -> None:
    for name in engram_model.__all__:
        assert getattr(engram_model, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing_such"):
        engram_model.nothing_such  # noqa: B018
    code = "import sys, engram_model; early = 'torch' in sys.modules; engram_model.Engram; print(early, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HOME, check=True)
    assert done.stdout.split() == ["False", "True"]
