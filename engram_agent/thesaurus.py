"""Other words for the same: the forms of an English word, what else people say for it, and what a broad word covers.

It must not know what is looked up, nor what becomes of it. The words stand in text files that anybody can read and edit,
`words/forms.txt`, `words/related.txt` and `words/opposites.txt`, and in one more file of one's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from functools import cache
from pathlib import Path

from engram_agent.errors import AgentError
from engram_agent.scripts import apart

WORDS = Path(__file__).parent / "words"
FORM = 1.0
"""How much of a word another form of it is: went for go."""
RELATED = 0.5
"""How much of a word one is that people say for it, or that it covers: purchase for buy, kitten for pet."""
LONGEST = 5
"""Words of an entry, at most."""
LONE = frozenset("news goods clothes glasses evening tired customs arms pants means species series mice".split())  # noqa: SIM905
"""Words that end like forms of another word and are none."""
_WORD = re.compile(r"[^\W_]+")
_DOUBLED = re.compile(r"([bdgkmnprt])\1$")


class Thesaurus:
    """Related words.

    A line of a file of related words is `buy, purchase, order`, which may stand for each other, or `pet: dog, kitten`, where a
    question with the first may be answered by a text with one of the others. In a file of forms, a line is one word.

    Args:
        own: A file of one's own related words, beside those that are shipped.

    Raises:
        AgentError: ConfigParseError if that file cannot be read or has a line of neither kind.
    """

    def __init__(self, own: Path | None = None) -> None:
        families = [line.split(", ") for line in _shipped("forms")]
        self._entries = [_parsed(line) for line in _shipped("related")]
        self._entries += (
            [_checked(line, f"{own}, line {number}") for number, line in _lines(own)] if own is not None else []
        )
        self._words = {form for family in families for form in family}
        self._words.update(words_of(" ".join(one for heads, others in self._entries for one in (*heads, *others))))
        self._memo: dict[str, str] = {}
        self._bases: dict[str, str] = {}
        self._forms: dict[str, list[str]] = {}
        for family in families:
            for form in family:
                self._bases.setdefault(form, family[0])
                self._forms.setdefault(form, []).extend(family)
        self._heads: dict[str, list[int]] = {}
        self._others: dict[str, list[int]] = {}
        for number, (heads, others) in enumerate(self._entries):
            for place, members in ((self._heads, heads), (self._others, () if heads is others else others)):
                for member in members:
                    place.setdefault(self.base(member), []).append(number)
        self._akin: dict[str, Set[str]] = {}
        self._opposed: dict[str, set[str]] = {}
        for one, other in (map(self.base, line.split(", ")) for line in _shipped("opposites")):
            self._opposed.setdefault(one, set()).add(other)
            self._opposed.setdefault(other, set()).add(one)

    def base(self, phrase: str) -> str:
        """What a word or phrase has in common with its forms; two words of one base are one word."""
        if phrase.isalpha() and apart(phrase) == phrase:
            return self._base(phrase)
        return " ".join(map(self._base, words_of(phrase)))

    def related(self, phrase: str) -> dict[str, float]:
        """Other words for a word or a phrase, in all their forms, and how much of it each is, 0 to 1."""
        words, base = words_of(phrase), self.base(phrase)
        found = dict.fromkeys(self._family(words[0]) if len(words) == 1 else (), FORM)
        others = [other for number in self._heads.get(base, ()) for other in self._entries[number][1]]
        for other in others:
            if self.base(other) != base:
                for form in (other, *self._family(other)):
                    found.setdefault(form, RELATED)
        return {form: much for form, much in found.items() if form != phrase}

    def knows(self, word: str) -> bool:
        """Whether a word stands anywhere in it, and so is not a misspelt one."""
        return self._known(word) is not None

    def phrases(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Where entries of several words stand in a text: the places of the first word and behind the last."""
        bases = [self._base(word) for word in words]
        for start in range(len(bases)):
            for end in range(min(len(bases), start + LONGEST), start + 1, -1):
                if " ".join(bases[start:end]) in self._heads:
                    yield start, end
                    break

    def units(self, words: Sequence[str]) -> list[str]:
        """The words of a text, those of a known phrase as one."""
        ends = dict(self.phrases(words))
        found, place = [], 0
        while place < len(words):
            end = ends.get(place, place + 1)
            found.append(" ".join(words[place:end]))
            place = end
        return found

    def akin(self, base: str) -> Set[str]:
        """The bases that are RELATED to one, whichever of them covers the other."""
        if base not in self._akin:
            covered = [other for number in self._heads.get(base, ()) for other in self._entries[number][1]]
            covering = [head for number in self._others.get(base, ()) for head in self._entries[number][0]]
            self._akin[base] = frozenset(map(self.base, (*covered, *covering))) - {base}
        return self._akin[base]

    def opposed(self, base: str) -> Set[str]:
        """The bases that say the opposite of one."""
        return self._opposed.get(base, frozenset())

    def _base(self, word: str) -> str:
        if word not in self._memo:
            word = word.casefold()
            known, crude = self._known(word), stem(word)
            other = word if crude in self._words else crude
            self._memo[word] = other if known is None else self._bases.get(known, known)
        return self._memo[word]

    def _known(self, word: str) -> str | None:
        """The word of the files that this one is, or is a regular form of."""
        if word in self._bases or word in LONE:
            return word if word in self._words else None
        return next((one for one in (*_regular(word), word) if one in self._words), None)

    def _family(self, word: str) -> list[str]:
        return self._forms.get(self._known(word) or word, [])


def words_of(text: str) -> list[str]:
    """The words of a text, case folded; where a script has no blanks between words, its characters."""
    return _WORD.findall(apart(text.casefold()))


def _regular(word: str) -> Iterator[str]:
    """What a word may be a regular form of, the likelier first: plan for planned, plane for planed."""
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        yield word[:-1]
        if word.endswith("ies"):
            yield f"{word[:-3]}y"
        if word.endswith("es"):
            yield word[:-2]
    if word.endswith("ied"):
        yield f"{word[:-3]}y"
    for ending in ("ing", "ed"):
        bare = word.removesuffix(ending)
        if bare != word and len(bare) > 2:
            yield from (f"{bare}e", bare, _DOUBLED.sub(r"\1", bare))


@cache
def stem(word: str) -> str:
    """A word that no file has without its regular endings -s, -ed, -ing."""
    if len(word) > 4 and word.endswith(("ies", "ied")):
        word = word[:-3] + "y"
    elif len(word) > 3 and word.endswith("s") and word[-2] not in "sui":
        word = word[:-1]
    for ending in ("ing", "ed"):
        bare = word.removesuffix(ending)
        if bare != word and len(bare) > 2 and re.search("[aeiouy]", bare):
            word = _DOUBLED.sub(r"\1", bare)
            break
    return word.removesuffix("e") if len(word) > 3 else word


@cache
def shipped() -> Thesaurus:
    """The words that are shipped, read once."""
    return Thesaurus()


def _shipped(name: str) -> list[str]:
    return (WORDS / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def _parsed(line: str) -> tuple[list[str], list[str]]:
    """The words of a line that relate to others, and those others; in a line without a colon, each to each."""
    head, colon, rest = line.partition(":")
    others = [member.strip() for member in (rest if colon else line).split(",")]
    return ([head.strip()], others) if colon else (others, others)


def _checked(line: str, place: str) -> tuple[list[str], list[str]]:
    heads, others = _parsed(line)
    if (heads is others and len(others) < 2) or not all(map(_tells, [*heads, *others])):
        raise AgentError("ConfigParseError", f"{place} says nothing", "write `buy, purchase` or `pet: dog, kitten`")
    return heads, others


def _tells(entry: str) -> bool:
    return ":" not in entry and sum(map(len, words_of(entry))) > 1


def _lines(path: Path) -> list[tuple[int, str]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise AgentError("ConfigParseError", f"{path} cannot be read ({why})", "check search.thesaurus") from error
    return [(at, line) for at, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
