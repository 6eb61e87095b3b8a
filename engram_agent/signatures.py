"""Turns error messages and log lines into signatures and groups those that one statement of a program wrote.

It must not know which program wrote a message, nor keep anything on disk.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from engram_agent.errors import must_be_text

MARK = "<*>"
ENOUGH = 4  # distinct values at one place that make it a variable: 3 words are often states, 4 are often names
CONSTANT_WORDS = 2  # words that must remain when one is left out; one alone ("<*> started") says too little
LONGEST = 64  # tokens looked at one by one; the rest of a longer line counts as a single token

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_CLOCK = r"\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?"
_DOMAIN = r"(?:com|net|org|edu|gov|mil|info|io|local|internal|lan|(?:com?|ac|edu|net|org|gov)\.[a-z]{2})"
_UNIT = r"(?:[kKMGTP]i?[bB]?|[bBhdms]|[mnuµ]s|[xX%])(?!\w)"

# Rules for one word of the text, tried at each place in this order. Every rule that may run along the word looks
# behind first, so that a word of 100,000 letters is still read in linear time.
_RULES = (
    r"<\*>",
    r"(?<![A-Za-z0-9+.\-])[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>\])},;]+",  # url
    r"(?<![\w.+\-])[\w.+\-]+@[\w\-]+(?:\.[\w\-]+)+",  # mail address
    r"(?<![^\W_])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?!\w)",  # uuid
    r"(?<![^\W_])(?:[0-9A-Fa-f]{2}[:\-]){5}[0-9A-Fa-f]{2}(?!\w)",  # hardware address
    rf"(?<![\w.])\d{{4}}[-/]\d\d[-/]\d\d(?:T{_CLOCK})?(?:Z|[+-]\d\d:?\d\d)?(?!\w)",  # 2020-01-02T03:04:05Z
    r"(?<![\w>])[A-Za-z]:[\\/][^\s\"'<>|,;)\]]*",  # path with a drive
    r"(?<![\w<>*.)\]/\\\-])(?:~|\.\.?|[\w.\-]+(?=/\d+\.\d+\.\d+))?/[\w.\-+@%~$#*!/:]*[\w*/]",  # path, host/address
    r"(?<![\w.\-/])(?:[\w.\-]+/)+[\w.\-]*\.\w{1,5}(?::\d+)*(?![\w/])",  # relative path of a file
    rf"(?<![\w.\-])(?:[\w\-]+\.)+{_DOMAIN}(?::\d+)?(?![\w\-]|\.\w)",  # host
    r"(?<![\w.\-])(?=[\w.\-]*\d)[\w\-]+(?:\.[\w\-]+){2,}(?::\d+)?(?!\w)",  # dotted name with a digit: address, version
    r"(?<![\w.\-])(?=[\w\-]*\d|[\w.\-]*\.\w{1,5}:)[\w.\-]+:\d+(?![\w.])",  # host1:80, file.py:12
    r"(?<![^=:(\[{,])(?:\"[^\"]*\"|'[^']*'|`[^`]*`)(?!\w)",  # quoted word
    r"(?<!\w)(?:0[xX][0-9a-fA-F]+|(?=[a-fA-F]*\d|[a-fA-F]{8})[0-9a-fA-F]{6,})(?!\w)",  # hexadecimal
    r"(?:(?<![\w>)\-+<~])[+\-<~]|(?<=_)-)?\d+(?:(?:[_\-.:,/]+|[eE][+\-])?(?:[A-Za-z]?[_\-])?\d+)*"
    rf"(?:{_UNIT})?",  # number, in a name too
)
_VARYING = re.compile("|".join(_RULES))
_EMPTY = re.compile(r"(?<![^=])([(\[{])([)\]}])$")

# Rules for what has blanks inside; each starts with plain characters, which the search then skips to.
_MONTHS = re.compile(_MONTH)
_DATE = re.compile(
    rf"(?<!\w)(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?[ ])?(?:{_MONTH}[ ]\d{{1,2}}|\d{{1,2}}[ \-/]{_MONTH})(?!\w)"
    rf"(?:[,/\-]?[ ]?\d{{4}})?(?:[,:]?[ ]?{_CLOCK})?(?:[ ][A-Z]{{3,4}}(?!\w))?(?:[ ][+-]?\d{{4}}(?!\w))?"
)
_QUOTED_VALUE = re.compile(r"([=:])\"[^\"]*\"(?!\w)")
_MEASURED = re.compile(
    r"<\*> (?:[kKMGTP]?i?B|[kKMGTP]b|(?:[kmgt]|kilo|mega|giga)?bytes?|[mnu]s|m?secs?|MILLISECONDS"
    r"|(?:milli|micro|nano)?seconds?|mins?|minutes?|hours?|hrs?|days?)(?!\w)"
)
_LIST = re.compile(r"<\*>(?:[,;|:/#.\-_ ]*<\*>)+")
_REPEATED = re.compile(r"(?<!\S)((?>\S*<\*>)(?>\S*))(?: \1(?!\S))+")
_TOKEN = re.compile(r"(?:(?:[^\s=:,;()\[\]{}|\"'<>]|<\*>)+|[=:,;()\[\]{}|\"'<>]) ?")
_LETTER = re.compile(r"[^\W\d_]")
_DOTTED = re.compile(r"(?<![\w$/\-])[\w$/\-]+(?:\.[\w$/\-]+){2,}")

Signature = tuple[str, ...]


def mask(message: str) -> str:
    """Replace what varies from run to run by `<*>`: the same error gives the same text.

    Numbers go together with their unit, in ids only from the first digit on (`blk_-12` is `blk_<*>`); so do paths,
    urls, addresses, hosts, hashes, dates, versions, quoted words and empty brackets. A list of marks is one mark.
    White space is made single. Applied until nothing changes, so `mask(mask(x)) == mask(x)`.

    Args:
        message: one line or more.

    Returns:
        The masked text on one line.
    """
    text = " ".join(message.split())
    while (masked := _masked_once(text)) != text:
        text = masked
    return text


def _masked_once(text: str) -> str:
    if _MONTHS.search(text):
        text = _DATE.sub(MARK, text)
    if '="' in text or ':"' in text:
        text = _QUOTED_VALUE.sub(rf"\1{MARK}", text)
    text = " ".join([word if word.isalpha() else _masked_word(word) for word in text.split(" ")])
    if MARK not in text:
        return text
    text = _LIST.sub(MARK, _MEASURED.sub(MARK, text))
    return _REPEATED.sub(r"\1", text) if text.count(MARK) > 1 else text


@lru_cache(maxsize=65_536)
def _masked_word(word: str) -> str:
    return _EMPTY.sub(rf"\1{MARK}\2", _VARYING.sub(MARK, word))


class SignatureTable:
    """Groups messages as they come: those with one signature, and those that differ in a variable that is a word.

    A signature is the tokens of the masked message. A place of a signature is a variable if ENOUGH signatures are
    equal but for this place, or but for all dotted names (of classes, packages): then they become one group, and the
    signature with `<*>` there takes part like any other, so that a second variable is found the same way. This is the
    reconcile step of Jiang et al. 2008, "Abstracting Execution Logs to Execution Events", after the masking of He et
    al. 2017, "Drain". Evidence only grows: the partition does not depend on the order of the messages. A later
    message may join groups, never part them.
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._ids: dict[Signature, int] = {}
        self._templates: list[Signature] = []  # of the group that an id leads, else out of date
        self._leaders: list[int] = []
        self._variable: set[Signature] = set()
        self._sharing: defaultdict[Signature, list[int]] = defaultdict(list)

    def add(self, message: str) -> int:
        """Take in a message.

        Args:
            message: an error or a log line.

        Returns:
            The id of its signature, the same for ever; `group` says which ids belong together by now.
        """
        if (found := self._known.get(message)) is None:
            found = self._known[message] = self._add(_tokens(mask(message)))
        return found

    def group(self, signature: int) -> int:
        """Group of a signature by now: the lowest id in it.

        Args:
            signature: what `add` returned.
        """
        while self._leaders[signature] != signature:
            self._leaders[signature] = self._leaders[self._leaders[signature]]
            signature = self._leaders[signature]
        return signature

    def template(self, signature: int) -> str:
        """Text that all messages of a signature's group share by now, with `<*>` where they differ.

        Args:
            signature: what `add` returned, or a group.
        """
        return "".join(self._templates[self.group(signature)])

    def _add(self, tokens: Signature) -> int:
        if tokens in self._ids:
            return self._ids[tokens]
        new = self._ids[tokens] = len(self._leaders)
        self._leaders.append(new)
        self._templates.append(tokens)
        for wider in _wider(tokens):
            self._sharing[wider].append(new)
            self._reconcile(wider)
        if tokens in self._sharing:
            self._reconcile(tokens)
        return new

    def _reconcile(self, wider: Signature) -> None:
        members = self._sharing[wider]
        if wider not in self._variable:
            if len(members) + (wider in self._ids) < ENOUGH:
                return
            self._variable.add(wider)
        leader = self._add(wider)
        while members:
            self._join(leader, members.pop())

    def _join(self, one: int, other: int) -> None:
        low, high = sorted((self.group(one), self.group(other)))
        if low != high:
            self._leaders[high] = low
            pairs = zip(self._templates[low], self._templates[high], strict=True)
            self._templates[low] = tuple(a if a == b else _marked(a) for a, b in pairs)


def group(messages: Sequence[str]) -> list[int]:
    """Group messages that one statement of a program wrote.

    Args:
        messages: errors or log lines, in any order.

    Returns:
        A group for every message, 0, 1, 2... in order of first appearance.

    Raises:
        AgentError: InvalidValue if one is no text.
    """
    for message in messages:
        must_be_text("a message", message)
    table = SignatureTable()
    signatures = [table.add(message) for message in messages]
    order: dict[int, int] = {}
    return [order.setdefault(table.group(signature), len(order)) for signature in signatures]


def _tokens(masked: str) -> Signature:
    found = _TOKEN.findall(masked)
    return (*found[:LONGEST], "".join(found[LONGEST:])) if len(found) > LONGEST else tuple(found)


def _marked(token: str) -> str:
    return MARK + " " if token.endswith(" ") else MARK


def _is_word(token: str) -> bool:
    return MARK not in token and _LETTER.search(token) is not None


def _wider(tokens: Signature) -> set[Signature]:
    """All signatures with one place, or all dotted names, left out, that still have enough constant words."""
    words = [place for place, token in enumerate(tokens) if _is_word(token)]
    partly = [place for place, token in enumerate(tokens) if MARK in token and token.strip() != MARK]
    wider = set()
    if len(words) >= CONSTANT_WORDS:
        wider = {(*tokens[:place], _marked(tokens[place]), *tokens[place + 1 :]) for place in partly}
    # A first word says most about what a message is: leaving it out takes one constant word more.
    for place in words:
        if len(words) - 1 >= CONSTANT_WORDS + (place == 0):
            wider.add((*tokens[:place], _marked(tokens[place]), *tokens[place + 1 :]))
    names = [place for place in words if _DOTTED.search(tokens[place])]
    if len(words) - len(names) >= CONSTANT_WORDS:
        named = {*names, *partly}
        wider.add(tuple(_marked(token) if place in named else token for place, token in enumerate(tokens)))
    return wider - {tokens}
