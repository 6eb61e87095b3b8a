"""Finds the questions and answers that plain paragraphs hold: labelled turns, "Question? Answer." and bare lines.

It must not know how a text is cut into words, nor which markers stand for the speakers.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple


class Turn(NamedTuple):
    """What one side said, as written; `speaker` is empty for a text that is no exchange."""

    speaker: Literal["user", "bot", ""]
    said: str


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_USER_NAMES = "user|human|you|me|question|prompt|q"
_BOT_NAMES = "bot|chatbot|assistant|engram|ai|answer|response|a"
_AFTER_NAME = r"[ \t]*\d{0,4}[ \t\]>*_]*[:：][*_]*"
_LABEL = re.compile(
    rf"[ \t>*_#<\[-]*(?:(?P<user>{_USER_NAMES})|{_BOT_NAMES}){_AFTER_NAME}", re.IGNORECASE
)
_NEXT_LABEL = {
    "user": re.compile(rf"\s(?:{_BOT_NAMES}){_AFTER_NAME}(?=\s)", re.IGNORECASE),
    "bot": re.compile(rf"\s(?:{_USER_NAMES}){_AFTER_NAME}(?=\s)", re.IGNORECASE),
}

_LONGEST_EXCHANGE = 40  # words; a longer paragraph that opens with a question is prose
_PUNCTUATED = re.compile(r"((?:[^?.!]|\b(?:Mr|Mrs|Ms|Dr|St)\.)*\?)\s+([^?]+\??)", re.IGNORECASE)
_QUOTE = re.compile(r'["“”„«»]|(?<!\w)[\'‘’`]')
_SENTENCE_MARK = re.compile(r"[.!?;:…()\[\]<>*—]|--")

_GREETING = _set("hi hello hey please oh ok okay well now engram bot")
_BE = _set("is are am was were isn't aren't wasn't weren't isnt arent")
_HAVE = _set("have has had haven't hasn't hadn't")
_AUXILIARY = (
    _BE
    | _HAVE
    | _set("do does did don't doesn't didn't dont doesnt didnt can could can't couldn't cant will would won't")
    | _set("wouldn't wont shall should shouldn't may might must")
)
_PAST = _set("was were wasn't weren't did didn't had hadn't could couldn't would wouldn't should might must")
_MAIN = _set("have has had do does did")  # auxiliaries that can be the verb a question ends with
_ASKING = _set("what who where when why how which whose whom")
_ASKING_IS = _set("what's who's where's when's why's how's whats whos wheres hows")
_REQUEST = _set("say name describe explain spell sing list count")
_TELLING = _set("tell give show teach")
_OPENER = _ASKING | _ASKING_IS | _AUXILIARY | _REQUEST | _TELLING

_PERSON = _set("i you he she it we they")
_SUBJECT = _set("i he she we they im")
_OPINION = _set("think guess hope believe suppose do don't dont")
_OTHERS = _set("he she it they him her them his their its that this there nobody somebody someone")
_DETERMINER = _set("the a an my your his her its our their this that these those some any every each no all")
_POINTING = _set("this that these those")
_PREPOSITION = _set(
    "of in on at by to for from with about into onto over under between near behind beside after before during"
)
_LINKING = _set("the a an my your our their its and or nor but because if than as so very every plus minus times")
_REPORTING = _set(
    "think thought know knew say said believe hope guess wish wonder sure that if when while what who "
    "where why how which until"
)
_RELATIVE = _set("day time way place thing things all")
_REPLY = _set("yes no yeah yep nope sure certainly because hello hi thanks thank sorry okay ok bye goodbye oh gladly")
_MAYBE = _set("maybe perhaps never always sometimes nothing nobody once")
_FEELING = _set("fine good great well happy tired sad okay bad ok not very")
_NUMBER = _set(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand about"
)
_IDIOM = _set("knows cares else")
_CONVINCING = 3.0
_MARGIN = 1.5  # the first good split wins over later ones, which find more to echo, up to this


def conversations(paragraphs: Iterable[str]) -> list[list[Turn]]:
    """Cut paragraphs into texts: a plain text is one turn without a speaker, an exchange starts with the user.

    Lines that start with a speaker's name make one conversation a paragraph; an answer that a blank line parts
    from its question is joined to it. A paragraph of exchanges, one a line, makes one text a line.

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
        if len({turn.speaker for turn in turns}) == 2:
            found += _closed(turns)
        else:
            found += _unlabelled(paragraph)
    return found


# ------------------------------------------------------------------------------------------ labelled turns


def _labelled_turns(paragraph: str) -> list[Turn]:
    """The turns of a paragraph whose first line starts with a speaker's name; else none."""
    turns: list[Turn] = []
    for line in paragraph.strip().split("\n"):
        spoken = _line_turns(line)
        if not turns and not spoken:
            return []
        for turn in spoken or [Turn(turns[-1].speaker, line)]:
            if turns and turns[-1].speaker == turn.speaker:
                turns[-1] = Turn(turn.speaker, turns[-1].said + "\n" + turn.said)
            else:
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
    """One conversation that starts with a question and ends with an answer; what hangs over is plain text."""
    greeting = [[Turn("", turns[0].said)]] if turns[0].speaker == "bot" else []
    unanswered = [[Turn("", turns[-1].said)]] if turns[-1].speaker == "user" else []
    inner = turns[len(greeting) : len(turns) - len(unanswered)]
    return [*greeting, *([inner] if inner else []), *unanswered]


# ------------------------------------------------------------------------------------------ exchanges without labels


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


def _normal(text: str) -> list[str]:
    """The blank-separated words of `text` for comparison: small letters, no commas, straight apostrophes."""
    return [word.strip(",?.!") or word for word in text.lower().replace("’", "'").split()]


def _after_greeting(words: Sequence[str]) -> int:
    """The place of the first word that is no greeting."""
    return next((place for place, word in enumerate(words) if word not in _GREETING), len(words))


def _punctuated_exchange(line: str) -> list[Turn]:
    """The two turns of "Question? Answer.", or none: a story that opens with a question stays whole."""
    match = _PUNCTUATED.fullmatch(line)
    if not match or _QUOTE.search(line) or len(line.split()) > _LONGEST_EXCHANGE:
        return []
    question, answer = _normal(match[1]), _normal(match[2])
    opening = question[_after_greeting(question) :]
    if opening and opening[0] in _PREPOSITION:
        opening = opening[1:]
    if len(opening) < 2 or opening[0] not in _OPENER:
        return []
    told = not _OTHERS.isdisjoint(opening) and not _PAST.isdisjoint(opening)
    alone = not {"i", "my", "me"}.isdisjoint(opening) and "you" not in opening and answer[0] in ("i", "my")
    return [] if told or alone else [Turn("user", match[1]), Turn("bot", match[2])]


def _bare_exchange(line: str) -> list[Turn]:
    """The two turns of a line without sentence marks ("what is your name my name is engram"), or none."""
    written = line.split()
    if not 3 <= len(written) <= _LONGEST_EXCHANGE or _SENTENCE_MARK.search(line) or _QUOTE.search(line):
        return []
    words = _normal(line)
    shortest = _shortest_question(words)
    if shortest is None:
        return []
    scores = [_answer_score(words, place, shortest) for place in range(shortest, len(words))]
    enough = max(_CONVINCING, max(scores, default=0.0) - _MARGIN)
    split = next((shortest + step for step, score in enumerate(scores) if score >= enough), None)
    if split is None:
        return []
    return [Turn("user", " ".join(written[:split])), Turn("bot", " ".join(written[split:]))]


def _shortest_question(words: Sequence[str]) -> int | None:
    """With how many of its first words a line can be a whole question; None if it cannot be one."""
    first = _after_greeting(words)
    rest = [*words[first:], "", "", ""]
    if rest[0] in _TELLING:
        return first + 3 if rest[1] in ("me", "us") else None
    if rest[0] in _REQUEST:
        return None if rest[1] in _ASKING | _AUXILIARY else first + 2 + (rest[1] in _DETERMINER)
    if rest[0] in _ASKING | _ASKING_IS:
        needed = _shortest_asking(rest)
        return None if needed is None else first + needed
    if rest[0] in _AUXILIARY:
        return None if _is_no_subject(rest[0], rest[1]) else first + 3 + (rest[1] in _DETERMINER - _POINTING)
    return None


def _is_no_subject(auxiliary: str, word: str) -> bool:
    """Whether `word` cannot follow `auxiliary` in a question ("do not", "will is", "have a")."""
    if auxiliary in _HAVE and word in _DETERMINER - {"the"}:
        return True
    if auxiliary in _PAST | _HAVE and _content([word]) and auxiliary != "did":
        return True  # "was rich", "had seen": the rest of a sentence whose beginning is elsewhere
    return word in _AUXILIARY | _PREPOSITION | _ASKING | _set("not and or to be never")


def _shortest_asking(words: Sequence[str]) -> int | None:
    """`_shortest_question` for a line whose first word is a question word."""
    asking, second = words[0], words[1]
    if asking in _ASKING_IS:
        verb = 0
    elif second in _AUXILIARY:
        verb = 1
    elif asking in ("where", "when", "why", "whom") or second in _DETERMINER | _PERSON | _PREPOSITION | _IDIOM:
        return None
    else:
        verb = _first_auxiliary(words)
        if words[verb] not in _AUXILIARY or asking == "who":
            return 3 if _asks_for_subject(words, verb) else None
    subject = words[verb + 1]
    if asking == "who" and words[verb] not in _BE:
        return verb + 2
    if subject in _AUXILIARY | _ASKING or (subject in _PREPOSITION and asking not in ("what", "who", "how")):
        return None
    needs_more = words[verb] not in _BE | _HAVE and asking not in _ASKING_IS
    return verb + 2 + (subject in _DETERMINER - _POINTING) + (needs_more or asking == "why")


def _first_auxiliary(words: Sequence[str]) -> int:
    """The place of the verb in "what kind of food do ..."; of the first word that cannot be part of the noun."""
    stop = _DETERMINER | _PERSON | _AUXILIARY
    return next((place for place in range(2, 6) if words[place : place + 1] and words[place] in stop), 2)


def _asks_for_subject(words: Sequence[str], noun_end: int) -> bool:
    """Whether a line asks "who made you", "what makes rain", "how many people live here"."""
    if words[0] == "who":
        return True
    if words[0] == "how":
        return words[1] in ("many", "much")
    if noun_end == 2 and words[2] in _DETERMINER | _PERSON:
        return words[0] == "what" and words[1].endswith(("s", "ed")) and words[2] not in _SUBJECT
    return True


def _stem(word: str) -> str:
    """A word without its commonest endings, so that "eats" echoes "eat"."""
    return re.sub(r"(?<=\w\w)(?:ing|ed|es|s|e)$", "", word)


def _content(words: Iterable[str]) -> set[str]:
    """The stems of the words that carry meaning."""
    small = _AUXILIARY | _ASKING | _ASKING_IS | _PERSON | _DETERMINER | _PREPOSITION | _LINKING | _REPLY
    return {_stem(word) for word in words if word not in small and word not in ("me", "not")}


def _answer_score(words: Sequence[str], place: int, shortest: int) -> float:
    """How much the words from `place` on look like an answer to those before it; `_CONVINCING` is enough."""
    question, answer = words[:place], words[place:]
    if question[-1] in _LINKING | _ASKING or answer[0] in _AUXILIARY:
        return 0.0
    polar = question[_after_greeting(question)] in _AUXILIARY
    reply = _reply_score(question, answer, polar)
    if reply:
        return reply + _echo_score(question, answer)
    score = _start_score(question, answer) + _clause_score(question, answer, polar) + _echo_score(question, answer) - polar
    start = answer[0].split("'")[0]
    if question[-1] in _SUBJECT and question[-2] not in _AUXILIARY:
        score -= 2
    relative = _RELATIVE if start in _SUBJECT | {"you"} else _REPORTING
    if question[-1] in _REPORTING | relative and question[-2] not in _BE and start in _PERSON | _DETERMINER:
        score -= 2
    open_ended = question[-1] in _PREPOSITION or question[-1] in _AUXILIARY - _MAIN
    if open_ended and start not in _SUBJECT and not _stem(start) in _content(question):
        embedded = not _ASKING.isdisjoint(question[2:])
        repeated = start in _PERSON and len(answer) > 1 and _stem(answer[1]) in _content(question)
        score -= 0 if embedded or repeated else 1.5
    return score


def _reply_score(question: Sequence[str], answer: Sequence[str], polar: bool) -> float:
    """What a word that only ever opens an answer is worth (yes, because, of course, a number for "how many")."""
    start, then, asked = answer[0], answer[1] if len(answer) > 1 else "", set(question)
    opening = list(question[_after_greeting(question) :])
    if start == "no" and (question[-1] in _HAVE | _BE or not (polar or then in _PERSON | _DETERMINER | {""})):
        return 0
    counted = asked & {"many", "much", "old", "long", "far"} or asked & {"plus", "minus", "times"}
    if start in ("yes", "no") and polar:
        return 6.0
    if start in _MAYBE and (polar or then in _PERSON or len(answer) < 4 or "what" in opening):
        return 3.0
    known = (
        start in _REPLY
        or (start == "once" and then in ("upon", "there", "a"))
        or (start, then) == ("of", "course")
        or (start == "i" and then in _OPINION and question[-1] not in _REPORTING)
        or (opening[:1] == ["how"] and opening[1] in _BE and start in _FEELING)
        or (counted and (start in _NUMBER or start.isdigit()))
    )
    return 4.0 if known else 0


def _start_score(question: Sequence[str], answer: Sequence[str]) -> float:
    """How well the first word of the answer takes up whom or what the question asks about."""
    asked, start = set(question), answer[0].split("'")[0]
    to_bot = asked & {"you", "your", "yourself"} or asked & _TELLING
    if start in ("i", "im"):
        return 1.5 if question[0] in _REQUEST else 3 if to_bot else 1
    if start in ("we", "my", "our"):
        return 1.5 if to_bot else 0.5
    if start in ("you", "your"):
        return 2 if asked & {"i", "my", "me", "we"} or question[0] == "how" else 0.5
    if start in ("he", "she", "they"):
        return 2.5 + (start in asked)
    if start in ("it", "its"):
        return 2 + ("it" in asked)
    if start in ("there", "that") and answer[1:2] and answer[1] in _BE:
        return 1.5
    return 0.75 if start in _DETERMINER else 0.0


def _clause_score(question: Sequence[str], answer: Sequence[str], polar: bool) -> float:
    """How much the answer looks like a clause of its own, its subject first and then its verb."""
    start, then = answer[0], answer[1] if len(answer) > 1 else ""
    after_noun = len(question) > 1 and question[-2] in _DETERMINER and bool(_content(question[-1:]))
    if start.split("'")[0] in _PERSON | {"there", "that"}:
        related = after_noun and polar and start in _SUBJECT  # "have you seen the man he ..."
        if then in _AUXILIARY or "'" in start or (start in ("it", "he", "she") and then.endswith("s")):
            return 1 - related
        return 0.5 * bool(_content([then])) + 0.5 * (after_noun - related) - related
    if start in _DETERMINER:
        verb = not _AUXILIARY.isdisjoint(answer[1:6]) or bool(_content(answer[1:5]) & _content(question))
        return 1.5 * after_noun + verb
    if "who" in question and (then in _AUXILIARY or _stem(then) in _content(question)):
        return 2
    return 1.5 if then in _BE else 0.5 if then in _AUXILIARY else 0


def _echo_score(question: Sequence[str], answer: Sequence[str]) -> float:
    """How much of the question the answer says again, with my and your changed over."""
    asked = _content(question)
    score = min(2.5, float(len(asked & _content(answer))))
    swapped = {"your": "my", "my": "your", "you": "i", "i": "you"}
    turned = [swapped.get(word, word) for word in question]
    pairs = set(zip(turned, turned[1:], strict=False))
    if len(pairs) < len(turned) - 1:  # a question that repeats itself holds a part of its answer
        score -= 2
    if tuple(answer[:2]) in pairs or _stem(answer[0]) in asked:
        score += 1.5
    elif not pairs.isdisjoint(zip(answer[1:], answer[2:], strict=False)):
        score += 1
    return score
