"""Reads files, cuts them into texts of words, and learns how words are usually written.

It must not know what a word means: no vectors, no counts kept between calls.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from engram_model.dialogue import Turn, conversations
from engram_model.errors import TextError
from engram_model.words import BOT, END, SPECIALS, UNK, USER, Joiner, cut, join_words, split_words

__all__ = [
    "BOT", "BOT_ID", "END", "END_ID", "SPECIALS", "UNK", "UNK_ID", "USER", "USER_ID",
    "Joiner", "count_words", "join_words", "read_text", "split_words", "texts", "usual_forms",
]  # fmt: skip

UNK_ID, END_ID, USER_ID, BOT_ID = range(len(SPECIALS))

_MARKER = {"user": USER, "bot": BOT}
_INSIDE_SENTENCE = frozenset([",", ";", "-", "'", "%", "/", "&", "(", ")"])
_BREAK = re.compile(r"\n(?:[^\S\n]*(?:<\|endoftext\|>)?[^\S\n]*\n)+")


def _spellings(text: str) -> Iterator[tuple[str, bool]]:
    """Every word of `text` as written, and whether it may start a sentence; lines of titles are left out."""
    for line in text.splitlines():
        pieces = cut(line, lower=False)
        letters = [piece for piece in pieces if piece[0].isalpha()]
        capitals = sum(piece[0].isupper() for piece in letters)
        if len(letters) > 1 and (line.isupper() or 4 * capitals >= 3 * len(letters)):
            continue
        starts = True
        for piece in pieces:
            if piece[0].isalpha():
                yield piece, starts
            starts = not piece[0].isalnum() and piece not in _INSIDE_SENTENCE


def usual_forms(texts: Iterable[str]) -> dict[str, str]:
    """How each word is usually written, where that differs from its folded form ("ada" -> "Ada").

    Spellings inside sentences vote, and the folded form wins a tie. Lines of titles or capitals say nothing.
    Sentence starts decide only about a word found nowhere else: two capitals and no small letter make a name.

    Args:
        texts: Raw texts, as written.
    """
    inside: dict[str, Counter[str]] = {}
    starting: dict[str, Counter[str]] = {}
    for text in texts:
        for piece, starts in _spellings(text):
            word = piece.lower()
            votes = starting if starts and piece != word else inside
            votes.setdefault(word, Counter())[piece] += 1
    names = {word: votes for word, votes in starting.items() if word not in inside and votes.total() >= 2}
    forms = {
        word: max(votes, key=lambda piece: (votes[piece], piece == word)) for word, votes in (inside | names).items()
    }
    return {word: form for word, form in forms.items() if form != word and split_words(form) == [word]}


# -------------------------------------------------------------------------------------- files and texts


def _decode(data: bytes) -> str:
    """UTF-8 or UTF-16 by its mark, else UTF-8 (a few broken bytes forgiven), else Windows-1252."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    text = data.decode("utf-8-sig", errors="replace")
    broken = text.count("\ufffd")
    if broken and 10 * broken > sum(character > "\x7f" for character in text):
        return data.decode("cp1252", errors="replace")
    return text


def read_text(path: str | Path) -> str:
    """Read a text file: any line ends, UTF-8 with or without a mark, UTF-16 with one, or Windows-1252.

    Raises:
        TextError: The file is missing, a folder, unreadable, blank or binary.
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise TextError(f"{path} is a folder, not a text file: give the path of a file in it.")
        data = file.read_bytes()
    except FileNotFoundError:
        raise TextError(f"There is no file {path}: check the path, or create it as plain text.") from None
    except (OSError, ValueError) as error:
        raise TextError(f"{path} cannot be read ({error}): check its name and permissions.") from None
    text = _decode(data)
    control = sum(text.count(chr(code)) for code in range(32) if chr(code) not in "\t\n\r\f\v")
    if "\x00" in text or 50 * control > len(text):
        raise TextError(f"{path} is binary, not text: save it as plain text in UTF-8.")
    if not text.strip():
        raise TextError(f"{path} is empty: it needs at least a few sentences of plain text.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def texts(raw: str, pretokenized: bool = False) -> list[list[str]]:
    """Cut a file into texts: paragraphs and exchanges, each closed by <END>.

    Args:
        raw: A whole file as text; blank lines separate paragraphs.
        pretokenized: Take every line as one text and every stretch between blanks as one word, as it is.

    Returns:
        Texts as lists of words. An exchange reads <USER> question <BOT> answer <END>, and so on from <USER>
        for each further turn.
    """
    if pretokenized:
        lines = (line.split() for line in raw.splitlines())
        return [words if words[-1] == END else [*words, END] for words in lines if words]
    paragraphs = _BREAK.split(raw.replace("\r\n", "\n").replace("\r", "\n"))
    return [words for turns in conversations(paragraphs) if (words := _turn_words(turns))]


def _turn_words(turns: list[Turn]) -> list[str]:
    """One text from its turns: <USER> opens a question, <BOT> an answer, <END> closes answers and stories."""
    words: list[str] = []
    for speaker, said in turns:
        if speaker:
            words.append(_MARKER[speaker])
        words += split_words(said)
        if speaker != "user":
            words.append(END)
    return words if len(words) > 1 else []


def count_words(texts: Iterable[Iterable[str]]) -> Counter[str]:
    """How often each word occurs in `texts`, markers included."""
    counts: Counter[str] = Counter()
    for words in texts:
        counts.update(words)
    return counts
