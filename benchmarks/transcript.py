"""Writes the conversation in README.md and docs/transcripts.md: real prompts, real replies, good and bad alike."""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
from pathlib import Path

from benchmarks.render import HOME
from engram_model.config import GenerationConfig
from engram_model.engram import Engram

BEGIN, END = "<!-- transcript begin -->", "<!-- transcript end -->"
CONVERSATIONS = (
    ("hello", "who bakes the bread in Fernby?", "what colour is the door of Mira?", "tell me a story", "thank you"),
    ("my name is Wendelin", "what is the capital of France?", "what is my name?"),
    ("what is my name?", "how do you make coffee?", "what do you think about friendship?"),
)
NEWCOMER = (
    "hello",
    "good evening",
    "what is your name?",
    "are you a person?",
    "what is the capital of france",
    "tell me a story about adventure",
    "how do you make coffee",
    "what do you think about friendship",
    "can you help me understand mathematics",
    "I am sad today",
    "who lives in the mill?",
    "what colour is the door of the baker?",
    "what is Emil always losing?",
    "why is the sky blue?",
    "how many legs does a spider have?",
    "tell me a joke",
    "what will the weather be tomorrow?",
    "who is the president of the moon?",
    "blorp fizz wug",
    "thank you, good night",
)


def run(arguments: argparse.Namespace) -> None:
    """Talk to a copy of the brain; write what was said between the marks in README.md and into docs/transcripts.md."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "brain"
        shutil.copytree(arguments.brain, copy)
        free = _free(copy)
        visits = _visits(copy)
    readme = HOME / "README.md"
    block = f"{BEGIN}\n{chr(10).join(visits)}\n{END}"
    text = re.sub(f"{BEGIN}.*{END}", lambda _: block, readme.read_text(encoding="utf-8"), flags=re.S)
    readme.write_text(text, encoding="utf-8")
    (HOME / "docs" / "transcripts.md").write_text("\n".join(free) + "\n", encoding="utf-8")


def _free(brain: Path) -> list[str]:
    """Twenty prompts of a newcomer, each in a conversation of its own that leaves no trace, at two temperatures."""
    lines = [
        "# Twenty prompts of a newcomer",
        "",
        "Written by `uv run python -m benchmarks.run transcript` from the brain that `uv run ingest.py` trains; each prompt in a",
        "fresh conversation, seed 0, nothing chosen.",
        "",
        "| prompt | temperature 0.1 | temperature 0.9 (default) |",
        "|---|---|---|",
    ]
    engram = Engram.load(brain)
    for prompt in NEWCOMER:
        replies = [engram.chat(GenerationConfig(temperature=t), remember=False).say(prompt) for t in (0.1, 0.9)]
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in (prompt, *replies)) + " |")
    engram.close()
    return lines


def _visits(brain: Path) -> list[str]:
    """Three visits to one brain, which remembers from one to the next."""
    lines = ["```"]
    for number, prompts in enumerate(CONVERSATIONS):
        if number:
            lines.append("   (the program is closed and started again)")
        engram = Engram.load(brain)
        chat = engram.chat(GenerationConfig(temperature=0.5), conversation=f"visit {number + 1}")
        for prompt in prompts:
            lines += [f"you     {prompt}", f"engram  {chat.say(prompt)}"]
        engram.close()
    return [*lines, "```"]
