"""Redaction of secrets: a table of credentials in their surroundings, and ordinary lines that must stay as they are.

It must not know how secrets are recognised. There are two tables, both the project's own. On the first the rules were
fitted. The second was written by one who had not seen them, and no rule may be changed for it: it says what to expect elsewhere.
"""

from __future__ import annotations

import random
import re
import string
import tempfile
import uuid
from pathlib import Path
from typing import Any

from engram_agent.memory import Memory
from engram_agent.privacy import redact

TABLES = Path(__file__).resolve().parent.parent / "tests" / "agent"
LETTERS = {
    "an": string.ascii_letters + string.digits,
    "AN": string.ascii_uppercase + "234567",
    "hex": "0123456789abcdef",
    "HEX": "0123456789ABCDEF",
    "d": string.digits,
    "b64:": string.ascii_letters + string.digits + "+/",
}
RECIPE = re.compile(r"<(an|AN|hex|HEX|d|b64:)(\d+)>")
MARK = re.compile(r"\[redacted:[a-z-]+\]")
NAIVE = re.compile(r"(?i)((?:password|passwd|pwd|token|secret|api[_-]?key)[\"']?\s*[:=]\s*[\"']?)[^\s\"']+")
SEEDS = 3


def grown(recipe: str, seed: int) -> str:
    """A secret from its recipe: `<an20>` becomes twenty random letters and digits."""
    draw = random.Random(seed)

    def piece(match: re.Match[str]) -> str:
        return "".join(draw.choice(LETTERS[match[1]]) for _ in range(int(match[2])))

    told = recipe.replace("<uuid>", str(uuid.UUID(int=draw.getrandbits(128), version=4))).replace("⏎", "\n")
    return RECIPE.sub(piece, told)


def positives(seed: int = 0, table: str = "") -> list[tuple[str, str, str]]:
    """Kind, text and secret of each line of a table: the first, or "_unseen"."""
    rows = []
    for number, line in enumerate((TABLES / f"secrets{table}.txt").read_text(encoding="utf-8").splitlines()):
        kind, text, recipe = line.split("\t")
        secret = grown(recipe, 1009 * seed + number)
        before, after = (grown(part, number) for part in text.split("{}"))
        rows.append((kind, before + secret + after, secret))
    return rows


def negatives(table: str = "") -> list[str]:
    """Lines without a secret."""
    lines = (TABLES / f"ordinary{table}.txt").read_text(encoding="utf-8").splitlines()
    return [line.replace("⏎", "\n") for line in lines]


def is_gone(clean: str, secret: str) -> bool:
    """Whether no line of the secret is left, and something stands in its place."""
    return MARK.search(clean) is not None and not [line for line in re.split(r"\n|\\n", secret) if line in clean]


def measure() -> dict[str, Any]:
    """Shares of both tables, and what the file of a memory holds of the secrets that it was told."""
    rows = [row for seed in range(SEEDS) for row in positives(seed)]
    return _shares("") | {"unseen": _shares("_unseen"), "redacted_secrets_in_the_file": _in_the_file(rows)}


def _shares(table: str) -> dict[str, Any]:
    """Share of secrets that go and of ordinary lines that are touched, ours and a plain rule's."""
    rules = {"redact": redact, "name = value": lambda text: NAIVE.sub(r"\1[redacted:secret]", text)}
    rows = [row for seed in range(SEEDS) for row in positives(seed, table)]
    plain = negatives(table)
    found: dict[str, Any] = {"strings": len(rows), "ordinary_lines": len(plain)}
    for name, rule in rules.items():
        gone = sum(is_gone(rule(text), secret) for _, text, secret in rows)
        false = sum(rule(text) != text for text in plain)
        found[name] = {"redacted": gone / len(rows), "false_alarms": false / len(plain)}
    return found


def _in_the_file(rows: list[tuple[str, str, str]]) -> int:
    """How many of the secrets that are recognised stand in the raw bytes of a memory after their texts were stored."""
    known = [(text, secret) for _, text, secret in rows if is_gone(redact(text), secret)]
    with tempfile.TemporaryDirectory() as folder:
        with Memory(Path(folder) / "m.db") as memory:
            for text, _ in known:
                memory.store(text, text, text, tags=[text], fields={"said": text})
                memory.search(text)
            raw = b"".join(path.read_bytes() for path in Path(folder).iterdir())
        raw += b"".join(path.read_bytes() for path in Path(folder).iterdir())
    return sum(secret.encode() in raw for _, secret in known if len(secret) >= 8)
