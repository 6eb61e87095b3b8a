"""The published formats of keys and tokens: what vendors' credentials, signed tokens and key files look like.

It must not know where in a text a secret stands or what its name is; that is for `secret_places`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from engram_agent.secret_reading import Span
from engram_agent.secret_values import is_masked, mixing


@dataclass(frozen=True)
class Format:
    """One published format: a text without the hint cannot hold it, which is quick to see."""

    kind: str
    hint: str
    pattern: re.Pattern[str]


# kind, hint, pattern; every pattern is bounded or possessive, so that no text makes it slow
_TABLE = r"""
key AKIA (?:AKIA)[A-Z0-9]{16}(?![A-Za-z0-9])
key ASIA (?:ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])
key AIza AIza[\w\-]{30,45}
key GOCSPX- GOCSPX-[\w\-]{20,60}
token ya29. ya29\.[\w\-.]{20,2048}
token 1// 1//0[\w\-]{30,300}
key LTAI LTAI[A-Za-z0-9]{12,24}(?![A-Za-z0-9])
key AKID AKID[A-Za-z0-9]{28,40}(?![A-Za-z0-9])
key Q~ [A-Za-z0-9_.~\-]{3}\dQ~[A-Za-z0-9_.~\-]{30,36}
token dop_v1_ dop_v1_[0-9a-f]{40,80}
token doo_v1_ doo_v1_[0-9a-f]{40,80}
token dor_v1_ dor_v1_[0-9a-f]{40,80}
token HRKU- HRKU-[\w\-]{30,80}
token tskey- tskey-[a-z]{2,12}-[\w\-]{10,100}
token ghp_ ghp_[A-Za-z0-9]{20,255}
token gho_ gho_[A-Za-z0-9]{20,255}
token ghu_ ghu_[A-Za-z0-9]{20,255}
token ghs_ ghs_[A-Za-z0-9]{20,255}
token ghr_ ghr_[A-Za-z0-9]{20,255}
token github_pat_ github_pat_\w{20,255}
token gl gl(?:pat|dt|rt|cbt|ptt|ft|soat|oas|imt|agent|ffct|runner)-[\w\-.]{16,300}
token ATBB ATBB[A-Za-z0-9]{20,40}
token AT AT[AC]TT3[\w\-=]{20,400}
token xox xox[abceoprsd](?:\.xox[bp])?-[\w\-]{10,300}
token xapp- xapp-\d-[\w\-]{10,300}
key hooks.slack.com hooks\.slack\.com/(?:services|workflows|triggers)/[\w/]{20,120}
key /api/webhooks/ (?:discord|discordapp)\.com/api/webhooks/\d{5,25}/[\w\-]{30,100}
key webhook.office.com [\w\-]{1,60}\.webhook\.office\.com/webhookb2/[\w\-@/]{30,300}
token . [MNO][A-Za-z0-9_\-]{22,27}\.[\w\-]{6,7}\.[\w\-]{25,45}
token :AA (?:bot)?\d{8,10}:AA[\w\-]{32,34}(?![\w\-])
key _live_ (?:sk|rk|pk|rzp|key|pub|sec)_live_[A-Za-z0-9]{10,255}
key _test_ (?:sk|rk|pk|rzp|key|pub|sec)_test_[A-Za-z0-9]{14,255}
key whsec_ whsec_[A-Za-z0-9+/=]{20,120}
token sq0 sq0[a-z]{3}-[\w\-]{20,60}
token $production$ access_token\$production\$[0-9a-z]{10,20}\$[0-9a-f]{20,40}
token FLWSECK FLWSECK(?:_TEST)?-[\w\-]{12,80}
key SK SK[0-9a-f]{32}(?![A-Za-z0-9])
key SG. SG\.[\w\-]{16,32}\.[\w\-]{16,64}
key key- key-[0-9a-f]{32}(?![A-Za-z0-9])
key -us [0-9a-f]{32}-us\d{1,2}(?!\w)
key xkeysib- xkeysib-[0-9a-f]{40,80}-[A-Za-z0-9]{8,24}
key xsmtpsib- xsmtpsib-[0-9a-f]{40,80}-[A-Za-z0-9]{8,24}
key re_ re_[A-Za-z0-9]{6,10}_[A-Za-z0-9]{16,40}
key md- md-[A-Za-z0-9_\-]{22}(?![\w\-])
token npm_ npm_[A-Za-z0-9]{30,60}
token pypi- pypi-(?:AgE|AgN)[\w\-]{16,400}
key rubygems_ rubygems_[0-9a-f]{40,60}
token cio cio[A-Za-z0-9]{32}(?![A-Za-z0-9])
key oy2 oy2[a-z0-9]{43}(?![A-Za-z0-9])
token dckr_ dckr_[a-z]{3}_[\w\-]{20,60}
token CLOJARS_ CLOJARS_[0-9a-fA-F]{50,70}
token packagist_ packagist_[a-z]{3}_[0-9a-f]{40,80}
key sk- sk-[A-Za-z0-9_\-]{16,255}
token gsk_ gsk_[A-Za-z0-9]{20,100}
token hf_ hf_[A-Za-z0-9]{28,60}
token api_org_ api_org_[A-Za-z0-9]{28,60}
token r8_ r8_[A-Za-z0-9]{30,50}
key pplx- pplx-[A-Za-z0-9]{30,80}
key xai- xai-[A-Za-z0-9]{40,120}
key nvapi- nvapi-[\w\-]{40,100}
key pcsk_ pcsk_\w{30,100}
key lsv2_ lsv2_[a-z]{2}_[0-9a-f]{24,40}_[0-9a-f]{8,12}
key tgp_v1_ tgp_v1_[\w\-]{30,60}
key fw_ fw_[A-Za-z0-9]{22,40}
token hv hv[sbr]\.[\w\-]{20,300}
token .atlasv1. [A-Za-z0-9]{14}\.atlasv1\.[\w\-]{40,100}
token dapi dapi[0-9a-f]{32}(?:-\d)?
key NRAK- NRAK-[A-Z0-9]{20,40}
key NR NR(?:JS|II|RA|AA)-[A-Za-z0-9_\-]{15,50}
token gl gl(?:c|sa)_[A-Za-z0-9+/=_]{30,400}
token sntry sntry[su]_[A-Za-z0-9+/=_\-]{30,400}
token lin_ lin_(?:api|oauth)_[A-Za-z0-9]{30,80}
token secret_ secret_[A-Za-z0-9]{40,50}(?!\w)
token ntn_ ntn_[A-Za-z0-9]{30,60}
token pat pat[A-Za-z0-9]{14}\.[0-9a-f]{60,70}
token fig fig[doru]{1,2}_[\w\-]{30,60}
token shp shp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{28,40}
token sl. sl\.[\w\-]{60,1200}
token EAA EAA[A-Za-z0-9]{40,300}
key PMAK- PMAK-[0-9a-f]{20,30}-[0-9a-f]{30,40}
token dp. dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9\-_]{2,35}\.)?[A-Za-z0-9]{36,48}
key AGE-SECRET-KEY- AGE-SECRET-KEY-1[0-9A-Z]{50,64}
token sbp_ sbp_[0-9a-f]{36,50}
key sb_secret_ sb_secret_[\w\-]{20,60}
token nfp_ nfp_[A-Za-z0-9]{30,60}
token pscale_ pscale_(?:tkn|pw|oauth)_[\w\-.=]{24,80}
token ops_ ops_eyJ[A-Za-z0-9+/=]{100,2000}
token CCIPAT_ CCIPAT_\w{20,100}
token bkua_ bkua_[0-9a-f]{36,44}
token sq sq[apu]_[0-9a-f]{36,44}
key AKCp AKCp[A-Za-z0-9]{20,80}
token pul- pul-[0-9a-f]{36,44}
token fo1_ fo1_[\w\-]{30,60}
token fm2_ fm2_[A-Za-z0-9+/=_\-]{40,400}
key aio_ aio_[A-Za-z0-9]{24,32}(?!\w)
token CFPAT- CFPAT-[\w\-]{30,60}
token tfp_ tfp_[\w\-.=]{40,80}
token vercel_ vercel_[a-z]{2,8}_[A-Za-z0-9]{20,60}
key phx_ phx_[A-Za-z0-9]{30,60}
key rdme_ rdme_[a-z0-9]{60,80}
key duffel_ duffel_(?:test|live)_[\w\-=]{30,60}
token access-production- access-production-[0-9a-f\-]{30,40}
token eyJ (?<![\w\-])(?:[spt]k\.)?eyJ[\w\-]{8,4096}+(?:\.[\w\-=+/]{0,8192}+){1,4}
password $ \$(?:2[abxy]|5|6|y|1|apr1|argon2(?:id|i|d)|scrypt|pbkdf2-sha\d+)\$[\w./+=,\-]{1,60}\$[\w./+=$,]{16,300}
password $2 \$2[abxy]\$\d\d\$[A-Za-z0-9./]{50,56}
"""


def _read(line: str) -> Format:
    kind, hint, pattern = line.split(" ", 2)
    return Format(kind, hint, re.compile(r"(?<![A-Za-z0-9])" + pattern))


FORMATS = tuple(_read(line) for line in _TABLE.strip().splitlines())
"""The formats, in the order in which they are tried."""

_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-\d:")
_END = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----|Private-MAC: ?[0-9a-f]{8,80}")
_BREAK = r"(?:\\+[nrt]|[\s\"'`+,>|#;])"
_HEADER = r"(?:Proc-Type|DEK-Info|Version|Comment|Encryption|Public-Lines|Private-Lines):[^\n\\]{0,120}"
_BODY = re.compile(
    rf"{_BREAK}*+(?:{_HEADER}{_BREAK}++)*+(?:[A-Za-z0-9+/]{{16,}}+={{0,2}}+{_BREAK}*+)++"
    rf"(?:(?=[A-Za-z+/]{{0,15}}[0-9+/=])[A-Za-z0-9+/]{{1,15}}+={{0,2}}+(?![\w.]))?"
)
_LONGEST_KEY = 20_000


def formats(text: str) -> Iterator[Span]:
    """Everything in a text that has one of the published formats and is not masked by x or stars."""
    for entry in FORMATS:
        if entry.hint not in text:
            continue
        for match in entry.pattern.finditer(text):
            body = match.group()
            if is_masked(body) or not (any(map(str.isdigit, body)) or body.isupper() or mixing(body) > 0.2):
                continue
            if entry.hint == "sk-" and sum(map(str.isdigit, body)) < 2:
                continue
            yield match.start(), match.end(), entry.kind


def key_blocks(text: str) -> Iterator[Span]:
    """Private keys in PEM, OpenSSH, PGP or PuTTY form, also cut off, and with line breaks written as backslash n."""
    begins = list(_BEGIN.finditer(text))
    if not begins:
        return
    ends = [(match.start(), match.end()) for match in _END.finditer(text)]
    at = 0
    for begin, following in zip(begins, [*(match.start() for match in begins[1:]), len(text)], strict=True):
        while at < len(ends) and ends[at][0] < begin.end():
            at += 1
        whole = at < len(ends) and ends[at][0] < min(following, begin.end() + _LONGEST_KEY)
        if whole and re.search(r"[A-Za-z0-9+/]{16}", text[begin.end() : ends[at][0]]):
            yield begin.start(), ends[at][1], "private-key"
        elif body := _BODY.match(text, begin.end()):
            yield begin.start(), body.end(), "private-key"
