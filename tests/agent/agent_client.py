"""What tests of the MCP server share: a client that meets it, and its answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from engram_agent.errors import CODES
from engram_agent.server import Server, Worker
from engram_agent.server_session import Session
from engram_agent.settings import Settings, load


def visit(
    home: Path, story: Callable[[Client], Awaitable[None]], agent: str = "alice", settings: Settings | None = None
) -> None:
    """Meet a server in this process with a client, and go away."""
    held = settings or load(home / "m.db", home, home)

    async def main() -> None:
        worker = Worker(held)
        try:
            with anyio.fail_after(60):
                async with Client(Server(Session(worker.ask, held, agent))) as client:
                    await story(client)
        finally:
            worker.close()

    anyio.run(main)


async def done(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool answers, which is no error."""
    found = await client.call_tool(tool, arguments)
    assert not found.is_error, found
    assert found.structured_content is not None
    return found.structured_content


async def text(client: Client, tool: str, **arguments: Any) -> str:
    found = await client.call_tool(tool, arguments)
    assert not found.is_error, found
    return str(found.content[0].text)  # type: ignore[union-attr]


async def failed(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The error of a tool, the same in its text as in its data."""
    found = await client.call_tool(tool, arguments)
    assert found.is_error and found.structured_content is not None
    assert json.loads(found.content[0].text) == found.structured_content  # type: ignore[union-attr]
    error: dict[str, Any] = found.structured_content["error"]
    assert CODES[error["name"]] == error["code"] and "\n" not in error["message"]
    return error
