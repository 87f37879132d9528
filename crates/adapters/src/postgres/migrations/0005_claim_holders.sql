-- Who claimed a text, so that only that handle renews or gives up its claim. A program that does not
-- know the column goes on without a name.
ALTER TABLE embedding_claims ADD COLUMN holder text NOT NULL DEFAULT '';
