"""What `app.py` does: opens the brain or trains one behind the page, and serves the page until it is told to stop.

It must not know what the page shows.
"""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path
from typing import Any

from engram_model import checkpoint
from engram_model.config import TrainingConfig, sized
from engram_model.engram import Engram
from engram_model.errors import ConfigError
from engram_scripts.train_view import default_paths
from engram_scripts.web_page import page, theme
from engram_scripts.web_session import Visitors
from engram_scripts.web_training import BackgroundTraining

STYLE = Path(__file__).with_name("web.css")


def read_brain(directory: Path, chroma: str | None) -> Engram:
    """The brain with its store let go of: the page reads it, but never writes to it."""
    engram = Engram.load(directory, chroma)
    engram.close()
    return engram


def serve(arguments: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C or SIGTERM; returns the exit code."""
    visitors, training = Visitors(), None
    if checkpoint.exists(arguments.brain):
        visitors.open(read_brain(arguments.brain, arguments.chroma))
    else:
        training = BackgroundTraining(
            arguments.brain,
            arguments.text or default_paths(),
            sized(arguments.size),
            TrainingConfig(minutes=arguments.minutes),
            arguments.chroma,
            visitors.open,
        )
        print(f"there is no brain at {arguments.brain}: training one behind the page", flush=True)
        training.start()
    asked = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked.set())
    launched = launch(visitors, training, arguments.host, arguments.port)
    print(f"open {launched.local_url} in a browser; Ctrl-C ends", flush=True)
    asked.wait()
    launched.close(verbose=False)
    if training is not None:
        training.stop()
    return 0


def launch(visitors: Visitors, training: BackgroundTraining | None, host: str, port: int | None) -> Any:
    """Start the server in threads of its own; returns the running page. It calls nobody outside.

    Raises:
        ConfigError: if it cannot listen there.
    """
    built = page(visitors, training)
    try:
        built.launch(
            server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, share=False, ssr_mode=False,
            run_history=False, enable_monitoring=False, footer_links=[], theme=theme(), css_paths=[STYLE],
        )  # fmt: skip
    except OSError as error:
        at = f"{host}, port {port or 'from 7860'}"
        raise ConfigError(f"cannot listen on {at}: it is taken or not allowed; give another --port") from error
    return built
