-- The first schema. The other engine's directory holds the same tables under the same names, so that one statement
-- text serves both: integers are BIGINT, ids are UUID v7 made by Caly, times are UTC cut to microseconds.

-- The businesses whose phone is answered. Secrets that are only compared are kept as SHA-256.
CREATE TABLE clients (
    id                  BLOB NOT NULL PRIMARY KEY,
    slug                TEXT NOT NULL UNIQUE,
    name                TEXT NOT NULL,
    disabled            BOOLEAN NOT NULL,
    answer_style        TEXT NOT NULL CHECK (answer_style IN ('json', 'exoml')),
    max_calls           BIGINT CHECK (max_calls IS NULL OR max_calls >= 0),
    ip_allow_list       TEXT NOT NULL,
    basic_user          TEXT,
    basic_password_hash BLOB,
    webhook_secret_hash BLOB NOT NULL,
    -- In clear, because they sign: the carrier proxy's signature and the client's own HTTPS actions.
    signature_secret    TEXT,
    http_secret         TEXT NOT NULL,
    created_at          TEXT NOT NULL,
    updated_at          TEXT NOT NULL
);

-- A number belongs to one client.
CREATE TABLE numbers (
    id         BLOB NOT NULL PRIMARY KEY,
    client_id  BLOB NOT NULL REFERENCES clients (id),
    e164       TEXT NOT NULL UNIQUE,
    label      TEXT,
    created_at TEXT NOT NULL
);
CREATE INDEX numbers_client ON numbers (client_id, id);

-- Versions of how a client's calls are conducted; a version never changes, publishing adds one.
CREATE TABLE agents (
    id         BLOB NOT NULL PRIMARY KEY,
    client_id  BLOB NOT NULL REFERENCES clients (id),
    version    BIGINT NOT NULL,
    name       TEXT NOT NULL,
    settings   TEXT NOT NULL,
    published  BOOLEAN NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (client_id, version)
);
-- At most one version of a client is the one in use.
CREATE UNIQUE INDEX agents_published ON agents (client_id) WHERE published;

-- One row a phone call, whoever tells of it first: Caly's journal or the carrier's webhook. agent_id stays NULL for a
-- call that only the carrier told of. The agent is named without a foreign key: a call may be admitted from a snapshot
-- that is older than the table.
CREATE TABLE calls (
    id                 BLOB NOT NULL PRIMARY KEY,
    client_id          BLOB NOT NULL REFERENCES clients (id),
    agent_id           BLOB,
    agent_version      BIGINT,
    carrier            TEXT NOT NULL,
    carrier_call_id    TEXT NOT NULL,
    caller             TEXT,
    called             TEXT,
    direction          TEXT CHECK (direction IN ('inbound', 'outbound')),
    state              TEXT NOT NULL CHECK (state IN ('admitted', 'live', 'ended')),
    admitted_at        TEXT NOT NULL,
    answered_at        TEXT,
    ended_at           TEXT,
    -- Who said that it ended; 'carrier' and 'restart' give way to 'caly'.
    ended_by           TEXT CHECK (ended_by IN ('caly', 'carrier', 'restart')),
    end_reason         TEXT,
    duration_ms        BIGINT,
    rate               BIGINT,
    after_stream       TEXT CHECK (after_stream IN ('hang_up', 'transfer')),
    summary            TEXT,
    text_in            BIGINT NOT NULL,
    text_cached        BIGINT NOT NULL,
    audio_in           BIGINT NOT NULL,
    audio_cached       BIGINT NOT NULL,
    text_out           BIGINT NOT NULL,
    audio_out          BIGINT NOT NULL,
    cost_micro_usd     BIGINT NOT NULL,
    degraded           TEXT NOT NULL,
    -- The carrier's own view of the call.
    carrier_status     TEXT,
    carrier_duration_s BIGINT,
    carrier_ended_at   TEXT,
    UNIQUE (carrier, carrier_call_id)
);
CREATE INDEX calls_by_time ON calls (admitted_at, id);
CREATE INDEX calls_by_client ON calls (client_id, admitted_at, id);
CREATE INDEX calls_not_ended ON calls (admitted_at, id) WHERE state <> 'ended';

-- What was said, as heard. revision is the journal entry that wrote the row: an older one never overwrites a newer.
CREATE TABLE turns (
    id          BLOB NOT NULL PRIMARY KEY,
    call_id     BLOB NOT NULL REFERENCES calls (id),
    speaker     TEXT NOT NULL CHECK (speaker IN ('caller', 'agent')),
    text        TEXT NOT NULL,
    unheard     TEXT NOT NULL,
    interrupted BOOLEAN NOT NULL,
    started_ms  BIGINT NOT NULL,
    ended_ms    BIGINT NOT NULL,
    latency_ms  BIGINT,
    at          TEXT NOT NULL,
    revision    BLOB NOT NULL
);
CREATE INDEX turns_by_call ON turns (call_id, started_ms, id);

-- Everything else worth knowing of a call. The id is the journal entry's, which sorts in the order of recording.
CREATE TABLE call_events (
    id      BLOB NOT NULL PRIMARY KEY,
    call_id BLOB NOT NULL REFERENCES calls (id),
    kind    TEXT NOT NULL,
    detail  TEXT NOT NULL,
    at_ms   BIGINT NOT NULL,
    at      TEXT NOT NULL
);
CREATE INDEX call_events_by_call ON call_events (call_id, id);

-- What a caller's turn was taken to mean. The turn is named without a foreign key: it may be written after.
CREATE TABLE intents (
    id         BLOB NOT NULL PRIMARY KEY,
    call_id    BLOB NOT NULL REFERENCES calls (id),
    turn_id    BLOB NOT NULL,
    intent     TEXT NOT NULL,
    confidence DOUBLE PRECISION NOT NULL,
    entities   TEXT NOT NULL,
    at_ms      BIGINT NOT NULL,
    at         TEXT NOT NULL
);
CREATE INDEX intents_by_call ON intents (call_id, id);

-- What was done because of a call. One idempotency key is one action, whoever tries it again.
CREATE TABLE actions (
    id              BLOB NOT NULL PRIMARY KEY,
    call_id         BLOB NOT NULL REFERENCES calls (id),
    client_id       BLOB NOT NULL REFERENCES clients (id),
    name            TEXT NOT NULL,
    idempotency_key TEXT NOT NULL UNIQUE,
    arguments       TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'unknown')),
    output          TEXT,
    attempts        BIGINT NOT NULL,
    started_ms      BIGINT NOT NULL,
    changed_ms      BIGINT NOT NULL,
    created_at      TEXT NOT NULL,
    changed_at      TEXT NOT NULL,
    revision        BLOB NOT NULL
);
CREATE INDEX actions_by_call ON actions (call_id, id);
CREATE INDEX actions_by_time ON actions (created_at, id);
CREATE INDEX actions_by_client ON actions (client_id, created_at, id);

-- People who rang.
CREATE TABLE customers (
    id         BLOB NOT NULL PRIMARY KEY,
    client_id  BLOB NOT NULL REFERENCES clients (id),
    e164       TEXT NOT NULL,
    name       TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    UNIQUE (client_id, e164)
);

CREATE TABLE appointments (
    id              BLOB NOT NULL PRIMARY KEY,
    client_id       BLOB NOT NULL REFERENCES clients (id),
    customer_id     BLOB REFERENCES customers (id),
    call_id         BLOB,
    idempotency_key TEXT NOT NULL UNIQUE,
    starts_at       TEXT NOT NULL,
    ends_at         TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('booked', 'cancelled')),
    notes           TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL
);
CREATE INDEX appointments_by_time ON appointments (client_id, starts_at, id);

-- Recordings are told of by the carrier's id and may come before the call's row: no foreign key to it.
CREATE TABLE recordings (
    id              BLOB NOT NULL PRIMARY KEY,
    client_id       BLOB NOT NULL REFERENCES clients (id),
    carrier         TEXT NOT NULL,
    carrier_call_id TEXT NOT NULL,
    source          TEXT NOT NULL CHECK (source IN ('carrier', 'caly')),
    location        TEXT NOT NULL,
    duration_ms     BIGINT,
    received_at     TEXT NOT NULL,
    UNIQUE (carrier, carrier_call_id, location)
);

-- Who did what. Rows are only ever added.
CREATE TABLE audit_log (
    id        BLOB NOT NULL PRIMARY KEY,
    at        TEXT NOT NULL,
    actor     TEXT NOT NULL,
    client_id BLOB,
    action    TEXT NOT NULL,
    outcome   TEXT NOT NULL,
    remote    TEXT,
    detail    TEXT NOT NULL
);
CREATE INDEX audit_log_by_time ON audit_log (at, id);
CREATE INDEX audit_log_by_client ON audit_log (client_id, at, id);

-- Keys of the admin API; only the SHA-256 is kept.
CREATE TABLE api_keys (
    id           BLOB NOT NULL PRIMARY KEY,
    prefix       TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    role         TEXT NOT NULL CHECK (role IN ('admin', 'operator', 'viewer')),
    client_id    BLOB REFERENCES clients (id),
    name         TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    last_used_at TEXT,
    revoked_at   TEXT
);
