"""What people ask. Plain rows; columns are named for their reader. All raise ``DatabaseError``."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from edgectl.contract.events import TelemetryGap
from edgectl_backend.postgres.database import Database

GAP_PATIENCE_S: Final = 120
"""A gap this young is most likely a record on its way by another process or a repeat."""
ROWS_MAX: Final = 10_000

_SITES = """
WITH known AS (SELECT site FROM site UNION SELECT site FROM chain),
chains AS (
    SELECT site, sum(highest_seq) AS records, count(*) AS ledgers,
        sum(missing_count) FILTER (WHERE gap_since < now() - make_interval(secs => $1)) AS missing
    FROM chain GROUP BY site
),
faults AS (SELECT site, count(*) AS faults FROM chain_fault GROUP BY site),
alarms AS (SELECT site, count(*) AS alarms FROM alarm WHERE is_active GROUP BY site),
sessions AS (
    SELECT site, count(*) FILTER (WHERE status = 'active') AS open_sessions,
        count(*) FILTER (WHERE correction IS NULL AND COALESCE(reservation, 'used') = 'used' AND status = 'completed'
            AND ended_at > now() - interval '24 hours') AS sessions_24h,
        sum(CASE correction WHEN 'credit' THEN -energy_wh ELSE energy_wh END)
            FILTER (WHERE status = 'completed' AND ended_at > now() - interval '24 hours') AS energy_24h_wh
    FROM session WHERE status = 'active' OR ended_at > now() - interval '24 hours' GROUP BY site
)
SELECT known.site, COALESCE(site.state, 'unknown') AS state, site.version, site.since, site.backlog, site.oldest_unacked_s,
    site.received_at AS heard_at, COALESCE(alarms.alarms, 0) AS alarms, COALESCE(sessions.open_sessions, 0) AS open_sessions,
    COALESCE(sessions.sessions_24h, 0) AS sessions_24h, COALESCE(sessions.energy_24h_wh, 0)::bigint AS energy_24h_wh,
    COALESCE(chains.records, 0)::bigint AS records, COALESCE(chains.ledgers, 0) AS ledgers,
    COALESCE(chains.missing, 0)::bigint AS missing_records, COALESCE(faults.faults, 0) AS chain_faults
FROM known LEFT JOIN site USING (site) LEFT JOIN chains USING (site) LEFT JOIN faults USING (site) LEFT JOIN alarms USING (site)
    LEFT JOIN sessions USING (site)
ORDER BY known.site LIMIT 10000
"""

_SESSIONS = """
SELECT site, record_id, rev, charger, evse, id_token, status, started_at, ended_at, energy_wh, amount, currency, flags,
    correction, corrects, reservation
FROM session WHERE ($1::text IS NULL OR site = $1) AND ($2::timestamptz IS NULL OR started_at >= $2)
    AND ($3::timestamptz IS NULL OR started_at < $3)
ORDER BY started_at DESC, record_id LIMIT $4
"""

_GAPS = """
SELECT site, epoch, first_seq, last_seq, gap_since, rejected FROM (
    SELECT chain.site, chain.epoch, chain.gap_since, lag(link.seq, 1, chain.through_seq) OVER ledger + 1 AS first_seq,
        link.seq - 1 AS last_seq
    FROM chain JOIN link ON link.site = chain.site AND link.epoch = chain.epoch AND link.seq > chain.through_seq
    WHERE chain.missing_count > 0 AND ($1::text IS NULL OR chain.site = $1)
    WINDOW ledger AS (PARTITION BY link.site, link.epoch ORDER BY link.seq)
) AS gap, LATERAL (
    SELECT string_agg(DISTINCT code, ' ') AS rejected FROM reject
    WHERE reject.site = gap.site AND reject.epoch = gap.epoch AND reject.seq BETWEEN first_seq AND last_seq
) AS known
WHERE first_seq <= last_seq ORDER BY site, epoch, first_seq LIMIT 10000
"""

_FAULTS = """
SELECT site, epoch, seq, kind, encode(expected, 'hex') AS expected, encode(found, 'hex') AS found, at
FROM chain_fault WHERE $1::text IS NULL OR site = $1 ORDER BY at DESC LIMIT 10000
"""

_ALARMS = """
SELECT site, source, kind, subject, detail, at FROM alarm WHERE is_active AND ($1::text IS NULL OR site = $1)
ORDER BY at DESC LIMIT 10000
"""

_REJECTS = """
SELECT site, code, reason, epoch, seq, record_id, rev, times, first_at, last_at FROM reject
WHERE $1::text IS NULL OR site = $1 ORDER BY last_at DESC LIMIT 10000
"""


async def sites(database: Database) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.rows(_SITES, GAP_PATIENCE_S)]


async def sessions(
    database: Database, site: str | None = None, since: Any = None, until: Any = None, limit: int = ROWS_MAX
) -> list[dict[str, Any]]:
    """The newest first."""
    return [dict(row) for row in await database.rows(_SESSIONS, site, since, until, limit)]


async def gaps(database: Database, site: str | None = None) -> list[dict[str, Any]]:
    """First and last missing number, since when, and whether any of them was refused."""
    return [dict(row) for row in await database.rows(_GAPS, site)]


async def chain_faults(database: Database, site: str | None = None) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.rows(_FAULTS, site)]


async def alarms(database: Database, site: str | None = None) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.rows(_ALARMS, site)]


async def rejects(database: Database, site: str | None = None) -> list[dict[str, Any]]:
    return [dict(row) for row in await database.rows(_REJECTS, site)]


async def telemetry_gaps(database: Database, site: str | None = None, limit: int = ROWS_MAX) -> list[dict[str, Any]]:
    """Blocks of telemetry that gateways let go of before they were here, the newest first."""
    rows = await database.rows(
        "SELECT site, at, body FROM event WHERE kind = 'telemetry-gap' AND ($1::text IS NULL OR site = $1)"
        " ORDER BY at DESC LIMIT $2",
        *(site, limit),
    )
    found = []
    for row in rows:
        try:
            gap = msgspec.json.decode(row["body"], type=TelemetryGap)
        except ValueError:  # it was kept as the event it claims to be; what it says of blocks cannot be read
            found.append({"site": row["site"], "at": row["at"], **dict.fromkeys(_GAP_MEMBERS)})
            continue
        found.append({"site": row["site"], "at": row["at"], **{name: getattr(gap, name) for name in _GAP_MEMBERS}})
    return found


_GAP_MEMBERS = ("epoch", "from_seq", "through_seq", "count", "first_at", "last_at", "reason")


async def record(database: Database, record_id: str) -> list[bytes]:
    """Every revision of a record, byte for byte, the newest last."""
    rows = await database.rows("SELECT body FROM record WHERE record_id = $1 ORDER BY site, rev", record_id)
    return [row["body"] for row in rows]


async def last_status(database: Database, site: str) -> bytes | None:
    """The site's last status as it came; None when none has."""
    rows = await database.rows("SELECT body FROM site WHERE site = $1", site)
    return rows[0]["body"] if rows else None


async def clear_alarms(database: Database, site: str, kind: str | None, subject: str | None) -> int:
    """The backend's own: a person has seen to them. How many stood."""
    rows = await database.rows(
        "UPDATE alarm SET is_active = false, at = now() WHERE source = 'backend' AND is_active AND site = $1"
        " AND ($2::text IS NULL OR kind = $2) AND ($3::text IS NULL OR subject = $3) RETURNING true",
        *(site, kind, subject),
    )
    return len(rows)


async def note_command(database: Database, id_: str, site: str, name: str, actor: str, args: str) -> None:
    await database.rows(
        "INSERT INTO command (id, site, name, actor, args) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        *(id_, site, name, actor, args),
    )


async def note_answer(database: Database, id_: str, answer: str) -> None:
    await database.rows("UPDATE command SET answer = $2, answered_at = now() WHERE id = $1", id_, answer)
