"""What a secret's value and a secret's name look like, and what only looks like one: words, paths, variables, masks.

It must not know how names and values are joined in a text.
"""

from __future__ import annotations

import base64
import binascii
import re
from itertools import pairwise

from engram_agent.secret_names import listed, words

_GRAMMAR = listed(
    """
    a an the this that your my our their is was are be been not no yes on off or and for from with without of
    to in by at least as if else then when must should may can will has have had please enter type typed
    provide provided given
    """
)
_STOP = _GRAMMAR | listed(
    """
    required optional mandatory needed
    string str text bytes byte int integer number bool boolean char varchar object
    any none null nil undefined true false empty blank unset set get value values default unknown invalid valid wrong
    incorrect correct missing expired changed change reset forgotten forgot hidden masked redacted removed secret
    secrets password passwords passwd pass pwd token tokens key keys api apikey auth authentication authorization
    credentials credential username user login email mail name id hash hashed encrypted encoded plain plaintext secure
    secretstr securestring input output prompt field label placeholder ok okay error failed failure success accepted
    rejected denied refused updated created deleted rotated revoked stored saved sent received ignored disabled enabled
    basic bearer digest negotiate oauth ldap kerberos saml jwt session cookie refresh access private public client
    server local remote strong weak short long minimum maximum length characters chars here below
    above see todo fixme example sample dummy fake foo bar baz test changeme change me placeholder insert replace
    strip trim self args request response config settings options env environ environment os getenv process param
    params data json yaml file path url uri type policy manager check confirm confirmation repeat again new old
    current same other first last next previous limit count size budget window attempt attempts sha md base rsa aes
    hmac salt iv nonce vault store storage provider method mode always never only once every each per via into it its
    you we they he she i do does did done use used using uses sensitive case protected expires expiring soon today
    was read write generate generated random unchanged unavailable mismatch leak leaked exposed compromised
    hint rules stdin stdout keyring keychain prompted interactive literal list dict tuple array map function method
    column table index primary foreign unique constraint void auto inherit internal external unsupported supported
    present absent found matches match matched ready pending active inactive inherits rotate revoke renew renewed
    passwort kennwort contraseña contrasena senha
    """
)
_INSTRUCTING = _GRAMMAR - listed("a an the on in of by to with from and for at or as my")
_FILLED_IN = listed("your changeme placeholder insert replace dummy fake sample example here todo fixme")
_VARIABLE = re.compile(
    r"""<[^<>]*>? | \$\{.* | \$\(.* | \$\[.* | \$[A-Z_][A-Z0-9_]* | \$(?:[A-Za-z_]+|[a-z]+:\w+)(?:[.\[>-].*)?
    | \{\{.* | \{[\w.!:\[\]'"]*\}
    | \$\w+\{.* | %[sdrv] | %\(?\w+\)?[sd]? | %\w+% | \#\{.* | @\{.* | \[[\w .-]*\]? | :\w+ | \? | &\w+;? | ![A-Z]\w*.*
    | ENC\[.* | !vault.* | (?:vault|ref|secret|arn|op|ssm|file|env|gcpsm|keyring):.* | @\w[\w./-]* | \|-? | >-?
    | process\.env.* | (?:os|sys|self|this|args|config|settings|ctx|req|request|cfg|opts|options|params|env)\.\S*
    | (?:os\.)?(?:getenv|environ).* | \\[0n] | --?[a-z][\w-]*""",
    re.VERBOSE | re.DOTALL,
)
_CODE = re.compile(
    r"(?:new |await |\*|&)?[A-Za-z_](?:[A-Za-z_.:>-]|(?<=[a-z])\d(?=[a-z])){2,}[(\[{].*|[A-Za-z_]\w*(?:\[\w*\]|\(\))",
    re.DOTALL,
)
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:(?:\?\.|\.|->|::)[A-Za-z_]\w*)+")
_ORDINARY = re.compile(
    r"""v?\d+(?:\.\d+)+[\w+-]* | \d+(?:[-–+/x]\d+)*[-+]?(?:[smhdkgx]|[kmg]i?b|ms|px|st|nd|rd|th|min|sec
    |(?:char|character|digit|bit|byte|word|token|second|minute|hour|day|time|attempt|entrie)s?)?\+?
    | \d{4}-\d\d-\d\d\S*
    | (?:sha|md|base|utf|bcrypt|argon|oauth|ipv|http|rs|hs|es|aes|rsa|ed|py|python|win|int|uint|float|pbkdf|v|x|s
    |kerberos|ec|ldap|tls|ssl|socks|auth|rc|p|id|scrypt)-?\d+[a-z]{0,2}(?:[-_][a-z\d]+)*
    | (?:~|\.{1,2})?/[\w.@~+-]*(?:/[\w.@~+-]*)* | [A-Za-z]:\\.* | [a-z][a-z\d+.-]*://\S*
    | [\w./-]+\.(?:json|ya?ml|py|txt|md|toml|ini|cfg|conf|env|pem|key|pub|crt|cer|js|ts|tsx|go|rs|java|rb|sh|log|csv
    |html|php|xml|lock)
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,} | [=<>!:]=.* | [=<>!]+[ ]?\d* | /?\^.* | \W+""",
    re.VERBOSE | re.IGNORECASE,
)
_MASK = re.compile(r"\*{3}|\.{3}|…|•{2}|x{5}|X{5}|(.)\1{7}")
_LETTERS = re.compile(r"[^\W\d_]+(?:[-_.' ][^\W\d_]+)*|__\w+__")
_APP_PASSWORD = re.compile(r"(?:[a-z]{4} ){3}[a-z]{4}")
_ADJECTIVE = re.compile(r"(?:ed|en|ing|able|ible|ful|ly|ent|ant|ous|al|ive|ory|ary|ete|ict|less|ic|ish|st|er)$")
_HEX = re.compile(r"(?=.*\d)(?=.*[a-fA-F])[\da-fA-F]{24,}")
_CODES = re.compile(r"(?:[A-Za-z0-9]{2,10}[ -]?){1,6}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def mixing(value: str) -> float:
    """The share of neighbouring letters and digits that differ in class (small, capital, digit).

    About 0.6 in random strings, 0.3 and less in names.
    """
    classes = ["d" if c.isdigit() else "u" if c.isupper() else "l" if c.isalpha() else "" for c in value[:256]]
    pairs = [(a, b) for a, b in pairwise(classes) if a and b]
    return sum(a != b for a, b in pairs) / len(pairs) if pairs else 0.0


def looks_random(value: str, least: int) -> bool:
    """Whether this is a long mixture of letters and digits that no one would choose as a name."""
    if len(value) < least or len(set(value)) < 8 or is_masked(value):
        return False
    digits = sum(map(str.isdigit, value))
    letters = sum(map(str.isalpha, value))
    if letters < 2 or digits < 1:
        return letters == len(value) >= 20 and mixing(value) > 0.45
    if value.isalnum() and value.isupper() and len(value) >= 16:
        return mixing(value) >= 0.12 and digits < 0.85 * len(value)
    return mixing(value) >= 0.3 and digits < 0.85 * len(value)


def is_uuid(value: str) -> bool:
    """Whether this is a universally unique identifier."""
    return _UUID.fullmatch(value) is not None


def says_words(value: str) -> bool:
    """Whether this is readable text in base64."""
    try:
        plain = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_" if set(value) & {"-", "_"} else None)
    except (binascii.Error, ValueError):
        return False
    return len(plain) > 0 and sum(32 <= byte < 127 or byte in (9, 10, 13) for byte in plain) >= 0.95 * len(plain)


def is_masked(value: str) -> bool:
    """Whether a value is hidden already: stars, dots, a row of x, or one character over and over."""
    return len(set(value.strip("-_ "))) < 2 or _MASK.search(value[:512]) is not None


def is_placeholder(value: str) -> bool:
    """Whether this stands for a value: a variable, a mask, a template's gap, `your-password-here`."""
    if not any(map(str.isalnum, value)) or is_masked(value) or _VARIABLE.fullmatch(value):
        return True
    parts = words(value[:200])
    return bool(_FILLED_IN & set(parts)) and sum(map(str.isdigit, value)) <= 3 and mixing(value) < 0.4


def is_secret(value: str, kind: str, strong: bool, form: str) -> bool:
    """Whether a value is a secret, given what its name promises.

    Args:
        value: the text of the value, at most 512 characters of it.
        kind: what `kind_of_name` said.
        strong: whether the name alone says that this is a secret.
        form: "quoted", "given" (stands alone behind a sign) or "prose" (could be a word of a sentence or of code).
    """
    if is_placeholder(value):
        return False
    if kind == "code":
        return _is_code(value, form)
    if " " in value and not _APP_PASSWORD.fullmatch(value):
        return form == "quoted" and strong and kind in ("password", "secret") and _is_phrase(value)
    if form != "quoted" and (_CODE.fullmatch(value) or (_DOTTED.fullmatch(value) and mixing(value) < 0.2)):
        return False
    open_kind = kind in ("password", "secret") and strong
    if value.isdigit():
        return open_kind and len(value) >= (5 if form == "prose" else 4)
    if not strong:
        return (
            looks_random(value, 16)
            or _HEX.fullmatch(value) is not None
            or (kind == "password" and form != "prose" and _is_mixed(value))
        )
    if _LETTERS.fullmatch(value):
        return _is_secret_word(value, open_kind, form)
    if _ORDINARY.fullmatch(value) and not (looks_random(value, 16) and "://" not in value):
        return False
    if set(words(value[:200])) - {"s"} <= _STOP | set("0123456789") and value.lower() == value:
        return False
    if open_kind:
        return _is_mixed(value) and len(value) >= 6 if form == "prose" else len(value) >= 3
    if is_uuid(value) or looks_random(value, 12):
        return True
    digits = sum(map(str.isdigit, value))
    return len(value) >= 6 and digits > 0 and (digits > 2 or form != "prose") and any(map(str.isalpha, value))


def _is_mixed(value: str) -> bool:
    """Letters with a digit or a sign among them, as in no word of a sentence."""
    inner = value.strip(".,;:!?()[]{}\"'")
    signs = sum(not c.isalnum() and c not in "-_'./" for c in inner)
    return any(map(str.isalpha, inner)) and (any(map(str.isdigit, inner)) or signs > 0)


def _is_secret_word(value: str, open_kind: bool, form: str) -> bool:
    """Letters only: secret behind a password's sign unless it is a word that stands there in ordinary text."""
    stands_alone = form == "quoted" or (form == "given" and value.isalpha())
    if len(value) >= 12 and mixing(value) > (0.45 if len(value) < 20 else 0.25 if stands_alone else 0.35):
        return True
    parts = words(value[:200])
    if _APP_PASSWORD.fullmatch(value):
        return open_kind and not _STOP & set(parts)
    if form == "prose" or value.lower() in _STOP or set(parts) <= _STOP:
        return False
    if open_kind:
        return len(value) >= 3 and not (form == "given" and ("_" in value or "." in value))
    return len(value) >= 20 and value.isalpha() and value in (value.lower(), value.upper())


def _is_code(value: str, form: str) -> bool:
    """Digits, or groups of letters and digits, that someone types once."""
    digits = sum(map(str.isdigit, value))
    if not _CODES.fullmatch(value):
        return False
    return digits >= (4 if form == "prose" else 3) or (len(value) >= 8 and digits > 0 and mixing(value) > 0.3)


def is_plain_password(word: str) -> bool:
    """Whether a word of letters could be a password where a sentence tells one: no adjective, no participle."""
    return word.lower() not in _STOP and not _ADJECTIVE.search(word.lower())


def grammar_in(value: str) -> int:
    """How many of a text's words are articles, prepositions, auxiliaries and the like."""
    return sum(word in _GRAMMAR for word in words(value[:512]))


def _is_phrase(value: str) -> bool:
    """Several words that give no hint to a reader: no instruction, little grammar, or digits among them."""
    parts = [part.lower() for part in value.split(" ")]
    grammar, common = len(_GRAMMAR & set(parts)), len(_STOP & set(parts))
    if any(_is_mixed(part) and (len(part) >= 6 or not grammar) for part in parts):
        return len(parts) <= 4
    if len(parts) < 3 or not all(map(str.isalnum, parts)):
        return False
    if grammar:
        return common == grammar < len(parts) - 1 <= 5 and value[0].islower() and not _INSTRUCTING & set(parts)
    return common < len(parts) - 2
