-- Commands that were let in, so that none runs twice, also over a restart, and a repeat gets the same answer.
-- A row without an answer after a start is one that was under way when the daemon ended.
CREATE TABLE command (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    received_utc_ms INTEGER NOT NULL,
    expires_utc_ms INTEGER NOT NULL,
    answer BLOB
) STRICT;
CREATE INDEX command_by_expiry ON command (expires_utc_ms);
