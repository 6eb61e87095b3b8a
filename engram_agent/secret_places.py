"""Where secrets stand in a text: behind names and signs, in addresses, in headers, in sentences.

It must not know vendors' formats, nor commands, nor what a secret looks like on its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engram_agent.secret_formats import Span
from engram_agent.secret_values import (
    is_masked,
    is_placeholder,
    is_secret,
    kind_of_name,
    looks_random,
    mixing,
    says_words,
)

_NAMED = re.compile(
    r"""(?<![\w.\-])(?P<name>[\w.\-]{2,}+)\\{0,3}["'`]?[\])]{0,2}(?:
      (?P<value>[ \t]*[,;]?\s{0,40}\\{0,3}["']?(?:value|Value|defaultValue)\\{0,3}["']?[ \t]*[:=][ \t]*)
    | (?P<compare>[ \t]{0,8}[=!]==?[ \t]*+(?=["'`]))
    | (?P<equals>[ \t]{0,40}(?:string[ \t]{1,4})?(?::=|=>|->|[?+]?=)[ \t]{0,40})
    | (?P<colon>[ \t]{0,8}:(?:[ \t]{0,8}[|>][+\-]?[ \t]*\n)?[ \t]{0,40})
    | (?P<says>[ \t]{1,3}(?:is|was|to|are|now|were|ist|es|est)(?:[ \t]now)?:?[ \t]{1,3})
    | (?P<call>\([ \t]*(?=["'`]))
    | (?P<tag>>(?=[^\s<]))
    | (?P<comma>,[ \t]{0,4}(?=["'`])))""",
    re.VERBOSE,
)
_FLAG = re.compile(r"(?<![\w.\-])--?(?P<name>[A-Za-z][\w\-]*+)[ \t]{1,4}(?=[^\s\-|;&])")
_TYPE = re.compile(r"[A-Za-z_][\w.]{0,40}(?:\[[^\]\n]{0,40}\])?(?:[ \t]*\|[ \t]*None)?[ \t]*=[ \t]*(?=[\"'])")
_SCHEME = re.compile(
    r"(?:Bearer|Basic|Token|Digest|Api-?Key|Bot|JWT|SSWS|GenieKey|Splunk|PRIVATE-TOKEN)[ \t]+|pbkdf2:", re.IGNORECASE
)
_QUOTE = re.compile(r"[rbufRBUF@$]{0,2}(\\{0,3}(?:\"\"\"|'''|[\"'`]))")
_INSIDE = {quote: re.compile(rf"(?:[^{quote}\\\n\0]|\\.){{0,4096}}+") for quote in "\"'`"}
_BARE = re.compile(
    r"(?:[a-z]{4} ){3}[a-z]{4}(?![\w ])|(?=[^\s\"'`\0])[^\s\"'`\0=:]{0,512}+(?:[=:]++[^\s\"'`\0=:]{0,64}+){0,3}+"
)
_REST = re.compile(r"[^\s\"'`\0<>&;,|.:)\]}\\#]*")
_CUT = re.compile(
    r"""[;,|&\\<>)\]}.:\#](?: (?<=[;,|&])(?=$|["'\w$.\-]{1,40}[=:]) | (?<=<)/
    | (?<=\\)\\{0,3}[nrt"'](?=$|\W|\w{1,40}[=:])
    | (?<=[)\]}>])[)\]}>;,.:]{0,20}$ | (?<=[.,;:])[.,;:]{0,20}$ | (?<=&)& | (?<=\|)\| | (?<=\w\#)(?=\w{1,40}=))""",
    re.VERBOSE,
)
_INNER = re.compile(r"[\\\"'{ ]{0,3}([\w.\-]{2,60}+)[=:](?=.)")
_TAG = re.compile(r"[<:]$|=[\"']$")
_SECOND = re.compile(r"[\"'`][ \t]{0,3},[ \t]{0,3}(?=[\"'`])")
_OWNER = re.compile(r"([A-Za-z]+)[ \t]$")
_ALONE = re.compile(r"[ \t]*(?:[,;)\]}]|\\n|\#.*|//.*)?[ \t]*(?:\r?\n|$)")


def _value_at(text: str, at: int) -> tuple[int, int, bool] | None:
    """Start and end of the value that begins here, and whether it is quoted."""
    quote = _QUOTE.match(text, at)
    if quote:
        mark, start = quote.group(1), quote.end()
        if len(mark) > 1:
            end = text.find(mark, start, start + 4096)
            line = text.find("\n", start, start + 4096)
            end = end if end >= 0 and (line < 0 or end < line or mark in ('"""', "'''")) else -1
        else:
            inside = _INSIDE[mark].match(text, start)
            end = inside.end() if inside and text[inside.end() : inside.end() + 1] == mark else -1
        if end >= 0:
            scheme = _SCHEME.match(text, start, end)
            return (scheme.end() if scheme else start), end, True
        at = start
    scheme = _SCHEME.match(text, at)
    bare = _BARE.match(text, scheme.end() if scheme else at)
    if not bare:
        return None
    end = bare.end()
    cut = _CUT.search(bare.group())
    if cut:
        end = bare.start() + cut.start()
    return (bare.start(), end, False) if end > bare.start() else None


def _whole(text: str, end: int) -> int:
    """Where a secret ends that goes on where the look at it ended."""
    rest = _REST.match(text, end)
    return rest.end() if rest and text[end - 1 : end] not in ")]}" else end


def _name_of(text: str, match: re.Match[str]) -> tuple[str, bool] | None:
    """The kind that a name promises, with the word before it: `key` in `api key` is an API key."""
    name = match["name"]
    if name.lower() in ("key", "phrase", "id", "token", "code", "secret"):
        owner = _OWNER.search(text, max(0, match.start() - 20), match.start())
        if owner:
            name = f"{owner.group(1)}_{name}"
    return kind_of_name(name[-80:])


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
        if match.lastgroup == "colon" and (typed := _TYPE.match(text, at)):
            at = typed.end()
        inner = _INNER.match(text, at)
        if (inner and kind_of_name(inner.group(1))) or match["name"].lower() in ("cookie", "set-cookie"):
            continue  # what stands behind the inner name is looked at on its own
        value = _value_at(text, at)
        if value and match.lastgroup == "call" and (second := _SECOND.match(text, value[1])):
            value = _value_at(text, second.end())
        if value is None:
            continue
        start, end, quoted = value
        kind, strong = named
        if is_secret(text[start : min(end, start + 512)], kind, strong, _form(text, match, end, quoted)):
            yield start, end if quoted else _whole(text, end), kind


def flagged(text: str) -> Iterator[Span]:
    """Values behind command line flags that promise a secret: `--password X`, `-token X`."""
    for match in _FLAG.finditer(text):
        named = kind_of_name(match["name"])
        value = _value_at(text, match.end()) if named else None
        if named and value:
            start, end, quoted = value
            if is_secret(text[start : min(end, start + 512)], *named, "quoted" if quoted else "given"):
                yield start, end, named[0]


_SECRET_WORD = (
    r"(?P<name>pass(?:word|wd|phrase|code|wort)|pwd|(?:(?:api|access|auth|secret)[ _-]?)?(?:token|key)|secret)"
)
_SPOKEN = (
    re.compile(
        rf"(?<![.\-])\b(?:\w{{1,40}}_)?{_SECRET_WORD}[ \t]{{1,3}}(?P<value>[\"'`]?[^\s\"'`\0]{{5,200}})", re.IGNORECASE
    ),
    re.compile(
        rf"(?<![.\-])\b{_SECRET_WORD}(?:(?:[ \t][\w'@.\-]{{1,20}}){{1,6}}?[ \t](?:is|was)(?:[ \t](?:still|now|just))?:?"
        r"|[ \t](?:for|of|on|at)(?:[ \t][\w'@.\-]{1,20}){1,3}?:)[ \t]"
        r"(?P<value>[\"'`]?[^\s\"'`\0]{5,200})",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?<!\S)(?P<value>[\"'`]?[^\s\"'`\0]{5,60})[\"'`]?[ \t]as[ \t](?:(?:my|the|a|our)[ \t])?(?P<name>password)\b"
    ),
    re.compile(
        r"\b(?P<name>login|logins|credentials?|creds)\b[ \t]{0,2}[:=]?[ \t]{0,2}[\w.@\-]{1,40}[ \t]?[/:][ \t]?"
        r"(?P<value>[\"'`]?[^\s\"'`\0/]{6,100})",
        re.IGNORECASE,
    ),
)


def spoken(text: str) -> Iterator[Span]:
    """Secrets in sentences that name them at some distance: `the password on that box is X`, `X as my password`."""
    for pattern in _SPOKEN:
        for match in pattern.finditer(text):
            start, end = match.span("value")
            start += text[start] in "\"'`"
            cut = _CUT.search(text[start:end])
            end = start + cut.start() if cut else end
            kind = (kind_of_name(match["name"]) or ("password", True))[0]
            kind = "password" if match["name"].lower().startswith(("login", "cred")) else kind
            value = text[start:end]
            if _INNER.match(text, start):
                continue
            plain = kind != "password" and not looks_random(value, 12)
            if value and not plain and is_secret(value, kind, True, "prose"):
                yield start, end, kind


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
        if not is_placeholder(value) and (any(map(str.isdigit, value)) or mixing(value) > 0.45):
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
