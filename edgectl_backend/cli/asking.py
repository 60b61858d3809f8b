"""A question to the database from a command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from edgectl_backend.postgres.database import Database

T = TypeVar("T")


def with_database(url: str, question: Callable[[Database], Awaitable[T]]) -> T:
    """Raises ``DatabaseError``."""

    async def ask() -> T:
        async with Database(url, connections=1) as database:
            return await question(database)

    return asyncio.run(ask())
