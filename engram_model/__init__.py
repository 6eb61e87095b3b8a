"""Engram: a language brain trained from scratch on your own text, with memories you can open, read and edit.

Names are imported on first use, so that `import engram_model` stays instant.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engram_model.config import BrainConfig, GenerationConfig, TrainingConfig
    from engram_model.engram import Engram
    from engram_model.errors import EngramError

_HOMES = {
    "BrainConfig": "config",
    "Engram": "engram",
    "EngramError": "errors",
    "GenerationConfig": "config",
    "TrainingConfig": "config",
}

__all__ = ["BrainConfig", "Engram", "EngramError", "GenerationConfig", "TrainingConfig"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'engram_model' has no attribute {name!r}")
    return getattr(import_module(f"engram_model.{_HOMES[name]}"), name)
