"""Options that commands share, and what people type in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import click

from edgectl.domain.settings import MqttSettings

F = TypeVar("F", bound=Callable[..., Any])
PORTS = {"mqtt": 1883, "mqtts": 8883}
BROKER_ALLOWED = "mqtts://host:port, or mqtt://host:port without TLS"


class BrokerAddress(click.ParamType[Any]):
    """``mqtts://host:port`` to scheme, host and port."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[bool, str, int, str | None]:
        if isinstance(value, tuple):
            return value
        parts = urlsplit(str(value))
        try:
            port = parts.port or PORTS[parts.scheme]
        except (KeyError, ValueError):
            self.fail(f"{value!r}; allowed is {BROKER_ALLOWED}", param, ctx)
        if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.password is not None:
            self.fail(f"{value!r}; allowed is {BROKER_ALLOWED}; passwords come from --password-file", param, ctx)
        return parts.scheme == "mqtts", parts.hostname, port, None if parts.username is None else unquote(parts.username)


class ListenAddress(click.ParamType[Any]):
    """``host:port``."""

    name = "HOST:PORT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        parts = urlsplit(f"//{value}")
        try:
            port = parts.port
        except ValueError:
            port = None
        if port is None or not parts.hostname:
            self.fail(f"{value!r}; allowed is host:port, for example 127.0.0.1:8090", param, ctx)
        return parts.hostname, port


def database_option(function: F) -> F:
    return click.option(
        "--database",
        metavar="URL",
        required=True,
        envvar="EDGECTL_BACKEND_DATABASE",
        show_envvar=True,
        help="postgresql://user:password@host:port/name",
    )(function)


def broker_options(function: F) -> F:
    """``broker``, ``username``, ``password_file``, ``ca``, ``certificate``: what ``broker_settings`` takes."""
    for option in reversed(
        (
            click.option(
                "--broker",
                type=BrokerAddress(),
                required=True,
                envvar="EDGECTL_BACKEND_BROKER",
                show_envvar=True,
                help="mqtts://host:port, or mqtt:// without TLS",
            ),
            click.option("--username", envvar="EDGECTL_BACKEND_USERNAME", help="at the broker"),
            click.option("--password-file", envvar="EDGECTL_BACKEND_PASSWORD_FILE", metavar="FILE", help="with the password"),
            click.option(
                "--ca", envvar="EDGECTL_BACKEND_CA", metavar="FILE", help="PEM of the broker's authority; else the system's"
            ),
            click.option("--certificate", envvar="EDGECTL_BACKEND_CERTIFICATE", metavar="FILE", help="PEM with ours and its key"),
        )
    ):
        function = option(function)
    return function


def broker_settings(
    broker: tuple[bool, str, int, str | None],
    username: str | None,
    password_file: str | None,
    ca: str | None,
    certificate: str | None,
) -> MqttSettings:
    is_tls, host, port, user_in_url = broker
    return MqttSettings(
        host,
        port,
        is_tls,
        client_certificate=certificate,
        ca_certificate=ca,
        username=username or user_in_url,
        password=password_file,
    )
