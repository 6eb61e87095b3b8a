"""Questions with accepted answers: reads them, asks each in a fresh conversation, judges the replies.

It must not know how a reply comes about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engram_model.config import GenerationConfig
from engram_model.engram import Engram
from engram_model.errors import TextError
from engram_model.text import read_text, split_words

TEMPERATURE = 0.1


@dataclass(frozen=True)
class Question:
    """A question and the answers that are accepted, any of them."""

    question: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """A question, the reply to it, and whether an accepted answer stands in the reply."""

    question: str
    answers: tuple[str, ...]
    reply: str
    answered: bool


def load_questions(path: Path) -> list[Question]:
    """Read questions, one JSON object a line: {"question": "...", "answers": ["...", ...]}.

    Raises:
        TextError: The file cannot be read or a line is something else.
    """
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            question, answers = content["question"], content["answers"]
            sound = isinstance(question, str) and isinstance(answers, list) and answers
            if not sound or not all(isinstance(answer, str) and split_words(answer) for answer in answers):
                raise ValueError
            if not split_words(question):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise TextError(
                f'{path}, line {number}: expected {{"question": "...", "answers": ["...", ...]}}, got {line[:60]!r}'
            ) from None
        found.append(Question(question, tuple(answers)))
    return found


def is_answered(reply: str, answers: Sequence[str]) -> bool:
    """Whether the words of an accepted answer stand in the reply, one after the other and whole; case is ignored."""
    words = split_words(reply)
    for answer in answers:
        wanted = split_words(answer)
        if any(words[place : place + len(wanted)] == wanted for place in range(len(words))):
            return True
    return False


def ask(
    engram: Engram,
    questions: Sequence[Question],
    seed: int,
    on_reply: Callable[[int], None] = lambda count: None,
    lessons: bool = True,
) -> list[Asked]:
    """Ask each question at temperature 0.1 in a fresh conversation that leaves no trace.

    Args:
        engram: Who is asked.
        questions: What is asked.
        seed: Seed of each draw.
        on_reply: Called with 1 after each reply.
        lessons: Whether exchanges that were read are read again.
    """
    found = []
    config = GenerationConfig(temperature=TEMPERATURE, seed=seed, lessons=lessons)
    for question in questions:
        chat = engram.chat(config, remember=False)
        reply = chat.say(question.question)
        found.append(Asked(question.question, question.answers, reply, is_answered(reply, question.answers)))
        on_reply(1)
    return found
