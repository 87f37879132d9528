-- The embedding cache gets a bound: when each entry was used last (in periods of the ledger
-- port), and a running total, so that no insert has to count. What is there already counts as
-- unused, and goes first.

ALTER TABLE embedding_cache ADD COLUMN used_period INTEGER NOT NULL DEFAULT 0;

CREATE INDEX embedding_cache_used ON embedding_cache (used_period);

-- One row. An entry takes the bytes of its vector and 128 more.
CREATE TABLE cache_usage (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    bytes    INTEGER NOT NULL
) STRICT;

INSERT INTO cache_usage (only_row, bytes)
SELECT 1, COALESCE(SUM(LENGTH(vector) + 128), 0) FROM embedding_cache;
