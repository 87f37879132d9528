-- Several generations of a collection live side by side: each with its own pipeline, and with how
-- far a builder has prepared it. What a generation cannot have is written down, so that nothing
-- else waits for it.

ALTER TABLE generations ADD COLUMN pipeline TEXT NOT NULL DEFAULT '';
ALTER TABLE generations ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN documents_per_second INTEGER;
ALTER TABLE generations ADD COLUMN provider_percent INTEGER NOT NULL DEFAULT 50;
ALTER TABLE generations ADD COLUMN cursor_position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN prepared INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN created_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN activated_ms INTEGER;
ALTER TABLE generations ADD COLUMN activated_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE generations ADD COLUMN drop_ms INTEGER;
ALTER TABLE generations ADD COLUMN cleared INTEGER NOT NULL DEFAULT 0;

UPDATE generations SET pipeline =
    (SELECT c.pipeline FROM collections c WHERE c.collection_ref = generations.collection_ref);
ALTER TABLE collections DROP COLUMN pipeline;

CREATE UNIQUE INDEX generations_building ON generations (collection_ref) WHERE state = 'building';

CREATE TABLE build_failures (
    collection_ref INTEGER NOT NULL,
    generation     INTEGER NOT NULL,
    document_ref   INTEGER NOT NULL,
    version        INTEGER NOT NULL,
    code           TEXT    NOT NULL,
    detail         TEXT    NOT NULL,
    PRIMARY KEY (collection_ref, generation, document_ref, version)
) STRICT, WITHOUT ROWID;
