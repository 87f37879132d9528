-- A dropped collection is hidden at once, with 0 as its active generation and a name that no collection
-- can have. Its rows go in steps. Its generations stay listed here until their stores are gone.

CREATE TABLE dropped_generations (
    tenant     TEXT    NOT NULL,
    collection TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    epoch      BLOB    NOT NULL,
    pipeline   TEXT    NOT NULL,
    dropped_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, collection, generation)
) STRICT, WITHOUT ROWID;

-- The highest generation that collections of a name had. A new one continues from there.
CREATE TABLE used_generations (
    tenant     TEXT    NOT NULL,
    collection TEXT    NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (tenant, collection)
) STRICT, WITHOUT ROWID;
