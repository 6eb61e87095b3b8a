"""What a memory says of itself in numbers is what is in it, and no text of a record."""

from __future__ import annotations

from pathlib import Path

from engram_agent.embedders import HashingEmbedder
from engram_agent.memory import Memory


def test_the_numbers_are_those_of_what_was_done(tmp_path: Path) -> None:
    with Memory(tmp_path / "m.db") as memory:
        empty = memory.status(check=True)
        assert empty["records"]["total"] == 0 and empty["audit"] == {"entries": 0, "last": None} and empty["integrity"]
        for agent, count in (("alice", 3), ("bob", 2)):
            for number in range(count):
                record = memory.store(f"unmistakable {number * 7919}", agent_id=agent, memory_type="bugfix")
            memory.search("unmistakable", agent_id=agent)
            memory.judge(record, 1.0, agent_id=agent)
        memory.record("a deploy", "roll back", "success", agent_id="alice")
        memory.share("alice", "bob", scope="all")
        memory.revoke(memory.share("bob", "carol", scope="all").id, agent_id="bob")
        whole = memory.status()
        each = {agent: memory.status(agent_id=agent) for agent in ("alice", "bob", "carol")}
        assert whole["records"]["by_agent"] == {"alice": each["alice"]["records"]["total"], "bob": 2}
        assert (
            whole["records"]["by_type"]["bugfix"] == 5
            and sum(whole["records"]["by_type"].values()) == whole["records"]["total"]
        )
        assert each["bob"]["records"] == {"total": 2, "superseded": 0, "by_type": {"bugfix": 2}, "by_agent": {"bob": 2}}
        assert [each[agent]["grants"] for agent in each] == [1, 1, 0] and whole["grants"] == 1
        for name, counts in {"searches": (1, 1, 0), "judgements": (1, 1, 0), "outcomes": (1, 0, 0)}.items():
            assert tuple(each[agent][name] for agent in each) == counts and whole[name] == sum(counts)
        assert whole["audit"] == {"entries": memory.audit_verify().entries, "last": memory.audit_verify().last}
        assert (
            whole["path"] == str(tmp_path / "m.db")
            and whole["bytes"] > 4096
            and whole["embedder"] == HashingEmbedder.name
        )
        assert "unmistakable" not in repr(whole) + repr(each)
