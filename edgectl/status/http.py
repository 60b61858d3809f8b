"""The server: one set of routes, on TCP for people and scrapers, on a Unix socket for the command line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web

from edgectl.domain.errors import StoreError
from edgectl.domain.events import CorrectionRequested, Outcome, RequeueRequested
from edgectl.domain.external import LimitSource
from edgectl.domain.ids import ChargerId, EvseId
from edgectl.domain.records import Session
from edgectl.domain.settings import CredentialReader, WebSettings
from edgectl.domain.tariff_objects import TariffError, tariff_of_text, tariff_text
from edgectl.domain.time import iso, utc_ms
from edgectl.domain.views import ChargerView, EvseView, Health, SiteView
from edgectl.ports import Actions, LedgerReader, Outbox, OutboxSummary
from edgectl.status import openapi
from edgectl.status.answers import HEADERS, ApiError, json_answer, read_body, refusal
from edgectl.status.encode import encode
from edgectl.status.limits import LimitDoor, check_token
from edgectl.status.metrics import exposition
from edgectl.status.moments import ALLOWED, local, read_moment
from edgectl.status.words import climbed, explain

log = structlog.get_logger(__name__)

PARKED_SHOWN_COUNT = 1_000
"""What is set aside is for a person, who looks at the first of them."""
REQUEST_MAX_BYTES = 64 * 1024
SESSIONS_MAX = 1_000
"""In one answer; ``since`` and ``until`` page through more."""
REASON_MAX_CHARS = 200
TOKEN_LEAST_CHARS = 16
"""A shorter token could be guessed at some hundred tries a second; with one the port takes no actions."""

ExportSessions = Callable[[Mapping[str, str]], tuple[str, str]]
"""Sessions in the form that is asked for: media type and text. ``ValueError`` says what cannot be."""
TakeIn = Callable[[str], object]
"""Keep what the named file in the data directory holds; what that was. Waits for the disk."""
Reload = Callable[[], Awaitable[tuple[bool, Sequence[str]]]]


@dataclass(frozen=True, slots=True)
class _Limit:
    """A present or past limit with its sentence; ``at`` is when it was set, or now."""

    charger: str
    evse: int
    at: str
    limit_ma: int | None
    reason: Any
    why: str


class StatusServer:
    """On TCP read-only but for limits, which need the token; the socket also takes reloads and actions. Opens nothing that is not
    configured."""

    def __init__(
        self,
        *,
        view: Callable[[], SiteView],
        ledger: LedgerReader,
        outbox: Outbox,
        health: Callable[[], Health],
        uplink: Callable[[], object],
        reload: Reload,
        export: ExportSessions,
        take_in: TakeIn,
        actions: Actions,
        web: WebSettings | None,
        socket_path: Path | None,
        credentials: CredentialReader | None = None,
    ) -> None:
        self._view = view
        self._ledger = ledger
        self._outbox = outbox
        self._health = health
        self._uplink = uplink
        self._reload = reload
        self._export = export
        self._take_in = take_in
        self._actions = actions
        self._web = web
        self._socket_path = socket_path
        self._credentials = credentials
        self._token: bytes | None = None
        self._runners: list[web_runner] = []
        self.bound_port: int | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Raises OSError when an address cannot be had."""
        if self._web is not None:
            self._token = self._read_token(self._web)
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

    def _read_token(self, settings: WebSettings) -> bytes | None:
        if settings.token is None or self._credentials is None:
            return None
        try:
            token = self._credentials(settings.token).strip()
        except KeyError as error:
            log.warning("web_token_missing", reason=str(error.args[0]))
            return None
        if len(token) < TOKEN_LEAST_CHARS:
            log.warning("web_token_too_short", credential=settings.token, least=TOKEN_LEAST_CHARS)
            return None
        return token

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
            "/api/v1/sessions/export": self._session_export,
            "/api/v1/sessions/{session}": self._session,
            "/api/v1/why/{charger}": self._why,
            "/api/v1/why/{charger}/{evse}": self._why,
            "/api/v1/uplink": self._uplink_status,
            "/api/v1/uplink/parked": self._parked,
        }
        for path, handler in api.items():
            application.router.add_get(path, handler)
        if is_local:
            limits = LimitDoor(self._view, self._actions, LimitSource.LOCAL_CLI, lambda _: None)
        else:
            limits = LimitDoor(self._view, self._actions, LimitSource.LOCAL_API, lambda r: check_token(r, self._token))
        limits.register(application)
        if is_local:
            application.router.add_post("/api/v1/reload", self._reload_now)
            application.router.add_post("/api/v1/uplink/requeue", self._requeue)
            application.router.add_post("/api/v1/ledger/take-in", self._take_in_now)
            application.router.add_post("/api/v1/sessions/{session}/correct", self._correct)
            application.router.add_post("/api/v1/chargers/{charger}/actions/{action}", self._act)
        return application

    # --- people and machines ------------------------------------------------------------------------------------------

    async def _page(self, _request: web.Request) -> web.Response:
        text = resources.files("edgectl.status").joinpath("page.html").read_text(encoding="utf-8")
        return web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def _metrics(self, _request: web.Request) -> web.Response:
        body = exposition(self._view, self._health(), await self._summary(), encode(self._uplink()))
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8", **HEADERS})

    async def _healthz(self, _request: web.Request) -> web.Response:
        health = self._health()
        return json_answer(health, status=200 if health.is_live else 503)

    async def _readyz(self, _request: web.Request) -> web.Response:
        health = self._health()
        return json_answer(health, status=200 if health.is_ready else 503)

    # --- the API ------------------------------------------------------------------------------------------------------

    async def _status(self, _request: web.Request) -> web.Response:
        view = self._view()
        body = encode(view)
        for charger, shown in zip(view.chargers, body["chargers"], strict=True):
            _explain(charger, shown, view.timezone)
        summary = await self._summary()
        body["outbox"] = None if summary is None else encode(summary)
        return json_answer(body)

    async def _chargers(self, _request: web.Request) -> web.Response:
        view = self._view()
        return json_answer([_explain(charger, encode(charger), view.timezone) for charger in view.chargers])

    async def _charger(self, request: web.Request) -> web.Response:
        charger = self._find_charger(request)
        return json_answer(_explain(charger, encode(charger), self._view().timezone))

    async def _meters(self, _request: web.Request) -> web.Response:
        return json_answer(self._view().meters)

    async def _circuits(self, _request: web.Request) -> web.Response:
        return json_answer(self._view().circuits)

    async def _alarms(self, _request: web.Request) -> web.Response:
        return json_answer(self._view().alarms)

    async def _sessions(self, request: web.Request) -> web.Response:
        since, until = _moment(request, "since"), _moment(request, "until")
        limit = _number(request, "limit", default=100, largest=SESSIONS_MAX)
        return json_answer(await asyncio.to_thread(self._ledger.sessions, since, until, limit))

    async def _excursions(self, request: web.Request) -> web.Response:
        since, until = _moment(request, "since"), _moment(request, "until")
        limit = _number(request, "limit", default=100, largest=SESSIONS_MAX)
        return json_answer(await asyncio.to_thread(self._ledger.excursions, since, until, limit))

    async def _curtailment(self, request: web.Request) -> web.Response:
        first, last = _day(request, "since"), _day(request, "until")
        return json_answer(await asyncio.to_thread(self._ledger.curtailment, first, last))

    async def _session_export(self, request: web.Request) -> web.Response:
        try:
            media_type, text = await asyncio.to_thread(self._export, dict(request.query))
        except ValueError as error:
            raise ApiError(400, "bad-export", str(error)) from error
        return web.Response(text=text, content_type=media_type, charset="utf-8", headers=HEADERS)

    async def _session(self, request: web.Request) -> web.Response:
        return json_answer(await self._find_session(request))

    async def _find_session(self, request: web.Request) -> Session:
        wanted = request.match_info["session"]
        session = await asyncio.to_thread(self._ledger.session, wanted)
        if session is None:
            raise ApiError(404, "no-such-session", f"no session is called {wanted[:60]!r}")
        return session

    async def _correct(self, request: web.Request) -> web.Response:
        session = await self._find_session(request)
        energy_wh, tariff, reason, actor = _correction(await read_body(request))
        follower = session.replaced_by
        replacement = None if follower is None else await asyncio.to_thread(self._ledger.session, follower)
        answer = await self._actions.ask(
            lambda action_id: CorrectionRequested(action_id, actor, session, replacement, energy_wh, tariff, reason)
        )
        return json_answer({"session": session.id, **encode(answer)}, status=_STATUSES.get(answer.outcome, 409))

    async def _why(self, request: web.Request) -> web.Response:
        charger = self._find_charger(request)
        number = request.match_info.get("evse")
        chosen = [evse for evse in charger.evses if number is None or str(evse.number) == number]
        if not chosen:
            raise ApiError(404, "no-such-evse", f"{charger.id} has EVSEs 1 to {len(charger.evses)}, not {str(number)[:20]!r}")
        view = self._view()
        text = request.query.get("at")
        if text is None:
            return json_answer([_present(charger, evse, view) for evse in chosen])
        try:
            at = read_moment(text, view.timezone, view.at_utc_ms)
        except ValueError as error:
            raise ApiError(400, "bad-moment", f"at is {text[:40]!r}; allowed is {ALLOWED}") from error
        found = []
        for evse in chosen:
            name = EvseId(ChargerId(charger.id), evse.number)
            for kept in await asyncio.to_thread(self._ledger.limits, name, at, 1):
                why = explain(str(name), kept.limit_ma, kept.reason, timezone=view.timezone)
                words = f"{local(at, view.timezone)}: {why} So since {local(kept.at_utc_ms, view.timezone)}."
                found.append(_Limit(charger.id, evse.number, iso(kept.at_utc_ms), kept.limit_ma, kept.reason, words))
        if not found:
            raise ApiError(404, "not-recorded", f"no limit of {charger.id} is recorded before {iso(at)}; 30 days are kept")
        return json_answer(found)

    async def _uplink_status(self, _request: web.Request) -> web.Response:
        view = self._view()
        return json_answer(
            {
                "connected": view.uplink_connected,
                "detail": view.uplink_detail,
                "outbox": await self._summary(),
                "transport": self._uplink(),
            }
        )

    async def _parked(self, _request: web.Request) -> web.Response:
        try:
            found = await asyncio.wrap_future(self._outbox.parked(PARKED_SHOWN_COUNT))
        except StoreError as error:
            raise ApiError(503, "outbox-unreadable", str(error)) from error
        return json_answer(
            [
                {
                    "seq": one.row.seq,
                    "stream": one.row.stream,
                    "record_id": one.row.record_id,
                    "rev": one.row.rev,
                    "topic": one.row.topic_suffix,
                    "bytes": len(one.row.body),
                    "reason": one.reason,
                    "parked_at": iso(one.parked_utc_ms),
                }
                for one in found
            ]
        )

    async def _requeue(self, request: web.Request) -> web.Response:
        body = await read_body(request)
        seqs, actor = body.get("seqs"), body.get("actor", "local")
        if not isinstance(seqs, list) or not all(isinstance(seq, int) and not isinstance(seq, bool) for seq in seqs):
            raise ApiError(400, "bad-body", "`seqs` is a list of the numbers of parked rows, empty for all of them")
        if not isinstance(actor, str):
            raise ApiError(400, "bad-body", "`actor` is a name")
        return json_answer(await self._actions.ask(lambda action_id: RequeueRequested(action_id, actor, tuple(seqs))))

    async def _reload_now(self, _request: web.Request) -> web.Response:
        is_done, lines = await self._reload()
        return json_answer({"applied": is_done, "lines": list(lines)}, status=200 if is_done else 409)

    async def _take_in_now(self, request: web.Request) -> web.Response:
        name = (await read_body(request)).get("file")
        if not isinstance(name, str) or not name or "/" in name or "\0" in name or name.startswith("."):
            raise ApiError(400, "bad-body", "`file` is the name of a file in the data directory")
        return json_answer(await asyncio.to_thread(self._take_in, name))

    async def _act(self, request: web.Request) -> web.Response:
        charger = self._find_charger(request)
        name = request.match_info["action"]
        arguments, actor = _asked(await read_body(request))
        answer = await self._actions.request(charger.id, name, arguments, actor)
        body = {"charger": charger.id, "action": name, **encode(answer)}
        return json_answer(body, status=_STATUSES.get(answer.outcome, 409))

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


def _present(charger: ChargerView, evse: EvseView, view: SiteView) -> _Limit:
    name = f"{charger.id}/{evse.number}"
    why = _why(name, evse, view.timezone)
    return _Limit(charger.id, evse.number, iso(view.at_utc_ms), evse.commanded_ma, evse.reason, why)


def _explain(charger: ChargerView, shown: dict[str, Any], timezone: str) -> dict[str, Any]:
    """Add the sentence to each EVSE."""
    for evse, body in zip(charger.evses, shown["evses"], strict=True):
        body["why"] = _why(f"{charger.id}/{evse.number}", evse, timezone)
    return shown


def _why(name: str, evse: EvseView, timezone: str) -> str:
    words = explain(name, evse.commanded_ma, evse.reason, evse.limit_since_ms, timezone=timezone)
    return " ".join(filter(None, (words, climbed(evse, timezone))))


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


def _correction(body: dict[str, Any]) -> tuple[int | None, str | None, str, str]:
    """What should stand there, why, and who says so."""
    energy_wh, tariff, reason, actor = (body.get(name) for name in ("energy_wh", "tariff", "reason", "actor"))
    if energy_wh is not None and (not isinstance(energy_wh, int) or isinstance(energy_wh, bool)):
        raise ApiError(400, "bad-body", "`energy_wh` is a whole number of watt-hours")
    if not isinstance(reason, str) or not 1 <= len(reason.strip()) <= REASON_MAX_CHARS:
        raise ApiError(400, "bad-body", f"`reason` is a text of 1 to {REASON_MAX_CHARS} characters")
    if not isinstance(actor, str) or not actor or set(body) - {"energy_wh", "tariff", "reason", "actor"}:
        raise ApiError(400, "bad-body", "`actor` is a text; beside it stand `energy_wh`, `tariff` and `reason`, and nothing else")
    if tariff is not None and not isinstance(tariff, str):
        raise ApiError(400, "bad-body", "`tariff` is an OCPI tariff object as text")
    try:
        text = None if tariff is None else tariff_text(tariff_of_text(tariff))
    except TariffError as error:
        raise ApiError(400, "bad-tariff", f"`tariff` is no OCPI tariff: {error}") from error
    return energy_wh, text, reason.strip(), actor[:100]


@web.middleware
async def _errors(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """Every refusal as JSON with a code and a sentence; nothing a client sends ends more than its request."""
    try:
        return await handler(request)
    except ApiError as error:
        return refusal(error.status, error.code, str(error))
    except web.HTTPException as error:
        return refusal(
            error.status, error.reason.lower().replace(" ", "-"), f"{request.method} {request.path[:80]}: {error.reason}"
        )
    except StoreError as error:
        return refusal(503, error.reason, str(error))
