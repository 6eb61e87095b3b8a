"""Finds where the answer begins in a line without punctuation: "what is your name my name is engram".

It must not know of paragraphs, labels or speakers; its word lists are English.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


GREETINGS = _set("hi hello hey please oh ok okay well now engram bot")
PAST = _set("was were wasn't weren't did didn't had hadn't could couldn't would wouldn't should might must")
PREPOSITIONS = _set(
    "of in on at by to for from with about into onto over under between near behind beside after before"
)
_BE = _set("is are am was were isn't aren't wasn't weren't isnt arent")
_HAVE = _set("have has had haven't hasn't hadn't")
_AUXILIARY = _BE | _HAVE | PAST | _set("do does don't doesn't dont doesnt can can't cant will won't wont shall may")
_MAIN = _HAVE | _set("do does did")  # auxiliaries that can be the verb a question ends with
_ASKING = _set("what who where when why how which whose whom")
_ASKING_IS = _set("what's who's where's when's why's how's whats whos wheres hows")
_SAYING = _set("say name describe explain spell sing list count")
_TELLING = _set("tell give show teach")
OPENERS = _ASKING | _ASKING_IS | _AUXILIARY | _SAYING | _TELLING

_PERSON = _set("i you he she it we they")
_SUBJECT = _set("i he she we they im")  # pronouns that are never an object
_POINTING = _set("this that these those")
_ARTICLE = _set("the a an my your his her its our their some any every each no all")
_DETERMINER = _ARTICLE | _POINTING
_JOINING = _set("and or nor but if than as plus minus times")
_UNFINISHED = _JOINING | _ASKING | _set("the a an my your our their its because so very every")
_REPORTING = _set("think thought know knew say said believe hope guess wish wonder sure that while until")
_RELATIVE = _set("day time way place thing things all")  # "the day we met"
_REPLY = _set("yes no yeah yep nope sure certainly because hello hi thanks thank sorry okay ok bye goodbye oh gladly")
_MAYBE = _set("maybe perhaps never always sometimes nothing nobody once")
_OPINION = _set("think guess hope believe suppose do don't dont")  # "i think so"
_FEELING = _set("fine good great well happy tired sad okay bad ok not very")
_COUNTING = _set("many much old long far plus minus times")
_NUMBER = _set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand about"
)
_SMALL = _AUXILIARY | _UNFINISHED | _ASKING_IS | _PERSON | _DETERMINER | PREPOSITIONS | _REPLY | {"me", "not"}
_NO_SUBJECT = _AUXILIARY | PREPOSITIONS | _ASKING | _MAYBE | _set("not and or to be")
_NO_NOUN = _DETERMINER | _PERSON | PREPOSITIONS | _set("knows cares else")
_SWAPPED = {"your": "my", "my": "your", "you": "i", "i": "you"}
_ENDING = re.compile(r"(?<=\w\w)(?:ing|ed|es|s|e)$")

_CONVINCING = 3.0
_MARGIN = 1.5  # later places find more to echo: the first convincing one wins unless it is this much worse


def plain_words(text: str) -> list[str]:
    """The blank-separated words of `text` for comparison: small letters, straight apostrophes, no marks."""
    return [word.strip(",?.!") or word for word in text.lower().replace("’", "'").split()]


def after_greeting(words: Sequence[str]) -> int:
    """The place of the first word that is no greeting."""
    return next((place for place, word in enumerate(words) if word not in GREETINGS), len(words))


def answer_place(words: Sequence[str]) -> int | None:
    """How many of `words` are the question; None if no place is convincing and the line is to stay whole."""
    first = after_greeting(words)
    shortest = _shortest_question([*words[first:], "", "", ""])
    if shortest is None:
        return None
    places = range(first + shortest, len(words))
    scores = [_score(_Split.at(words[first:], place - first)) for place in places]
    enough = max(_CONVINCING, max(scores, default=0.0) - _MARGIN)
    return next((place for place, score in zip(places, scores, strict=True) if score >= enough), None)


# ----------------------------------------------------------------------------- how long a question must be


def _shortest_question(words: Sequence[str]) -> int | None:
    """How many of the first words make a whole question at least; None if they cannot begin one."""
    opener, then = words[0], words[1]
    if opener in _TELLING:
        return 3 if then in ("me", "us") else None
    if opener in _SAYING:
        return None if then in _ASKING | _AUXILIARY else 2 + (then in _DETERMINER)
    if opener in _ASKING | _ASKING_IS:
        return _shortest_asking(words)
    return 3 + (then in _ARTICLE) if opener in _AUXILIARY and _can_be_subject(opener, then) else None


def _can_be_subject(auxiliary: str, word: str) -> bool:
    """Whether `word` can follow `auxiliary` in a question; not so "do not", "will is", "have a"."""
    if auxiliary in _HAVE and word in _DETERMINER - {"the"}:
        return False
    if auxiliary in (PAST | _HAVE) - {"did"} and _content([word]):
        return False
    return word not in _NO_SUBJECT and not (auxiliary in _BE and word.endswith("ed"))


def _shortest_asking(words: Sequence[str]) -> int | None:
    """`_shortest_question` of what begins with a question word, then its noun, auxiliary and subject."""
    asking, second = words[0], words[1]
    if asking in _ASKING_IS:
        verb = 0
    elif second in _AUXILIARY:
        verb = 1
    elif asking in ("where", "when", "why", "whom") or second in _NO_NOUN:
        return None
    else:
        verb = next((at for at in range(2, min(6, len(words))) if words[at] in _AUXILIARY | _NO_NOUN), 2)
        if words[verb] not in _AUXILIARY or asking == "who":
            return 3 if _asks_for_subject(words) else None
    subject = words[verb + 1]
    if asking == "who" and words[verb] not in _BE:
        return verb + 2
    if subject in _NO_SUBJECT - PREPOSITIONS or (subject in PREPOSITIONS and asking not in ("what", "who", "how")):
        return None
    verb_follows = verb > 0 and words[verb] not in _BE | _HAVE
    return verb + 2 + (subject in _ARTICLE) + (verb_follows or asking == "why")


def _asks_for_subject(words: Sequence[str]) -> bool:
    """Whether it is a question without auxiliary: "who made you", "what makes rain", "how many live here"."""
    asking, second, third = words[:3]
    if asking == "how":
        return second in ("many", "much")
    if asking == "who" or third not in _DETERMINER | _PERSON:
        return True
    return asking == "what" and second.endswith(("s", "ed")) and third not in _SUBJECT


# ----------------------------------------------------------------------------- how good a place is


def _stem(word: str) -> str:
    """A word without its commonest endings, so that "eats" echoes "eat"."""
    return _ENDING.sub("", word)


def _content(words: Iterable[str]) -> set[str]:
    """The stems of the words that carry meaning."""
    return {_stem(word) for word in words if word not in _SMALL}


class _Split(NamedTuple):
    """A line cut in two, and what the scores look at."""

    question: Sequence[str]
    answer: Sequence[str]
    asked: set[str]  # the words of the question
    content: set[str]  # the stems of those that carry meaning
    start: str  # the first word of the answer, without 's or 'm
    then: str  # its second word, or nothing
    polar: bool  # whether the question wants yes or no

    @classmethod
    def at(cls, words: Sequence[str], place: int) -> "_Split":
        question, answer = words[:place], words[place:]
        start, then = answer[0].split("'")[0], answer[1] if len(answer) > 1 else ""
        polar = question[0] in _AUXILIARY
        return cls(question, answer, set(question), _content(question), start, then, polar)


def _score(split: _Split) -> float:
    """How much the two parts look like a question and its answer; `_CONVINCING` is enough."""
    if split.question[-1] in _UNFINISHED or split.start in _AUXILIARY | _JOINING:
        return 0.0
    if reply := _reply_score(split):
        return reply + _echo_score(split)
    found = _start_score(split) + _clause_score(split) + _echo_score(split)
    return found - _unfinished_score(split) - split.polar


def _reply_score(split: _Split) -> float:
    """What a word that mostly opens answers is worth: yes, because, perhaps, a number for "how many"."""
    last, start, then = split.question[-1], split.start, split.then
    if start == "no" and last in _HAVE | _BE:
        return 0.0
    if start == "no" and then in split.answer and not split.polar and then not in _PERSON | _DETERMINER:
        return 0.0
    if start in ("yes", "no") and split.polar:
        return 6.0
    if start in _MAYBE and (split.polar or then in _PERSON or len(split.answer) < 3 or "what" in split.asked):
        return 3.0
    known = (
        start in _REPLY
        or (start == "once" and then in ("upon", "there", "a"))
        or (start, then) == ("of", "course")
        or (start == "i" and then in _OPINION and last not in _REPORTING)
        or (split.question[0] == "how" and split.question[1] in _BE and start in _FEELING)
        or (not split.asked.isdisjoint(_COUNTING) and (start in _NUMBER or start.isdigit()))
    )
    return 4.0 if known else 0.0


def _start_score(split: _Split) -> float:
    """How well the first word of the answer takes up whom or what the question asks about."""
    asked, start, opener = split.asked, split.start, split.question[0]
    to_bot = asked & {"you", "your", "yourself"} or opener in _TELLING
    if start in ("i", "im"):
        return 1.5 if opener in _SAYING else 3.0 if to_bot else 1.0
    if start in ("we", "my", "our"):
        return 2.0 if to_bot else 0.5
    if start in ("you", "your"):
        return 2.0 if asked & {"i", "my", "me", "we"} or opener == "how" else 0.5
    if start in ("he", "she", "they"):
        return 2.5 + (start in asked)
    if start in ("it", "its"):
        return 2.0 + ("it" in asked)
    if start in ("there", "that") and split.then in _BE:
        return 1.5
    return 0.75 if start in _DETERMINER else 0.0


def _clause_score(split: _Split) -> float:
    """How much the answer looks like a clause of its own, with its subject first and then its verb."""
    question, answer, start, then = split.question, split.answer, split.start, split.then
    after_noun = question[-2] in _DETERMINER and question[-1] not in _SMALL
    if start in _PERSON | {"there", "that"}:
        if after_noun and split.polar and start in _SUBJECT:  # "have you seen the man he ..."
            return 0.0 if then in _AUXILIARY else -1.0
        if then in _AUXILIARY or "'" in answer[0] or (start in ("it", "he", "she") and then.endswith("s")):
            return 1.0
        return 0.5 * (bool(then) and then not in _SMALL) + 0.5 * after_noun
    if start in _DETERMINER:
        next_verb = next((word for word in answer[1:6] if word in _AUXILIARY | _PERSON), "")
        has_verb = next_verb in _AUXILIARY or not split.content.isdisjoint(_content(answer[1:5]))
        return 1.5 * after_noun + has_verb
    if question[0] == "who" and (then in _AUXILIARY or _stem(then) == _stem(question[1])):  # "tom does"
        return 2.0
    return 1.5 if then in _BE else 0.5 if then in _AUXILIARY else 0.0


def _echo_score(split: _Split) -> float:
    """How much of the question the answer says again, with my and your changed over."""
    turned = [_SWAPPED.get(word, word) for word in split.question]
    pairs = set(pairwise(turned))
    score = min(2.5, float(len(split.content & _content(split.answer))))
    if len(pairs) < len(turned) - 1:  # a question that repeats itself holds a part of its answer
        score -= 2
    if (split.answer[0], split.then) in pairs or _stem(split.start) in split.content:
        return score + 1.5
    return score + (not pairs.isdisjoint(pairwise(split.answer[1:])))


def _unfinished_score(split: _Split) -> float:
    """How much the last word of the question wants the next one: "do you think | it", "the name of | the"."""
    before, last, start = split.question[-2], split.question[-1], split.start
    score = 0.0
    if last in _SUBJECT and before not in _AUXILIARY:
        score += 2
    complete = before in _BE or start in split.asked  # "what is that", "what did she say | she"
    wanting = _REPORTING | _RELATIVE if start in _SUBJECT or start == "you" else _REPORTING
    if last in wanting and not complete and start in _PERSON | _DETERMINER:
        score += 2
    open_ended = last in PREPOSITIONS or last in _AUXILIARY - _MAIN
    if open_ended and start not in _SUBJECT and _stem(start) not in split.content:
        embedded = not _ASKING.isdisjoint(split.question[2:])  # "do you know what my name is"
        repeated = start in _PERSON and _stem(split.then) in split.content  # "what do i work as | you work"
        score += 0 if embedded or repeated else 1.5
    return score
