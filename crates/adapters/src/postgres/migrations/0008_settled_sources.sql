-- What a run that found everything in step found: see SettledSource of the port.

ALTER TABLE sources ADD COLUMN settled_fingerprint text;
ALTER TABLE sources ADD COLUMN settled_accepted bigint;
