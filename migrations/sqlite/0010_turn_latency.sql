-- How long a caller waited for an answer, step by step: each column from the point before it. The total is from the end of
-- the caller's speech to the first frame heard. NULL where a point is not known, in turns that answer nothing, and in calls
-- written by earlier versions.
ALTER TABLE turns ADD COLUMN commit_gap_ms BIGINT;
ALTER TABLE turns ADD COLUMN first_audio_gap_ms BIGINT;
ALTER TABLE turns ADD COLUMN sent_gap_ms BIGINT;
ALTER TABLE turns ADD COLUMN heard_gap_ms BIGINT;
ALTER TABLE turns ADD COLUMN total_gap_ms BIGINT;
