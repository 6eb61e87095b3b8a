"""The one command of all benchmarks."""

from __future__ import annotations

import argparse
from pathlib import Path

from engram_scripts.common import run_main

EXAMPLES = """examples:
  uv run --group benchmarks python -m benchmarks.run tinystories --data DIR --seeds 3
  uv run --group benchmarks python -m benchmarks.run ablations --data DIR --seeds 3
  uv run --group benchmarks python -m benchmarks.run novels --data DIR
  uv run python -m benchmarks.run settings          train the shipped text with one setting changed at a time
  uv run --group benchmarks python -m benchmarks.run speed --data DIR
  uv run python -m benchmarks.run agent --data DIR  the agents' memory, all parts; --part search for one of them
  uv run python -m benchmarks.run render            write docs/results.md from benchmarks/results/*.json
"""


def main() -> int:
    """Run one benchmark and record its result."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "name", choices=("tinystories", "ablations", "novels", "settings", "speed", "agent", "render", "transcript")
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder that holds tinystories/, books/, multihop/, logs/ and trajectories/",
    )
    parser.add_argument(
        "--brain", type=Path, default=Path("brain"), metavar="DIR", help="brain that is spoken with (transcript, speed)"
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 to N-1 (default: 1)")
    parser.add_argument("--epochs", type=int, metavar="N", help="passes over the text (default: as ingest.py)")
    parser.add_argument("--novel", default="the_time_machine", metavar="NAME", help="the novel that is not learned")
    parser.add_argument(
        "--part", action="append", metavar="NAME", help="one part of the agents' memory; may be repeated"
    )
    parser.add_argument("--skip-gpt2", action="store_true", help="leave the GPT-2 baseline out")
    arguments = parser.parse_args()
    from importlib import import_module

    import_module(f"benchmarks.{arguments.name}").run(arguments)
    return 0


if __name__ == "__main__":
    run_main(main)
