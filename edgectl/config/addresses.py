"""Addresses: ``host:port`` to listen on, ``tcp://...`` and ``serial://...`` of a meter, ``mqtts://...`` of the broker."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

from edgectl.config.problems import Refused, excerpt, listed, one_of
from edgectl.domain.settings import Connection, Transport

MODBUS_PORT = 502
MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
PARITIES = {"none": "N", "even": "E", "odd": "O"}
STOP_BITS = (1, 2)

_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_NETWORK = {"tcp": Transport.TCP, "rtu+tcp": Transport.RTU_OVER_TCP}
CONNECT_ALLOWED = "`tcp://host:port`, `rtu+tcp://host:port` or `serial:///dev/ttyUSB0?baud=9600&parity=none`"
CONNECT_PATTERN = r"((rtu\+)?tcp://[^/?#]+|serial:///dev/[^?#]+(\?.*)?)"
BROKER_ALLOWED = "`mqtts://host:port`, or `mqtt://host:port` without TLS"
BROKER_PATTERN = r"mqtts?://[^/?#@]+/?"
LISTEN_ALLOWED = "`address:port`, for example `0.0.0.0:8887`"
LISTEN_PATTERN = r"\S+:\d{1,5}"


@dataclass(frozen=True, slots=True)
class Address:
    """A host name, IPv4 or IPv6 address (without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def overlaps(self, other: Address) -> bool:
        """True when one socket would take what the other wants. Port 0 is any free one."""
        hosts = {self.host, other.host}
        return self.port == other.port != 0 and (self.host == other.host or bool(hosts & {"0.0.0.0", "::"}))


@dataclass(frozen=True, slots=True)
class Broker:
    host: str
    port: int
    is_tls: bool


def parse_listen(text: str) -> Address:
    """``host:port``; port 0 takes a free one.

    Raises:
        Refused: not an address, or no port.
    """
    return _host_and_port(text, None, LISTEN_ALLOWED, least_port=0)


def parse_broker(text: str) -> Broker:
    """``mqtts://host[:port]``.

    Raises:
        Refused: another scheme, or a user or path in the address.
    """
    scheme, colon, rest = text.partition("://")
    if "@" in text:
        raise Refused("a user or password does not belong in the address", "use the keys username and password", found="")
    if not colon or scheme not in MQTT_PORTS:
        raise Refused("is not the address of a broker", BROKER_ALLOWED)
    address = _host_and_port(rest.removesuffix("/"), MQTT_PORTS[scheme], BROKER_ALLOWED)
    return Broker(address.host, address.port, is_tls=scheme == "mqtts")


def parse_connect(text: str) -> Connection:
    """How a meter is reached.

    Raises:
        Refused: unknown scheme, bad host, unknown serial parameter or value.
    """
    scheme, colon, rest = text.partition("://")
    if colon and scheme in _NETWORK:
        address = _host_and_port(rest.removesuffix("/"), MODBUS_PORT, CONNECT_ALLOWED)
        return Connection(_NETWORK[scheme], host=address.host, port=address.port)
    if colon and scheme == "serial":
        return _serial(rest)
    raise Refused("is not the address of a meter", CONNECT_ALLOWED)


def _serial(rest: str) -> Connection:
    device, _, query = rest.partition("?")
    if re.fullmatch(r"/dev/[A-Za-z0-9_./:+-]+", device, re.ASCII) is None or ".." in device:
        raise Refused("names no serial device", "three slashes: `serial:///dev/ttyUSB0?baud=9600&parity=none`")
    baud, parity, stop_bits = 9600, "N", 1
    seen = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in seen:
            raise Refused(f"{name} is written twice", "keep one of them")
        seen.add(name)
        if name == "baud":
            baud = _listed_number(name, value, BAUDS)
        elif name == "parity":
            if value not in PARITIES:
                raise Refused(f"parity {excerpt(value)} is not known", listed(PARITIES))
            parity = PARITIES[value]
        elif name == "stop_bits":
            stop_bits = _listed_number(name, value, STOP_BITS)
        else:
            raise Refused(
                f"{excerpt(name)} is no setting of a serial line", one_of(name, ["baud", "parity", "stop_bits"], "settings")
            )
    return Connection(Transport.SERIAL, device=device, baud=baud, parity=parity, stop_bits=stop_bits)


def _listed_number(name: str, value: str, allowed: tuple[int, ...]) -> int:
    if value not in {str(number) for number in allowed}:
        raise Refused(f"{name} {excerpt(value)} is not possible", listed(str(number) for number in allowed))
    return int(value)


def _host_and_port(text: str, default_port: int | None, allowed: str, least_port: int = 1) -> Address:
    match = re.fullmatch(r"(?P<host>\[[^\]]*\]|[^:/?#\s]+)(?::(?P<port>\d{1,9}))?", text, re.ASCII)
    if match is None:
        raise Refused("is not a host and a port", allowed)
    port = int(match["port"]) if match["port"] else default_port
    if port is None:
        raise Refused("the port is missing", allowed)
    if not least_port <= port <= 65535:
        raise Refused(f"port {port} does not exist", f"{least_port} to 65535")
    return Address(_host(match["host"], allowed), port)


def _host(text: str, allowed: str) -> str:
    if text.startswith("["):
        try:
            return str(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            raise Refused(f"{excerpt(text)} is not an IPv6 address", allowed) from None
    if re.fullmatch(r"[\d.]+", text, re.ASCII):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            raise Refused(
                f"{excerpt(text)} is not an IPv4 address", "four numbers from 0 to 255, for example 192.168.10.20"
            ) from None
    if len(text) > 253 or not all(_LABEL.fullmatch(label) for label in text.removesuffix(".").split(".")):
        raise Refused(f"{excerpt(text)} is not a host name", allowed)
    return text.casefold()
