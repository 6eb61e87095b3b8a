"""Texts of scripts that are written without blanks: Han, kana, Thai, Lao, Khmer and Burmese.

It must not know where words are kept, nor what they are compared with. Where no blank says what a word is, each character is one
for the index, and each pair of neighbours for a query: most words have two characters or hold such pairs (Nie et al. 2000, "On the
Use of Words and N-grams for Chinese Information Retrieval"). Texts of other scripts are left as they are.
"""

from __future__ import annotations

import re
from itertools import pairwise
from unicodedata import normalize

_BLANKLESS = (
    "\u0e01-\u0e3a\u0e40-\u0e4e"  # Thai
    "\u0e81-\u0ece\u0edc-\u0edf"  # Lao
    "\u1000-\u103f\u1050-\u108f\u109a-\u109d\ua9e0-\ua9ef\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17d3\u17d7\u17dc\u17dd"  # Khmer
    "\u3041-\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\U0001b000-\U0001b16f"  # kana
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""Letters and the marks that belong to them, without digits and punctuation."""
MARKS = rf"(?:(?!\w)[{_BLANKLESS}])*"
"""What stands behind a letter of these scripts and belongs to it, as an expression."""
_RUN = re.compile(f"([{_BLANKLESS}]+)")
_BETWEEN = re.compile(f"(?<=[{_BLANKLESS}]) (?=[{_BLANKLESS}])")
_CHARACTER = re.compile(r"\w\W*")
"""A letter of a run with the marks on it."""
_WORD = re.compile(r"\w+")
_WIDE = re.compile("[０-９Ａ-Ｚａ-ｚｦ-ﾟ]+")
"""Letters and digits as wide as a Han character, and kana half as wide."""


def apart(text: str) -> str:
    """A text as it is indexed: with blanks around each character of a script that is written without them."""
    if text.isascii():
        return text
    return _RUN.sub(lambda run: f" {' '.join(_characters(run[0]))} ", _plain(text))


def together(text: str) -> str:
    """Part of an indexed text as people read it: without those blanks."""
    return text if text.isascii() else " ".join(_BETWEEN.sub("", text).split())


def words(text: str) -> list[str]:
    """The words of a text in order; of a run without blanks each two neighbours, or the only character."""
    if text.isascii():
        return _WORD.findall(text)
    found: list[str] = []
    for place, part in enumerate(_RUN.split(_plain(text))):
        found += _pairs(part) if place % 2 else _WORD.findall(part)
    return found


def _pairs(run: str) -> list[str]:
    characters = _characters(run)
    return ["".join(pair) for pair in pairwise(characters)] or characters


def _characters(run: str) -> list[str]:
    return _CHARACTER.findall(normalize("NFC", run))


def _plain(text: str) -> str:
    """A text with letters and digits of the ordinary width."""
    return _WIDE.sub(lambda wide: normalize("NFKC", wide[0]), text)
