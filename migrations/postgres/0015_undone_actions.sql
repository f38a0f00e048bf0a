-- What was done can be undone by a step of its own. How is laid down when it is done: the tool, its arguments and its key.
ALTER TABLE actions ADD COLUMN undo JSONB;
-- The action that this one undoes.
ALTER TABLE actions ADD COLUMN undoes UUID;
-- The action that has undone this one.
ALTER TABLE actions ADD COLUMN undone_by UUID;
