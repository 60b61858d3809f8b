"""The uplink from the ledger to a receipt: records a second, CPU for each, bytes on the wire; telemetry plain and packed.

The real ledger, uplink and client in this process, a real mosquitto, and a backend in a process of its own that sends a receipt
for each record; on loopback, and again over a wire that takes 25 ms or more each way.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import zstandard

from benchmarks.process import ROOT, free_port
from benchmarks.report import CheckFailedError, Results, middle, spread, verdict
from edgectl.domain.bill import session_body
from edgectl.domain.events import Event, ReceiptReceived
from edgectl.domain.ids import ChargerId, IdToken, SessionId, SiteId, TransactionRef
from edgectl.domain.reasons import Cause
from edgectl.domain.records import (
    Authorisation,
    BillKept,
    Period,
    PeriodState,
    ReceiptKept,
    Session,
    SessionStatus,
    TelemetryKept,
)
from edgectl.domain.settings import MqttSettings
from edgectl.ports import OutboxRow
from edgectl.runtime.clock import SystemClock
from edgectl.store import Ledger
from edgectl.uplink import PahoTransport, Uplink
from edgectl.uplink.packing import Packing, content_type_of
from edgectl.uplink.transport import packet_size
from hwsim.campaigns.uplink.proxy import FaultyWire
from hwsim.tools.mosquitto import find_or_fetch_mosquitto

RECORDS = 2_000
ROUNDS = 3
GOAL_PER_S = 100.0
ROUND_TRIP_S = 0.05
"""Between the gateway and its broker, as over a mobile link."""
GOAL_ROW_BYTES = 15.0
GOAL_WEEK_MB = 20.0
SIGNED_GOAL_BYTES, UNSIGNED_GOAL_BYTES = 1_500.0, 900.0
EVSES = 20
PERIODS = 15
WAIT_S = 120.0
START_S = 30.0
SITE = SiteId("bench")
TOPIC = "edgectl/v1/bench/"
OCMF = "OCMF|" + '{"FV":"1.0","GI":"ABL SBC-301","GS":"808829900001","GV":"1.4p3","PG":"T12345","MV":"Phoenix Contact",' * 3
START_UTC_MS = 1_790_000_000_000


def session(number: int, *, is_signed: bool = False) -> Session:
    """One of a day at a depot, with as many spans as balancing makes."""
    began = START_UTC_MS + number * 60_000
    spans = tuple(
        Period(began + 300_000 * one, began + 300_000 * (one + 1), PeriodState.CHARGING, 911 + 7 * one, Cause.CIRCUIT)
        for one in range(PERIODS)
    )
    return Session(
        id=SessionId(f"01999999-0000-7000-8000-{number:012d}"),
        charger=ChargerId(f"CP-A-{number % 40:02d}"),
        evse_number=1,
        connector_number=1,
        transaction=TransactionRef(str(number)),
        status=SessionStatus.COMPLETED,
        id_token=IdToken("04A2B3C4D5E6F7"),
        authorisation=Authorisation("local-list", "edgectl", "accepted", is_offline=False),
        started_utc_ms=began,
        started_reported_utc_ms=began,
        meter_start_wh=1_000_000 + number,
        meter_last_wh=1_014_400 + number,
        last_utc_ms=began + 4_500_000,
        ended_utc_ms=began + 4_500_000,
        ended_reported_utc_ms=began + 4_500_000,
        meter_stop_wh=1_014_400 + number,
        energy_wh=14_400,
        stop_reason="EVDisconnected",
        periods=spans,
        signed_values=tuple(OCMF + end + random.Random(end).randbytes(72).hex() for end in "BE") if is_signed else (),
        rev=1,
    )


class Gateway:
    """The uplink on a real ledger; receipts are kept as the core would keep them."""

    def __init__(self, folder: Path, port: int, clock: SystemClock, records: int, *, is_packed: bool = False) -> None:
        self._clock = clock
        self.ledger = Ledger(folder / "ledger.db", site=SITE, new_epoch=lambda: "e" * 32, now=clock.now())
        settings = MqttSettings("127.0.0.1", port, is_tls=False, packs_telemetry=is_packed, packs_billing=is_packed)
        self._wanted = records
        self.has_all = asyncio.Event()
        """Every record has its receipt, and the ledger has let go of it."""
        self.uplink = Uplink(
            settings,
            SITE,
            epoch=self.ledger.opened.epoch,
            boot_id="bench",
            version="0",
            outbox=self.ledger,
            inbox=self,
            clock=clock,
            transport=PahoTransport(settings, SITE, {}.__getitem__),
            random=random.Random(1),
        )

    def put(self, event: Event) -> None:
        if isinstance(event, ReceiptReceived):
            now = self._clock.now()
            kept = ReceiptKept(event.stream, event.epoch, event.acked_through, event.acked, (), now.utc_ms)
            asyncio.wrap_future(self.ledger.commit([kept], now)).add_done_callback(lambda _: self._kept(len(event.acked)))

    def _kept(self, count: int) -> None:
        self._wanted -= count
        self.uplink.wake()
        if self._wanted <= 0:
            self.has_all.set()


async def one_round(folder: Path, port: int, records: int) -> tuple[float, float]:
    """Records receipted a second, and milliseconds of CPU of this process for each."""
    clock = SystemClock()
    gateway = Gateway(folder, port, clock, records)
    task: asyncio.Task[None] | None = None
    try:
        bills = [session(number) for number in range(records)]
        await asyncio.wrap_future(gateway.ledger.commit([BillKept(one.id, 1, session_body(one)) for one in bills], clock.now()))
        began_s, cpu_s = time.monotonic(), time.process_time()
        task = asyncio.create_task(gateway.uplink.run())
        async with asyncio.timeout(WAIT_S):
            await gateway.has_all.wait()
        took_s, used_s = time.monotonic() - began_s, time.process_time() - cpu_s
        left = (await asyncio.wrap_future(gateway.ledger.summary())).backlog_count
        if left:
            raise CheckFailedError(f"{left} of {records} records are still owed")
        return records / took_s, used_s / records * 1_000
    except TimeoutError:
        raise CheckFailedError(f"not all receipted within {WAIT_S:.0f} s") from None
    finally:
        await gateway.uplink.stop()
        if task is not None:
            await task
        gateway.ledger.close()


async def catch_up(folder: Path, records: int, rounds: int, round_trip_s: float = 0.0) -> list[tuple[float, float]]:
    program = find_or_fetch_mosquitto()
    if program is None:
        raise CheckFailedError("there is no mosquitto")
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 100\n")
    broker = subprocess.Popen([str(program), "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    backend: subprocess.Popen[bytes] | None = None
    wire = FaultyWire(port)
    wire.delay_s = round_trip_s / 2
    try:
        await wire.start()
        await listens(port)
        command = [sys.executable, "-m", "benchmarks.servers.receipts", str(port)]
        backend = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)  # noqa: ASYNC220 - before anything is timed
        if backend.stdout is None or not await asyncio.wait_for(asyncio.to_thread(backend.stdout.readline), START_S):
            raise CheckFailedError("the backend does not start")
        found = []
        for number in range(rounds):
            own = folder / str(number)
            own.mkdir()
            found.append(await one_round(own, wire.port if round_trip_s else port, records))
        return found
    finally:
        await wire.stop()
        for process in (backend, broker):
            if process is not None:
                process.terminate()
                process.wait()
        if backend is not None and backend.stdout is not None:
            backend.stdout.close()


async def listens(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


def on_wire(row: OutboxRow, *, is_packed: bool) -> int:
    """Bytes of the packet that carries it, as the uplink makes it."""
    packing = Packing(packs_billing=is_packed, packs_telemetry=is_packed)
    (sent,) = packing.for_the_wire(row.stream, [row])
    return packet_size(len(f"{TOPIC}{sent.topic_suffix}"), len(sent.body), content_type_of(sent))


def session_bytes(*, is_signed: bool) -> tuple[int, int]:
    """On the wire plain and packed."""
    with tempfile.TemporaryDirectory() as name:
        clock = SystemClock()
        ledger = Ledger(Path(name) / "ledger.db", site=SITE, new_epoch=lambda: "e" * 32, now=clock.now())
        try:
            one = session(1, is_signed=is_signed)
            ledger.commit([BillKept(one.id, 1, session_body(one))], clock.now()).result()
            (row,) = ledger.rows("billing", 0, 1).result()
        finally:
            ledger.close()
    return on_wire(row, is_packed=False), on_wire(row, is_packed=True)


def telemetry_body(seed: int) -> dict[str, object]:
    """A block of five minutes of 20 charging EVSEs."""
    source = random.Random(seed)
    columns: dict[str, list[int | None]] = {}
    thing, offset_ms = [], []
    energy = [source.randrange(30_000) for _ in range(EVSES)]
    limit = [16_000] * EVSES
    for step in range(30):
        for evse in range(EVSES):
            if source.random() < 0.1:
                limit[evse] = source.randrange(6_000, 32_000, 100)
            current = [limit[evse] - source.randrange(50, 400) for _ in range(3)]
            power = sum(current) * 230 // 1_000
            energy[evse] += power // 360
            row = {"limit_ma": limit[evse], "confirmed_ma": limit[evse], "power_w": power, "energy_wh": energy[evse]}
            row |= {f"current_l{phase + 1}_ma": ma for phase, ma in enumerate(current)}
            for name, value in {**row, "soc_percent": None}.items():
                columns.setdefault(name, []).append(value)
            thing.append(evse)
            offset_ms.append(10_000 * step)
    return {
        "things": [f"CP-A-{evse:02d}/1" for evse in range(EVSES)],
        "thing": thing,
        "offset_ms": offset_ms,
        "columns": columns,
    }


def telemetry_bytes(seed: int) -> tuple[int, int, int]:
    """Rows of such a block; its bytes on the wire plain and packed."""
    body = telemetry_body(seed)
    thing = list(range(30 * EVSES))
    with tempfile.TemporaryDirectory() as name:
        clock = SystemClock()
        ledger = Ledger(Path(name) / "ledger.db", site=SITE, new_epoch=lambda: "e" * 32, now=clock.now())
        try:
            ledger.commit([TelemetryKept("evse", START_UTC_MS, START_UTC_MS + 290_000, body)], clock.now()).result()
            (row_,) = ledger.rows("telemetry", 0, 1).result()
        finally:
            ledger.close()
    if len(json.loads(zstandard.ZstdDecompressor().decompress(row_.body))["thing"]) != len(thing):
        raise CheckFailedError("a block lost rows")
    return len(thing), on_wire(row_, is_packed=False), on_wire(row_, is_packed=True)


def run(records: int = RECORDS, rounds: int = ROUNDS) -> Results:
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as far_name:
        measured = asyncio.run(catch_up(Path(name), records, rounds))
        far = [per_s for per_s, _ in asyncio.run(catch_up(Path(far_name), records, rounds, ROUND_TRIP_S))]
    per_s, cpu_ms = [one for one, _ in measured], [one for _, one in measured]
    print(f"uplink: {records} bills from the ledger to mosquitto to a receipt each, {rounds} rounds")
    print(f"  {spread(per_s)} records/s, goal {GOAL_PER_S:.0f}: {verdict(middle(per_s), GOAL_PER_S, is_least=True)}")
    print(f"  {spread(far)} records/s over {ROUND_TRIP_S * 1_000:.0f} ms of round trip, goal {GOAL_PER_S:.0f}:", end=" ")
    print(verdict(middle(far), GOAL_PER_S, is_least=True))
    print(f"  {spread(cpu_ms)} ms of CPU a record, ledger, uplink and client together")
    sizes = {}
    for words, is_signed, goal in (("unsigned", False, UNSIGNED_GOAL_BYTES), ("signed", True, SIGNED_GOAL_BYTES)):
        plain, packed = session_bytes(is_signed=is_signed)
        sizes[words] = {"plain": plain, "packed": packed}
        print(
            f"  a session of {PERIODS} spans, {words}: {plain} bytes on the wire, {packed} with pack_billing,"
            f" goal {goal:.0f}: {verdict(packed, goal)}"
        )
    rows, plain, packed = telemetry_bytes(1)
    week_mb = packed * (7 * 24 * 12) / 1e6
    print(f"  telemetry: {rows} rows, {plain / rows:.1f} bytes a row, {packed / rows:.1f} with pack_telemetry,", end=" ")
    print(f"goal {GOAL_ROW_BYTES:.0f}: {verdict(packed / rows, GOAL_ROW_BYTES)}")
    print(f"  a week of {EVSES} EVSEs that never rest: {week_mb:.1f} MB packed, goal {GOAL_WEEK_MB:.0f}:", end=" ")
    print(verdict(week_mb, GOAL_WEEK_MB))
    return {
        "records_per_s": per_s,
        "records_per_s_far": far,
        "cpu_ms_per_record": cpu_ms,
        "session_bytes": sizes,
        "telemetry_row_bytes": {"plain": plain / rows, "packed": packed / rows},
        "telemetry_week_mb": week_mb,
    }
