"""Finds the questions and answers in plain paragraphs: labelled turns, "Question? Answer." and bare lines.

It must not know how a text is cut into words, nor which markers stand for the speakers.
"""

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from engram_model.unpunctuated import OPENERS, PAST, PREPOSITIONS, after_greeting, answer_place, plain_words


class Turn(NamedTuple):
    """What one side said, as written; `speaker` is empty for a text that is no exchange."""

    speaker: Literal["user", "bot", ""]
    said: str


_USER_NAMES = "user|human|you|me|question|prompt|q"
_BOT_NAMES = "bot|chatbot|assistant|engram|ai|answer|response|a"
_AFTER_NAME = r"[ \t]*\d{0,4}[ \t\]>*_]*[:：][*_]*"
_LABEL = re.compile(rf"[ \t>*_#<\[-]*(?:(?P<user>{_USER_NAMES})|{_BOT_NAMES}){_AFTER_NAME}", re.IGNORECASE)
_NEXT_LABEL = {
    "user": re.compile(rf"\s(?:{_BOT_NAMES}){_AFTER_NAME}(?=\s)", re.IGNORECASE),
    "bot": re.compile(rf"\s(?:{_USER_NAMES}){_AFTER_NAME}(?=\s)", re.IGNORECASE),
}

_LONGEST_EXCHANGE = 40  # words; a longer paragraph that opens with a question is prose
_PUNCTUATED = re.compile(r"((?:[^?.!;:]|\b(?:Mr|Mrs|Ms|Dr|St)\.)*\?)\s+([^?]+\??)", re.IGNORECASE)
_QUOTE = re.compile(r'["“”„«»]|(?<!\w)[\'‘’`]')
_SENTENCE_MARK = re.compile(r"[.!?;:…()\[\]<>*—]|--")

_OTHERS = frozenset(("he", "she", "it", "they", "him", "her", "them", "his", "its", "their", "this", "that", "there"))


def conversations(paragraphs: Iterable[str]) -> list[list[Turn]]:
    """Cut paragraphs into texts: a plain text is one turn without a speaker, an exchange starts with a user.

    Lines that start with a speaker's name make one conversation a paragraph; an answer that a blank line
    parts from its question is joined to it. A paragraph of exchanges, one a line, makes one text a line.

    Args:
        paragraphs: Raw paragraphs, lines parted by newlines; blank ones are skipped.
    """
    groups: list[tuple[str, list[Turn]]] = []
    for paragraph in paragraphs:
        turns = _labelled_turns(paragraph)
        before = groups[-1][1] if groups else []
        if turns and before and turns[0].speaker == "bot" and before[-1].speaker == "user":
            groups[-1] = (groups[-1][0] + "\n" + paragraph, before + turns)
        elif paragraph.strip():
            groups.append((paragraph, turns))
    found: list[list[Turn]] = []
    for paragraph, turns in groups:
        found += _closed(turns) or _unlabelled(paragraph)
    return found


# ------------------------------------------------------------------------------------- labelled turns


def _labelled_turns(paragraph: str) -> list[Turn]:
    """The turns of a paragraph by its speakers' names; what stands before the first name has no speaker."""
    turns: list[Turn] = []
    speaker: Literal["user", "bot", ""] = ""
    for line in paragraph.strip().split("\n"):
        for turn in _line_turns(line) or [Turn(speaker, line)]:
            speaker = turn.speaker
            if turns and turns[-1].speaker == speaker:
                turns[-1] = Turn(speaker, f"{turns[-1].said}\n{turn.said}")
            elif turn.said.strip():
                turns.append(turn)
    return turns


def _line_turns(line: str) -> list[Turn]:
    """The turns that start in `line`: one by its label, further ones by labels that follow in turn."""
    label = _LABEL.match(line)
    if not label:
        return []
    turns = []
    speaker: Literal["user", "bot"] = "user" if label["user"] else "bot"
    start = label.end()
    while following := _NEXT_LABEL[speaker].search(line, start):
        turns.append(Turn(speaker, line[start : following.start()]))
        start, speaker = following.end(), "bot" if speaker == "user" else "user"
    return [*turns, Turn(speaker, line[start:])]


def _closed(turns: list[Turn]) -> list[list[Turn]]:
    """The talk from its first question to its last answer, the rest as plain texts; nothing if there is none."""
    speakers = [turn.speaker for turn in turns]
    start = speakers.index("user") if "user" in speakers else len(turns)
    end = len(turns) - (speakers[-1:] == ["user"])
    if start >= end:
        return []
    plain = [[Turn("", turn.said)] for turn in turns]
    return [*plain[:start], turns[start:end], *plain[end:]]


# ----------------------------------------------------------------------------- exchanges without labels


def _unlabelled(paragraph: str) -> list[list[Turn]]:
    """The exchanges of a paragraph without labels, or the paragraph as it is."""
    plain = [[Turn("", paragraph)]]
    lines = [line.strip() for line in paragraph.split("\n") if line.strip()]
    if len(max(lines, key=len)) > 12 * _LONGEST_EXCHANGE:
        return plain
    bare = [_bare_exchange(line) for line in lines]
    found = [exchange or _punctuated_exchange(line) for exchange, line in zip(bare, lines, strict=True)]
    if all(found) or 2 * sum(map(bool, bare)) >= len(lines):
        return [exchange or [Turn("", line)] for exchange, line in zip(found, lines, strict=True)]
    paired = [
        question.endswith("?") and _punctuated_exchange(f"{question} {answer}")
        for question, answer in zip(lines[::2], lines[1::2], strict=False)
    ]
    if len(lines) % 2 == 0 and all(paired):
        return [exchange for exchange in paired if exchange]
    return plain


def _punctuated_exchange(line: str) -> list[Turn]:
    """The two turns of "Question? Answer.", or none: a story that opens with a question stays whole."""
    match = _PUNCTUATED.fullmatch(line)
    if not match or _QUOTE.search(line) or len(line.split()) > _LONGEST_EXCHANGE:
        return []
    question, answer = plain_words(match[1]), plain_words(match[2])
    opening = question[after_greeting(question) :]
    if opening and opening[0] in PREPOSITIONS:
        opening = opening[1:]
    if len(opening) < 2 or opening[0] not in OPENERS:
        return []
    told = not _OTHERS.isdisjoint(opening) and not PAST.isdisjoint(opening)
    alone = not {"i", "my", "me"}.isdisjoint(opening) and "you" not in opening and answer[0] in ("i", "my")
    return [] if told or alone else [Turn("user", match[1]), Turn("bot", match[2])]


def _bare_exchange(line: str) -> list[Turn]:
    """The two turns of a line without sentence marks ("what is your name my name is engram"), or none."""
    written = line.split()
    if not 3 <= len(written) <= _LONGEST_EXCHANGE or _SENTENCE_MARK.search(line) or _QUOTE.search(line):
        return []
    words = plain_words(line)
    place = answer_place(words)
    if place is None or "," in " ".join(written[after_greeting(words) : place])[:-1]:
        return []  # whoever leaves out the question mark sets no comma before it; prose does
    return [Turn("user", " ".join(written[:place])), Turn("bot", " ".join(written[place:]))]
