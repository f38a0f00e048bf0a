-- Changing things over HTTP, and the feed of what happens in calls.

-- After a rotation the former key may hold a while longer, so that URLs can be replaced one after another.
ALTER TABLE clients ADD COLUMN former_webhook_secret_hash BYTEA;
ALTER TABLE clients ADD COLUMN former_webhook_secret_until TIMESTAMPTZ;

ALTER TABLE api_keys ADD COLUMN expires_at TIMESTAMPTZ;
CREATE INDEX api_keys_by_client ON api_keys (client_id, id);

CREATE INDEX calls_by_caller ON calls (caller, admitted_at, id);
CREATE INDEX calls_by_called ON calls (called, admitted_at, id);

-- What happened in calls, in the order of commit and without gaps in seq: whoever has seen one seq can ask for the next.
-- Holds no speech, no keys and no whole phone numbers. Only ever added to at the end and trimmed at the beginning.
CREATE TABLE feed (
    seq       BIGINT NOT NULL PRIMARY KEY,
    -- What it tells of, so that a repeated batch tells it once.
    entry     UUID NOT NULL UNIQUE,
    kind      TEXT NOT NULL,
    client_id UUID NOT NULL,
    call_id   UUID,
    -- The turn of an event that tells of one.
    turn_id   UUID,
    body      JSONB NOT NULL,
    -- When it happened, and when it was written down here.
    at        TIMESTAMPTZ NOT NULL,
    noted_at  TIMESTAMPTZ NOT NULL
);

-- One row: the last seq given out and the last one trimmed. Its lock is held until commit, which orders the seqs.
CREATE TABLE feed_head (
    one     BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    last    BIGINT NOT NULL,
    trimmed BIGINT NOT NULL
);
INSERT INTO feed_head (one, last, trimmed) VALUES (1, 0, 0);
