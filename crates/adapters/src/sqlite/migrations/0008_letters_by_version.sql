-- Histories and lists of documents ask for the letter of each version.
CREATE INDEX dead_letters_version ON dead_letters (document_ref, version);
