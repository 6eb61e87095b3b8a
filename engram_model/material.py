"""What is evaluated: texts from files, as word ids, with the bytes they came from; shortened at whole paragraphs.

It must not know what is measured on them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engram_model.errors import ConfigError, TextError
from engram_model.text import BOT_ID, SPECIALS, UNK_ID, read_text, texts
from engram_model.vocabulary import Vocabulary

_BREAK = re.compile(r"\n[^\S\n]*(?:<\|endoftext\|>)?[^\S\n]*\n")
_LINE = re.compile(r"\n")
_PIECE = re.compile(r"\S+")


@dataclass(frozen=True)
class Material:
    """Texts to evaluate.

    Attributes:
        ids: Word ids of each text.
        size: UTF-8 bytes of what was read, white space included, line ends as one byte.
        unknown: How many words are not in the vocabulary.
    """

    ids: list[np.ndarray]
    size: int
    unknown: int

    @property
    def words(self) -> int:
        """Number of words, markers and <END>s included."""
        return sum(map(len, self.ids))

    @property
    def has_dialogues(self) -> bool:
        """Whether there is an answer in it."""
        return any(BOT_ID in text for text in self.ids)


def load(
    paths: Sequence[Path], vocabulary: Vocabulary, pretokenized: bool = False, limit: int | None = None
) -> Material:
    """Read files.

    Args:
        paths: Text files.
        vocabulary: Gives the ids.
        pretokenized: Words are separated by blanks, texts by line ends.
        limit: Stop before the paragraph that would exceed so many words; only the very first one may be cut.

    Raises:
        TextError: A file cannot be read, or holds no word that the vocabulary knows.
        ConfigError: `limit` is below 1.
    """
    if limit is not None and limit < 1:
        raise ConfigError(f"expected a limit of at least 1 word, got {limit}")
    ids: list[np.ndarray] = []
    size = 0
    for path in paths:
        raw = read_text(path)
        read = sum(map(len, ids))
        part = raw if limit is None else first_paragraphs(raw, limit - read, pretokenized, cut=not ids)
        ids += [vocabulary.encode(text).numpy() for text in texts(part, pretokenized=pretokenized)]
        size += len(part.encode("utf-8"))
        if part != raw:
            break
    unknown = sum(int((text == UNK_ID).sum()) for text in ids)
    if not any((text >= len(SPECIALS)).any() for text in ids):
        names = ", ".join(map(str, paths))
        raise TextError(f"{names}: none of the words is known to this brain; give text of the kind it learned")
    return Material(ids, size, unknown)


def first_paragraphs(raw: str, limit: int, pretokenized: bool = False, cut: bool = True) -> str:
    """The beginning of a file with at most `limit` words, markers counted, ending where a paragraph ends.

    Args:
        raw: The file.
        limit: Most words.
        pretokenized: A paragraph is a line.
        cut: Whether the first paragraph, if it is too long by itself, is cut (else nothing is left).
    """
    separator = _LINE if pretokenized else _BREAK
    end = start = words = 0
    for place in [*(match.start() for match in separator.finditer(raw)), len(raw)]:
        words += _count(raw[start:place], pretokenized)
        if words > limit:
            break
        end, start = place, place
    if end == 0 and words > limit and cut:
        ends = [piece.end() for piece in _PIECE.finditer(raw[:place])]
        fitting = bisect_right(ends, limit, key=lambda stop: _count(raw[:stop], pretokenized))
        end = ends[max(0, fitting - 1)]
    return raw[:end]


def _count(raw: str, pretokenized: bool) -> int:
    return sum(map(len, texts(raw, pretokenized=pretokenized)))
