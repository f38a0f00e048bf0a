-- Who was rung back. The wish itself is the action `request_callback`; what is not here is still to be done. No reference to
-- the action: its table may have to be made anew one day.
CREATE TABLE callbacks_done (
    action_id UUID NOT NULL PRIMARY KEY,
    client_id UUID NOT NULL REFERENCES clients (id),
    done_at   TIMESTAMPTZ NOT NULL,
    -- The key that said so.
    done_by   UUID NOT NULL,
    note      TEXT
);
CREATE INDEX actions_callbacks ON actions (created_at, id) WHERE name = 'request_callback';
