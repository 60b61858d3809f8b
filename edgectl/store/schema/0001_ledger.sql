-- The ledger's first shape. Frozen: a change is a new file with the next number.
-- Times are milliseconds since 1970 UTC. Bodies are JSON; those under a hash are stored in their canonical bytes.

CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The highest transaction number ever issued, so that retention of sessions can never lower it.
INSERT INTO meta (key, value) VALUES ('last_transaction_number', '0');

CREATE TABLE session (
    id TEXT PRIMARY KEY,
    charger TEXT NOT NULL,
    evse_number INTEGER NOT NULL,
    transaction_ref TEXT NOT NULL,
    status TEXT NOT NULL,
    started_utc_ms INTEGER NOT NULL,
    ended_utc_ms INTEGER,
    rev INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX session_open ON session (started_utc_ms) WHERE status = 'active';
CREATE INDEX session_by_start ON session (started_utc_ms);
CREATE INDEX session_by_end ON session (COALESCE(ended_utc_ms, started_utc_ms)) WHERE status <> 'active';

-- Transaction messages as they came.
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    charger TEXT NOT NULL,
    session_id TEXT,
    action TEXT NOT NULL,
    frame TEXT NOT NULL,
    received_utc_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX message_by_session ON message (session_id);

-- Billing records: numbered without a gap, each carrying the hash of the one before. Rows are never changed or deleted;
-- only the time of the receipt is added.
CREATE TABLE bill (
    seq INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL,
    rev INTEGER NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    body BLOB NOT NULL,
    created_utc_ms INTEGER NOT NULL,
    receipted_utc_ms INTEGER,
    UNIQUE (record_id, rev)
) STRICT;

-- What is owed to the backend, byte for byte. stream_seq is the number the backend knows: bill.seq or event.id.
-- AUTOINCREMENT, so that a number is not used again after the last row has gone.
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    stream TEXT NOT NULL,
    stream_seq INTEGER NOT NULL,
    record_id TEXT NOT NULL,
    rev INTEGER NOT NULL,
    topic_suffix TEXT NOT NULL,
    body BLOB NOT NULL,
    created_utc_ms INTEGER NOT NULL,
    sent_count INTEGER NOT NULL DEFAULT 0,
    sent_utc_ms INTEGER,
    parked_reason TEXT,
    parked_utc_ms INTEGER,
    UNIQUE (stream, stream_seq),
    UNIQUE (stream, record_id, rev)
) STRICT;
CREATE INDEX outbox_waiting ON outbox (stream, seq) WHERE parked_utc_ms IS NULL;
CREATE INDEX outbox_parked ON outbox (seq) WHERE parked_utc_ms IS NOT NULL;

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    at_utc_ms INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE limit_history (
    id INTEGER PRIMARY KEY,
    charger TEXT NOT NULL,
    evse_number INTEGER NOT NULL,
    at_utc_ms INTEGER NOT NULL,
    limit_ma INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX limit_by_evse ON limit_history (charger, evse_number, at_utc_ms);

CREATE TABLE receipt (
    id INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    epoch TEXT NOT NULL,
    acked_through INTEGER,
    is_applied INTEGER NOT NULL,
    body TEXT NOT NULL,
    at_utc_ms INTEGER NOT NULL
) STRICT;
