#!/usr/bin/env python3
"""Measure a brain on text it has not learned: perplexity, what each memory brings, loops, coherence, questions."""

from __future__ import annotations

import argparse
from pathlib import Path

from engram_scripts.common import run_main

EXAMPLES = """examples:
  uv run eval_brain.py --text corpus/heldout/stories.txt                measure ./brain
  uv run eval_brain.py --text my_test.txt --brain diary --limit 5000    only the first 5,000 words or so
  uv run eval_brain.py --text corpus/heldout/stories.txt --questions corpus/heldout/questions.jsonl
  uv run eval_brain.py --text my_test.txt --json found.json --plots found
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--text", nargs="+", type=Path, required=True, metavar="FILE", help="text to measure on")
    made.add_argument("--brain", type=Path, default=Path("brain"), metavar="DIR", help="brain (default: brain)")
    made.add_argument("--limit", type=int, metavar="WORDS", help="stop at the last paragraph within so many words")
    made.add_argument(
        "--questions", type=Path, metavar="FILE", help='ask these: lines of {"question": "...", "answers": ["..."]}'
    )
    made.add_argument(
        "--baseline-text",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="independent text for the judge of replies (default: every second text of --text)",
    )
    made.add_argument(
        "--train-text",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="what the brain learned, to find copies (default: the shipped text, if it learned that)",
    )
    made.add_argument("--json", metavar="FILE", help="write everything to a file, or to stdout with -")
    made.add_argument("--plots", type=Path, metavar="DIR", help="draw plots (PNG) into a folder")
    made.add_argument("--chroma", metavar="URL", help="Chroma server with words and episodes (default: inside --brain)")
    return made


def main() -> int:
    """Evaluate as the command line says."""
    arguments = parser().parse_args()
    from engram_scripts.report import evaluate

    return evaluate(arguments)


if __name__ == "__main__":
    run_main(main)
