-- The write model and the embedded queues. Versions of documents are the unit of everything.

CREATE TABLE tenants (
    tenant_ref INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE collections (
    collection_ref    INTEGER PRIMARY KEY,
    tenant_ref        INTEGER NOT NULL REFERENCES tenants,
    name              TEXT    NOT NULL,
    pipeline          TEXT    NOT NULL,
    active_generation INTEGER NOT NULL,
    UNIQUE (tenant_ref, name)
) STRICT;

-- One complete build of a collection under one epoch.
CREATE TABLE generations (
    collection_ref INTEGER NOT NULL REFERENCES collections,
    generation     INTEGER NOT NULL,
    epoch          BLOB    NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('building', 'active', 'kept', 'dropped')),
    PRIMARY KEY (collection_ref, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE documents (
    document_ref   INTEGER PRIMARY KEY,
    collection_ref INTEGER NOT NULL REFERENCES collections,
    document_id    TEXT    NOT NULL,
    latest_version INTEGER NOT NULL,
    UNIQUE (collection_ref, document_id)
) STRICT;

-- state: 0 accepted, 1 chunked, 2 embedded, 3 visible, 4 superseded, 5 dead.
-- deletes = 1 is a tombstone. published = 0 is the outbox. swept = 0 on a loser: vectors remain.
CREATE TABLE versions (
    document_ref INTEGER NOT NULL REFERENCES documents,
    version      INTEGER NOT NULL,
    content_hash BLOB    NOT NULL,
    description  TEXT    NOT NULL,
    body_bytes   INTEGER NOT NULL,
    deletes      INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    published    INTEGER NOT NULL,
    swept        INTEGER NOT NULL,
    accepted_ms  INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    PRIMARY KEY (document_ref, version)
) STRICT, WITHOUT ROWID;

CREATE INDEX versions_unpublished ON versions (accepted_ms) WHERE published = 0;
CREATE INDEX versions_unswept ON versions (updated_ms) WHERE swept = 0 AND state >= 4;

-- Bodies stand apart, so that walking versions does not read them.
CREATE TABLE bodies (
    document_ref INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    body         BLOB    NOT NULL,
    PRIMARY KEY (document_ref, version)
) STRICT;

-- What the chunk stage made of a version for one generation.
CREATE TABLE spans (
    document_ref INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    generation   INTEGER NOT NULL,
    chunk_count  INTEGER NOT NULL,
    spans        BLOB    NOT NULL,
    PRIMARY KEY (document_ref, version, generation)
) STRICT;

CREATE TABLE dead_letters (
    dead_ref     INTEGER PRIMARY KEY AUTOINCREMENT,
    document_ref INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    stage        TEXT    NOT NULL,
    code         TEXT    NOT NULL,
    detail       TEXT    NOT NULL,
    died_ms      INTEGER NOT NULL
) STRICT;

CREATE TABLE embedding_cache (
    embedding_key BLOB PRIMARY KEY,
    vector        BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The embedded queues. AUTOINCREMENT: an id never comes back, so a cursor can walk them.
CREATE TABLE messages (
    message_ref INTEGER PRIMARY KEY AUTOINCREMENT,
    queue       TEXT NOT NULL,
    body        BLOB NOT NULL
) STRICT;

CREATE INDEX messages_queue ON messages (queue, message_ref);

CREATE TABLE delayed_messages (
    delayed_ref INTEGER PRIMARY KEY,
    queue       TEXT    NOT NULL,
    due_ms      INTEGER NOT NULL,
    body        BLOB    NOT NULL
) STRICT;

CREATE INDEX delayed_messages_due ON delayed_messages (queue, due_ms);
