"""How the tables of a memory came to be: named steps, each applied once, new ones only at the end.

It must not know what is asked of the tables.
"""

from __future__ import annotations

MIGRATIONS: tuple[tuple[str, str], ...] = (
    (
        "0001 records",
        """
        CREATE TABLE records (
            row INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            agent_id TEXT NOT NULL,
            memory_type TEXT NOT NULL,
            context TEXT NOT NULL,
            action TEXT NOT NULL,
            result TEXT NOT NULL,
            tags TEXT NOT NULL,
            project TEXT,
            conversation TEXT,
            position INTEGER,
            parent_id TEXT,
            source_ids TEXT NOT NULL,
            insight_type TEXT,
            fields TEXT NOT NULL,
            score REAL NOT NULL,
            confidence REAL NOT NULL,
            successes INTEGER NOT NULL DEFAULT 0,
            failures INTEGER NOT NULL DEFAULT 0,
            stored_count INTEGER NOT NULL DEFAULT 1,
            access_count INTEGER NOT NULL DEFAULT 0,
            used_count INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL,
            last_accessed REAL,
            superseded_by TEXT,
            origin TEXT
        );
        CREATE INDEX records_agent ON records (agent_id, memory_type);
        CREATE INDEX records_turn ON records (agent_id, conversation, position) WHERE conversation IS NOT NULL;
        CREATE INDEX records_exact ON records (agent_id, memory_type, context, action, result);
        """,
    ),
    (
        "0002 words of records",
        """
        CREATE VIRTUAL TABLE words USING fts5 (
            context, action, result, tags, before, after, tokenize = 'porter unicode61'
        );
        """,
    ),
)
