"""The nearest names of patterns for one that nobody has.

It must not know what is asked of a pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from engram_agent.errors import AgentError

if TYPE_CHECKING:
    from engram_agent.memory import Memory

T = TypeVar("T")
KNOWN = 1_000
"""Patterns among whose names the nearest are looked for."""
NEAR = 0.3
"""Least likeness of a near name (Ratcliff & Obershelp 1988)."""


def named(memory: Memory, agent_id: str, name: str, ask: Callable[[], T]) -> T:
    """What is asked of the pattern of a name.

    Args:
        memory: Where the patterns are.
        agent_id: Whose patterns.
        name: The name that is asked for.
        ask: Asks.

    Raises:
        AgentError: NotFound if there is none of that name; its hint tells the nearest.
    """
    try:
        return ask()
    except AgentError as error:
        if error.name != "NotFound":
            raise
        known = [each.name for each in memory.patterns(agent_id=agent_id, limit=KNOWN)]
        near = get_close_matches(name, known, n=3, cutoff=NEAR)
        hint = f"nearest are {', '.join(near)}" if near else "engram memory patterns lists those that are known"
        raise AgentError("NotFound", error.message, hint) from error
