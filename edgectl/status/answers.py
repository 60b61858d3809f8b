"""How every route answers: JSON with the same headers, refusals with a code and a sentence, bodies within bounds."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from edgectl.status.encode import encode

CSP = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'"
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class ApiError(Exception):
    """What the client is told: a status, a stable code, a sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def json_answer(value: Any, status: int = 200) -> web.Response:
    return web.json_response(encode(value), status=status, headers=HEADERS)


def refusal(status: int, code: str, message: str) -> web.Response:
    more = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers={**HEADERS, **more})


async def read_body(request: web.Request) -> dict[str, Any]:
    """The object in the body; an empty one without a body.

    Raises:
        ApiError: it is no JSON object.
    """
    try:
        body = await request.json() if request.can_read_body else {}
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "bad-body", "the body is not JSON") from error
    if not isinstance(body, dict):
        raise ApiError(400, "bad-body", "the body must be an object")
    return body
