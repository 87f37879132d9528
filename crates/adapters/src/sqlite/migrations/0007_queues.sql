-- A table for each queue: a message is then one entry of one tree, where it was also one of an index
-- over all queues.

CREATE TABLE messages_chunk (
    message_ref  INTEGER PRIMARY KEY AUTOINCREMENT,
    body         BLOB    NOT NULL,
    redeliveries INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE messages_embed (
    message_ref  INTEGER PRIMARY KEY AUTOINCREMENT,
    body         BLOB    NOT NULL,
    redeliveries INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE messages_index (
    message_ref  INTEGER PRIMARY KEY AUTOINCREMENT,
    body         BLOB    NOT NULL,
    redeliveries INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO messages_chunk SELECT message_ref, body, redeliveries FROM messages WHERE queue = 'chunk';
INSERT INTO messages_embed SELECT message_ref, body, redeliveries FROM messages WHERE queue = 'embed';
INSERT INTO messages_index SELECT message_ref, body, redeliveries FROM messages WHERE queue = 'index';
DROP TABLE messages;
