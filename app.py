#!/usr/bin/env python3
"""Serve a brain as a web page: chat with who-spoke colours, teaching, the open memory, a map of its concepts."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from engram_scripts.common import run_main

EXAMPLES = """examples:
  uv run app.py                                      open the brain in ./brain; without one, train it first
  uv run app.py --brain diary --port 8000            another brain, another port
  uv run app.py --brain tiny --size nano --minutes 2 train a tiny brain in two minutes, then open it
  uv run app.py --host 0.0.0.0                       let others in the network visit
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--brain", type=Path, default=Path("brain"), metavar="DIR", help="brain (default: brain)")
    # A Hugging Face Space, which sets SPACE_ID, forwards to port 7860 of all addresses.
    host, port = ("0.0.0.0", 7860) if os.environ.get("SPACE_ID") else ("127.0.0.1", None)
    made.add_argument("--host", default=host, help="address to listen on (default: 127.0.0.1; on a Space 0.0.0.0)")
    made.add_argument("--port", type=int, default=port, metavar="N", help="port (default: the first free from 7860)")
    made.add_argument("--chroma", metavar="URL", help="Chroma server of the brain's store (default: inside --brain)")
    trained = made.add_argument_group("where there is no brain yet")
    trained.add_argument("--size", choices=("nano", "small", "base"), default="small", help="size (default: small)")
    trained.add_argument("--minutes", type=float, default=10.0, metavar="M", help="minutes it may train (default: 10)")
    trained.add_argument("--text", nargs="+", type=Path, metavar="PATH", help="text files (default: the shipped text)")
    return made


def main() -> int:
    """Serve as the command line says."""
    arguments = parser().parse_args()
    from engram_scripts.web import serve

    return serve(arguments)


if __name__ == "__main__":
    run_main(main)
