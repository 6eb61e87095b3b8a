"""What the name of a thing promises: that it holds a password, a token, a key, a code, or no secret at all.

It must not know where names stand in a text, nor what values look like.
"""

from __future__ import annotations

import re
from functools import lru_cache

_SMALL = "a-zß-öø-ÿ"
_WORD = re.compile(rf"[A-Z]+(?![{_SMALL}])|[A-Z]?[{_SMALL}]+|\d+|[^\W\d_A-Z{_SMALL}]+")


def listed(words: str) -> frozenset[str]:
    """Words from a text, as a set."""
    return frozenset(words.split())


_TAILS = listed(
    "value text plain plaintext string str raw env var prod production dev staging live old new current default "
    "b64 base64 here data"
)
_HARMLESS = listed(
    "max min num n total count pad eos bos unk mask sep cls special stop public pub has is show hide use require "
    "required allow invalid wrong missing next prev page continuation sort primary foreign partition cache per"
)
_PASSWORDS = listed(
    "pw pwd pswd psw pass passw passcode passe clave contraseña contrasena senha wachtwoord lösenord hasło heslo "
    "adgangskode salasana parola şifre пароль 密码 密碼 パスワード 비밀번호"
)
_CODE_OWNERS = listed(
    "verification security access door gate alarm entry unlock login otp totp mfa fa sms auth authentication backup "
    "recovery safe time reset pin pairing confirmation scratch"
)
_SEED_OWNERS = listed("totp otp mfa fa hotp recovery wallet backup secret mnemonic phrase")
_PHRASE_OWNERS = listed("seed recovery pass secret backup wallet mnemonic")
_PASSWORD_ENDS = ("password", "passwd", "passwort", "kennwort", "passphrase", "requirepass", "userpwd")
_PASS_OWNERS = listed("db user my ssh smtp root admin pg mysql redis ftp mail login key store http")
_KEY_OWNERS = listed(
    "api access secret private client auth signing encryption master account storage service app application license "
    "licence ssh deploy consumer server write session subscription admin shared webhook hmac aes jwt crypt fernet "
    "signature decryption authentication security license activation integration rest ingest"
)
_KEY_ENDS = tuple(f"{owner}key" for owner in sorted(_KEY_OWNERS) if len(owner) > 2)


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
    if last in ("pin", "otp", "cvv", "cvc", "csc") or (last in ("code", "codes") and before in _CODE_OWNERS):
        return "code", True
    if last == "psk" or (last, before) == ("answer", "security"):
        return "password", True
    if last in ("mnemonic", "masterauth") or (last == "seed" and before in _SEED_OWNERS):
        return "secret", True
    if last in ("phrase", "words") and before in _PHRASE_OWNERS:
        return "secret", True
    if last == "community":
        return "password", False
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
    if last in ("credential", "credentials", "creds", "sig", "signature", "cookie", "secrets", "code", "appid"):
        return "secret", False
    return None
