"""eval_brain.py as a user runs it: the report, the JSON, the pictures, and errors in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from matplotlib import image

from engram_model.errors import EngramError
from engram_scripts.report import evaluate
from eval_brain import parser

HOME = Path(__file__).parent.parent.parent
PICTURES = {"parts", "loops", "surprise", "frequency", "loops_by_band"}
QUESTIONS = '{"question": "How are you?", "answers": ["well"]}\n{"question": "Who are you?", "answers": ["xyzzy"]}\n'


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(HOME / "eval_brain.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=HOME, timeout=300, check=False)


@pytest.fixture(scope="module")
def evaluated(
    tiny_brain_dir: Path, tiny_text: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any], str]:
    """The folder, the JSON and the printed report of one whole evaluation."""
    folder = tmp_path_factory.mktemp("evaluated")
    (folder / "questions.jsonl").write_text(QUESTIONS, encoding="utf-8")
    done = run(
        "--brain", tiny_brain_dir, "--text", tiny_text, "--train-text", tiny_text, "--limit", 700,
        "--questions", folder / "questions.jsonl", "--json", folder / "found.json", "--plots", folder / "plots",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "no bar in a pipe"
    return folder, json.loads((folder / "found.json").read_text(encoding="utf-8")), done.stdout


def test_the_json_holds_everything(evaluated: tuple[Path, dict[str, Any], str], tiny_brain_dir: Path) -> None:
    found = evaluated[1]
    assert set(found) == {
        "command", "seconds", "seed", "machine", "brain", "generation", "text", "overall", "frequency_bands",
        "surprise_bands", "surprise_histogram", "perplexities", "parts", "loops", "coherence", "questions",
    }  # fmt: skip
    manifest = json.loads((tiny_brain_dir / "engram.json").read_text(encoding="utf-8"))
    assert found["brain"]["data_fingerprint"] == manifest["data_fingerprint"]
    assert found["brain"]["settings"] == manifest["brain"]
    assert found["command"].startswith("uv run eval_brain.py --brain") and found["seconds"] > 0
    assert [part["name"] for part in found["parts"]] == [
        "ngram_memory", "engram_module", "counts", "loops", "halting", "episodes", "surprising_episodes"
    ]  # fmt: skip
    assert not list(evaluated[0].glob("*.part"))


def test_the_numbers_agree_with_each_other(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    found = evaluated[1]
    text, overall, loops = found["text"], found["overall"], found["loops"]
    assert 0 < text["words"] <= 700 and text["has_dialogues"]
    for bands in ("frequency_bands", "surprise_bands"):
        assert sum(band["words"] for band in found[bands]) == text["words"]
        right = sum(band["top1"] * band["words"] for band in found[bands]) / text["words"]
        assert right == pytest.approx(overall["top1"])
        mean = sum(band["mean_loops"] * band["words"] for band in found[bands]) / text["words"]
        assert mean == pytest.approx(loops["mean"])
    assert sum(found["surprise_histogram"]["words"]) == text["words"] == sum(loops["words_by_loops"])
    assert overall["perplexity"] == found["perplexities"]["all_on"] == loops["perplexity"]
    assert overall["baseline"]["ratio"] == pytest.approx(overall["perplexity"] / overall["baseline"]["perplexity"])
    bits = overall["loss_nats"] * text["words"] / 0.6931471805599453 / text["bytes"]
    assert overall["bits_per_byte"] == pytest.approx(bits)
    assert loops["share_saved"] == pytest.approx(1 - loops["mean"] / 3)
    assert len(loops["by_loops"]) == 3
    episodes = next(part for part in found["parts"] if part["name"] == "episodes")
    assert episodes["perplexity_with"] == overall["perplexity_remembering_what_it_reads"]
    assert episodes["perplexity_without"] == overall["perplexity"]


def test_replies_are_judged_and_searched_for_copies(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    found = evaluated[1]["coherence"]
    assert found["kind"] == "answers" and 15 < len(found["replies"]) <= 30
    assert found["shuffled_perplexity"] > found["real_perplexity"] > 1
    assert found["copied"]["real"]["share_copied_whole"] == 1.0, "this very text was learned"
    assert found["copied"]["real"]["longest"] >= found["copied"]["replies"]["mean"] > 0


def test_questions_are_asked_and_judged(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    found = evaluated[1]["questions"]
    assert [one["question"] for one in found["asked"]] == ["How are you?", "Who are you?"]
    assert not found["asked"][1]["answered"]
    assert found["share_answered"] == sum(one["answered"] for one in found["asked"]) / 2


def test_the_report_says_what_a_newcomer_needs(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    found, shown = evaluated[1], evaluated[2]
    assert f"{found['overall']['perplexity']:.2f}" in shown
    for title in ("How well it expects", "Does each part pay?", "Thinking longer", "Common and rare", "Questions"):
        assert title in shown
    for part in found["parts"]:
        assert part["label"].strip() in shown and f"{part['change_percent']:+.1f} %" in shown
    assert "Answered: " in shown and "\033" not in shown


def test_the_pictures_are_not_blank(evaluated: tuple[Path, dict[str, Any], str]) -> None:
    files = list((evaluated[0] / "plots").glob("*.png"))
    assert {file.stem for file in files} == PICTURES
    for file in files:
        pixels = image.imread(file)[..., :3]
        assert min(pixels.shape[:2]) > 500
        inked = float((pixels.min(axis=2) < 0.9).mean())
        assert 0.02 < inked < 0.8, f"{file.stem}: {inked}"


def test_json_on_stdout_is_nothing_but_json(tiny_brain_dir: Path, tmp_path: Path) -> None:
    story = tmp_path / "story.txt"
    story.write_text("The hen is black.", encoding="utf-8")
    done = run("--brain", tiny_brain_dir, "--text", story, "--json", "-")
    found = json.loads(done.stdout)
    assert done.returncode == 0 and "Does each part pay?" in done.stderr
    assert found["coherence"]["missing"] and found["questions"] is None, "one text is too little to compare replies"
    assert found["coherence"]["learned_text"].startswith("n/a")
    assert {part["verdict"] for part in found["parts"]} <= {"too little text to tell", "no effect"}


def test_an_error_is_one_line_and_no_report(tiny_brain_dir: Path, tmp_path: Path) -> None:
    done = run("--brain", tiny_brain_dir, "--text", tmp_path / "none.txt")
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("error: There is no file")


def test_every_wrong_argument_is_explained(tiny_brain_dir: Path, tiny_text: Path, tmp_path: Path) -> None:
    strange = tmp_path / "strange.txt"
    strange.write_text("xyzzy plugh", encoding="utf-8")
    for arguments, expected in (
        (("--text", strange), "none of the words is known"),
        (("--text", tiny_text, "--limit", 0), "at least 1 word"),
        (("--text", tiny_text, "--questions", strange), "line 1: expected"),
        (("--text", tiny_text, "--json", tmp_path / "none" / "found.json"), "its folder does not exist"),
        (("--text", tiny_text, "--plots", strange), "--plots"),
        (("--text", tiny_text, "--train-text", tmp_path / "none.txt"), "no file"),
        (("--text", tiny_text, "--baseline-text", strange), "none of the words is known"),
        (("--text", tiny_text, "--brain", tmp_path / "none"), "there is no brain"),
    ):
        with pytest.raises(EngramError, match=expected) as error:
            evaluate(parser().parse_args(["--brain", str(tiny_brain_dir), *map(str, arguments)]))
        assert len(str(error.value).splitlines()) == 1 and error.value.exit_code in (1, 2)


def test_help_is_quick() -> None:
    began = os.times()
    done = run("--help")
    used = os.times()
    assert done.returncode == 0 and "--baseline-text" in done.stdout
    assert used.children_user - began.children_user < 1.0, "torch is not imported before it is needed"
