"""Secrets that people tell one another: `the password on that box is X`, `use X as password`, a wallet's words.

It must not know settings, code, commands or vendors' formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engram_agent.secret_names import kind_of_name
from engram_agent.secret_reading import INNER, Span, cut_of
from engram_agent.secret_values import grammar_in, is_plain_password, is_secret, looks_random

_CODES = (
    r"(?:verification|security|access|door|gate|alarm|entry|unlock|login|2fa|mfa|sms|backup|recovery|safe)[ -]codes?"
    r"|combination|codice|código|zugangscode"
)
_NAME = (
    r"(?P<name>pass(?:word|wd|phrase|code|wort)|kennwort|contraseña|mot[ ]de[ ]passe|senha|clave|wachtwoord|lösenord"
    rf"|hasło|пароль|pwd|pw|pass(?=[ ](?:is|was)\b|:)|pin(?:[ -](?:code|number))?|{_CODES}"
    r"|(?:(?:api|access|auth|secret)[ _-]?)?(?:token|key)|secret)"
)
_IS = r"(?:is|was|are|it's|reads|ist|lautet|war|es|est|é|è|to|är|jest)(?:[ \t](?:still|now|just|set[ ]to))?:?"
_BARE = r"(?P<value>(?!(?:the|my|our|your|that|this)\b)[\"'`(]?[^\s\"'`\0]{3,200})"
_AWAY = r"[ \t][\w'@.\-]{1,20}"

_TOLD = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<![.\-])\b(?:\w{{1,40}}_)?{_NAME}[ \t]{{1,3}}{_BARE}",
        rf"(?<![.\-])\b{_NAME}(?:(?:{_AWAY}){{0,6}}?[ \t]{_IS}"
        rf"|[ \t](?:for|of|on|at|from)(?:{_AWAY}){{1,6}}?[ \t]?[:=])[ \t]{_BARE}",
        rf"(?<!\S){_BARE}[\"'`]?[ \t](?:as|for)[ \t](?:(?:my|the|a|our|your)[ \t])?"
        r"(?P<name>password|passphrase|passcode|pin|pw)\b",
        rf"(?<!\S){_BARE}[\"'`]?[.,;!]?[ \t](?:that's|is|was)[ \t](?:my|the|our|your)(?:{_AWAY}){{0,2}}?[ \t]{_NAME}\b",
    )
)
_LOGIN = re.compile(
    r"\b(?:log[ -]?ins?|log[ ]in[ ](?:with|as|using)|sign[ ]in[ ](?:with|as)|credentials?|creds"
    r"|user(?:name)?|account|wi-?fi|wlan|ssid)\b"
    r"[ \t]{0,2}(?:is|are|[:=])?[ \t]{0,2}[\"'`]?[\w.@\-]{1,40}[\"'`]?"
    rf"(?:[,;]?[ \t](?:(?:and|with|&)[ \t])?pass(?:word|wd)?(?:[ \t]is|[:=])?[ \t]|[ \t]?[/:|,][ \t]?){_BARE}",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    rf"\b{_NAME}(?:{_AWAY}){{0,6}}?(?:[ \t]{_IS}|:)[ \t]{{1,3}}(?P<quote>[\"'`])"
    r"(?P<value>[^\"'`\n\0]{3,120})(?P=quote)",
    re.IGNORECASE,
)
_SHORT = ("com", "cod", "cód", "zug")
_WORDS = re.compile(
    r"\b(?P<name>pass[ ]?phrase)[ ](?:is|was):?[ ](?P<value>[a-z]{3,12}(?:[ -][a-z]{3,12}){2,8})(?=[.!]?\s*$)",
    re.IGNORECASE | re.MULTILINE,
)
_PLAIN = re.compile(
    r"\b(?:(?:my|our)(?:[ ]\w{1,12})?|wi-?fi|root|admin|guest)[ ]pass(?:word|code|phrase)[ ](?:is|was)[ ]"
    r"(?P<value>[a-z]{6,20})(?=[.!,]?\s*$|[.!]\s)",
    re.IGNORECASE | re.MULTILINE,
)
_UNDRAWN = frozenset("the and for with are was has had not password passwords".split())  # noqa: SIM905
"""Words that no list for such phrases has (BIP 39)."""
_WALLET = re.compile(
    r"\b(?:seed|recovery|mnemonic|secret|backup|wallet)(?:[ _-](?:seed|recovery|backup|secret|phrase|words?)){0,3}"
    r"(?:[ \t](?:is|was|are))?[\"']?[ \t]*[:=]?\s{0,3}[\"'`]?"
    r"(?P<value>(?:\d\d?[.)][ \t])?[a-z]{3,8}(?:[, \t]\s?(?:\d\d?[.)][ \t])?[a-z]{3,8}){11,23})\b",
    re.IGNORECASE,
)


def spoken(text: str) -> Iterator[Span]:
    """Secrets in sentences that name them at some distance: `the password on that box is X`, `X as my password`."""
    for pattern in _TOLD:
        for match in pattern.finditer(text):
            named = kind_of_name(match["name"])
            kind = named[0] if named else "code" if match["name"][:3].lower() in _SHORT else "password"
            place = _bare(text, match)
            value = text[place[0] : place[1]]
            hidden = kind in ("password", "code") or looks_random(value, 12)
            if hidden and not INNER.match(text, place[0]) and is_secret(value, kind, True, "prose"):
                yield *place, kind
    for match in _LOGIN.finditer(text):
        start, end = _bare(text, match)
        if not INNER.match(text, start) and is_secret(text[start:end], "password", True, "prose"):
            yield start, end, "password"
    for match in _QUOTED.finditer(text):
        kind = (kind_of_name(match["name"]) or ("password", True))[0]
        if " " in match["value"] and is_secret(match["value"], kind, True, "quoted"):
            yield *match.span("value"), kind
    for match in _PLAIN.finditer(text):
        if is_plain_password(match["value"]):
            yield *match.span("value"), "password"
    for match in _WORDS.finditer(text):
        if not grammar_in(match["value"]) and is_secret(match["value"], "password", True, "quoted"):
            yield *match.span("value"), "password"
    for match in _WALLET.finditer(text):
        said = re.findall("[a-z]+", match["value"].lower())
        drawn = 3 * len(set(said)) > 2 * len(said) and not _UNDRAWN & set(said)  # words drawn by chance hardly repeat
        if drawn and grammar_in(match["value"]) < 2:
            yield *match.span("value"), "secret"


def _bare(text: str, match: re.Match[str]) -> tuple[int, int]:
    """Where the value that a sentence tells begins and ends, without quotes and the sentence's own signs."""
    start, end = match.span("value")
    start += text[start] in "\"'`("
    return start, cut_of(text, start, end)
