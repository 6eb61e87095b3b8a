"""The errors an agent can meet, each with a number that never changes its meaning.

It must not know where any of them is raised.
"""

from __future__ import annotations

import re

from engram_model.errors import EngramError

CODES = {
    "DatabaseUnavailable": 1001,
    "NotFound": 1002,
    "DuplicateKey": 1003,
    "MigrationRequired": 1004,
    "EmbeddingApiUnavailable": 2001,
    "LlmApiUnavailable": 2002,
    "LocalModelLoadFailed": 2006,
    "LocalInferenceFailed": 2007,
    "InvalidJson": 4000,
    "InvalidValue": 4001,
    "NoCandidates": 5001,
    "ApplyFailed": 5005,
    "ConfigNotFound": 6001,
    "ConfigParseError": 6002,
    "InvalidProvider": 6003,
    "DispatchError": 6007,
    "ConfigReadOnly": 6008,
    "ImportVersionMismatch": 6010,
    "ImportFailed": 6011,
    "TrainerFailed": 6013,
    "TrainerTimeout": 6014,
    "TrainerMalformedOutput": 6015,
    "ConfigValidation": 6022,
}


UNFIT = re.compile("[\0\ud800-\udfff]")
"""What no text in a memory can have: NUL, and halves of surrogate pairs."""


class AgentError(EngramError):
    """What went wrong, as a name with its number, one line for people, and what to do about it.

    Args:
        name: A key of `CODES`.
        message: What was expected and what came.
        hint: What to do.
    """

    def __init__(self, name: str, message: str, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.name, self.code, self.message, self.hint = name, CODES[name], message, hint

    def as_json(self) -> dict[str, dict[str, str | int]]:
        """The error as machines read it."""
        return {"error": {"code": self.code, "name": self.name, "message": self.message, "hint": self.hint}}


def must_be_text(name: str, value: object) -> None:
    """Raise InvalidValue, which names the argument and what came, unless a value is a string."""
    if not isinstance(value, str):
        raise AgentError("InvalidValue", f"{name} must be text, got {value!r}")


def must_be_words(name: str, value: object) -> None:
    """Raise InvalidValue unless a value is a string that can be looked up: Unicode, without NUL."""
    must_be_text(name, value)
    if UNFIT.search(str(value)):
        raise AgentError("InvalidValue", f"{name} must be text without NUL and half characters, got {value!r}")
