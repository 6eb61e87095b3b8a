"""Takes the picture of the page for the README: what one conversation told is asked in the next, with a word's card.

    uv run python -m engram_scripts.web_screenshot --brain brain --out docs/demo.png

It needs Debian's chromium (apt-get install chromium). It must not know what the page is made of beyond ids.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engram_scripts.common import run_main

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = "chromium"
OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
           "--disable-sync", "--no-first-run"]  # fmt: skip
TOLD, ASKED = "My name is Mila.", "What is my name?"
MOST_SURPRISING = """() => {
  const surprise = chip => parseFloat(chip.querySelector('.surprise i').style.width);
  const chips = [...document.querySelectorAll('#strip .chip')];
  chips.reduce((best, chip) => surprise(chip) > surprise(best) ? chip : best).focus();
}"""
WIDTH, HEIGHT = 1200, 1040
PATIENCE_MS = 180_000


@contextmanager
def browser() -> Iterator[Browser]:
    """Debian's chromium without a window, which calls nobody by itself."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=shutil.which(CHROMIUM), args=OFFLINE)
        try:
            yield opened
        finally:
            opened.close()


def say(page: Page, line: str) -> None:
    """Say a line on the page and wait until the answer stands."""
    spoken = page.locator("#chat .bot.message").count()
    page.fill("#box textarea", line)
    page.press("#box textarea", "Enter")
    page.wait_for_function(
        "n => document.querySelectorAll('#chat .bot.message').length > n", arg=spoken, timeout=PATIENCE_MS
    )
    page.wait_for_selector("#strip .took", timeout=PATIENCE_MS)


def take(directory: Path, out: Path) -> None:
    """Serve the brain, talk to it, and save the picture."""
    from engram_scripts.web import launch, read_brain
    from engram_scripts.web_session import Visitors

    visitors = Visitors()
    visitors.open(read_brain(directory, None))
    served = launch(visitors, None, "127.0.0.1", None)
    try:
        with browser() as opened:
            page = opened.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto(served.local_url)
            page.wait_for_selector("#box textarea", timeout=PATIENCE_MS)
            say(page, TOLD)
            page.click("#fresh")
            page.wait_for_function("() => !document.querySelector('#chat .bot.message')", timeout=PATIENCE_MS)
            say(page, ASKED)
            page.evaluate(MOST_SURPRISING)
            out.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=out)
    finally:
        served.close(verbose=False)
    print(f"{out}: {out.stat().st_size:,} bytes")


def main() -> int:
    """Take the picture as the command line says."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--brain", type=Path, default=Path("brain"), metavar="DIR", help="brain (default: brain)")
    made.add_argument("--out", type=Path, default=Path("docs/demo.png"), metavar="PNG", help="default: docs/demo.png")
    arguments = made.parse_args()
    take(arguments.brain, arguments.out)
    return 0


if __name__ == "__main__":
    run_main(main)
