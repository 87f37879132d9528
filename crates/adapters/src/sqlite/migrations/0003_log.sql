-- The log of visible versions, one entry per document: its position is the newest change of it.
-- A document that becomes visible again moves to the end, so the log never grows beyond the
-- documents, and whoever reads it from 0 gets every document's present state.

ALTER TABLE collections ADD COLUMN log_position INTEGER NOT NULL DEFAULT 0;
ALTER TABLE documents ADD COLUMN log_position INTEGER;

UPDATE documents SET log_position = document_ref WHERE EXISTS
    (SELECT 1 FROM versions v WHERE v.document_ref = documents.document_ref AND v.state = 3);
UPDATE collections SET log_position = COALESCE(
    (SELECT MAX(d.log_position) FROM documents d WHERE d.collection_ref = collections.collection_ref), 0);

CREATE UNIQUE INDEX documents_log ON documents (collection_ref, log_position) WHERE log_position IS NOT NULL;
