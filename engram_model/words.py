"""Cuts text into words and writes words as text; what it writes, it reads back as the same words.

It must not know what a word means, nor anything of files, paragraphs or ids.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache

UNK, END, USER, BOT = SPECIALS = ("<UNK>", "<END>", "<USER>", "<BOT>")

_QUOTES = {**dict.fromkeys("’‘‚‛ʼ´`′", "'"), **dict.fromkeys("“”„‟«»″", '"')}
_DASHES = {**dict.fromkeys("–―", "—"), **dict.fromkeys("‐‑−", "-")}
_ENDS_SENTENCE = frozenset(".!?。！？")
_KEEPS_CAPITAL = frozenset("()[]{}-—*#")
_STICKS_LEFT = frozenset([*",.!?;:)]}%°/、。，！？；：）」』", "..."])
_STICKS_RIGHT = frozenset("([{/（「『")
_STICKS_TO_NUMBER = frozenset("$£€#")
_SPEECH = frozenset(("he", "she", "said", "says", "asked", "cried", "called", "replied", "answered", "shouted"))


def _character_class(wanted: Callable[[str, str], bool]) -> str:
    """The inside of a [...] for all characters below U+10000 that are `wanted`, by their category."""
    spans: list[list[int]] = []
    for code in range(0x10000):
        if wanted(chr(code), unicodedata.category(chr(code))):
            if spans and spans[-1][1] == code - 1:
                spans[-1][1] = code
            else:
                spans.append([code, code])
    return "".join(f"\\u{first:04x}-\\u{last:04x}" for first, last in spans)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """The expression that finds words, and the one that finds characters to fold or drop before it runs."""
    marks = _character_class(lambda c, kind: kind[0] in "PS" and c != "_")
    apart = _character_class(lambda c, kind: kind[0] in "PSZ" or kind in ("Cc", "Cf", "Cs"))
    unseen = _character_class(
        lambda c, kind: kind in ("Cc", "Cf", "Cs") and not c.isspace() and c not in "\u200c\u200d"
    )
    cjk = r"\u3005-\u3007\u3021-\u3029\u3041-\u3096\u309d-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    cjk += r"\U00020000-\U0003ffff"
    pictures = _character_class(lambda c, kind: kind == "So") + r"\U0001f000-\U0001f1e5\U0001f200-\U0001fbff"
    tone, tags = r"[\U0001f3fb-\U0001f3ff]", r"[\U000e0020-\U000e007f]"
    letter = rf"[^\s{apart}{cjk}\u20e3\ufe00-\ufe0f\U0001f000-\U0001fbff\U000e0000-\U000e01ef]"
    picture = rf"[{pictures}][\ufe0e\ufe0f]?{tone}?{tags}*"
    words = "|".join((
        r"[0-9#*]\ufe0f?\u20e3",                                                        # keycap emoji
        r"(?:[A-Za-z]\.){2,}",                                                          # e.g. u.s. p.m.
        rf"'(?:tis|twas|til|em)(?!{letter})",
        rf"{letter}+(?:(?:['\u200c\u200d_-]|(?<=\d)[.,:](?=\d)){letter}+)*",
        rf"[{cjk}][\u3099\u309a\ufe00-\ufe0f\U000e0100-\U000e01ef]*",
        r"\.\.\.",
        r"[\U0001f1e6-\U0001f1ff]{1,2}",                                                # flags
        rf"{picture}(?:\u200d{picture})*",
        rf"[{marks}]",
    ))  # fmt: skip
    folded = re.escape("".join(_QUOTES | _DASHES))
    return re.compile(words), re.compile(rf"\.{{2,}}|-{{2,}}|``|''|[…Σ{folded}{unseen}]")


def _fold_mark(match: re.Match[str]) -> str:
    """One spelling for each quote, dash and ellipsis; nothing for an invisible character."""
    found = match[0]
    if found[0] in ".…":
        return "..."
    if found == "Σ":  # lower() would look at its neighbours to choose between σ and ς
        return "σ"
    if len(found) > 1:
        return "—" if found[0] == "-" else '"'
    return _QUOTES.get(found) or _DASHES.get(found) or ""


def cut(text: str, lower: bool) -> list[str]:
    """The words of `text`, in lower case or as they are written; see `split_words`."""
    words, rare = _patterns()
    folded = rare.sub(_fold_mark, unicodedata.normalize("NFC", text))
    return words.findall(unicodedata.normalize("NFC", folded.lower() if lower else folded))


def split_words(text: str) -> list[str]:
    """Cut one stretch of text into folded words; no markers are added.

    Case is folded; typographic quotes and dashes become `"`, `'`, `-` and `—`; invisible characters, and
    underscores around words, are dropped. Apostrophes and hyphens inside a word stay (don't, well-known), and
    so do the marks inside numbers (3.14, 1,000, 10:30). Every other punctuation mark, every CJK character and
    every emoji (with its joiners) is a word of its own. A marker typed as text falls apart: `<`, `bot`, `>`.

    Args:
        text: Any string; newlines count as blanks.

    Returns:
        The words, in order; empty for blank text.
    """
    return cut(text, lower=True)


# ---------------------------------------------------------------------------------------- words -> text


@lru_cache(maxsize=1 << 16)
def _survives(written: str, *words: str) -> bool:
    """Whether `written` is read back as exactly `words`."""
    return split_words(written) == list(words)


def _capitalised(written: str, word: str) -> str:
    """`written` with a capital, unless the capital would be read back as another word (ı, ŉ)."""
    capital = written[:1].upper() + written[1:]
    return capital if _survives(capital, word) else written


class Joiner:
    """Writes words as text, one at a time: the pieces, put together, are `join_words` of the words.

    Args:
        forms: Folded word -> its usual written form, as learned by `usual_forms`.
    """

    def __init__(self, forms: Mapping[str, str] | None = None) -> None:
        """Start an empty text."""
        self._forms = forms or {}
        self._started = False
        self._begin()

    def _begin(self) -> None:
        """Forget the sentence so far, as at the start of a turn."""
        self._last = ""  # the word before, as shown
        self._opens = False  # whether the word before wants no blank after it
        self._open: dict[str, bool] = {'"': False, "'": False}
        self._capital = True  # whether the next word starts a sentence
        self._exclaimed = False  # whether the last quotation was closed after ! or ?
        self._interrupted = False  # whether a quotation was closed by a comma in this sentence

    def push(self, word: str) -> str:
        """The piece of text that `word` adds: its blank, if any, and its form; markers add nothing."""
        if word in (END, USER, BOT):
            self._begin()
            return ""
        if not word:
            return ""
        opening = word in self._open and self._is_opening(word)
        closing = word in self._open and not opening
        shown = self._written(word)
        blank = " " if self._started and not self._sticks(word, shown, closing) else ""
        self._note_sentence(word, opening, closing)
        if word in self._open:
            self._open[word] = opening
        self._opens = opening or word in _STICKS_RIGHT
        self._last, self._started = shown, True
        return blank + shown

    def _is_opening(self, mark: str) -> bool:
        """Quotes alternate; a lone ' after an s is the apostrophe of dogs'."""
        if self._open[mark]:
            return False
        return mark == '"' or not self._last.endswith(("s", "S")) or "'" in self._last

    def _sticks(self, word: str, shown: str, closing: bool) -> bool:
        """Whether no blank goes before `word`; never if the two would then be read back as something else."""
        if not self._last:
            return False
        wanted = (
            self._opens
            or closing
            or word in _STICKS_LEFT
            or (self._last in _STICKS_TO_NUMBER and word[0].isdigit())
            or (_is_cjk(self._last) and _is_cjk(word))
        )
        return wanted and _survives(self._last + shown, *split_words(self._last), word)

    def _written(self, word: str) -> str:
        """`word` by its usual form, with a capital where the sentence wants one."""
        if word == UNK:
            return "…"
        form = self._forms.get(word, word)
        written = form if form == word or _survives(form, word) else word
        tag = self._exclaimed and word in _SPEECH
        if word == "i" or word.startswith("i'") or (self._capital and not tag):
            return _capitalised(written, word)
        return written

    def _note_sentence(self, word: str, opening: bool, closing: bool) -> None:
        """Update what is known of the sentence; runs before `word` becomes the last word."""
        if opening:
            self._capital = self._capital or (self._last in (",", ":") and not self._interrupted)
            self._exclaimed = False
        elif closing:
            self._exclaimed = self._last in ("!", "?")
            self._interrupted = self._interrupted or self._last == ","
        elif word in _ENDS_SENTENCE:
            self._capital, self._exclaimed, self._interrupted = True, False, False
        elif word not in _KEEPS_CAPITAL:
            self._capital = self._exclaimed = False


def _is_cjk(word: str) -> bool:
    """Whether `word` is written without blanks around it (Chinese characters and kana)."""
    return "\u3041" <= word[0] <= "\u9fff" or word[0] in "\u3005\u3006\u3007"


def join_words(words: Iterable[str], forms: Mapping[str, str] | None = None) -> str:
    """Readable text from words: blanks, quotes, capitals; markers are not shown, <UNK> is shown as "…".

    `split_words(join_words(words)) == words` for all words that `split_words` gave.

    Args:
        words: Folded words and markers.
        forms: Folded word -> its usual written form; one that is not another spelling of its word is ignored.
    """
    joiner = Joiner(forms)
    return "".join(joiner.push(word) for word in words)
