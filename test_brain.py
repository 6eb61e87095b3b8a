#!/usr/bin/env python3
"""Talk with a brain: words appear as they are drawn, with what was surprising, remembered and pondered."""

from __future__ import annotations

import argparse
from pathlib import Path

from engram_model.config import GenerationConfig
from engram_scripts.common import run_main

EXAMPLES = """examples:
  uv run test_brain.py                                 talk with ./brain (type /help there)
  uv run test_brain.py --brain diary --temperature 0.5
  echo "hello" | uv run test_brain.py                  one answer a line, plain text
  uv run test_brain.py --json < questions.txt          one JSON object a turn
  uv run test_brain.py --no-episodes --no-lessons      without moments and lessons: brain and phrases
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    usual = GenerationConfig()
    made = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, kind, unit, text in (
        ("--brain", Path, "DIR", "brain directory (default: brain)"),
        ("--chroma", str, "URL", "Chroma server with its words and episodes (default: inside --brain)"),
        ("--temperature", float, "T", f"towards 0 the best word always wins (default: {usual.temperature})"),
        ("--top-k", int, "K", f"draw among the K best words, 0: among all (default: {usual.top_k})"),
        ("--max-words", int, "N", f"longest answer, in words (default: {usual.max_words})"),
        ("--loops", int, "N", "ponder exactly N loops a word (default: each word as long as it needs)"),
        ("--seed", int, "S", f"the same seed gives the same words (default: {usual.seed})"),
    ):
        made.add_argument(name, type=kind, metavar=unit, help=text)
    made.set_defaults(brain=Path("brain"))
    made.add_argument("--no-episodes", action="store_true", help="recall no episodes")
    made.add_argument("--no-lessons", action="store_true", help="read no exchange of the training text again")
    made.add_argument("--no-ngram", action="store_true", help="leave the memory of phrases out")
    made.add_argument("--json", action="store_true", help="print one JSON object a turn")
    return made


def main() -> int:
    """Talk as the command line says."""
    arguments = parser().parse_args()
    from engram_scripts.terminal import talk

    return talk(arguments)


if __name__ == "__main__":
    run_main(main)
