"""The schema, step by step. Processes that start together take turns."""

from __future__ import annotations

from importlib import resources
from typing import Final

from edgectl_backend.postgres.database import Database, translated

_TURN: Final = 0x65646765
"""Key of the advisory lock; any number that nobody else uses in this database."""


def steps() -> list[tuple[int, str, str]]:
    """Number, name and SQL of every step, in order."""
    folder = resources.files("edgectl_backend.postgres") / "migrations"
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [(int(name.partition("_")[0]), name.removesuffix(".sql"), (folder / name).read_text()) for name in files]


async def migrate(database: Database) -> list[str]:
    """Apply what is missing, all or nothing; the names of what was applied. Raises ``DatabaseError``."""
    done: list[str] = []
    try:
        async with database.connection() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _TURN)
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS migration"
                " (number int PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())"
            )
            known = {row["number"] for row in await connection.fetch("SELECT number FROM migration")}
            for number, name, text in steps():
                if number not in known:
                    await connection.execute(text)
                    await connection.execute("INSERT INTO migration (number, name) VALUES ($1, $2)", number, name)
                    done.append(name)
    except Exception as error:
        raise translated(error) from error
    return done


async def missing(database: Database) -> list[str]:
    """Names of the steps that have not been applied. Raises ``DatabaseError``."""
    rows = await database.rows("SELECT to_regclass('migration') IS NOT NULL AS has_begun")
    known = {row["number"] for row in await database.rows("SELECT number FROM migration")} if rows[0]["has_begun"] else set()
    return [name for number, name, _ in steps() if number not in known]
