-- Small states that outlive a process: what providers' limiters know, rotated tokens, usage.
CREATE TABLE shared_states (
    name  TEXT PRIMARY KEY,
    state TEXT NOT NULL
) WITHOUT ROWID;
