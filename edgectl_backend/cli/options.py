"""Options that commands share, and what people type in them."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import click

from edgectl.domain.settings import MqttSettings

if TYPE_CHECKING:
    from edgectl_backend.web.login import Hash

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


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def page_options(function: F) -> F:
    """``listen``, ``users_file``, ``page_certificate``, ``without_login``, ``without_tls``: what ``page_access`` takes."""
    for option in reversed(
        (
            click.option(
                "--listen",
                type=ListenAddress(),
                envvar="EDGECTL_BACKEND_LISTEN",
                show_envvar=True,
                help="for the fleet's page and /metrics; nothing is open without",
            ),
            click.option(
                "--users-file",
                envvar="EDGECTL_BACKEND_USERS_FILE",
                show_envvar=True,
                metavar="FILE",
                help="who may look at them: lines of `edgectl-backend hash-password`",
            ),
            click.option(
                "--page-certificate",
                envvar="EDGECTL_BACKEND_PAGE_CERTIFICATE",
                show_envvar=True,
                metavar="FILE",
                help="PEM with certificate and key: they are HTTPS",
            ),
            click.option("--without-login", is_flag=True, help="let everybody look who reaches them, from other machines too"),
            click.option("--without-tls", is_flag=True, help="plain HTTP for other machines too, as behind a proxy of yours"),
        )
    ):
        function = option(function)
    return function


def page_access(
    listen: tuple[str, int] | None,
    users_file: str | None,
    page_certificate: str | None,
    without_login: bool,
    without_tls: bool,
) -> tuple[dict[str, Hash] | None, ssl.SSLContext | None]:
    """Who may look, and the certificate. Nothing is open to other machines by oversight."""
    from edgectl_backend.web.login import UsersFileError, read_users

    users = tls = None
    if users_file is not None:
        try:
            users = read_users(Path(users_file).read_text(), users_file)
        except (OSError, UnicodeDecodeError, UsersFileError) as error:
            raise click.BadParameter(str(error), param_hint="--users-file") from None
    if page_certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            tls.load_cert_chain(page_certificate)
        except OSError as error:  # an SSLError is one
            raise click.BadParameter(f"{page_certificate}: {error}", param_hint="--page-certificate") from None
    if listen is not None and not is_loopback(listen[0]):
        if users is None and not without_login:
            raise click.BadParameter(
                f"{listen[0]} is open to other machines; allowed is that with --users-file, or with --without-login",
                param_hint="--listen",
            )
        if tls is None and not without_tls:
            raise click.BadParameter(
                f"{listen[0]} is open to other machines; allowed is that with --page-certificate, or with --without-tls",
                param_hint="--listen",
            )
    return users, tls


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
