"""Other words for the same: the forms of an English word, what else people say for it, and what a broad word covers.

It must not know what is looked up, nor what becomes of it. The words stand in two text files that anybody can read and
edit, `words/forms.txt` and `words/related.txt`, and in one more file of one's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import cache
from pathlib import Path

from engram_agent.errors import AgentError

WORDS = Path(__file__).parent / "words"
FORM = 1.0
"""How much of a word another form of it is: went for go."""
RELATED = 0.5
"""How much of a word one is that people say for it, or that it covers: purchase for buy, kitten for pet."""
LONGEST = 5
"""Words of an entry, at most."""
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
        self._bases: dict[str, list[str]] = {}
        self._forms: dict[str, list[str]] = {}
        self._related: dict[str, list[str]] = {}
        self._akin: dict[str, set[str]] = {}
        self._words: set[str] = set()
        for line in (WORDS / "forms.txt").read_text(encoding="utf-8").splitlines():
            forms = line.split(", ")
            self._forms[stem(forms[0])] = forms
            self._words.update(map(stem, forms))
            for form in forms:
                self._bases.setdefault(stem(form), []).append(stem(forms[0]))
        for line in (WORDS / "related.txt").read_text(encoding="utf-8").splitlines():
            self._take(line)
        for line in _lines(own) if own is not None else ():
            self._take(line, str(own))

    def base(self, phrase: str) -> str:
        """What a word or phrase has in common with its forms; two words of one base are one word."""
        return " ".join(self._base(word) for word in _WORD.findall(phrase.casefold()))

    def related(self, phrase: str) -> dict[str, float]:
        """Other words for a word or a phrase, in all their forms, and how much of it each is, 0 to 1."""
        words = _WORD.findall(phrase.casefold())
        bases = self._bases.get(stem(words[0]), ()) if len(words) == 1 else ()
        found = {form: FORM for base in bases for form in self._forms[base]}
        for base in bases or [self.base(phrase)]:
            for other in self._related.get(base, ()):
                for form in self._inflected(other):
                    found.setdefault(form, RELATED)
        return {form: much for form, much in found.items() if form != phrase}

    def knows(self, word: str) -> bool:
        """Whether a word stands anywhere in it, and so is not a misspelt one."""
        return stem(word) in self._words

    def phrases(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Where entries of several words stand in a text: the places of the first word and behind the last."""
        bases = [self._base(word) for word in words]
        for start in range(len(bases)):
            for end in range(min(len(bases), start + LONGEST), start + 1, -1):
                if " ".join(bases[start:end]) in self._related:
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
        return self._akin.get(base, frozenset())

    def _base(self, word: str) -> str:
        stemmed = stem(word)
        return self._bases.get(stemmed, [stemmed])[0]

    def _inflected(self, phrase: str) -> Iterable[str]:
        bases = self._bases.get(stem(phrase), ())
        return {phrase, *(form for base in bases for form in self._forms[base])}

    def _take(self, line: str, source: str = "related.txt") -> None:
        head, colon, rest = line.partition(":")
        members = [member.strip() for member in rest.split(",")] if colon else []
        group = [] if colon else [member.strip() for member in line.split(",")]
        if not all([*members, *group, head.strip()]) or len(members) + len(group) < 1 + (not colon):
            raise AgentError(
                "ConfigParseError", f"{source}: {line!r} says nothing", "write `buy, purchase` or `pet: dog, kitten`"
            )
        self._words.update(map(stem, _WORD.findall(line)))
        bases = {each: self.base(each) for each in (head, *members, *group)}
        for one, others in [(head, members)] if colon else [(each, group) for each in group]:
            known = self._related.setdefault(bases[one], [])
            for other in others:
                if other != one:
                    known.append(other)
                    self._akin.setdefault(bases[one], set()).add(bases[other])
                    self._akin.setdefault(bases[other], set()).add(bases[one])


@cache
def stem(word: str) -> str:
    """A word without its regular endings -s, -ed, -ing: enough to find an entry, whichever form was written."""
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


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise AgentError("ConfigParseError", f"{path} cannot be read ({why})", "check search.thesaurus") from error
    return [line for line in lines if line.strip() and not line.startswith("#")]
