"""The server. It asks the database for each request; a fleet is looked at by a few people, and scraped a few times a minute."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from edgectl_backend.postgres import questions
from edgectl_backend.postgres.database import Database, DatabaseError
from edgectl_backend.web.login import Login, TooBusyError
from edgectl_backend.web.metrics import exposition

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
SESSIONS_MAX = 1_000
GAPS_SHOWN = 10
OPEN_PATHS = frozenset({"/healthz"})
"""What needs no login: whoever starts processes anew asks there, and hears yes or no."""
CHALLENGE = 'Basic realm="edgectl fleet", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class Pulse:
    """How this process is doing."""

    is_connected: bool
    is_subscribed: bool
    """The broker has granted the subscriptions; until then nothing is heard."""
    is_storing: bool
    detail: str
    """Why it is not subscribed."""
    waiting_count: int
    counters: Mapping[str, int]

    @property
    def is_ready(self) -> bool:
        """What a gateway publishes now is kept and receipted."""
        return self.is_subscribed and self.is_storing


class FleetServer:
    """Read-only. Without ``login`` everybody who reaches it may look."""

    def __init__(self, database: Database, pulse: Callable[[], Pulse], login: Login | None = None) -> None:
        self._database = database
        self._pulse = pulse
        self._login = login
        self._page = (resources.files("edgectl_backend.web") / "page.html").read_text()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Returns the port, which the system chose for 0. Raises ``OSError`` when the address cannot be had."""
        app = web.Application(middlewares=[self._guard()])
        app.router.add_get("/", self._show_page)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._metrics)
        for path, answer in (
            ("fleet", self._fleet),
            ("sessions", self._sessions),
            ("gaps", self._of_site(questions.gaps)),
            ("chain-faults", self._of_site(questions.chain_faults)),
            ("alarms", self._of_site(questions.alarms)),
            ("rejects", self._of_site(questions.rejects)),
            ("telemetry-gaps", self._of_site(questions.telemetry_gaps)),
        ):
            app.router.add_get(f"/api/v1/{path}", self._asked(answer))
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, ssl_context=tls).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            login = self._login
            if login is None or request.path in OPEN_PATHS:
                return await handler(request)
            try:
                if await login.lets_in(request.headers.get("Authorization")):
                    return await handler(request)
            except TooBusyError:
                return _json(_error("too-busy", "too many are asking to be let in"), 503, {"Retry-After": "1"})
            return _json(_error("login-needed", "a name and its password are needed"), 401, {"WWW-Authenticate": CHALLENGE})

        return guard

    async def _show_page(self, _: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html", headers=HEADERS)

    async def _health(self, _: web.Request) -> web.Response:
        pulse = self._pulse()
        body: dict[str, object] = {"ok": pulse.is_ready}
        if self._login is None:  # with one, strangers hear no more than that
            body |= {"broker": pulse.detail or "subscribed", "database": "ok" if pulse.is_storing else "away"}
        return _json(body, 200 if pulse.is_ready else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        pulse = self._pulse()
        try:
            sites = await questions.sites(self._database)
        except DatabaseError:
            sites = None
        gauges = {
            "broker_connected": float(pulse.is_connected),
            "database_reachable": float(pulse.is_storing and sites is not None),
            "ready": float(pulse.is_ready and sites is not None),
            "messages_waiting": float(pulse.waiting_count),
        }
        counters = {**pulse.counters, **({} if self._login is None else {"logins_refused": self._login.refused_count})}
        text = exposition(counters, gauges, sites)
        return web.Response(body=text, content_type="text/plain", charset="utf-8", headers=HEADERS)

    def _asked(self, answer: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                return _json(await answer(request))
            except ValueError as error:
                return _json(_error("bad-request", str(error)), 400)
            except DatabaseError:
                return _json(_error("database-away", "the database cannot be asked now"), 503)

        return handle

    async def _fleet(self, _: web.Request) -> dict[str, Any]:
        pulse = self._pulse()
        return {
            "sites": await questions.sites(self._database),
            "alarms": (await questions.alarms(self._database))[:100],
            "telemetry_gaps": await questions.telemetry_gaps(self._database, limit=GAPS_SHOWN),
            "process": {"is_subscribed": pulse.is_subscribed, "detail": pulse.detail, "counters": dict(pulse.counters)},
        }

    async def _sessions(self, request: web.Request) -> list[dict[str, Any]]:
        since, until = (_moment(request, name) for name in ("since", "until"))
        return await questions.sessions(self._database, request.query.get("site"), since, until, SESSIONS_MAX)

    def _of_site(self, question: Callable[[Database, str | None], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[Any]]:
        async def answer(request: web.Request) -> Any:
            return await question(self._database, request.query.get("site"))

        return answer


def _moment(request: web.Request, name: str) -> datetime | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"{name}: {text!r}; allowed is a moment with its offset, such as 2026-03-01T00:00:00Z")
    return moment


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _json(body: Any, status: int = 200, more: Mapping[str, str] | None = None) -> web.Response:
    headers = {**HEADERS, **(more or {})}
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json", headers=headers)
