"""Random strings that stand on their own or close behind a word such as token, and numbers of payment cards.

It must not know names, signs, headers or vendors' formats; it leaves digests, commits, paths and public keys alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engram_agent.secret_reading import Span
from engram_agent.secret_values import is_uuid, looks_random, mixing, says_words

_ADDRESS = re.compile(r"(?<![A-Za-z\d+.])[A-Za-z][A-Za-z\d+.\-]{1,30}+://[^\s\"'<>\0]*+|base64,[A-Za-z\d+/=\s]*+")
_PUBLIC = re.compile(
    r"-----BEGIN (?!.{0,30}PRIVATE)[A-Z0-9 ]{3,40}-----[A-Za-z\d+/=\s\\:,.\-]{0,20000}?-----END"
    r"|(?:ssh-\w+|ecdsa-[\w\-]+) [A-Za-z\d+/=]+|\b(?:age1|bc1|0x)[a-z\d]{38,62}\b"
    r"|\b(?:sha(?:1|256|384|512)-|h1:)[A-Za-z\d+/]{27,90}={0,2}"
)
_LONE = re.compile(r"(?<![A-Za-z\d+/_.\-\\~%])[A-Za-z\d+/_\-]{16,}+={0,2}+(?![\w.%@(]?[\w(])")
_NEAR = re.compile(
    r"pass(?:word|wd|phrase|code)|secret|token|credential|\bapi.?key|(?:access|secret|private).?key|\bpwd\b",
    re.IGNORECASE,
)
_DIGEST = re.compile(
    r"(?:sha-?\d|md5|digest|checksum|hash|integrity|etag|commit|trace|span|request|correlation|container|image|layer"
    r"|build|revision|fingerprint|\brev\b|\bid\b|_id|sum\b|blake|crc|signature|public|nonce|uuid|guid|object"
    r"|tree|parent|merge|cache)[^\n\0]{0,24}$",
    re.IGNORECASE,
)


_FILE_SUM = re.compile(r"(?:[\da-f]{32}|[\da-f]{56}|[\da-f]{64}|[\da-f]{96}|[\da-f]{128})[ ][ *][\w./-]")
_CARD = re.compile(r"(?<![\w.,+-])[3-6]\d{3}(?:([ -]?)\d{4}\1\d{4}\1\d{1,7}|([ -])\d{6}\2\d{5})(?![\w-]|[.,]\d)")
_NEAR_CARD = re.compile(r"card|visa|master|amex|\bpan\b|\bcc\b|karte|carte|tarjeta", re.IGNORECASE)


def cards(text: str) -> Iterator[Span]:
    """Numbers of payment cards: in groups, or close behind a word such as card; their check digit must hold."""
    for match in _CARD.finditer(text):
        digits = [int(sign) for sign in match.group() if sign.isdigit()]
        named = match[1] or match[2] or _NEAR_CARD.search(text, max(0, match.start() - 32), match.start())
        if named and len(digits) >= 13 and len(set(digits)) > 1 and _holds(digits):
            yield match.start(), match.end(), "card"


def _holds(digits: list[int]) -> bool:
    """Luhn's check: every second digit from the right is doubled, and the digits' sum ends in zero."""
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(digits[-1::-2])) % 10 == 0


def alone(text: str) -> Iterator[Span]:
    """Long random strings without a name, and shorter ones close behind a word such as token."""
    shown = [match.span() for pattern in (_ADDRESS, _PUBLIC) for match in pattern.finditer(text)]
    shown.sort(reverse=True)
    for match in _LONE.finditer(text):
        while shown and shown[-1][1] <= match.start():
            shown.pop()
        value = match.group()
        if (shown and shown[-1][0] <= match.start()) or len(value) > 4096 or not _is_lone_secret(value):
            continue
        before = text[max(0, match.start() - 48) : match.start()].rpartition("\n")[2].rpartition("\0")[2]
        if _DIGEST.search(before) or _FILE_SUM.match(text, match.start()):
            continue
        near = _NEAR.search(before)
        if near or len(value) >= 32:
            yield match.start(), match.end(), "token" if near else "random"


def _is_lone_secret(value: str) -> bool:
    bare = value.rstrip("=")
    if not looks_random(bare, 16) or is_uuid(bare) or says_words(value):
        return False
    if re.fullmatch(r"[\da-f]+|[\dA-F]+", bare):
        return len(bare) != 40 and len(bare) >= 24
    if bare.count("/") >= 2 and max(map(len, bare.split("/"))) < 20 and mixing(bare) < 0.5:
        return False
    if "abcdefghijklm" in bare.lower() or "0123456789abcdef" in bare.lower():
        return False
    return mixing(bare) >= 0.43 and any(map(str.isdigit, bare)) and len(set(bare)) >= min(12, len(bare) * 0.6)
