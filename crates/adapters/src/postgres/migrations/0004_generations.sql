-- Several generations of a collection live side by side: each with its own pipeline, and with how
-- far a builder has prepared it. What a generation cannot have is written down, so that nothing
-- else waits for it.

ALTER TABLE generations
    ADD COLUMN pipeline             text NOT NULL DEFAULT '',
    ADD COLUMN paused               boolean NOT NULL DEFAULT false,
    ADD COLUMN documents_per_second integer,
    ADD COLUMN provider_percent     integer NOT NULL DEFAULT 50,
    ADD COLUMN cursor_position      bigint NOT NULL DEFAULT 0,
    ADD COLUMN prepared             bigint NOT NULL DEFAULT 0,
    ADD COLUMN created_ms           bigint NOT NULL DEFAULT 0,
    ADD COLUMN activated_ms         bigint,
    ADD COLUMN activated_at         bigint NOT NULL DEFAULT 0,
    ADD COLUMN drop_ms              bigint,
    ADD COLUMN cleared              boolean NOT NULL DEFAULT false;

UPDATE generations g SET pipeline = c.pipeline FROM collections c WHERE c.collection_ref = g.collection_ref;
ALTER TABLE collections DROP COLUMN pipeline;

CREATE UNIQUE INDEX generations_building ON generations (collection_ref) WHERE state = 'building';

CREATE TABLE build_failures (
    collection_ref bigint NOT NULL,
    generation     integer NOT NULL,
    document_ref   bigint NOT NULL,
    version        bigint NOT NULL,
    code           text NOT NULL,
    detail         text NOT NULL,
    PRIMARY KEY (collection_ref, generation, document_ref, version)
);
