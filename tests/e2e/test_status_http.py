"""The status server on real sockets: what it serves, what it refuses, what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest
from support.plant import Bench, plant

from edgectl.cli.client import Daemon, DaemonError
from edgectl.domain.ids import EvseId
from edgectl.domain.records import Curtailment, Excursion, LimitKept, Session
from edgectl.domain.settings import WebSettings
from edgectl.domain.time import Instant
from edgectl.domain.views import Health
from edgectl.ports import OutboxRow, OutboxSummary, ParkedRow
from edgectl.runtime.actions import ActionDesk
from edgectl.runtime.inbox import Inbox
from edgectl.status import StatusServer, openapi

T = TypeVar("T")


class Shelf:
    """A ledger and outbox with nothing in them."""

    def sessions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Session]:
        return ()

    def session(self, session_id: str) -> Session | None:
        return None

    def limits(self, evse: EvseId, until_utc_ms: int, limit: int) -> Sequence[LimitKept]:
        return ()

    def excursions(self, since_utc_ms: int | None, until_utc_ms: int | None, limit: int) -> Sequence[Excursion]:
        return ()

    def curtailment(self, first_day: str | None, last_day: str | None) -> Sequence[Curtailment]:
        return ()

    def rows(self, stream: str, after_seq: int, limit: int) -> Future[Sequence[OutboxRow]]:
        return done(())

    def mark_sent(self, seqs: Sequence[int], now: Instant) -> Future[None]:
        return done(None)

    def parked(self, limit: int) -> Future[Sequence[ParkedRow]]:
        row = OutboxRow(7, "billing", "s-1", 1, "billing/session", b"{}", 0)
        answer: Future[Sequence[ParkedRow]] = Future()
        answer.set_result([ParkedRow(row, "too large", 1_790_000_000_000)])
        return answer

    def summary(self) -> Future[OutboxSummary]:
        return done(OutboxSummary(0, 0, None))


def done(value: T) -> Future[T]:
    future: Future[T] = Future()
    future.set_result(value)
    return future


class Served:
    def __init__(self, folder: Path) -> None:
        self.bench = Bench(plant("A", "B"))
        self.bench.boot("A")
        self.bench.meter(10)
        self.bench.start("A")
        self.is_live = True
        self.reloads: tuple[bool, list[str]] = (True, ["circuit grid: limit 100 A -> 80 A"])
        self.socket = folder / "api.sock"
        shelf = Shelf()
        self.server = StatusServer(
            view=lambda: self.bench.controller.picture(self.bench.now),
            ledger=shelf,
            outbox=shelf,
            health=lambda: Health(100, self.is_live, self.is_live, "" if self.is_live else "hangs"),
            uplink=lambda: {"is_connected": False},
            reload=self._reload,
            export=self._export,
            take_in=lambda name: {"file": name},
            actions=ActionDesk(Inbox()),
            web=WebSettings("127.0.0.1", 0),
            socket_path=self.socket,
        )

    def _export(self, wanted: Mapping[str, str]) -> tuple[str, str]:
        if set(wanted) - {"format"}:
            raise ValueError("month is '13'; a month like 2026-11 is allowed")
        return "text/csv", "id,charger\r\n"

    async def _reload(self) -> tuple[bool, list[str]]:
        return self.reloads

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.bound_port}{path}"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    made = Served(tmp_path)
    made.socket.write_text("left by a killed process")
    await made.server.start()
    yield made
    await made.server.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


PLAIN = [path for path in openapi.PATHS if "{" not in path]


@pytest.mark.parametrize("path", [*PLAIN, "/", "/api/openapi.json", "/api/v1/chargers/a", "/api/v1/why/A", "/api/v1/why/A/1"])
async def test_every_documented_path_answers(served: Served, http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(served.url(path)) as answer:
        assert answer.status == 200
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.read()


async def test_every_route_is_documented(served: Served) -> None:
    application = served.server._application(is_local=False)
    routes = {route.resource.canonical for route in application.router.routes() if route.resource is not None}
    assert routes - {"/", "/api/openapi.json"} == {*openapi.PATHS, *(path for _, path in openapi.ACTIONS)}


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/v1/chargers/C", 404, "no charger is called 'C'"),
        ("/api/v1/why/A/7", 404, "EVSEs 1 to 1"),
        ("/api/v1/sessions?limit=0", 400, "1 to 1000"),
        ("/api/v1/sessions?since=tomorrow", 400, "a moment like"),
        ("/api/v1/sessions/export?month=13", 400, "a month like 2026-11"),
        ("/api/v1/sessions/nobody", 404, "no session"),
        ("/nowhere", 404, "Not Found"),
    ],
)
async def test_a_refusal_says_what_is_allowed(
    served: Served, http: aiohttp.ClientSession, path: str, status: int, words: str
) -> None:
    async with http.get(served.url(path)) as answer:
        assert answer.status == status
        assert words in (await answer.json())["error"]["message"]


async def test_the_open_port_takes_no_orders(served: Served, http: aiohttp.ClientSession) -> None:
    for path in ("/api/v1/reload", "/api/v1/status", "/"):
        async with http.post(served.url(path)) as answer:
            assert answer.status in {404, 405}


async def test_health_is_503_when_control_hangs(served: Served, http: aiohttp.ClientSession) -> None:
    served.is_live = False
    async with http.get(served.url("/healthz")) as answer:
        assert (answer.status, (await answer.json())["detail"]) == (503, "hangs")


async def test_garbage_on_the_port_ends_nothing(served: Served, http: aiohttp.ClientSession) -> None:
    for garbage in (b"\x00" * 5000, b"GET / HTTP/9\r\n\r\n", b"POST /api/v1/status HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.server.bound_port)
        writer.write(garbage)
        await writer.drain()
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        del reader
    async with http.get(served.url("/api/v1/status")) as answer:
        assert answer.status == 200


async def test_the_socket_serves_the_command_line_and_only_it(served: Served) -> None:
    assert stat.S_IMODE(served.socket.stat().st_mode) == 0o660
    daemon = Daemon(served.socket)
    assert (await asyncio.to_thread(daemon.get, "status"))["site"] == "test"
    assert (await asyncio.to_thread(daemon.post, "reload"))["applied"] is True
    with pytest.raises(DaemonError, match="no charger is called"):
        await asyncio.to_thread(daemon.get, "why", "Z")


async def test_a_stop_takes_the_socket_away(tmp_path: Path) -> None:
    made = Served(tmp_path)
    await made.server.start()
    await made.server.stop()
    assert not made.socket.exists()
    with pytest.raises(DaemonError, match="not running"):
        await asyncio.to_thread(Daemon(made.socket).get, "status")


async def test_hostile_names_reach_the_page_as_data_only(served: Served, http: aiohttp.ClientSession) -> None:
    state = served.bench.controller._chargers.by_id[next(iter(served.bench.controller._chargers.by_id))]
    state.vendor = "<script>alert(1)</script>"
    async with http.get(served.url("/")) as answer:
        page = await answer.text()
        assert "innerHTML" not in page
        assert "alert(1)" not in page
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    async with http.get(served.url("/api/v1/chargers/A")) as answer:
        assert answer.content_type == "application/json"
        assert json.loads(await answer.text())["vendor"] == state.vendor
