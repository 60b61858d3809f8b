"""systemd's notification socket (sd_notify(3)). Without ``NOTIFY_SOCKET`` every call does nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger(__name__)


class SystemdNotifier:
    """Tells the service manager about readiness, reload, watchdog and stopping."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A leading @ names a socket in the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._has_failed = False

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self, mono_us: int) -> None:
        self._send(f"RELOADING=1\nMONOTONIC_USEC={mono_us}")

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        self._send(f"STATUS={text}")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)
                channel.sendto(message.encode(), self._address)
            self._has_failed = False
        except OSError as error:
            # The manager restarts us if it really hears nothing; one line is enough.
            if not self._has_failed:
                log.warning("service_manager_unreachable", reason=str(error))
            self._has_failed = True
