"""Telemetry's days: a partition for each, made ahead, dropped when it is old. Run now and then by any process."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from edgectl_backend.postgres.database import Database, translated

DAYS_BEHIND: Final = 8
"""Gateways keep a week of telemetry for a backend that was away."""
DAYS_AHEAD: Final = 3
_TURN: Final = 0x65646770
_LOCK_WAIT: Final = "2s"
"""Making a partition needs the table alone for a moment; if it cannot have it, the next round will."""


def name_of(day: date) -> str:
    return f"telemetry_{day:%Y%m%d}"


async def tend(database: Database, keep_days: int) -> list[str]:
    """Make what lacks, drop what is older than ``keep_days``; the names of both. Raises ``DatabaseError``."""
    done: list[str] = []
    try:
        async with database.connection() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _TURN):
                return []
            await connection.execute(f"SET LOCAL lock_timeout = '{_LOCK_WAIT}'")
            today: date = await connection.fetchval("SELECT (now() AT TIME ZONE 'GMT')::date")
            oldest = today - timedelta(days=keep_days)
            rows = await connection.fetch(
                "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'telemetry'::regclass"
            )
            present = {row["name"] for row in rows}
            for name in sorted(present):
                if name != "telemetry_other" and name < name_of(oldest):
                    await connection.execute(f"DROP TABLE {name}")
                    done.append(name)
            await connection.execute("DELETE FROM telemetry_other WHERE at < $1::date", oldest)
            # Of what names no record nobody can be told, so it comes again and again: that which stopped is of no use to anybody.
            await connection.execute("DELETE FROM reject WHERE record_id IS NULL AND last_at < $1::date", oldest)
            for offset in range(-min(DAYS_BEHIND, keep_days), DAYS_AHEAD + 1):
                day, next_day = today + timedelta(days=offset), today + timedelta(days=offset + 1)
                if name_of(day) in present:
                    continue
                # Rows that came before their day had a partition stay where they are: a partition cannot take them over.
                if await connection.fetchval(
                    "SELECT EXISTS (SELECT FROM telemetry_other WHERE at >= $1::date AND at < $2::date)", day, next_day
                ):
                    continue
                await connection.execute(
                    f"CREATE TABLE {name_of(day)} PARTITION OF telemetry"
                    f" FOR VALUES FROM ('{day} 00:00:00+00') TO ('{next_day} 00:00:00+00')"
                )
                done.append(name_of(day))
    except Exception as error:
        raise translated(error) from error
    return done
