"""The server: one set of routes, on TCP for people and scrapers, on a Unix socket for the command line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from edgectl.domain.errors import StoreError
from edgectl.domain.events import Outcome
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.settings import WebSettings
from edgectl.domain.time import iso, utc_ms
from edgectl.domain.views import ChargerView, EvseView, Health, SiteView
from edgectl.ports import Actions, LedgerReader, Outbox, OutboxSummary
from edgectl.status import openapi
from edgectl.status.encode import encode
from edgectl.status.metrics import exposition
from edgectl.status.words import explain

log = structlog.get_logger(__name__)

REQUEST_MAX_BYTES = 64 * 1024
SESSIONS_MAX = 1_000
"""In one answer; ``since`` and ``until`` page through more."""
CSP = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'"
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Reload = Callable[[], Awaitable[tuple[bool, Sequence[str]]]]


class ApiError(Exception):
    """What the client is told: a status, a stable code, a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class _Limit:
    """A present or past limit with its sentence."""

    charger: str
    evse: int
    at: str
    limit_ma: int | None
    reason: Any
    why: str


class StatusServer:
    """Read-only on TCP; the socket also takes reloads and actions. Opens nothing that is not configured."""

    def __init__(
        self,
        *,
        view: Callable[[], SiteView],
        ledger: LedgerReader,
        outbox: Outbox,
        health: Callable[[], Health],
        uplink: Callable[[], object],
        reload: Reload,
        actions: Actions,
        web: WebSettings | None,
        socket_path: Path | None,
    ) -> None:
        self._view = view
        self._ledger = ledger
        self._outbox = outbox
        self._health = health
        self._uplink = uplink
        self._reload = reload
        self._actions = actions
        self._web = web
        self._socket_path = socket_path
        self._runners: list[web_runner] = []
        self.bound_port: int | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises OSError when an address cannot be had."""
        if self._web is not None:
            runner = await self._runner(is_local=False)
            site = web.TCPSite(runner, self._web.host, self._web.port)
            await site.start()
            self.bound_port = int(runner.addresses[0][1])
        if self._socket_path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._socket_path.unlink()  # left by a process that was killed; the ledger's lock keeps a second one away
            runner = await self._runner(is_local=True)
            await web.UnixSite(runner, str(self._socket_path)).start()
            self._socket_path.chmod(0o660)

    async def _runner(self, *, is_local: bool) -> web_runner:
        runner = web.AppRunner(self._application(is_local=is_local), access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        return runner

    async def stop(self) -> None:
        runners, self._runners = self._runners, []
        for runner in runners:
            await runner.cleanup()
        if self._socket_path is not None:
            with contextlib.suppress(FileNotFoundError):
                self._socket_path.unlink()

    def _application(self, *, is_local: bool) -> web.Application:
        application = web.Application(client_max_size=REQUEST_MAX_BYTES, middlewares=[_errors])
        application.router.add_get("/", self._page)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/api/openapi.json", _openapi)
        api = {
            "/api/v1/status": self._status,
            "/api/v1/chargers": self._chargers,
            "/api/v1/chargers/{charger}": self._charger,
            "/api/v1/meters": self._meters,
            "/api/v1/circuits": self._circuits,
            "/api/v1/alarms": self._alarms,
            "/api/v1/excursions": self._excursions,
            "/api/v1/curtailment": self._curtailment,
            "/api/v1/sessions": self._sessions,
            "/api/v1/sessions/{session}": self._session,
            "/api/v1/why/{charger}": self._why,
            "/api/v1/why/{charger}/{evse}": self._why,
            "/api/v1/uplink": self._uplink_status,
        }
        for path, handler in api.items():
            application.router.add_get(path, handler)
        if is_local:
            application.router.add_post("/api/v1/reload", self._reload_now)
            application.router.add_post("/api/v1/chargers/{charger}/actions/{action}", self._act)
        return application

    # --- people and machines ------------------------------------------------------------------------------------------

    async def _page(self, _request: web.Request) -> web.Response:
        text = resources.files("edgectl.status").joinpath("page.html").read_text(encoding="utf-8")
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = exposition(self._view, self._health(), await self._summary())
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", **HEADERS})

    async def _healthz(self, _request: web.Request) -> web.Response:
        health = self._health()
        return _json(health, status=200 if health.is_live else 503)

    async def _readyz(self, _request: web.Request) -> web.Response:
        health = self._health()
        return _json(health, status=200 if health.is_ready else 503)

    # --- the API ------------------------------------------------------------------------------------------------------

    async def _status(self, _request: web.Request) -> web.Response:
        view = self._view()
        body = encode(view)
        for charger, shown in zip(view.chargers, body["chargers"], strict=True):
            _explain(charger, shown)
        summary = await self._summary()
        body["outbox"] = None if summary is None else encode(summary)
        return _json(body)

    async def _chargers(self, _request: web.Request) -> web.Response:
        return _json([_explain(charger, encode(charger)) for charger in self._view().chargers])

    async def _charger(self, request: web.Request) -> web.Response:
        charger = self._find_charger(request)
        return _json(_explain(charger, encode(charger)))

    async def _meters(self, _request: web.Request) -> web.Response:
        return _json(self._view().meters)

    async def _circuits(self, _request: web.Request) -> web.Response:
        return _json(self._view().circuits)

    async def _alarms(self, _request: web.Request) -> web.Response:
        return _json(self._view().alarms)

    async def _sessions(self, request: web.Request) -> web.Response:
        since, until = _moment(request, "since"), _moment(request, "until")
        limit = _number(request, "limit", default=100, largest=SESSIONS_MAX)
        return _json(await asyncio.to_thread(self._ledger.sessions, since, until, limit))

    async def _excursions(self, request: web.Request) -> web.Response:
        since, until = _moment(request, "since"), _moment(request, "until")
        limit = _number(request, "limit", default=100, largest=SESSIONS_MAX)
        return _json(await asyncio.to_thread(self._ledger.excursions, since, until, limit))

    async def _curtailment(self, request: web.Request) -> web.Response:
        first, last = _day(request, "since"), _day(request, "until")
        return _json(await asyncio.to_thread(self._ledger.curtailment, first, last))

    async def _session(self, request: web.Request) -> web.Response:
        wanted = request.match_info["session"]
        session = await asyncio.to_thread(self._ledger.session, wanted)
        if session is None:
            raise ApiError(404, "no-such-session", f"no session is called {wanted[:60]!r}")
        return _json(session)

    async def _why(self, request: web.Request) -> web.Response:
        charger = self._find_charger(request)
        number = request.match_info.get("evse")
        chosen = [evse for evse in charger.evses if number is None or str(evse.number) == number]
        if not chosen:
            raise ApiError(404, "no-such-evse", f"{charger.id} has EVSEs 1 to {len(charger.evses)}, not {str(number)[:20]!r}")
        at = _moment(request, "at")
        if at is None:
            return _json([_present(charger, evse, self._view().at_utc_ms) for evse in chosen])
        found = []
        for evse in chosen:
            name = EvseId(ChargerId(charger.id), evse.number)
            for kept in await asyncio.to_thread(self._ledger.limits, name, at, 1):
                why = explain(str(name), kept.limit_ma, kept.reason)
                found.append(_Limit(charger.id, evse.number, iso(kept.at_utc_ms), kept.limit_ma, kept.reason, why))
        if not found:
            raise ApiError(404, "not-recorded", f"no limit of {charger.id} is recorded before {iso(at)}")
        return _json(found)

    async def _uplink_status(self, _request: web.Request) -> web.Response:
        view = self._view()
        return _json(
            {
                "connected": view.uplink_connected,
                "detail": view.uplink_detail,
                "outbox": await self._summary(),
                "transport": self._uplink(),
            }
        )

    async def _reload_now(self, _request: web.Request) -> web.Response:
        is_done, lines = await self._reload()
        return _json({"applied": is_done, "lines": list(lines)}, status=200 if is_done else 409)

    async def _act(self, request: web.Request) -> web.Response:
        charger = self._find_charger(request)
        name = request.match_info["action"]
        arguments, actor = _asked(await _body(request))
        answer = await self._actions.request(charger.id, name, arguments, actor)
        body = {"charger": charger.id, "action": name, **encode(answer)}
        return _json(body, status=_STATUSES.get(answer.outcome, 409))

    async def _summary(self) -> OutboxSummary | None:
        try:
            return await asyncio.wrap_future(self._outbox.summary())
        except StoreError as error:
            log.warning("outbox_unreadable", reason=str(error))
            return None

    def _find_charger(self, request: web.Request) -> ChargerView:
        wanted = request.match_info["charger"]
        for charger in self._view().chargers:
            if charger.id.casefold() == wanted.casefold():
                return charger
        raise ApiError(404, "no-such-charger", f"no charger is called {wanted[:60]!r}")


web_runner = web.AppRunner


def _present(charger: ChargerView, evse: EvseView, at_utc_ms: int) -> _Limit:
    why = explain(f"{charger.id}/{evse.number}", evse.commanded_ma, evse.reason, evse.limit_since_ms)
    return _Limit(charger.id, evse.number, iso(at_utc_ms), evse.commanded_ma, evse.reason, why)


def _explain(charger: ChargerView, shown: dict[str, Any]) -> dict[str, Any]:
    """Add the sentence to each EVSE."""
    for evse, body in zip(charger.evses, shown["evses"], strict=True):
        body["why"] = explain(f"{charger.id}/{evse.number}", evse.commanded_ma, evse.reason, evse.limit_since_ms)
    return shown


def _json(value: Any, status: int = 200) -> web.Response:
    return web.json_response(encode(value), status=status, headers=HEADERS)


async def _openapi(_request: web.Request) -> web.Response:
    return web.json_response(openapi.document(), headers=HEADERS)


def _moment(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError as error:
        words = f"{name} is {text[:40]!r}; a moment like 2026-03-01T02:14:00Z is allowed"
        raise ApiError(400, "bad-moment", words) from error
    return utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _day(request: web.Request, name: str) -> str | None:
    text = request.query.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ApiError(400, "bad-day", f"{name} is {text[:40]!r}; a day like 2026-03-01 is allowed") from error


def _number(request: web.Request, name: str, *, default: int, largest: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text[:9]) <= largest:
        raise ApiError(400, "bad-number", f"{name} is {text[:40]!r}; 1 to {largest} is allowed")
    return int(text)


_STATUSES = {Outcome.ACCEPTED: 200, Outcome.TIMEOUT: 504}
"""What a charger did with a request, as HTTP says it; everything else is a conflict with the charger's own will."""


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json() if request.can_read_body else {}
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "bad-body", "the body is not JSON") from error
    if not isinstance(body, dict):
        raise ApiError(400, "bad-body", "the body must be an object with `arguments` and `actor`")
    return body


def _asked(body: dict[str, Any]) -> tuple[list[tuple[str, str]], str]:
    """The arguments as text pairs, and who asks."""
    allowed = "`arguments` is an object of texts or lists of texts, or a list of [name, text] pairs"
    given = body.get("arguments", {})
    if isinstance(given, dict):
        given = [[name, one] for name, value in given.items() for one in (value if isinstance(value, list) else [value])]
    is_fit = isinstance(given, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in given
    )
    actor = body.get("actor", "local")
    if not is_fit or not isinstance(actor, str) or set(body) - {"arguments", "actor"}:
        raise ApiError(400, "bad-body", f"{allowed}, and `actor` is a text; nothing else may be there")
    return [(name, value) for name, value in given], actor[:100]


@web.middleware
async def _errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Every refusal as JSON with a code and a sentence; nothing a client sends ends more than its request."""
    try:
        return await handler(request)
    except ApiError as error:
        return _refusal(error.status, error.code, str(error))
    except web.HTTPException as error:
        return _refusal(
            error.status, error.reason.lower().replace(" ", "-"), f"{request.method} {request.path[:80]}: {error.reason}"
        )
    except StoreError as error:
        return _refusal(503, error.reason, str(error))


def _refusal(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=HEADERS)
