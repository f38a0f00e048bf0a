-- An action that needs the caller's yes is proposed, then confirmed or withdrawn, before it runs.
ALTER TABLE actions DROP CONSTRAINT actions_state_check;
ALTER TABLE actions ADD CONSTRAINT actions_state_check CHECK (state IN
    ('proposed', 'confirmed', 'withdrawn', 'running', 'done', 'failed', 'unknown'));
-- What is to be asked about is looked for every few seconds.
CREATE INDEX actions_unanswered ON actions (changed_at) WHERE state IN ('unknown', 'confirmed', 'running');
