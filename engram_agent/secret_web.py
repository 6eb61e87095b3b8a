"""Credentials of the web: passwords and tokens in addresses, in headers and in cookies.

It must not know names and signs of settings, nor vendors' formats.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engram_agent.secret_reading import Span
from engram_agent.secret_values import is_masked, is_placeholder, looks_random, mixing, says_words

_LOGIN = re.compile(
    r"(?<![A-Za-z\d+.])[A-Za-z][A-Za-z\d+.\-]{1,30}+://[^\s/:@'\"<>\0]{0,128}+:"
    r"((?!//)[^\s\"'<>@\0]{1,256}+(?:@[^\s\"'<>@\0/,:]{1,64}+(?=@))*)@(?=[\w\[$%{.])"
)
_USER_TOKEN = re.compile(r"://([A-Za-z\d_\-.]{16,256}+)(?::x-oauth-basic)?@(?=\w)")
_BARE_LOGIN = re.compile(
    r"(?:(?<![\w.:/@\-])|(?<=thin:))(?!(?:mailto|sips?|xmpp|acct|e?mail|from|to|cc|bcc|git|ssh|author|by|user)\b)"
    r"[\w.\-]{1,40}+[:/]([^\s@:/\"'<>\0]{3,80}+)@(?=(?:tcp|unix)\(|[\w\-]+(?:\.[\w\-]+)+|localhost\b|//|[\w\-]+:\d)",
    re.IGNORECASE,
)
_OPEN_WORDS = frozenset(("password", "passwd", "pass", "pwd", "secret", "token", "pw", "p", "user"))


def addresses(text: str) -> Iterator[Span]:
    """Passwords in addresses and connection strings: user:password@host."""
    if "@" not in text:
        return
    if "://" in text:
        for match in _LOGIN.finditer(text):
            word = match.group(1)
            if word.lower() not in _OPEN_WORDS and not is_placeholder(word) and not re.match(r"\d{1,5}/", word):
                yield match.start(1), match.end(1), "password"
        for match in _USER_TOKEN.finditer(text):
            if looks_random(match.group(1), 16):
                yield match.start(1), match.end(1), "token"
    for match in _BARE_LOGIN.finditer(text):
        word = match.group(1)
        signs = any(map(str.isalpha, word)) and not word.isalpha()
        if (
            signs
            and not is_placeholder(word)
            and not re.fullmatch(r"v?[\d.]+[\w.\-]*|[a-z]+\.[a-z]+\d*|[a-z\-_]+", word)
        ):
            yield match.start(1), match.end(1), "password"


_BEARER = re.compile(r"(?<![\w\-])(?:[Bb]earer|BEARER)[ \t:]{1,3}([\w.~+/\-]{8,4096}+=*)")
_BASIC = re.compile(r"(?<![\w\-])[Bb]asic[ \t]{1,3}([A-Za-z\d+/]{8,1024}+={0,2})")
_COOKIES = re.compile(r"(?<![\w\-])(?:set-)?cookie[\"']?[ \t]*[:=,][ \t]*[\"']?([^\r\n\"'\0]{3,8192})", re.IGNORECASE)
_PAIR = re.compile(r"(?<![^\s;,])([^=;,\s]{1,100})=([^;,\s]{1,4096})")
_SESSIONS = re.compile(r"sess|sid$|auth|token|jwt|csrf|xsrf|remember|login|credential", re.IGNORECASE)


def headers(text: str) -> Iterator[Span]:
    """Credentials of web requests: bearer tokens, basic logins, session cookies."""
    for match in _BEARER.finditer(text):
        value = match.group(1)
        if not is_placeholder(value) and (
            any(map(str.isdigit, value)) or mixing(value) > (0.45 if len(value) < 20 else 0.25)
        ):
            yield match.start(1), match.end(1), "token"
    for match in _BASIC.finditer(text):
        if says_words(match.group(1)) and not is_masked(match.group(1)):
            yield match.start(1), match.end(1), "password"
    for header in _COOKIES.finditer(text):
        for pair in _PAIR.finditer(text, header.start(1), header.end(1)):
            name, value = pair.groups()
            known = _SESSIONS.search(name) and len(value) >= 6 and any(map(str.isdigit, value))
            if not is_placeholder(value) and (known or looks_random(value, 16)):
                yield pair.start(2), pair.end(2), "cookie"
