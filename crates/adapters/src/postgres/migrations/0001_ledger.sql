-- The write model. Versions of documents are the unit of everything.
--
-- Rows that are written once per version refer to others without FOREIGN KEY: nothing they
-- refer to is ever removed, and the checks would lock one collection's row from every
-- transaction. What changes often or is short-lived (in_flight, unswept) stands in small tables
-- of its own, so that moving a version updates its row in place (no indexed column changes).

CREATE TABLE tenants (
    tenant_ref bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE collections (
    collection_ref    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_ref        bigint NOT NULL REFERENCES tenants,
    name              text COLLATE "C" NOT NULL,
    pipeline          text NOT NULL,
    active_generation integer NOT NULL,
    UNIQUE (tenant_ref, name)
);

-- One complete build of a collection under one epoch.
CREATE TABLE generations (
    collection_ref bigint NOT NULL REFERENCES collections,
    generation     integer NOT NULL,
    epoch          bytea NOT NULL,
    state          text NOT NULL CHECK (state IN ('building', 'active', 'kept', 'dropped')),
    PRIMARY KEY (collection_ref, generation)
);

-- The row of a document is its lock: whoever changes its versions holds it.
CREATE TABLE documents (
    document_ref   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    collection_ref bigint NOT NULL,
    document_id    text COLLATE "C" NOT NULL,
    latest_version bigint NOT NULL,
    UNIQUE (collection_ref, document_id)
) WITH (fillfactor = 90);

-- state: 0 accepted, 1 chunked, 2 embedded, 3 visible, 4 superseded, 5 dead.
-- deletes is a tombstone.
CREATE TABLE versions (
    document_ref bigint NOT NULL,
    version      bigint NOT NULL,
    content_hash bytea NOT NULL,
    body_bytes   bigint NOT NULL,
    deletes      boolean NOT NULL,
    state        smallint NOT NULL,
    accepted_ms  bigint NOT NULL,
    updated_ms   bigint NOT NULL,
    PRIMARY KEY (document_ref, version)
) WITH (fillfactor = 70);

-- Every version with state < 3; not published is the outbox.
CREATE TABLE in_flight (
    document_ref bigint NOT NULL,
    version      bigint NOT NULL,
    accepted_ms  bigint NOT NULL,
    published    boolean NOT NULL,
    PRIMARY KEY (document_ref, version)
);

CREATE INDEX in_flight_unpublished ON in_flight (accepted_ms, document_ref, version) WHERE NOT published;

-- Every version with state > 3 whose vectors may remain.
CREATE TABLE unswept (
    document_ref bigint NOT NULL,
    version      bigint NOT NULL,
    PRIMARY KEY (document_ref, version)
);

-- Bodies, and what was said about them, stand apart, so that walking versions does not read
-- them.
CREATE TABLE bodies (
    document_ref bigint NOT NULL,
    version      bigint NOT NULL,
    description  text NOT NULL,
    body         bytea NOT NULL,
    PRIMARY KEY (document_ref, version)
);

-- What the chunk stage made of a version for one generation.
CREATE TABLE spans (
    document_ref bigint NOT NULL,
    version      bigint NOT NULL,
    generation   integer NOT NULL,
    chunk_count  integer NOT NULL,
    spans        bytea NOT NULL,
    PRIMARY KEY (document_ref, version, generation)
);

CREATE TABLE dead_letters (
    dead_ref     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    document_ref bigint NOT NULL,
    version      bigint NOT NULL,
    stage        text NOT NULL,
    code         text NOT NULL,
    detail       text NOT NULL,
    died_ms      bigint NOT NULL
);

CREATE INDEX dead_letters_version ON dead_letters (document_ref, version);

-- used_period: when an entry was used last, in periods of the ledger port. Vectors do not
-- compress, and up to 8 KB they stay in the row.
CREATE TABLE embedding_cache (
    embedding_key bytea PRIMARY KEY,
    used_period   bigint NOT NULL,
    vector        bytea NOT NULL
) WITH (toast_tuple_target = 8160);

ALTER TABLE embedding_cache ALTER COLUMN vector SET STORAGE EXTERNAL;

CREATE INDEX embedding_cache_used ON embedding_cache (used_period);

-- The running total of the cache, in bytes. One row.
CREATE TABLE cache_usage (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    bytes    bigint NOT NULL
);

INSERT INTO cache_usage (bytes) VALUES (0);

-- Who leads what, and until when by this server's clock.
CREATE TABLE leases (
    role    text PRIMARY KEY,
    holder  text NOT NULL,
    ends_at timestamptz NOT NULL
);
