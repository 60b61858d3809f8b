"""Asks the running daemon over its Unix socket; never over an open port."""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

DEFAULT_SOCKET = "/run/edgectl/api.sock"
TIMEOUT_S = 10.0
LONG_TIMEOUT_S = 300.0


class DaemonError(Exception):
    """The daemon is not there, or refused; the text is for the person."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        channel.settimeout(self.timeout)
        try:
            channel.connect(str(self._path))
        except OSError:
            channel.close()
            raise
        self.sock = channel


class Daemon:
    """The daemon behind a socket."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(os.environ.get("EDGECTL_SOCKET", DEFAULT_SOCKET))

    def get(self, *parts: str, **query: str | None) -> Any:
        """The JSON at ``/api/v1/PARTS``.

        Raises:
            DaemonError: nobody there, or refused.
        """
        given = {name: value for name, value in query.items() if value is not None}
        path = "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
        return self._ask("GET", path + (f"?{urlencode(given)}" if given else ""))

    def text(self, *parts: str, **query: str | None) -> str:
        """The same where the answer is text for people or other programs; patient, because it may be long."""
        given = {name: value for name, value in query.items() if value is not None}
        path = "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
        content, is_fine = self._answer("GET", path + (f"?{urlencode(given)}" if given else ""), None, LONG_TIMEOUT_S)
        if not is_fine:
            self._found(content)  # a refusal says why
        return content.decode("utf-8")

    def post(self, *parts: str, body: dict[str, Any] | None = None, timeout_s: float = TIMEOUT_S) -> Any:
        path = "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
        return self._ask("POST", path, None if body is None else json.dumps(body), timeout_s)

    def delete(self, *parts: str, **query: str) -> Any:
        path = "/api/v1/" + "/".join(quote(part, safe="") for part in parts)
        return self._ask("DELETE", path + (f"?{urlencode(query)}" if query else ""))

    def _ask(self, method: str, path: str, body: str | None = None, timeout_s: float = TIMEOUT_S) -> Any:
        content, _ = self._answer(method, path, body, timeout_s)
        return self._found(content)

    def _answer(self, method: str, path: str, body: str | None, timeout_s: float) -> tuple[bytes, bool]:
        connection = _UnixConnection(self.path, timeout_s)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"} if body is not None else {})
            answer = connection.getresponse()
            return answer.read(), answer.status < 400
        except (OSError, http.client.HTTPException) as error:
            raise DaemonError(_nobody(self.path, error)) from error
        finally:
            connection.close()

    def _found(self, content: bytes) -> Any:
        try:
            found = json.loads(content)
        except ValueError as error:
            raise DaemonError(f"edgectl answered something unreadable on {self.path}") from error
        if isinstance(found, dict) and isinstance(found.get("error"), dict):
            raise DaemonError(str(found["error"].get("message")))
        return found


def _nobody(path: Path, error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"no permission for {path}; try with sudo, or join the group edgectl"
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return f"edgectl is not running here (no answer on {path}); start it with: systemctl start edgectl"
    return f"no answer on {path}: {error}"
