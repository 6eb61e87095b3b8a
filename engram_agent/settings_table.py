"""Every setting: its default, its bounds, what it means.

It must not know where values come from, nor what is done with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engram_agent.errors import AgentError
from engram_agent.records import TYPES

LLM_PROVIDERS = ("none", "local", "openai")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One thing that can be set.

    Attributes:
        default: What holds if nobody sets it; its type is the setting's.
        meaning: What it is, for people.
        low: Least value of a number.
        high: Greatest value of a number.
        choices: The only values; any if empty.
        guarded: Whether only the global file may set it: a folder that was cloned must not choose where a key is
            sent or which program is run.
    """

    default: str | int | float
    meaning: str
    low: float = float("-inf")
    high: float = float("inf")
    choices: tuple[str, ...] = ()
    guarded: bool = False


SETTINGS: Mapping[str, Setting] = {
    "database.path": Setting(default="", meaning="the memory's file; empty: found from the current folder"),
    "embedding.provider": Setting(default="hashing", meaning="hashing, brain, or an embedding function of Chroma's"),
    "embedding.brain": Setting(default="brain", meaning="the trained brain that the provider brain uses"),
    "search.rrf_k": Setting(default=60, meaning="rank at which a list's say has fallen to half", low=1),
    "search.sparse_weight": Setting(default=1.0, meaning="say of the words in a search", low=0.0),
    "search.vector_weight": Setting(default=0.5, meaning="say of the vectors in a search", low=0.0),
    "search.thesaurus": Setting(default="", meaning="a file of one's own related words, beside those that are shipped"),
    "deduplication.threshold": Setting(default=0.95, meaning="how alike two records are to be one", low=0.5, high=1.0),
    "consolidation.stale_days": Setting(default=90, meaning="days after which an unused record may be archived", low=1),
    "consolidation.min_score": Setting(
        default=0.3, meaning="records of a lower score may be archived", low=0.0, high=1.0
    ),
    **{
        f"retention.{name}": Setting(
            default=0.0, meaning=f"days that records of type {name} are kept; 0: for ever", low=0.0
        )
        for name in TYPES
    },
    "llm.provider": Setting(default="none", meaning="who writes texts for the trainer", choices=LLM_PROVIDERS),
    "llm.model": Setting(default="", meaning="the model's name there"),
    "llm.host": Setting(default="", meaning="where the provider listens", guarded=True),
    "llm.api_key": Setting(default="", meaning="the key for it", guarded=True),
    "trainer.trainer_binary": Setting(default="engram-trainer", meaning="the trainer's program", guarded=True),
    "trainer.trainer_timeout_secs": Setting(default=300, meaning="seconds a training may take", low=1),
    "trainer.models_path": Setting(default="~/.engram/models", meaning="where trained models are kept"),
}
"""All settings, as `section.key` of engram.toml."""
PATHS = frozenset(["database.path", "embedding.brain", "search.thesaurus", "trainer.models_path"])
"""Those that name a file; one that is relative starts at the folder of the file it stands in."""


def variables() -> dict[str, str]:
    """The environment variable of each setting."""
    return {key: f"ENGRAM_{key.upper().replace('.', '_')}" for key in SETTINGS}


def known(key: str, source: str = "") -> None:
    """ConfigValidation, which names the source, unless there is such a setting."""
    if key not in SETTINGS:
        from difflib import get_close_matches

        near = get_close_matches(key, SETTINGS, n=1) or ["engram config lists them"]
        where = f"{source}: " if source else ""
        raise invalid(f"{where}there is no setting {key!r}", f"did you mean {near[0]}?" if "." in near[0] else near[0])


def checked(key: str, value: Any, source: str) -> Any:
    """The value, if the setting can have it.

    Raises:
        AgentError: ConfigValidation or InvalidProvider; it names the source, the setting and what it must be.
    """
    setting = SETTINGS[key]
    kind = type(setting.default)
    came = "something else" if setting.guarded else repr(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise invalid(f"{source}: {key} must be {_kind_name(kind)}, got {came}", setting.meaning)
    if isinstance(value, int | float) and not (math.isfinite(value) and setting.low <= value <= setting.high):
        bounds = f"at least {setting.low:g}" if math.isinf(setting.high) else f"{setting.low:g} to {setting.high:g}"
        raise invalid(f"{source}: {key} must be {bounds}, got {came}", setting.meaning)
    if setting.choices and value not in setting.choices:
        choices = ", ".join(setting.choices)
        raise AgentError("InvalidProvider", f"{source}: {key} must be one of {choices}, got {came}", setting.meaning)
    return value


def typed(key: str, text: str) -> Any:
    """The value that a text means, which may still be one that the setting cannot have."""
    kind = type(SETTINGS[key].default)
    try:
        return kind(text)
    except ValueError:
        return text


def _kind_name(kind: type) -> str:
    return {str: "a text", int: "a whole number", float: "a number"}[kind]


def invalid(message: str, hint: str = "") -> AgentError:
    """A ConfigValidation error."""
    return AgentError("ConfigValidation", message, hint)
