"""The door for limits from outside: read by anyone who may see the page, set with a token, or over the socket without one."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial

from aiohttp import web

from edgectl.domain.decisions import ActionAnswered
from edgectl.domain.events import Event, LimitRequested, Outcome
from edgectl.domain.external import LimitSource, LimitWish, Target, TargetKind, WishError, read_wish
from edgectl.domain.views import SiteView
from edgectl.ports import Actions
from edgectl.status.answers import ApiError, json_answer, read_body
from edgectl.status.encode import encode

ACTOR_MAX_CHARS = 100
_STATUSES = {"no-such-target": 404, "no-such-limit": 404, "past": 400, "too-long": 400, "busy": 503}


def check_token(request: web.Request, token: bytes | None) -> None:
    """Whoever wants something done over an open port must show the token of the file.

    Raises:
        ApiError: none is configured, or another was shown.
    """
    if token is None:
        raise ApiError(403, "no-token", "this port takes no actions: the site's file names no `web.token`")
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not hmac.compare_digest(shown.strip().encode(), token):
        raise ApiError(401, "wrong-token", "actions need the header `Authorization: Bearer TOKEN`")


class LimitDoor:
    """The routes below ``/api/v1/limits``, of one authority."""

    def __init__(
        self, view: Callable[[], SiteView], actions: Actions, source: LimitSource, admit: Callable[[web.Request], None]
    ) -> None:
        self._view = view
        self._actions = actions
        self._source = source
        self._admit = admit

    def register(self, application: web.Application) -> None:
        application.router.add_get("/api/v1/limits", self._list)
        application.router.add_post("/api/v1/limits", self._set)
        application.router.add_delete("/api/v1/limits/{limit}", self._lift)

    async def _list(self, _request: web.Request) -> web.Response:
        return json_answer(self._view().limits)

    async def _set(self, request: web.Request) -> web.Response:
        self._admit(request)
        body = await read_body(request)
        actor = _actor(body.pop("actor", ""))
        try:
            wish = read_wish(body)
        except WishError as error:
            raise ApiError(400, "bad-limit", str(error)) from error
        return await self._ask(wish, actor)

    async def _lift(self, request: web.Request) -> web.Response:
        self._admit(request)
        limit_id = request.match_info["limit"]
        source, _, rest = limit_id.partition(":")
        kind, _, name = rest.partition(":")
        if kind not in {one.value for one in TargetKind} or not name:
            raise ApiError(404, "no-such-limit", f"no limit is called {limit_id[:80]!r}; GET /api/v1/limits lists them")
        if source != self._source.value:
            raise ApiError(403, "not-yours", f"only {source[:20]} lifts its own limits; this door is {self._source.value}")
        return await self._ask(LimitWish(Target(TargetKind(kind), name)), _actor(request.query.get("actor", "")))

    async def _ask(self, wish: LimitWish, actor: str) -> web.Response:
        answer = await self._actions.ask(partial(_event, source=self._source, actor=actor, wish=wish))
        if answer.outcome is not Outcome.ACCEPTED:
            raise ApiError(_STATUSES.get(answer.status, 409), answer.status or answer.outcome.value, answer.problem)
        return json_answer(_body(answer))


def _event(action_id: str, *, source: LimitSource, actor: str, wish: LimitWish) -> Event:
    return LimitRequested(action_id, source, actor, wish)


def _body(answer: ActionAnswered) -> dict[str, object]:
    return {"outcome": encode(answer.outcome), "status": answer.status, "problem": answer.problem, **dict(answer.detail)}


def _actor(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ApiError(400, "bad-actor", "`actor` is a text: who wants this")
    return value[:ACTOR_MAX_CHARS]
