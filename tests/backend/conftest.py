"""What the tests of the backend share: a PostgreSQL, and in it a database with the schema for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from support.postgres import new_database, running_server

from edgectl_backend.postgres.database import Database
from edgectl_backend.postgres.migrating import migrate
from hwsim.tools.postgres import PostgresServer


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    with running_server() as started:
        yield started


@pytest.fixture
async def database_url(server: PostgresServer) -> str:
    url = await new_database(server)
    async with Database(url) as database:
        await migrate(database)
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as opened:
        yield opened
