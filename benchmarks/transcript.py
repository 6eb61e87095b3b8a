"""Writes the conversation in README.md: real prompts, real replies of the trained brain, good and bad alike."""

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


def run(arguments: argparse.Namespace) -> None:
    """Talk to a copy of the brain and write what was said between the marks in README.md."""
    lines = ["```"]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "brain"
        shutil.copytree(arguments.brain, copy)
        for number, prompts in enumerate(CONVERSATIONS):
            if number:
                lines.append("   (the program is closed and started again)")
            engram = Engram.load(copy)
            chat = engram.chat(GenerationConfig(temperature=0.5), conversation=f"visit {number + 1}")
            for prompt in prompts:
                lines += [f"you     {prompt}", f"engram  {chat.say(prompt)}"]
            engram.close()
    lines.append("```")
    readme = HOME / "README.md"
    block = f"{BEGIN}\n{chr(10).join(lines)}\n{END}"
    text = re.sub(f"{BEGIN}.*{END}", lambda _: block, readme.read_text(encoding="utf-8"), flags=re.S)
    readme.write_text(text, encoding="utf-8")
