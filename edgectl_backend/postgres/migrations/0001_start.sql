-- The backend's first shape. Frozen: a change is a new file with the next number.
-- Bodies are kept as the bytes that came, since hashes are over them; what is asked for has a column.

-- What is billed: the first content under a revision's name, for ever.
CREATE TABLE record (
    site text NOT NULL,
    record_id text NOT NULL,
    rev bigint NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site, record_id, rev)
);

-- Each ledger's numbers. A salvaged ledger names a record again under a number of its own.
CREATE TABLE link (
    site text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    prev_hash bytea NOT NULL,
    hash bytea NOT NULL,
    record_id text NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (site, epoch, seq)
);

-- How far each ledger has been walked.
CREATE TABLE chain (
    site text NOT NULL,
    epoch text NOT NULL,
    through_seq bigint NOT NULL DEFAULT 0,
    through_hash bytea NOT NULL DEFAULT decode(repeat('0', 64), 'hex'),
    highest_seq bigint NOT NULL DEFAULT 0,
    missing_count bigint NOT NULL DEFAULT 0,
    gap_since timestamptz,
    first_at timestamptz NOT NULL DEFAULT now(),
    walked_at timestamptz,
    PRIMARY KEY (site, epoch)
);

-- A record that does not follow the one before it (kind broken), or whose number belongs to another one (kind fork).
CREATE TABLE chain_fault (
    site text NOT NULL,
    epoch text NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    expected bytea NOT NULL,
    found bytea NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site, epoch, seq, kind, found)
);

-- The highest revision of each record, taken apart for questions.
CREATE TABLE session (
    site text NOT NULL,
    record_id text NOT NULL,
    rev bigint NOT NULL,
    charger text NOT NULL,
    evse bigint NOT NULL,
    id_token text,
    status text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    energy_wh bigint NOT NULL,
    currency text,
    amount text,
    flags text[] NOT NULL,
    PRIMARY KEY (site, record_id)
);
CREATE INDEX session_by_start ON session (started_at DESC);
CREATE INDEX session_of_site ON session (site, started_at DESC);

-- What was refused, once for each content.
CREATE TABLE reject (
    site text NOT NULL,
    code text NOT NULL,
    body_sha256 bytea NOT NULL,
    reason text NOT NULL,
    epoch text,
    seq bigint,
    record_id text,
    rev bigint,
    body bytea NOT NULL,
    times bigint NOT NULL DEFAULT 1,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site, code, body_sha256)
);

CREATE TABLE site (
    site text PRIMARY KEY,
    state text NOT NULL,
    epoch text NOT NULL,
    version text NOT NULL,
    since timestamptz,
    backlog bigint,
    oldest_unacked_s bigint,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL
);

CREATE TABLE state (
    site text NOT NULL,
    kind text NOT NULL,
    thing text NOT NULL,
    at timestamptz NOT NULL,
    quality text NOT NULL,
    reason text NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (site, kind, thing)
);

CREATE TABLE event (
    site text NOT NULL,
    record_id text NOT NULL,
    rev bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    at timestamptz NOT NULL,
    body bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (site, record_id, rev)
);
CREATE INDEX event_of_site ON event (site, at DESC);

-- Raised by a gateway, or by the backend (source backend); a row stays when it is cleared.
CREATE TABLE alarm (
    site text NOT NULL,
    source text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    is_active boolean NOT NULL,
    detail text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (site, source, kind, subject)
);
CREATE INDEX alarm_active ON alarm (site) WHERE is_active;

-- Batches as they came. A partition a day, so that old ones go at once.
CREATE TABLE telemetry (
    site text NOT NULL,
    kind text NOT NULL,
    record_id text NOT NULL,
    at timestamptz NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (site, kind, record_id, at)
) PARTITION BY RANGE (at);
CREATE TABLE telemetry_other PARTITION OF telemetry DEFAULT;

CREATE TABLE command (
    id text PRIMARY KEY,
    site text NOT NULL,
    name text NOT NULL,
    actor text NOT NULL,
    args text NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT now(),
    answer text,
    answered_at timestamptz
);
