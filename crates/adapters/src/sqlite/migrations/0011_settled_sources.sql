-- What a run that found everything in step found: see SettledSource of the port.

ALTER TABLE sources ADD COLUMN settled_fingerprint TEXT;
ALTER TABLE sources ADD COLUMN settled_accepted INTEGER;
