-- What the recogniser wrote, where it wrote Hindi in letters of another script: the text beside it is in Devanagari.
ALTER TABLE turns ADD COLUMN raw TEXT;
