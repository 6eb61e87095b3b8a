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
        CREATE INDEX records_length ON records (
            agent_id, memory_type, length(context), length(action), length(result), created_at
        );
        CREATE INDEX records_name ON records (json_extract(fields, '$.name'));
        """,
    ),
    (
        "0002 words of records",
        """
        CREATE VIRTUAL TABLE words USING fts5 (
            context, action, result, tags, before, after, tokenize = 'porter unicode61'
        );
        CREATE VIRTUAL TABLE stems USING fts5vocab (words, row);
        """,
    ),
    (
        "0003 vectors of records",
        """
        CREATE TABLE vectors (row INTEGER PRIMARY KEY, embedder TEXT NOT NULL, vector BLOB NOT NULL);
        CREATE INDEX vectors_embedder ON vectors (embedder);
        CREATE TABLE state (name TEXT PRIMARY KEY, value NOT NULL);
        """,
    ),
    (
        "0004 searches, judgements and what was learned from them",
        """
        CREATE TABLE searches (
            id TEXT PRIMARY KEY,
            agent_id TEXT NOT NULL,
            query TEXT NOT NULL,
            routing TEXT NOT NULL,
            served TEXT NOT NULL,
            candidates TEXT NOT NULL,
            searched_at REAL NOT NULL
        );
        CREATE INDEX searches_agent ON searches (agent_id, searched_at);
        CREATE TABLE judgements (
            number INTEGER PRIMARY KEY,
            search_id TEXT,
            record_id TEXT NOT NULL,
            agent_id TEXT NOT NULL,
            score REAL NOT NULL,
            source TEXT NOT NULL,
            judged_at REAL NOT NULL
        );
        CREATE INDEX judgements_record ON judgements (record_id, search_id);
        CREATE TABLE q_values (
            decision TEXT NOT NULL,
            state TEXT NOT NULL,
            action TEXT NOT NULL,
            value REAL NOT NULL,
            updates INTEGER NOT NULL,
            updated_at REAL NOT NULL,
            PRIMARY KEY (decision, state, action)
        );
        CREATE TABLE explorations (
            decision TEXT NOT NULL,
            state TEXT NOT NULL,
            searches INTEGER NOT NULL,
            PRIMARY KEY (decision, state)
        );
        CREATE TABLE q_history (
            number INTEGER PRIMARY KEY,
            decision TEXT NOT NULL,
            state TEXT NOT NULL,
            action TEXT NOT NULL,
            value REAL NOT NULL,
            learned_at REAL NOT NULL
        );
        CREATE TABLE utilities (
            record_id TEXT PRIMARY KEY,
            helped REAL NOT NULL,
            hindered REAL NOT NULL,
            updated_at REAL NOT NULL
        );
        """,
    ),
    (
        "0005 outcomes and checks",
        """
        CREATE TABLE outcomes (
            number INTEGER PRIMARY KEY,
            record_id TEXT NOT NULL,
            agent_id TEXT NOT NULL,
            kind TEXT NOT NULL,
            task TEXT,
            context TEXT NOT NULL,
            action TEXT NOT NULL,
            outcome REAL NOT NULL,
            error TEXT NOT NULL DEFAULT '',
            signature TEXT NOT NULL DEFAULT '',
            happened_at REAL NOT NULL,
            context_key TEXT NOT NULL,
            action_key TEXT NOT NULL
        );
        CREATE INDEX outcomes_key ON outcomes (context_key, action_key, agent_id);
        CREATE INDEX outcomes_signature ON outcomes (agent_id, signature) WHERE signature != '';
        CREATE INDEX outcomes_task ON outcomes (task) WHERE task IS NOT NULL;
        CREATE INDEX outcomes_record ON outcomes (record_id);
        CREATE TABLE applied (
            number INTEGER PRIMARY KEY,
            record_id TEXT NOT NULL,
            agent_id TEXT NOT NULL,
            task TEXT NOT NULL,
            applied_at REAL NOT NULL,
            credited_at REAL
        );
        CREATE INDEX applied_task ON applied (agent_id, task) WHERE credited_at IS NULL;
        CREATE TABLE checks (
            id TEXT PRIMARY KEY,
            agent_id TEXT NOT NULL,
            pattern TEXT NOT NULL,
            spec TEXT NOT NULL,
            state TEXT NOT NULL,
            held INTEGER NOT NULL DEFAULT 0,
            failed INTEGER NOT NULL DEFAULT 0,
            created_at REAL NOT NULL,
            updated_at REAL NOT NULL
        );
        CREATE INDEX checks_pattern ON checks (agent_id, pattern);
        """,
    ),
    (
        "0006 grants, audit and consolidations",
        """
        CREATE TABLE grants (
            id TEXT PRIMARY KEY,
            from_agent TEXT NOT NULL,
            to_agent TEXT NOT NULL,
            scope TEXT NOT NULL,
            value TEXT NOT NULL,
            purpose TEXT NOT NULL,
            created_at REAL NOT NULL,
            expires_at REAL,
            revoked_at REAL
        );
        CREATE INDEX grants_to ON grants (to_agent, from_agent);
        CREATE TABLE audit (
            number INTEGER PRIMARY KEY,
            happened_at REAL NOT NULL,
            agent_id TEXT NOT NULL,
            event TEXT NOT NULL,
            subject TEXT NOT NULL,
            detail TEXT NOT NULL,
            previous TEXT NOT NULL,
            hash TEXT NOT NULL
        );
        CREATE TRIGGER audit_keeps BEFORE DELETE ON audit
            BEGIN SELECT RAISE(ABORT, 'the log is never shortened'); END;
        CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'the log is never changed'); END;
        CREATE TRIGGER audit_grows BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE number = NEW.number)
            BEGIN SELECT RAISE(ABORT, 'the log is never changed'); END;
        CREATE TABLE consolidations (
            id TEXT PRIMARY KEY,
            agent_id TEXT NOT NULL,
            state TEXT NOT NULL,
            plan TEXT NOT NULL,
            before TEXT NOT NULL DEFAULT '',
            created_at REAL NOT NULL,
            applied_at REAL,
            undone_at REAL
        );
        CREATE INDEX consolidations_agent ON consolidations (agent_id, created_at);
        """,
    ),
    (
        "0007 words of scripts without blanks",
        """
        UPDATE words SET context = apart(context), action = apart(action), result = apart(result), tags = apart(tags),
            before = apart(before), after = apart(after)
        WHERE apart(context || action || result || tags || before || after)
            <> context || action || result || tags || before || after;
        UPDATE vectors SET embedder = '' WHERE embedder = 'hashing-512'
            AND row IN (SELECT row FROM records WHERE apart(context || action || result) <> context || action || result);
        """,
    ),
    (
        "0008 the head of the log",
        """
        CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), entries INTEGER NOT NULL, hash TEXT NOT NULL);
        INSERT INTO audit_head SELECT 1, count(*), coalesce(
            (SELECT hash FROM audit ORDER BY number DESC LIMIT 1), printf('%064d', 0)
        ) FROM audit;
        CREATE TRIGGER audit_counts AFTER INSERT ON audit
            BEGIN UPDATE audit_head SET entries = entries + 1, hash = NEW.hash; END;
        CREATE TRIGGER audit_head_keeps BEFORE DELETE ON audit_head
            BEGIN SELECT RAISE(ABORT, 'the log never forgets its head'); END;
        CREATE TRIGGER audit_head_stays BEFORE INSERT ON audit_head
            BEGIN SELECT RAISE(ABORT, 'the log has never two heads'); END;
        CREATE TRIGGER audit_head_grows BEFORE UPDATE ON audit_head WHEN NEW.entries != OLD.entries + 1
            BEGIN SELECT RAISE(ABORT, 'the head of the log is never changed'); END;
        """,
    ),
    (
        "0009 who tried",
        """
        ALTER TABLE outcomes ADD COLUMN origin TEXT;
        """,
    ),
)
