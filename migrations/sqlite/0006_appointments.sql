-- What callers booked in their client's calendar. The first schema had a table for it to which nothing was ever written.
DROP TABLE appointments;

CREATE TABLE appointments (
    id              BLOB NOT NULL PRIMARY KEY,
    client_id       BLOB NOT NULL REFERENCES clients (id),
    -- The call that booked it; it may be older than calls are kept.
    call_id         BLOB,
    service         TEXT NOT NULL,
    -- Who is booked; empty where people have no names.
    person          TEXT NOT NULL,
    starts_at       TEXT NOT NULL,
    ends_at         TEXT NOT NULL,
    -- Whose it is: who may move it or call it off on the telephone.
    caller          TEXT,
    name            TEXT,
    state           TEXT NOT NULL CHECK (state IN ('booked', 'cancelled')),
    -- Of the action that booked it, and of the one that changed it last: repeated, they find it as it is.
    idempotency_key TEXT NOT NULL UNIQUE,
    changed_by      TEXT,
    created_at      TEXT NOT NULL,
    changed_at      TEXT NOT NULL
);
CREATE INDEX appointments_by_time ON appointments (client_id, starts_at, id);
CREATE INDEX appointments_by_caller ON appointments (client_id, caller, starts_at);

-- Whoever books in a client's calendar holds its row until the commit: two who want one time come one after the other.
CREATE TABLE calendars (
    client_id BLOB NOT NULL PRIMARY KEY REFERENCES clients (id),
    changes   BIGINT NOT NULL
);
