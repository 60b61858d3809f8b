"""A command to one gateway, and its answer, over a connection of its own: beside running processes, or without any."""

from __future__ import annotations

import asyncio
import base64
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edgectl.contract.channels import ROOT
from edgectl.contract.commands import COMMANDS, Answer
from edgectl.contract.signing import signed_bytes
from edgectl.contract.status import Status
from edgectl.domain.ids import SiteId
from edgectl.domain.settings import MqttSettings
from edgectl.domain.time import iso
from edgectl.runtime.clock import RandomIds, SystemClock
from edgectl.uplink.paho import ClientOptions, PahoTransport
from edgectl.uplink.topics import level
from edgectl.uplink.transport import FIRST_FAILURE, Message
from edgectl_backend.service.process import read_file

PATIENCE: Final = timedelta(seconds=60)
FINAL: Final = frozenset({"done", "refused", "failed"})
"""``accepted`` says that another answer follows."""


class CommandError(Exception):
    """It could not be sent, or its arguments are not what the contract says; in words for a person."""


@dataclass(frozen=True, slots=True)
class Order:
    """A command as it leaves."""

    id: str
    site: str
    name: str
    actor: str
    payload: bytes


def make_order(
    site: str,
    name: str,
    args: dict[str, Any],
    *,
    actor: str,
    life: timedelta = PATIENCE,
    key: tuple[str, str] | None = None,
    nonce: str | None = None,
) -> Order:
    """``key``: name of the key at the gateway, and the PEM file with its private half (Ed25519).

    Raises:
        CommandError: there is no such command, or its arguments are wrong.
    """
    kind = COMMANDS.get(name)
    if kind is None:
        raise CommandError(f"there is no command {name!r}; there are: {', '.join(COMMANDS)}")
    try:
        msgspec.convert(args, kind.args)
    except msgspec.ValidationError as error:
        raise CommandError(f"{name}: {error}") from None
    now = SystemClock().now()
    body: dict[str, Any] = {
        "id": RandomIds().session_id(now),
        "issued_at": iso(now.utc_ms),
        "expires_at": iso(now.utc_ms + life // timedelta(milliseconds=1)),
        "actor": actor,
        "args": args,
        "site": site,
        "name": name,
    }
    if nonce is not None:
        body["nonce"] = nonce
    if key is not None:
        body["key"] = key[0]
        try:
            private = load_pem_private_key(read_file(key[1]), password=None)
        except (KeyError, ValueError, TypeError) as error:
            raise CommandError(f"{key[1]}: {error}") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise CommandError(f"{key[1]}: it is no Ed25519 key")
        body["signature"] = base64.b64encode(private.sign(signed_bytes(body))).decode()
    return Order(body["id"], site, name, actor, msgspec.json.encode(body))


def nonce_of(status: bytes | None) -> str | None:
    """What a gateway asks commands to carry while it cannot trust its clock."""
    try:
        return None if status is None else msgspec.json.decode(status, type=Status).nonce
    except ValueError:
        return None


async def send(broker: MqttSettings, order: Order, patience: timedelta = PATIENCE) -> Answer:
    """Send and wait for the last answer.

    Raises:
        CommandError: no broker, or no answer in time.
    """
    sender = _Sender(order)
    transport = PahoTransport(broker, SiteId(""), read_file, ClientOptions("", is_clean=True))
    sender.transport = transport
    transport.start(sender, None, random.SystemRandom())
    try:
        async with asyncio.timeout(patience.total_seconds()):
            return await sender.answer
    except TimeoutError:
        heard = "" if sender.heard is None else f"; so far it is {sender.heard.status}"
        raise CommandError(
            f"no answer of {order.site}: {sender.trouble or 'is it online, and may we send there?'}{heard}"
        ) from None
    finally:
        await transport.close()


class _Sender:
    """Implements ``transport.Listener``."""

    def __init__(self, order: Order) -> None:
        self.transport: PahoTransport
        self.answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.heard: Answer | None = None
        self.trouble = ""
        self._order = order
        self._answers_at = f"{ROOT}/{order.site}/cmd-ack/{level(order.actor)}"

    def on_connected(self, _receive_maximum: int, _maximum_packet_size: int | None, _is_session_present: bool = False) -> None:
        self.trouble = ""
        self.transport.subscribe(self._answers_at)
        topic = f"{ROOT}/{self._order.site}/cmd/{self._order.name}"
        self.transport.publish(
            topic, self._order.payload, correlation_data=self._order.id.encode(), response_topic=self._answers_at
        )

    def on_disconnected(self, reason: str, _is_by_broker: bool = True) -> None:
        self.trouble = reason

    def on_puback(self, _token: int, reason_code: int) -> None:
        if reason_code >= FIRST_FAILURE and not self.answer.done():
            self.answer.set_exception(CommandError(f"the broker refused it (0x{reason_code:02X})"))

    def on_message(self, message: Message) -> None:
        try:
            answer = msgspec.json.decode(message.payload, type=Answer)
        except ValueError:
            return
        if answer.id != self._order.id or self.answer.done():
            return
        self.heard = answer
        if answer.status in FINAL:
            self.answer.set_result(answer)

    def on_credentials(self, problem: str) -> None: ...

    def on_suback(self, _topic_filter: str, reason_code: int) -> None:
        if reason_code < FIRST_FAILURE:
            return
        self.trouble = "the broker does not let us read answers"
