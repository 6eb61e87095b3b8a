"""Memory for agents that learns: `Memory` keeps, finds and judges what agents met, did and saw come of it.

`Memory` is imported on first use, so that `import engram_agent` stays instant.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engram_agent.memory import Memory

__all__ = ["Memory"]


def __getattr__(name: str) -> Any:
    """Import the public name when it is first asked for."""
    if name != "Memory":
        raise AttributeError(f"module 'engram_agent' has no attribute {name!r}")
    from engram_agent.memory import Memory

    return Memory
