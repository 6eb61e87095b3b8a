"""Random strings that stand on their own or close behind a word such as token.

It must not know names, signs, headers or vendors' formats; it leaves digests, commits, paths and public keys alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engram_agent.secret_formats import Span
from engram_agent.secret_values import is_uuid, looks_random, mixing, says_words

_ADDRESS = re.compile(r"(?<![A-Za-z\d+.])[A-Za-z][A-Za-z\d+.\-]{1,30}+://[^\s\"'<>\0]*+|base64,[A-Za-z\d+/=\s]*+")
_PUBLIC = re.compile(
    r"-----BEGIN (?!.{0,30}PRIVATE)[A-Z0-9 ]{3,40}-----[A-Za-z\d+/=\s\\:,.\-]{0,20000}?-----END"
    r"|(?:ssh-\w+|ecdsa-[\w\-]+) [A-Za-z\d+/=]+"
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
        if _DIGEST.search(before):
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
