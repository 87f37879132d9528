-- The embedding cache gets a bound: when each entry was used last (in periods of the ledger
-- port), and a running total, so that no insert has to count. What is there already counts as
-- unused, and goes first.
--
-- Vectors stand in the order they came, and only the small index is in the order of the keys:
-- in the order of hashes, every insert would dirty a page of its own.

CREATE TABLE embedding_cache_2 (
    cache_ref     INTEGER PRIMARY KEY,
    embedding_key BLOB    NOT NULL UNIQUE,
    vector        BLOB    NOT NULL,
    used_period   INTEGER NOT NULL
) STRICT;

INSERT INTO embedding_cache_2 (embedding_key, vector, used_period)
SELECT embedding_key, vector, 0 FROM embedding_cache;
DROP TABLE embedding_cache;
ALTER TABLE embedding_cache_2 RENAME TO embedding_cache;

CREATE INDEX embedding_cache_used ON embedding_cache (used_period);

-- One row. An entry takes the bytes of its vector and 128 more.
CREATE TABLE cache_usage (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    bytes    INTEGER NOT NULL
) STRICT;

INSERT INTO cache_usage (only_row, bytes)
SELECT 1, COALESCE(SUM(LENGTH(vector) + 128), 0) FROM embedding_cache;
