"""Connections to PostgreSQL, and whose fault a failure is.

asyncpg, because whole batches go as arrays in one statement of its binary protocol, it needs no libpq, and it is kept up, with
wheels for ARM. Its types are not looked at (the backend is an extra), so they end in this package.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

POOL_COUNT: Final = 4
"""Two for batches, one for the walk along the chains, one for people."""
STATEMENT_TIMEOUT_S: Final = 30.0
"""A link that has died half-way must not hold the pump for ever."""
CONNECT_TIMEOUT_S: Final = 10.0

Connection = Any
Row = Any


class DatabaseError(Exception):
    """The database cannot do it now; the same may work in a moment. In words for a person."""


class UnstorableError(Exception):
    """One of the rows handed over is what cannot be stored, now or later."""


class Database:
    """A pool, between ``open`` and ``close``; or ``async with Database(url) as database``."""

    def __init__(self, url: str, *, connections: int = POOL_COUNT) -> None:
        self._url = url
        self._connections = connections
        self._pool: Any = None

    async def __aenter__(self) -> Database:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def open(self) -> None:
        """Raises ``DatabaseError``."""
        try:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._connections,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=STATEMENT_TIMEOUT_S,
                # A receipt stands on this: whatever the server's default is, a commit of ours is on its disk.
                server_settings={"synchronous_commit": "on", "application_name": "edgectl-backend", "timezone": "GMT"},
            )
        except Exception as error:
            raise translated(error) from error

    def close(self) -> None:
        self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """asyncpg's own. After anything but an answer of the server it is not used again: a driver whose server died half-way
        through a word does not know where it stands."""
        async with self._pool.acquire(timeout=CONNECT_TIMEOUT_S) as connection:
            try:
                yield connection
            except asyncpg.PostgresError:
                raise
            except BaseException:
                connection.terminate()
                raise

    async def rows(self, question: str, *values: object) -> list[Row]:
        """Raises ``DatabaseError``."""
        try:
            async with self.connection() as connection:
                found: list[Row] = await connection.fetch(question, *values)
        except Exception as error:
            raise translated(error) from error
        return found


_DATA_FAULTS: Final = ("22", "23", "54")
"""SQLSTATE classes: data exception, constraint violation, a limit of the program exceeded."""


def translated(error: Exception) -> Exception:
    """A failure of asyncpg or of the network as one of ours; our own bugs as they are."""
    failure: Any = error
    match failure:
        case DatabaseError() | UnstorableError():
            return error
        case asyncpg.DataError():
            return UnstorableError(str(error))
        case asyncpg.PostgresError():
            state = str(failure.sqlstate or "")
            if state.startswith("42"):
                return error  # the statement itself is wrong
            kind = UnstorableError if state.startswith(_DATA_FAULTS) else DatabaseError
            return kind(f"{error} ({state})")
        case asyncpg.InterfaceError() | asyncpg.InternalClientError() | OSError() | TimeoutError():
            return DatabaseError(str(error) or "timed out")
        case _:
            return error
