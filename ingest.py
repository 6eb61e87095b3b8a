#!/usr/bin/env python3
"""Train a brain on text files and save it, with progress, comparison and four replies."""

from __future__ import annotations

import argparse
from pathlib import Path

from engram_scripts.common import run_main

EXAMPLES = """examples:
  uv run ingest.py                                     train on training_data.txt and corpus/*.txt into ./brain
  uv run ingest.py --text my_diary.txt --brain diary   train on your own text
  uv run ingest.py --size nano --minutes 2             a tiny brain in two minutes
  uv run ingest.py --resume                            go on after Ctrl-C
  uv run ingest.py --continue --text more.txt          teach a trained brain new text; known words keep their vectors
  uv run ingest.py --text wiki.txt --pretokenized      words are separated by blanks already
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--text", nargs="+", type=Path, metavar="PATH", help="text files (default: the shipped text)")
    made.add_argument(
        "--brain", type=Path, default=Path("brain"), metavar="DIR", help="brain directory (default: brain)"
    )
    made.add_argument(
        "--size", choices=("nano", "small", "base"), default="small", help="size of the brain (default: small)"
    )
    made.add_argument("--epochs", type=int, metavar="N", help="passes over the text (default: chosen from its length)")
    made.add_argument("--minutes", type=float, metavar="M", help="fit training into so many minutes")
    made.add_argument("--seed", type=int, default=0, metavar="S", help="seed of everything random (default: 0)")
    made.add_argument("--resume", action="store_true", help="go on with a training that was broken off")
    made.add_argument("--continue", action="store_true", dest="learn_on", help="train the brain in --brain further")
    made.add_argument(
        "--pretokenized", action="store_true", help="split on blanks only, one text a line, keep every word"
    )
    made.add_argument("--chroma", metavar="URL", help="Chroma server for words and episodes (default: inside --brain)")
    made.add_argument("--json", action="store_true", help="print the figures as JSON on stdout, progress on stderr")
    shape = made.add_argument_group("settings by name (defaults: those of --size)")
    for name, kind in (
        ("embed_dim", int),
        ("n_layers", int),
        ("n_heads", int),
        ("context_size", int),
        ("max_ponder", int),
        ("ngram_table_size", int),
        ("ngram_dim", int),
        ("phrase_order", int),
        ("dropout", float),
    ):
        shape.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="X")
    for name, kind in (
        ("batch_words", int),
        ("row_words", int),
        ("muon_rate", float),
        ("adam_rate", float),
        ("weight_decay", float),
        ("held_out", float),
        ("min_count", int),
        ("surprise_strength", float),
        ("patience", int),
    ):
        shape.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="X")
    return made


def main() -> int:
    """Train as the command line says."""
    arguments = parser().parse_args()
    from engram_scripts.train_view import train

    return train(arguments)


if __name__ == "__main__":
    run_main(main)
