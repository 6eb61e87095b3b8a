"""How alike two situations are by what they say, in whatever words.

It must not know what was done in them, nor what became of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from engram_agent.phrases import key
from engram_agent.rarity import Rarity
from engram_agent.scripts import words
from engram_agent.thesaurus import RELATED, Thesaurus


def likenesses(context: str, others: Sequence[str], rarity: Rarity, thesaurus: Thesaurus) -> list[float]:
    """How much a situation has in common with each of others, 0 to 1.

    The weight of what either says and the other says, too, over the weight of all they say (Dice's coefficient); the rarer
    a word the more it weighs, and a related word counts for as much as it is akin. Numbers, ids and paths count for nothing.
    Where one says the opposite of what the other says (enable, disable), they have nothing in common.

    Args:
        context: The situation.
        others: Situations, each compared with it.
        rarity: How much a word tells among the records.
        thesaurus: Which words are akin.
    """
    units = [_units(text, thesaurus) for text in (context, *others)]
    weights = {base: rarity.idf(unit) for each in units for base, unit in each}
    asked, *told = [{base for base, _ in each} for each in units]
    return [_dice(asked, each, weights, thesaurus) for each in told]


def _dice(one: set[str], other: set[str], weights: Mapping[str, float], thesaurus: Thesaurus) -> float:
    if any(thesaurus.opposed(base) & (other - one) for base in one - other):
        return 0.0
    common = _common(one, other, weights, thesaurus) + _common(other, one, weights, thesaurus)
    whole = sum(weights[base] for base in (*one, *other))
    return min(1.0, common / whole) if whole else 0.0


def _common(one: set[str], other: set[str], weights: Mapping[str, float], thesaurus: Thesaurus) -> float:
    """The weight of what one says that the other says, too."""
    much = {base: 1.0 if base in other else RELATED for base in one if base in other or thesaurus.akin(base) & other}
    return sum(weights[base] * share for base, share in much.items())


@lru_cache(maxsize=65_536)
def _units(text: str, thesaurus: Thesaurus) -> tuple[tuple[str, str], ...]:
    """What a text says: the base of each word or expression, and the word itself."""
    return tuple((thesaurus.base(unit), unit) for unit in thesaurus.units(words(key(text))))
