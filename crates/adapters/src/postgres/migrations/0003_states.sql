-- Small states that processes share: what providers' limiters know, rotated tokens, usage. They
-- are written often, so a page has room for the next version of its rows.
CREATE TABLE shared_states (
    name  text PRIMARY KEY,
    state text
) WITH (fillfactor = 50);

-- Texts that some process embeds right now, so that no other pays for them, too. They end by the
-- server's clock, should their process be gone.
CREATE TABLE embedding_claims (
    embedding_key bytea PRIMARY KEY,
    ends_at       timestamptz NOT NULL
) WITH (fillfactor = 70);
