-- A dropped collection is hidden at once, with 0 as its active generation and a name that no collection
-- can have. Its rows go in steps. Its generations stay listed here until their stores are gone.

ALTER TABLE collections ADD COLUMN hidden_at timestamptz;

CREATE TABLE dropped_generations (
    tenant     text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    epoch      bytea NOT NULL,
    pipeline   text NOT NULL,
    dropped_ms bigint NOT NULL,
    PRIMARY KEY (tenant, collection, generation)
);

-- The highest generation that collections of a name had. A new one continues from there.
CREATE TABLE used_generations (
    tenant     text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    PRIMARY KEY (tenant, collection)
);
