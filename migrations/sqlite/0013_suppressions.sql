-- Numbers that a client does not ring any more, because whoever answers them said so in a call.
CREATE TABLE suppressions (
    id         BLOB NOT NULL PRIMARY KEY,
    client_id  BLOB NOT NULL REFERENCES clients (id),
    e164       TEXT NOT NULL,
    -- The call it was first said in; it may be older than calls are kept.
    call_id    BLOB,
    created_at TEXT NOT NULL,
    UNIQUE (client_id, e164)
);
CREATE INDEX suppressions_by_client ON suppressions (client_id, id);
