"""What all tools share: whose memory is asked and where, the types of what is asked, what a tool does to the memory.

It must not know any tool.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from mcp.types import ToolAnnotations
from pydantic import Field

from engram_agent.errors import AgentError
from engram_agent.memory import Memory
from engram_agent.settings import Settings

MemoryType = Literal["decision", "pattern", "bugfix", "context", "antipattern", "insight"]
Confirm = Annotated[bool, Field(description="must be true: say that you mean it")]
RecordId = Annotated[str, Field(description="a record's id, as memory_search or memory_store gave it")]
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ADDS = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
DESTROYS = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=False)
ANNOTATIONS = {
    "memory_search": READS,
    "memory_status": READS,
    "memory_export": READS,
    "memory_suggest": READS,
    "memory_consolidate_log": READS,
    "memory_delete": DESTROYS,
    "memory_config": DESTROYS,
    "memory_consolidate": DESTROYS,
    "memory_consolidate_apply": DESTROYS,
    "memory_insights": DESTROYS,
}
"""What each tool does to the memory; those that are not named only add to it."""


@dataclass(frozen=True)
class Session:
    """One agent that talks to its memory.

    Attributes:
        ask: Runs a function of the memory where the memory lives.
        settings: What holds.
        agent_id: Whose memory it is; no tool can name another.
    """

    ask: Callable[[Callable[[Memory], Any]], Awaitable[Any]]
    settings: Settings
    agent_id: str


def need(confirm: bool, what: str) -> None:
    """InvalidValue unless it was confirmed."""
    if not confirm:
        raise AgentError("InvalidValue", f"{what} was not confirmed", "call it again with confirm = true")
