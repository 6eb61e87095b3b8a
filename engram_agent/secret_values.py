"""What a secret's value and a secret's name look like, and what only looks like one: words, paths, variables, masks.

It must not know how names and values are joined in a text.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache
from itertools import pairwise

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_TAILS = _set(
    "value text plain plaintext string str raw env var prod production dev staging live old new current default "
    "b64 base64 here data"
)
_HARMLESS = _set(
    "max min num n total count pad eos bos unk mask sep cls special stop public pub has is show hide use require "
    "required allow invalid wrong missing next prev page continuation sort primary foreign partition cache per"
)
_PASSWORDS = _set("pw pwd pswd psw pass passw passcode pin contraseña contrasena senha пароль 密码 passe")
_PASSWORD_ENDS = ("password", "passwd", "passwort", "kennwort", "passphrase", "requirepass", "userpwd")
_PASS_OWNERS = _set("db user my ssh smtp root admin pg mysql redis ftp mail login key store http")
_KEY_OWNERS = _set(
    "api access secret private client auth signing encryption master account storage service app application license "
    "licence ssh deploy consumer server write session subscription admin shared webhook hmac aes jwt crypt fernet "
    "signature decryption authentication security license activation integration rest ingest"
)
_KEY_ENDS = tuple(f"{owner}key" for owner in sorted(_KEY_OWNERS) if len(owner) > 2)
_GRAMMAR = _set(
    """
    a an the this that your my our their is was are be been not no yes on off or and for from with without of
    to in by at least as if else then when must should may can will has have had please enter type typed
    provide provided given
    """
)
_STOP = _GRAMMAR | _set(
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
_FILLED_IN = _set("your changeme placeholder insert replace dummy fake sample example here todo fixme")
_VARIABLE = re.compile(
    r"""<[^<>]*>? | \$\{.* | \$\(.* | \$\[.* | \$[A-Z_][A-Z0-9_]* | \$(?:[A-Za-z_]+|[a-z]+:\w+)(?:[.\[>-].*)?
    | \{\{.* | \{[\w.!:\[\]'"]*\}
    | %[sdrv] | %\(?\w+\)?[sd]? | %\w+% | \#\{.* | @\{.* | \[[\w .-]*\]? | :\w+ | \? | &\w+;? | ![A-Z]\w*.*
    | ENC\[.* | !vault.* | (?:vault|ref|secret|arn|op|ssm|file|env|gcpsm|keyring):.* | @\w[\w./-]* | \|-? | >-?
    | process\.env.* | (?:os|sys|self|this|args|config|settings|ctx|req|request|cfg|opts|options|params|env)\.\S*
    | (?:os\.)?(?:getenv|environ).* | \\[0n] | --?[a-z][\w-]*""",
    re.VERBOSE | re.DOTALL,
)
_CODE = re.compile(r"(?:new |await |\*|&)?[A-Za-z_][A-Za-z_.:>-]{2,}[(\[{].*|[A-Za-z_]\w*(?:\[\w*\]|\(\))", re.DOTALL)
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
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def words(name: str) -> list[str]:
    """The words of a name in lower case, whether joined by lines, dots or capital letters."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(maxsize=4096)
def kind_of_name(name: str) -> tuple[str, bool] | None:
    """What a thing of this name holds, and whether the name alone says so.

    Returns:
        Kind and true for names such as `db_password`; kind and false for names such as `key`, whose value must look
        random; None where the name says nothing, or says what is no secret (`max_tokens`, `public_key`).
    """
    parts = [word for word in words(name[-80:]) if not word.isdigit()]
    while len(parts) > 1 and parts[-1] in _TAILS:
        parts.pop()
    if not parts or _HARMLESS & set(parts[:-1]):
        return None
    last, before = parts[-1], parts[-2] if len(parts) > 1 else ""
    if last.endswith(_PASSWORD_ENDS) or last in _PASSWORDS:
        return "password", last not in ("pass", "passe") or bool(before)
    if last.endswith("pass") and last[:-4] in _PASS_OWNERS:
        return "password", True
    if last in ("mnemonic", "masterauth") or (last == "phrase" and before in ("seed", "recovery", "pass", "secret")):
        return "secret", True
    if last == "auth":
        return ("password", True) if before in ("cli", "rediscli", "master") else ("token", False)
    if last.endswith("token") or last in ("jwt", "bearer", "authorization", "authorisation", "pat"):
        return "token", last != "pat"
    if last.endswith("secret"):
        return "secret", True
    if last == "key":
        return "key", before in _KEY_OWNERS
    if last.endswith(_KEY_ENDS) and not last.endswith("monkey"):
        return "key", True
    if last.endswith(("sessid", "sessionid")):
        return "cookie", True
    if last in ("sid", "session", "aspxauth") or (last, before) == ("id", "session"):
        return "cookie", False
    if last in ("credential", "credentials", "creds", "sig", "signature", "cookie", "otp", "secrets"):
        return "secret", False
    return None


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
    if " " in value and not _APP_PASSWORD.fullmatch(value):
        return form == "quoted" and strong and kind in ("password", "secret") and _is_phrase(value)
    if form != "quoted" and (_CODE.fullmatch(value) or (_DOTTED.fullmatch(value) and mixing(value) < 0.2)):
        return False
    open_kind = kind in ("password", "secret") and strong
    if value.isdigit():
        return open_kind and form != "prose" and len(value) >= 4
    if not strong:
        return looks_random(value, 16) or (kind == "password" and form != "prose" and _is_mixed(value))
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
    if len(value) >= 12 and mixing(value) > (0.45 if len(value) < 20 else 0.25 if form == "quoted" else 0.35):
        return True
    parts = words(value[:200])
    if _APP_PASSWORD.fullmatch(value):
        return open_kind and not _STOP & set(parts)
    if form == "prose" or value.lower() in _STOP or set(parts) <= _STOP:
        return False
    if open_kind:
        return len(value) >= 3 and not (form == "given" and ("_" in value or "." in value))
    return len(value) >= 20 and value.isalpha() and value in (value.lower(), value.upper())


def _is_phrase(value: str) -> bool:
    """Several words without grammar, or words with digits among them."""
    parts = [part.lower() for part in value.split(" ")]
    if any(_is_mixed(part) and (len(part) >= 6 or not _GRAMMAR & set(parts)) for part in parts):
        return len(parts) <= 4
    common = len(_STOP & set(parts))
    return len(parts) >= 3 and all(map(str.isalpha, parts)) and not _GRAMMAR & set(parts) and common < len(parts) - 2
