-- Who was rung back. The wish itself is the action `request_callback`; what is not here is still to be done. No reference to
-- the action: its table may have to be made anew one day.
CREATE TABLE callbacks_done (
    action_id BLOB NOT NULL PRIMARY KEY,
    client_id BLOB NOT NULL REFERENCES clients (id),
    done_at   TEXT NOT NULL,
    -- The key that said so.
    done_by   BLOB NOT NULL,
    note      TEXT
);
CREATE INDEX actions_callbacks ON actions (created_at, id) WHERE name = 'request_callback';
