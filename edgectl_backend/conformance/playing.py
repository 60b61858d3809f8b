"""The difficult site over a broker: sends, hears receipts, sends again like a gateway, gives up after a while."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Final

from edgectl.contract.channels import ROOT
from edgectl.domain.ids import SiteId
from edgectl.domain.settings import MqttSettings
from edgectl.uplink.paho import ClientOptions, PahoTransport
from edgectl.uplink.transport import FIRST_FAILURE, Message
from edgectl_backend.conformance.judging import Judge, Verdict
from edgectl_backend.conformance.scenarios import NAMES, Scenario, make
from edgectl_backend.service.outgoing import Outgoing
from edgectl_backend.service.process import read_file

PATIENCE_S: Final = 30.0
REPEAT_S: Final = 5.0
SETTLE_S: Final = 0.3
"""After the last answer of a scenario: what is said too much has time to arrive."""
CONNECT_S: Final = 15.0


class UnreachableError(Exception):
    """The broker; in words for a person."""


async def play(
    broker: MqttSettings,
    prefix: str,
    *,
    seed: int = 1,
    names: Sequence[str] = NAMES,
    patience_s: float = PATIENCE_S,
    on_verdict: Callable[[Verdict], None] = lambda _: None,
) -> list[Verdict]:
    """Play every scenario against whoever consumes on this broker.

    Raises:
        UnreachableError: no connection within a quarter of a minute.
    """
    rng = random.Random(seed)  # noqa: S311 - a seed that repeats the order
    player = _Player()
    transport = PahoTransport(broker, SiteId(""), read_file, ClientOptions("", is_clean=True))
    player.attach(transport)
    transport.start(player, None, random.SystemRandom())
    verdicts = []
    try:
        await player.wait_connected()
        for site, scenario in make(prefix, rng, names):
            verdict = await player.play(site, scenario, patience_s)
            verdicts.append(verdict)
            on_verdict(verdict)
    finally:
        await transport.close()
    return verdicts


class _Player:
    """Implements ``transport.Listener``."""

    def __init__(self) -> None:
        self._transport: PahoTransport
        self._outgoing: Outgoing
        self._judges: dict[str, Judge] = {}
        self._news = asyncio.Event()
        self._is_connected = asyncio.Event()
        self._trouble = ""

    def attach(self, transport: PahoTransport) -> None:
        self._transport = transport
        self._outgoing = Outgoing(transport)

    async def wait_connected(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._is_connected.wait()
        except TimeoutError:
            raise UnreachableError(self._trouble or "the broker does not answer") from None

    async def play(self, site: str, scenario: Scenario, patience_s: float) -> Verdict:
        verdict = Verdict(scenario.name, scenario.words)
        judge = self._judges[site] = Judge(verdict, scenario.stream)
        self._transport.subscribe(f"{ROOT}/{site}/receipt/+")
        loop = asyncio.get_running_loop()
        for part in scenario.parts:
            judge.begin(part)
            for sent in part:
                self._outgoing.put(f"{ROOT}/{site}/{sent.suffix}", sent.body)
            deadline_s = loop.time() + patience_s
            repeat_s = loop.time() + REPEAT_S
            while (judge.waiting or not self._outgoing.is_idle) and loop.time() < deadline_s:
                await self._pause(min(repeat_s, deadline_s) - loop.time())
                if loop.time() >= repeat_s and self._outgoing.is_idle:
                    repeat_s = loop.time() + REPEAT_S
                    for sent in judge.waiting:
                        self._outgoing.put(f"{ROOT}/{site}/{sent.suffix}", sent.body)
            judge.give_up()
        await asyncio.sleep(SETTLE_S)
        return verdict

    async def _pause(self, seconds: float) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout(max(0.001, seconds)):
                await self._news.wait()
        except TimeoutError:
            return

    # --- what the transport says --------------------------------------------------------------------------------------

    def on_connected(self, receive_maximum: int, _maximum_packet_size: int | None, _is_session_present: bool = False) -> None:
        for site in self._judges:
            self._transport.subscribe(f"{ROOT}/{site}/receipt/+")
        self._outgoing.connected(receive_maximum)
        self._is_connected.set()

    def on_disconnected(self, reason: str, _is_by_broker: bool = True) -> None:
        self._trouble = reason
        self._outgoing.disconnected()
        self._news.set()

    def on_puback(self, token: int, reason_code: int) -> None:
        if reason_code >= FIRST_FAILURE:
            self._trouble = f"the broker refused a publish (0x{reason_code:02X})"
        self._outgoing.answered(token)
        self._news.set()

    def on_message(self, message: Message) -> None:
        _, _, site, _, stream = message.topic.split("/", 4)
        judge = self._judges.get(site)
        if judge is not None:
            judge.received(stream, message.payload, is_retained=message.is_retained)
        self._news.set()

    def on_credentials(self, problem: str) -> None: ...

    def on_suback(self, topic_filter: str, reason_code: int) -> None:
        if reason_code >= FIRST_FAILURE:
            self._trouble = f"the broker does not let us read {topic_filter} (0x{reason_code:02X})"
