-- An action that needs the caller's yes is proposed, then confirmed or withdrawn, before it runs. SQLite cannot change a
-- check, so the table is made anew; nothing refers to it.
CREATE TABLE actions_new (
    id              BLOB NOT NULL PRIMARY KEY,
    call_id         BLOB NOT NULL REFERENCES calls (id),
    client_id       BLOB NOT NULL REFERENCES clients (id),
    name            TEXT NOT NULL,
    idempotency_key TEXT NOT NULL UNIQUE,
    arguments       TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN
        ('proposed', 'confirmed', 'withdrawn', 'running', 'done', 'failed', 'unknown')),
    output          TEXT,
    attempts        BIGINT NOT NULL,
    started_ms      BIGINT NOT NULL,
    changed_ms      BIGINT NOT NULL,
    created_at      TEXT NOT NULL,
    changed_at      TEXT NOT NULL,
    revision        BLOB NOT NULL
);
INSERT INTO actions_new (id, call_id, client_id, name, idempotency_key, arguments, state, output, attempts, started_ms,
    changed_ms, created_at, changed_at, revision)
    SELECT id, call_id, client_id, name, idempotency_key, arguments, state, output, attempts, started_ms, changed_ms,
    created_at, changed_at, revision FROM actions;
DROP TABLE actions;
ALTER TABLE actions_new RENAME TO actions;
CREATE INDEX actions_by_call ON actions (call_id, id);
CREATE INDEX actions_by_time ON actions (created_at, id);
CREATE INDEX actions_by_client ON actions (client_id, created_at, id);
-- What is to be asked about is looked for every few seconds.
CREATE INDEX actions_unanswered ON actions (changed_at) WHERE state IN ('unknown', 'confirmed', 'running');
