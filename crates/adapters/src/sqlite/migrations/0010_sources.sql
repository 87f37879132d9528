-- What producers keep collections in step with. An item may be reported before its document is accepted, so
-- it goes by id. run: the last run that saw it.

CREATE TABLE sources (
    source_ref     INTEGER PRIMARY KEY,
    collection_ref INTEGER NOT NULL REFERENCES collections,
    name           TEXT    NOT NULL,
    run            INTEGER NOT NULL,
    finished_run   INTEGER NOT NULL,
    begun_ms       INTEGER NOT NULL,
    finished_ms    INTEGER,
    UNIQUE (collection_ref, name)
) STRICT;

CREATE TABLE source_documents (
    source_ref  INTEGER NOT NULL REFERENCES sources,
    document_id TEXT    NOT NULL,
    run         INTEGER NOT NULL,
    fingerprint TEXT,
    version     INTEGER,
    PRIMARY KEY (source_ref, document_id)
) STRICT, WITHOUT ROWID;
