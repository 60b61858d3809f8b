"""A real PostgreSQL: one server for a whole run of tests, a database of its own for each test."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from support.mosquitto import free_port

from hwsim.tools.postgres import PostgresServer, find_or_fetch_postgres


def postgres_server(folder: Path, *, is_durable: bool = False) -> PostgresServer:
    """A server that is created and not started. Skips the test where there is no PostgreSQL."""
    programs = find_or_fetch_postgres()
    if programs is None:
        pytest.skip("there is no PostgreSQL")
    server = PostgresServer(programs, folder, free_port(), is_durable=is_durable)
    server.create()
    return server


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    with tempfile.TemporaryDirectory(prefix="edgectl-postgres-") as folder:
        server = postgres_server(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


_numbers = itertools.count(1)


async def new_database(server: PostgresServer) -> str:
    """The URL of an empty database."""
    name = f"test{next(_numbers)}"
    connection = await asyncpg.connect(server.url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return server.url.removesuffix("postgres") + name
