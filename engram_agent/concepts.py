"""What a query asks for: its words, each with the other words that records may have for it.

It must not know how records are ranked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engram_agent.index import Asked, terms
from engram_agent.rarity import Rarity
from engram_agent.scripts import together, words
from engram_agent.thesaurus import FORM, Thesaurus, words_of

POSTINGS = 3_000
"""Places of a query's own words that one search looks at; in a large memory, the commonest words are left out until it fits."""
RELATED_POSTINGS = 1_000
"""Places of other words for them."""
MOST_WORDS = 1_000
"""Words of a query that are looked up, the first; a whole file may be asked for by its beginning."""
MOST_RELATED = 24
"""Other words that one search looks up, the rarest first."""


@dataclass(frozen=True, kw_only=True)
class Concept:
    """One thing that a query asks for.

    Attributes:
        word: A word of the query, or an expression of several.
        idf: How much it tells.
        forms: Words that some record has for it, with how much of it each is: 1 for itself and its forms.
    """

    word: str
    idf: float
    forms: Mapping[str, float]

    @property
    def known(self) -> float:
        """How much of it stands in the records in any form."""
        return max(self.forms.values(), default=0.0)


def concepts(query: str, rarity: Rarity, thesaurus: Thesaurus) -> list[Concept]:
    """What a query asks for: each of its words that tells something, and each expression that the thesaurus has.

    Another word never tells more than the word that it stands for, however rare it is.
    """
    said = words_of(query)
    known = [together(" ".join(said[start:end])) for start, end in thesaurus.phrases(said)]
    phrases, whole = ([each for each in known if (" " in each) == wanted] for wanted in (True, False))
    parts = {part for each in whole for part in words(each)}  # where there are no blanks, an entry stands for its parts
    found = []
    for word in dict.fromkeys([*whole, *(word for word in terms(query)[:MOST_WORDS] if word not in parts)]):
        misspelt = not rarity.frequency(word) and not thesaurus.knows(word)
        own = rarity.alike(word) if misspelt else [word]
        found.append(_concept(word, own, rarity, thesaurus))
    return [*found, *(each for each in (_concept(phrase, [], rarity, thesaurus) for phrase in phrases) if each.forms)]


def _concept(word: str, own: Sequence[str], rarity: Rarity, thesaurus: Thesaurus) -> Concept:
    forms = dict.fromkeys(own, FORM) | thesaurus.related(word)
    had = {form: much for form, much in forms.items() if rarity.frequency(form)}
    return Concept(word=word, idf=rarity.idf(*(form for form, much in had.items() if much >= FORM)), forms=had)


def affordable(asked: Sequence[Concept], rarity: Rarity) -> list[Asked]:
    """What to look up, as much as can be in time: the words themselves, and other words for them, the rarest first."""
    own: list[Asked] = []
    others: list[Asked] = []
    for number, concept in enumerate(asked):
        for form, much in concept.forms.items():
            rarer = min(1.0, concept.idf / max(rarity.idf(form), 1e-9)) if concept.known >= FORM else 1.0
            one = Asked(text=form, concept=number, much=much, weight=much * rarer)
            (own if much >= FORM else others).append(one)
    return [*_within(own, POSTINGS, rarity), *_within(others, RELATED_POSTINGS, rarity)[:MOST_RELATED]]


def _within(asked: Sequence[Asked], postings: int, rarity: Rarity) -> list[Asked]:
    found: list[Asked] = []
    for one in sorted(asked, key=lambda each: rarity.frequency(each.text)):
        postings -= rarity.frequency(one.text)
        if found and postings < 0:
            break
        found.append(one)
    return found
