-- What producers keep collections in step with. An item may be reported before its document is accepted, so
-- it goes by id. run: the last run that saw it.

CREATE TABLE sources (
    source_ref     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_ref bigint NOT NULL,
    name           text COLLATE "C" NOT NULL,
    run            bigint NOT NULL,
    finished_run   bigint NOT NULL,
    begun_ms       bigint NOT NULL,
    finished_ms    bigint,
    UNIQUE (collection_ref, name)
);

CREATE TABLE source_documents (
    source_ref  bigint NOT NULL,
    document_id text COLLATE "C" NOT NULL,
    run         bigint NOT NULL,
    fingerprint text,
    version     bigint,
    PRIMARY KEY (source_ref, document_id)
);
