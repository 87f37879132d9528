-- How often a message came back: a process that dies over one leaves a trace.
ALTER TABLE messages ADD COLUMN redeliveries INTEGER NOT NULL DEFAULT 0;
