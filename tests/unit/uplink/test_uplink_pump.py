"""The uplink's task in virtual time, on a broker that does exactly as it is told."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import zstandard
from structlog.testing import capture_logs
from support.contract import own_faults
from support.outbox import EPOCH, ListOutbox

from edgectl.domain.decisions import PublishState
from edgectl.domain.events import Event, InputRefused, PublishRefused, ReceiptReceived, UplinkChanged
from edgectl.domain.ids import SiteId
from edgectl.domain.settings import MqttSettings
from edgectl.domain.time import iso
from edgectl.uplink import Listener, Message, Uplink, Will
from edgectl.uplink.uplink import REFUSALS_PER_SECOND
from hwsim.world.clock import VirtualClock
from hwsim.world.loop import VirtualLoop

BASE = "edgectl/v1/s1/"
T = TypeVar("T")


class ScriptedBroker:
    """A transport to a broker without latency. ``code_of`` answers each publish; None does not answer."""

    def __init__(self) -> None:
        self.listener: Listener | None = None
        self.will: Will | None = None
        self.published: list[tuple[float, str, bytes, bool]] = []
        self.content_types: list[str | None] = []
        self.filters: list[str] = []
        self.code_of: Callable[[str, bytes], int | None] = lambda topic, payload: 0
        self.latency_s = 0.01
        self.dropped: list[str] = []
        self.is_closed = False
        self.broker = "mqtt://broker:1883"
        self._token = 0
        self._is_up = False

    def start(self, listener: Listener, will: Will, random: random.Random) -> None:
        self.listener, self.will = listener, will

    def come_up(
        self, receive_maximum: int = 20, maximum_packet_size: int | None = None, *, is_session_present: bool = False
    ) -> None:
        assert self.listener is not None
        self._is_up = True
        self.listener.on_connected(receive_maximum, maximum_packet_size, is_session_present)

    def go_down(self, reason: str = "gone") -> None:
        assert self.listener is not None
        self._is_up = False
        self.listener.on_disconnected(reason)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        is_retained: bool = False,
        correlation_data: bytes | None = None,
        content_type: str | None = None,
    ) -> int | None:
        if not self._is_up:
            return None
        self._token += 1
        self.content_types.append(content_type)
        assert own_faults(topic.removeprefix(BASE), payload) == []
        token, code, loop = self._token, self.code_of(topic, payload), asyncio.get_running_loop()
        self.published.append((loop.time(), topic.removeprefix(BASE), payload, is_retained))
        if code is not None:
            loop.call_later(self.latency_s, self._answer, token, code)
        return token

    def _answer(self, token: int, code: int) -> None:
        if self._is_up and self.listener is not None:
            self.listener.on_puback(token, code)

    def say(self, suffix: str, body: object, **fields: Any) -> None:
        assert self.listener is not None
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.listener.on_message(Message(BASE + suffix, payload, **fields))

    def subscribe(self, topic_filter: str) -> None:
        self.filters.append(topic_filter)

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)
        if self._is_up:
            self.go_down(reason)

    def look_again(self) -> None: ...

    async def close(self) -> None:
        self.is_closed = True

    def on(self, suffix: str) -> list[bytes]:
        return [payload for _, topic, payload, _ in self.published if topic == suffix]


class Site:
    """An uplink, its outbox and its inbox; receipts and parked rows are committed at once, as the core and the ledger do."""

    def __init__(self, loop: VirtualLoop, *, receipt_timeout_ms: int = 60_000, **packs: bool) -> None:
        self.clock = VirtualClock(loop)
        self.outbox = ListOutbox()
        self.broker = ScriptedBroker()
        self.events: list[Event] = []
        self.uplink = Uplink(
            MqttSettings("broker", 1883, False, receipt_timeout_ms=receipt_timeout_ms, **packs),
            SiteId("s1"),
            epoch=EPOCH,
            boot_id="boot-1",
            version="1.2.3",
            outbox=self.outbox,
            inbox=self,
            clock=self.clock,
            transport=self.broker,
            random=random.Random(1),
        )

    def put(self, event: Event) -> None:
        self.events.append(event)
        if self.outbox.take(event):
            self.uplink.wake()

    def of(self, kind: type[T]) -> list[T]:
        return [event for event in self.events if isinstance(event, kind)]

    def state(self, thing: str, value: int) -> None:
        self.uplink.publish_state(PublishState("meter", thing, {"value": value}), self.clock.now())

    def receipt(self, *record_ids: str, stream: str = "billing", epoch: str = EPOCH) -> None:
        body = {"schema": "edgectl/receipt/1", "epoch": epoch, "acked": [{"record_id": r, "rev": 1} for r in record_ids]}
        self.broker.say(f"receipt/{stream}", body)


def virtually(main: Callable[[Site], Awaitable[None]], **options: Any) -> None:
    """Run ``main`` beside the uplink's task in virtual time."""

    async def run(loop: VirtualLoop) -> None:
        site = Site(loop, **options)
        task = asyncio.create_task(site.uplink.run())
        await asyncio.sleep(0.01)  # to reach a broker takes longer than to read the first numbers from the disk
        try:
            await main(site)
        finally:
            await site.uplink.stop()
            await task

    loop = VirtualLoop()
    try:
        loop.run_until_complete(run(loop))
    finally:
        loop.close()
    assert loop.errors == []


def test_the_birth_is_retained_and_first_and_the_will_is_its_opposite() -> None:
    async def main(site: Site) -> None:
        site.outbox.owe("a", b"{}")
        site.broker.come_up()
        await asyncio.sleep(1)
        _, topic, payload, is_retained = site.broker.published[0]
        birth = json.loads(payload)
        assert (topic, is_retained, birth["state"], birth["backlog"]) == ("status", True, "online", 0)
        assert (birth["epoch"], birth["boot_id"], birth["version"]) == (EPOCH, "boot-1", "1.2.3")
        assert site.broker.will is not None
        assert site.broker.will.topic == "edgectl/v1/s1/status"
        assert json.loads(site.broker.will.payload)["state"] == "offline"
        assert site.broker.filters == ["edgectl/v1/s1/receipt/+", "edgectl/v1/s1/cmd/+"]

    virtually(main)


def test_a_bill_goes_out_byte_for_byte_and_again_until_its_receipt_is_kept() -> None:
    async def main(site: Site) -> None:
        body = b'{"x":1.0, "y": "\xc3\xa9"}'
        site.outbox.owe("a", body)
        site.broker.come_up()
        await asyncio.sleep(59)
        assert site.broker.on("billing/session") == [body]
        await asyncio.sleep(2)
        assert site.broker.on("billing/session") == [body, body]
        site.receipt("a")
        await asyncio.sleep(3_600)
        assert site.broker.on("billing/session") == [body, body]
        assert site.outbox.sent == [1, 1]

    virtually(main)


def test_a_receipt_of_another_ledger_is_passed_on_and_changes_nothing_here() -> None:
    async def main(site: Site) -> None:
        site.outbox.owe("a", b"{}")
        site.broker.come_up()
        await asyncio.sleep(1)
        site.receipt("a", epoch="of-another")
        assert [receipt.epoch for receipt in site.of(ReceiptReceived)] == ["of-another"]
        await asyncio.sleep(60)
        assert len(site.broker.on("billing/session")) == 2
        assert site.uplink.status().last_receipt_age_ms is None

    virtually(main)


def test_what_is_owed_while_connected_goes_as_soon_as_the_uplink_is_woken() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up()
        await asyncio.sleep(3)
        site.outbox.owe("a", b"{}")
        site.uplink.wake()
        await asyncio.sleep(0.1)
        assert len(site.broker.on("billing/session")) == 1

    virtually(main)


def test_what_is_owed_is_found_even_if_nobody_says_so() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up()
        await asyncio.sleep(3)
        site.outbox.owe("a", b"{}")
        await asyncio.sleep(10)
        assert len(site.broker.on("billing/session")) == 1

    virtually(main)


def test_a_thousand_bills_drain_with_receipts_while_live_states_stay_young() -> None:
    async def main(site: Site) -> None:
        for number in range(1_000):
            site.outbox.owe(f"r{number}", str(number).encode())
        loop = asyncio.get_running_loop()
        told: dict[int, float] = {}

        def receipt_at_once(topic: str, payload: bytes) -> int:
            if topic.endswith("billing/session"):
                loop.call_later(0.05, site.receipt, f"r{int(payload)}")
            return 0

        site.broker.code_of = receipt_at_once
        site.broker.latency_s = 0.05
        site.broker.come_up()
        number = 0
        while site.outbox.owed:
            number += 1
            told[number] = loop.time()
            site.state("main", number)
            await asyncio.sleep(0.25)
            assert number < 40, "a thousand bills take less than ten seconds"
        firsts = [int(payload) for _, topic, payload, _ in site.broker.published if topic == "billing/session"]
        assert firsts == list(range(1_000))
        ages = [
            at - told[json.loads(payload)["value"]]
            for at, topic, payload, _ in site.broker.published
            if topic == "state/meter/main"
        ]
        assert len(ages) >= 2
        assert max(ages) <= 2.0

    virtually(main)


def test_no_more_is_unanswered_than_the_broker_takes() -> None:
    async def main(site: Site) -> None:
        for number in range(50):
            site.outbox.owe(f"r{number}", b"")
            site.state(f"m{number}", 1)
        site.broker.code_of = lambda topic, payload: None
        site.broker.come_up(receive_maximum=7)
        await asyncio.sleep(5)
        assert len(site.broker.published) == 7
        assert site.uplink.status().in_flight_count == 7

    virtually(main)


def test_a_thing_is_told_once_a_second_with_its_last_word() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up()
        await asyncio.sleep(1)
        for value in range(20):
            site.state("main", value)
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        values = [json.loads(payload)["value"] for payload in site.broker.on("state/meter/main")]
        assert values == [0, 10, 19]
        assert all(is_retained for _, topic, _, is_retained in site.broker.published if topic.startswith("state/"))

    virtually(main)


def test_a_state_that_was_in_flight_when_the_link_broke_is_told_again() -> None:
    async def main(site: Site) -> None:
        site.broker.code_of = lambda topic, payload: None
        site.broker.come_up()
        site.state("main", 1)
        await asyncio.sleep(0.1)
        site.broker.go_down()
        site.broker.code_of = lambda topic, payload: 0
        await asyncio.sleep(3)
        site.broker.come_up()
        await asyncio.sleep(0.1)
        assert site.broker.on("state/meter/main") == [b'{"value":1}'] * 2

    virtually(main)


def test_a_state_that_is_no_json_is_counted_and_the_next_is_told() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up()
        with capture_logs():
            site.uplink.publish_state(PublishState("meter", "bad", {"value": object()}), site.clock.now())
        site.state("main", 1)
        await asyncio.sleep(0.1)
        assert site.broker.on("state/meter/main") == [b'{"value":1}']
        assert site.uplink.counters()["states_unencodable"] == 1

    virtually(main)


def test_a_refused_bill_is_parked_with_its_reason_and_the_next_goes() -> None:
    async def main(site: Site) -> None:
        site.outbox.owe("a", b"no")
        site.outbox.owe("b", b"yes")
        site.broker.code_of = lambda topic, payload: 0x87 if payload == b"no" else 0
        site.broker.come_up()
        await asyncio.sleep(0.5)
        assert site.of(PublishRefused) == [
            PublishRefused(1, "the broker refused it: not authorised (the broker's access list) (0x87)")
        ]
        assert site.outbox.sent == [2]
        assert "not authorised" in site.uplink.status().last_refusal

    virtually(main)


def test_a_state_above_the_packet_size_is_dropped_and_counted() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up(maximum_packet_size=400)
        site.uplink.publish_state(PublishState("meter", "big", {"value": "x" * 400}), site.clock.now())
        site.state("main", 1)
        await asyncio.sleep(0.1)
        assert site.broker.on("state/meter/big") == []
        assert site.broker.on("state/meter/main") != []
        assert site.uplink.counters()["live_refused"] == 1

    virtually(main)


def test_a_broker_that_stops_answering_is_left_and_nobody_is_parked() -> None:
    async def main(site: Site) -> None:
        site.outbox.owe("a", b"{}")
        for _ in range(4):
            site.broker.code_of = lambda topic, payload: 0 if topic.endswith("status") else None
            site.broker.come_up()
            await asyncio.sleep(21)
        assert site.broker.dropped == ["the broker no longer answers"] * 4
        assert site.of(PublishRefused) == []

    virtually(main)


def test_the_core_and_the_log_hear_of_each_change_and_of_each_reason_once() -> None:
    async def main(site: Site) -> None:
        with capture_logs() as logs:
            site.broker.go_down("connection refused")
            site.broker.go_down("connection refused")
            await asyncio.sleep(1)
            site.broker.come_up()
            await asyncio.sleep(1)
            site.broker.go_down("closed")
            site.broker.go_down("connection refused")
            site.broker.go_down("connection refused")
        assert [(entry["event"], entry.get("reason")) for entry in logs] == [
            ("uplink_lost", "connection refused"),
            ("uplink_connected", None),
            ("uplink_lost", "closed"),
            ("uplink_still_lost", "connection refused"),
        ]
        assert site.of(UplinkChanged) == [
            UplinkChanged(False, "connection refused"),
            UplinkChanged(True, ""),
            UplinkChanged(False, "closed"),
            UplinkChanged(False, "connection refused"),
        ]

    virtually(main)


def test_garbage_is_counted_refused_and_ends_nothing() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up()
        for body in (b"\xff", b"[" * 60_000, b'{"epoch": 1}', b"x" * 100_000):
            site.broker.say("receipt/billing", body)
        site.broker.say("receipt/gossip", {"epoch": EPOCH})
        site.broker.say("billing/session", {})
        site.broker.say("cmd/ping", b"{")
        assert len(site.of(InputRefused)) == 7
        assert {refusal.door for refusal in site.of(InputRefused)} == {"mqtt"}
        site.outbox.owe("a", b"{}")
        site.uplink.wake()
        await asyncio.sleep(0.1)
        assert len(site.broker.on("billing/session")) == 1

    virtually(main)


def test_a_flood_of_garbage_does_not_flood_the_inbox() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up()
        for _ in range(10_000):
            site.broker.say("receipt/billing", b"?")
        assert len(site.of(InputRefused)) == REFUSALS_PER_SECOND
        assert site.uplink.counters()["inputs_refused"] == 10_000
        await asyncio.sleep(1)
        site.broker.say("receipt/billing", b"?")
        assert len(site.of(InputRefused)) == REFUSALS_PER_SECOND + 1

    virtually(main)


def test_a_retained_command_is_answered_with_a_refusal() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up()
        body = {
            "id": "c1",
            "issued_at": iso(site.clock.now().utc_ms),
            "expires_at": iso(site.clock.now().utc_ms + 60_000),
            "actor": "ops",
            "args": {},
        }
        site.broker.say("cmd/ping", body, is_retained=True)
        await asyncio.sleep(0.1)
        (answer,) = site.broker.on("cmd-ack/ops")
        assert json.loads(answer)["code"] == "retained"
        assert len(site.of(InputRefused)) == 1

    virtually(main)


def test_the_status_is_told_again_when_the_backlog_has_changed() -> None:
    async def main(site: Site) -> None:
        site.broker.come_up()
        await asyncio.sleep(5)
        for number in range(5):
            site.outbox.owe(f"r{number}", b"{}")
        await asyncio.sleep(300)
        backlogs = [json.loads(payload)["backlog"] for payload in site.broker.on("status")]
        assert backlogs == [0, 5]

    virtually(main)


def test_a_disk_that_cannot_be_read_delays_rows_and_holds_up_no_state() -> None:
    async def main(site: Site) -> None:
        site.outbox.owe("a", b"{}")
        site.outbox.fails = True
        with capture_logs() as logs:
            site.broker.come_up()
            site.state("main", 1)
            await asyncio.sleep(5)
            assert site.broker.on("state/meter/main") != []
            assert site.broker.on("billing/session") == []
            site.outbox.fails = False
            await asyncio.sleep(2)
        assert len(site.broker.on("billing/session")) == 1
        outbox_lines = [entry["event"] for entry in logs if entry["event"].startswith("outbox_")]
        assert outbox_lines == ["outbox_lost", "outbox_back"]

    virtually(main)


def test_a_stop_says_offline_last_and_closes() -> None:
    async def main(site: Site) -> None:
        for number in range(500):
            site.outbox.owe(f"r{number}", b"")
        site.broker.come_up()
        await asyncio.sleep(0.02)
        await site.uplink.stop()
        _, topic, payload, is_retained = site.broker.published[-1]
        assert (topic, json.loads(payload)["state"], is_retained) == ("status", "offline", True)
        assert site.broker.is_closed
        assert site.broker.dropped == []
        assert site.of(UplinkChanged)[-1] == UplinkChanged(False, "stopped")

    virtually(main)


def test_a_stop_with_a_dead_broker_leaves_the_word_to_the_will_in_time() -> None:
    async def main(site: Site) -> None:
        site.broker.code_of = lambda topic, payload: None
        site.broker.come_up()
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await site.uplink.stop()
        assert asyncio.get_running_loop().time() - began < 2
        assert site.broker.dropped == ["stopping, and the broker did not answer"]

    virtually(main)


def test_without_a_broker_in_the_file_the_task_ends_and_says_why() -> None:
    async def main(site: Site) -> None:
        events: list[Event] = []

        class Box:
            def put(self, event: Event) -> None:
                events.append(event)

        uplink = Uplink(
            None,
            SiteId("s1"),
            epoch=EPOCH,
            boot_id="b",
            version="1",
            outbox=site.outbox,
            inbox=Box(),
            clock=site.clock,
            transport=None,
            random=random.Random(1),
        )
        await uplink.run()
        uplink.publish_state(PublishState("meter", "main", {}), site.clock.now())
        uplink.wake()
        await uplink.stop()
        assert events == [UplinkChanged(False, "no broker is configured", has_broker=False)]
        assert not uplink.status().is_configured

    virtually(main)


def test_the_status_tells_how_the_uplink_is_doing() -> None:
    async def main(site: Site) -> None:
        assert site.uplink.status().detail == "not connected yet"
        site.outbox.owe("a", b"{}")
        site.broker.come_up()
        await asyncio.sleep(30)
        site.receipt("b")
        await asyncio.sleep(1)
        status = site.uplink.status()
        assert status.is_connected
        assert status.broker == status.broker_in_use == "mqtt://broker:1883"
        assert status.backlog_count == 1
        assert status.last_receipt_age_ms == 1_000
        assert status.last_puback_age_ms is not None
        assert status.last_puback_age_ms > 1_000

    virtually(main)


# --- telemetry ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packs_telemetry", [False, True])
def test_a_block_travels_as_the_file_says(packs_telemetry: bool) -> None:
    plain = b'{"rows": "' + b"x" * 1_000 + b'"}'
    packed = zstandard.ZstdCompressor().compress(plain)

    async def main(site: Site) -> None:
        site.outbox.owe("t1", packed, stream="telemetry", suffix="tele/evse")
        site.broker.come_up()
        await asyncio.sleep(1)
        assert site.broker.on("tele/evse") == [packed if packs_telemetry else plain]
        assert site.broker.content_types[-1] == ("application/json+zstd" if packs_telemetry else None)

    virtually(main, packs_telemetry=packs_telemetry)


@pytest.mark.parametrize("packs_billing", [False, True])
def test_a_session_travels_as_the_file_says_and_goes_with_its_receipt(packs_billing: bool) -> None:
    plain = b'{"record_id": "r1", "spans": "' + b"x" * 1_000 + b'"}'

    async def main(site: Site) -> None:
        site.outbox.owe("r1", plain)
        site.outbox.owe("r2", b"{}")
        site.outbox.owe("e1", plain, stream="events", suffix="event/alarm")
        site.broker.come_up()
        await asyncio.sleep(1)
        first, second = site.broker.on("billing/session")
        assert (first.startswith(zstandard.FRAME_HEADER), second) == (packs_billing, b"{}"), "what would grow stays plain"
        assert (zstandard.ZstdDecompressor().decompress(first) if packs_billing else first) == plain
        assert site.broker.on("event/alarm") == [plain]
        types = site.broker.content_types[-3:]
        assert types == ["application/json+zstd" if packs_billing else None, None, None]
        assert site.outbox.owed[0].body == plain, "the disk has it as it was"

    virtually(main, packs_billing=packs_billing)


def test_a_week_of_blocks_drains_in_ten_minutes_while_states_are_two_seconds_old_at_most() -> None:
    """20 MB, as a site of 20 EVSEs has after a week without a link; every block is receipted."""

    async def main(site: Site) -> None:
        for number in range(1_000):
            site.outbox.owe(f"t{number}", b"x" * 20_000, stream="telemetry", suffix="tele/evse")
        site.broker.latency_s = 0.2
        site.broker.come_up()
        loop = asyncio.get_running_loop()
        began, told, oldest_s = loop.time(), 0.0, 0.0
        value = 0
        while site.outbox.waiting("telemetry"):
            assert loop.time() - began < 600
            value += 1
            site.state("main", value)
            told = loop.time()
            await asyncio.sleep(1.5)
            last = [at for at, topic, payload, _ in site.broker.published if topic == "state/meter/main" and at >= told]
            oldest_s = max(oldest_s, last[0] - told if last else 2.1)
            taken = {row.record_id for row in site.outbox.waiting("telemetry") if row.body in site.broker.on("tele/evse")}
            sent = {row.record_id for row in site.outbox.waiting("telemetry")[: len(taken)]}
            site.receipt(*sorted(sent)[:100], stream="telemetry")
        assert oldest_s <= 2.0

    virtually(main)


def test_a_receipt_for_each_row_is_never_too_many_and_more_than_that_are_dropped() -> None:
    async def main(site: Site) -> None:
        for number in range(3_000):
            site.outbox.owe(f"r{number}", b"{}")
        site.broker.latency_s = 0.001
        site.broker.come_up()
        loop = asyncio.get_running_loop()
        began = loop.time()
        receipted = 0
        while site.outbox.waiting("billing"):
            assert loop.time() - began < 30, "nothing waits for a timeout"
            await asyncio.sleep(0.01)
            while receipted < len(site.broker.on("billing/session")):
                site.receipt(f"r{receipted}")
                receipted += 1
        assert "receipts_dropped" not in site.uplink.counters()
        for _ in range(5_000):
            site.receipt("r1")
        assert site.uplink.counters()["receipts_dropped"] > 1_000

    virtually(main)
