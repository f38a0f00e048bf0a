-- Who rings, for clients whose agents remember callers. The first schema had a table for them to which nothing was ever
-- written.
DROP TABLE customers;

CREATE TABLE customers (
    id            BLOB NOT NULL PRIMARY KEY,
    client_id     BLOB NOT NULL REFERENCES clients (id),
    e164          TEXT NOT NULL,
    name          TEXT,
    -- What they spoke last: en, hi or hi-Latn.
    language      TEXT CHECK (language IS NULL OR language IN ('en', 'hi', 'hi-Latn')),
    -- Answered calls, the one that is up included.
    calls         BIGINT NOT NULL CHECK (calls >= 0),
    first_call_at TEXT,
    last_call_at  TEXT,
    last_call_id  BLOB,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    -- From then on nobody is told of them.
    expires_at    TEXT NOT NULL,
    UNIQUE (client_id, e164)
);
CREATE INDEX customers_by_client ON customers (client_id, id);
CREATE INDEX customers_by_last_call ON customers (client_id, (COALESCE(last_call_at, created_at)));
CREATE INDEX customers_by_expiry ON customers (expires_at, id);

-- What they told of themselves, or an operator wrote.
CREATE TABLE customer_facts (
    id          BLOB NOT NULL PRIMARY KEY,
    client_id   BLOB NOT NULL REFERENCES clients (id),
    customer_id BLOB NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 40),
    value       TEXT NOT NULL CHECK (length(value) BETWEEN 1 AND 300),
    -- The call it was told in; it may be older than calls are kept.
    call_id     BLOB,
    created_at  TEXT NOT NULL,
    updated_at  TEXT NOT NULL,
    expires_at  TEXT NOT NULL,
    UNIQUE (customer_id, name)
);
CREATE INDEX customer_facts_by_expiry ON customer_facts (expires_at, id);
CREATE INDEX customer_facts_by_client ON customer_facts (client_id, updated_at);

-- What was done under an idempotency key, also after the customer is gone: holds nothing of them.
CREATE TABLE customer_changes (
    idempotency_key TEXT NOT NULL PRIMARY KEY,
    client_id       BLOB NOT NULL REFERENCES clients (id),
    created_at      TEXT NOT NULL
);
CREATE INDEX customer_changes_by_time ON customer_changes (created_at);

-- Set once its caller is counted as a customer, or is not to be counted because they were forgotten meanwhile.
ALTER TABLE calls ADD COLUMN customer_mark BLOB;
