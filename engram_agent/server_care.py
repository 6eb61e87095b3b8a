"""The tools of the MCP server that look after the memory: its state, its settings, its tidiness.

It must not know how a call comes in, nor how the memory does what is asked.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from mcp.types import CallToolResult
from pydantic import Field

from engram_agent import server_answers as answers
from engram_agent.memory import Memory
from engram_agent.plain import plain
from engram_agent.server_answers import answer
from engram_agent.server_session import Confirm, Session, need
from engram_agent.settings import set_value, tool_file
from engram_agent.settings_table import SETTINGS, known


class CareTools:
    """Tools for the memory itself; each public method is one, its docstring what the agent reads."""

    def __init__(self, session: Session) -> None:
        self._session, self._ask, self._agent = session, session.ask, session.agent_id

    async def memory_status(self) -> Annotated[CallToolResult, answers.Facts]:
        """Count what is remembered and learned: records by type, searches, judgements, grants."""
        found = plain(await self._ask(lambda memory: memory.status(agent_id=self._agent)))
        return answer(json.dumps(found, ensure_ascii=False), answers.Facts(facts=found))

    async def memory_config(
        self,
        key: Annotated[str | None, Field(description="one setting as section.key; without it all are listed")] = None,
        value: Annotated[str | None, Field(description="the new value; it holds from the next start on")] = None,
        confirm: Confirm = False,
    ) -> Annotated[CallToolResult, answers.Configuration]:
        """Show what is set and where each value comes from, or set a number (needs confirm = true). Providers,
        models, hosts, programs, keys and files are for people to set.
        """
        if key is not None:
            known(key)
        file = None
        if key is not None and value is not None:
            file = tool_file(self._session.settings, key)
            need(confirm, f"setting {key}")
            set_value(key, value, file)
        rows = [
            answers.SettingNow(
                key=each,
                value=self._session.settings.shown(each),
                source=self._session.settings.sources[each],
                meaning=SETTINGS[each].meaning,
            )
            for each in ([key] if key else SETTINGS)
        ]
        text = (
            f"{key} is set in {file}; it holds from the next start on."
            if file
            else "\n".join(f"{row.key} = {row.value} ({row.source})" for row in rows)
        )
        return answer(text, answers.Configuration(settings=rows, file=str(file) if file else None))

    async def memory_consolidate_preview(self) -> Annotated[CallToolResult, answers.Consolidations]:
        """Show which nearly identical or stale records could be put together. Changes nothing; the plan's id is for
        memory_consolidate_apply.
        """
        plan = await self._ask(lambda memory: self._preview(memory))
        step = f"memory_consolidate_apply(plan_id={plan.id!r}, confirm=true)" if plan.count else "nothing to do"
        return self._plans([plan], step)

    async def memory_consolidate(self, confirm: Confirm = False) -> Annotated[CallToolResult, answers.Consolidations]:
        """Preview and apply in one: put nearly identical records together. Needs confirm = true; can be undone."""
        need(confirm, "putting records together")
        plan = await self._ask(lambda memory: self._preview(memory))
        if not plan.count:
            return self._plans([], "nothing to do")
        return await self.memory_consolidate_apply(plan.id, confirm=True)

    async def memory_consolidate_apply(
        self,
        plan_id: Annotated[str, Field(description="the id of a preview")],
        undo: Annotated[bool, Field(description="take it back instead")] = False,
        confirm: Confirm = False,
    ) -> Annotated[CallToolResult, answers.Consolidations]:
        """Do what a preview has shown, or take it back with undo = true. Needs confirm = true."""
        need(confirm, f"{'undoing' if undo else 'applying'} {plan_id}")
        name = "consolidate_undo" if undo else "consolidate_apply"
        plan = await self._ask(lambda memory: getattr(memory, name)(plan_id, agent_id=self._agent))
        back = "" if undo else f"memory_consolidate_apply(plan_id={plan_id!r}, undo=true, confirm=true) takes it back"
        return self._plans([plan], back)

    async def memory_consolidate_log(self) -> Annotated[CallToolResult, answers.Consolidations]:
        """List what was put together, and when."""
        return self._plans(await self._ask(lambda memory: memory.consolidate_log(agent_id=self._agent)), "")

    def _plans(self, plans: list[Any], step: str) -> CallToolResult:
        data = answers.Consolidations(plans=[plain(plan) for plan in plans], next_step=step)
        return answer(data.model_dump_json(), data)

    def _preview(self, memory: Memory) -> Any:
        limits = {name: self._session.settings[f"consolidation.{name}"] for name in ("stale_days", "min_score")}
        return memory.consolidate_preview(agent_id=self._agent, **limits)
