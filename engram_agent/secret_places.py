"""Secrets behind names: in settings, code, JSON, queries, tags, flags and manifests.

It must not know addresses, commands, sentences or vendors' formats, nor what a secret looks like on its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engram_agent.secret_names import kind_of_name
from engram_agent.secret_reading import INNER, Span, value_at, whole_end
from engram_agent.secret_values import grammar_in, is_placeholder, is_secret

_NAMED = re.compile(
    r"""(?<![\w.\-])(?P<name>[\w.\-]{2,}+)\\{0,3}["'`]?[\])]{0,2}(?:
      (?P<value>(?:[ \t]*[,;]?\s{0,40}|[ \t:=]{0,4}\{[^{}\0]{0,160}?)
        \\{0,3}["']?\b(?:value|Value|val|v|default|defaultValue)\\{0,3}["']?[ \t]*[:=][ \t]*)
    | (?P<compare>[ \t]{0,8}[=!]==?[ \t]*+(?=["'`]))
    | (?P<equals>[ \t]{0,40}(?:string[ \t]{1,4})?(?::=|=>|->|[?+]?=)[ \t]{0,40})
    | (?P<colon>[ \t]{0,8}:(?:[ \t]{0,8}[|>][+\-]?[ \t]*\n)?[ \t]{0,40})
    | (?P<says>[ \t]{1,3}(?:is|was|to|are|now|were|ist|lautet|es|est|é|è|är|jest)(?:[ \t]now)?:?[ \t]{1,3})
    | (?P<call>\([ \t]*(?=["'`]))
    | (?P<tag>>(?=[^\s<]))
    | (?P<comma>,[ \t]{0,4}(?=["'`])))""",
    re.VERBOSE,
)
_FLAG = re.compile(
    r"(?<![\w.\-])(?:--?|(?:ENV|ARG|setx|setenv|set[ ]-[a-zA-Z]{1,3}|\#define"
    r"|config[ :]set|config[ ]--global|secret[ ]set)[ \t]{1,3})"
    r"(?P<name>[A-Za-z/][\w.:/\-]*+)(?:[ \t]{1,4}|,[ \t]{0,2})(?=[^\s\-|;&=])"
)
_TYPE = re.compile(
    r"&?(?:'\w{1,20} )?[A-Za-z_][\w.]{0,40}(?:\[[^\]\n]{0,40}\])?(?:[ \t]*\|[ \t]*None)?[ \t]*=[ \t]*(?=[\"'])"
)
_TAG = re.compile(r"[<:]$|=[\"']$")
_SECOND = re.compile(r"[\"'`][ \t]{0,3},[ \t]{0,3}(?=[\"'`])")
_OWNER = re.compile(r"([A-Za-z]+)[ \t]$")
_COMMON = frozenset(("key", "phrase", "id", "token", "code", "codes", "secret", "seed", "words", "answer", "passe"))
_USER = re.compile(r"\b(?:user(?:name)?|login|account|e?mail|benutzer|usuario)\b", re.IGNORECASE)
_PHRASE = re.compile(r"[^\W_]{1,20}(?: [^\W_]{1,20}){2,11}(?=[ \t]*(?:\r?\n|$))")
_MANIFEST = re.compile(r"\bkind:[ \t]*[\"']?Secret\b")
_DATA = re.compile(r"^[ \t]*(?:stringData|data):[ \t]*\r?\n((?:[ \t]+[^\n]*(?:\n|$))++)", re.MULTILINE)
_ENTRY = re.compile(r"^[ \t]+[\"']?[\w.\-]{1,80}[\"']?:[ \t]+(?=[^\s|>])", re.MULTILINE)
_ALONE = re.compile(r"[ \t]*(?:[,;)\]}]|\\n|\#.*|//.*)?[ \t]*(?:\r?\n|$)")


def _name_of(text: str, match: re.Match[str]) -> tuple[str, bool] | None:
    """The kind that a name promises, with the word before it: `key` in `api key` is an API key."""
    name = match["name"]
    if name.lower() in _COMMON:
        owner = _OWNER.search(text, max(0, match.start() - 20), match.start())
        if owner:
            name = f"{owner.group(1)}_{name}"
    named = kind_of_name(name[-80:])
    if named == ("password", False) and _USER.search(text, max(0, match.start() - 80), match.start()):
        return "password", True
    return named


def _phrase_at(text: str, match: re.Match[str], at: int, kind: str, strong: bool) -> Span | None:
    """Several words without quotes that fill the rest of a setting's line."""
    phrase = _PHRASE.match(text, at) if match.lastgroup in ("equals", "colon") else None
    if phrase is None:
        return None
    first = match.start() == 0 or text[match.start() - 1] in "\n \t"
    plain = match.lastgroup == "equals" or not grammar_in(phrase[0])
    if first and plain and is_secret(phrase[0], kind, strong, "quoted"):
        return phrase.start(), phrase.end(), kind
    return None


def _form(text: str, match: re.Match[str], end: int, quoted: bool) -> str:
    sign = match.lastgroup
    if quoted:
        return "prose" if sign in ("comma", "says") else "quoted"
    if sign in ("tag", "value"):
        return "given" if text[match.end() - 2] not in "\"'" else "prose"
    alone = _ALONE.match(text, end) is not None
    if sign == "colon":
        return "given" if alone else "prose"
    if sign == "equals":
        before = text[match.start() - 2 : match.start()].strip() if match.start() else ""
        spaced = text[match.end() - 1] in " \t"
        call = before.endswith(("(", ","))
        return "prose" if call or (spaced and not alone) else "given"
    return "prose"


def assigned(text: str) -> Iterator[Span]:
    """Values behind names that promise a secret: in settings, code, JSON, headers, queries, tags and sentences."""
    for match in _NAMED.finditer(text):
        named = _name_of(text, match)
        if named is None or (
            match.lastgroup == "tag" and not _TAG.search(text, max(0, match.start() - 2), match.start())
        ):
            continue
        at = match.end()
        if text.startswith("://", match.start() - 3) and match.start() > 2:
            continue  # the user of an address
        if match.lastgroup == "colon" and text[match.start() - 1 : match.start()] == ":" == text[at - 1]:
            continue  # a part of a resource name
        if match.lastgroup == "colon" and (typed := _TYPE.match(text, at)):
            at = typed.end()
        inner = INNER.match(text, at)
        if (inner and kind_of_name(inner.group(1))) or match["name"].lower() in ("cookie", "set-cookie"):
            continue  # what stands behind the inner name is looked at on its own
        if phrase := _phrase_at(text, match, at, *named):
            yield phrase
            continue
        value = value_at(text, at)
        if value and match.lastgroup == "call" and (second := _SECOND.match(text, value[1])):
            value = value_at(text, second.end())
        if value is None:
            continue
        start, end, quoted = value
        kind, strong = named
        if is_secret(text[start : min(end, start + 512)], kind, strong, _form(text, match, end, quoted)):
            yield start, end if quoted else whole_end(text, end), kind


def flagged(text: str) -> Iterator[Span]:
    """Values behind flags and directives that promise a secret: `--password X`, `ENV API_TOKEN X`."""
    for match in _FLAG.finditer(text):
        named = kind_of_name(match["name"])
        value = value_at(text, match.end()) if named else None
        if named and value:
            start, end, quoted = value
            if is_secret(text[start : min(end, start + 512)], *named, "quoted" if quoted else "given"):
                yield start, end, named[0]


def manifests(text: str) -> Iterator[Span]:
    """Every value under `data` and `stringData` in a manifest of kind Secret."""
    if not _MANIFEST.search(text):
        return
    for data in _DATA.finditer(text):
        for entry in _ENTRY.finditer(text, data.start(1), data.end(1)):
            value = value_at(text, entry.end())
            if value and not is_placeholder(text[value[0] : value[1]]):
                yield value[0], value[1], "secret"
