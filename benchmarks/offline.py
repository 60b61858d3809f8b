"""Seven days without a link: what the real ledger keeps, how long it takes to catch up, and how old live state gets meanwhile.

Telemetry of 20 EVSEs that never rest and 120 sessions a day are written as the daemon writes them; then the real uplink drains
them, packed, to a real mosquitto over a wire that takes 25 ms each way, while a meter's state is told twice a second.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as mqtt

from benchmarks.process import ROOT, free_port
from benchmarks.report import CheckFailedError, Results, verdict
from benchmarks.uplink import EVSES, ROUND_TRIP_S, START_S, START_UTC_MS, Gateway, listens, session, telemetry_body
from edgectl.domain.bill import session_body
from edgectl.domain.decisions import PublishState
from edgectl.domain.records import BillKept, TelemetryKept
from edgectl.runtime.clock import SystemClock
from edgectl.store import LedgerFile
from edgectl.store.telemetry import BUDGET_BYTES
from hwsim.campaigns.uplink.proxy import FaultyWire
from hwsim.tools.mosquitto import find_or_fetch_mosquitto

DAYS = 7.0
SESSIONS_A_DAY = 120
BLOCKS_A_DAY = 288
TELL_S = 0.5
GOAL_STATE_S = 2.0
GOAL_CATCH_UP_S = 600.0


class Listener:
    """Hears the states, over no wire, and notes how old each is."""

    def __init__(self, port: int) -> None:
        self.ages_s: list[float] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("edgectl/v1/bench/state/#", 1)
        self._client.on_message = lambda _client, _data, message: self.ages_s.append(
            time.monotonic() - json.loads(message.payload)["told_s"]
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


async def fill(gateway: Gateway, clock: SystemClock, days: float) -> tuple[int, int]:
    """So many blocks and bills."""
    blocks, bills = round(days * BLOCKS_A_DAY), round(days * SESSIONS_A_DAY)
    bodies = [telemetry_body(seed) for seed in range(8)]
    for number in range(blocks):
        began = START_UTC_MS + 300_000 * number
        gateway.ledger.commit([TelemetryKept("evse", began, began + 290_000, bodies[number % len(bodies)])], clock.now())
        if number % 100 == 99:  # a bill's commit takes along what waits
            await asyncio.wrap_future(gateway.ledger.commit([_bill(number // 100)], clock.now()))
    rest = [_bill(number) for number in range(blocks // 100, bills)]
    await asyncio.wrap_future(gateway.ledger.commit(rest, clock.now()))
    return blocks, bills


def _bill(number: int) -> BillKept:
    one = session(number)
    return BillKept(one.id, 1, session_body(one))


async def drain(gateway: Gateway, path: Path, listener: Listener) -> tuple[float, float]:
    """Seconds until the last bill, and the last block, had its receipt."""
    began_s, bills_s = time.monotonic(), 0.0
    task = asyncio.create_task(gateway.uplink.run())
    clock = SystemClock()
    with LedgerFile(path) as file:
        while True:
            if gateway.uplink.status().is_connected:
                gateway.uplink.publish_state(PublishState("meter", "main", {"told_s": time.monotonic()}), clock.now())
            await asyncio.sleep(TELL_S)
            summary = await asyncio.to_thread(file.summary)
            passed_s = time.monotonic() - began_s
            bills_s = bills_s or (passed_s if summary.backlog_count == 0 else 0.0)
            if summary.backlog_count == 0 and summary.telemetry_count == 0 and listener.ages_s:
                break
            if passed_s > 2 * GOAL_CATCH_UP_S:
                raise CheckFailedError(f"{summary} still waits after {passed_s:.0f} s")
    await gateway.uplink.stop()
    await task
    return bills_s, passed_s


async def play(folder: Path, days: float) -> Results:
    program = find_or_fetch_mosquitto()
    if program is None:
        raise CheckFailedError("there is no mosquitto")
    port, clock = free_port(), SystemClock()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 100\n")
    broker = subprocess.Popen([str(program), "-c", str(folder / "mosquitto.conf")], stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    backend: subprocess.Popen[bytes] | None = None
    listener: Listener | None = None
    wire = FaultyWire(port)
    wire.delay_s = ROUND_TRIP_S / 2
    try:
        await wire.start()
        await listens(port)
        command = [sys.executable, "-m", "benchmarks.servers.receipts", str(port)]
        backend = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)  # noqa: ASYNC220 - before anything is timed
        if backend.stdout is None or not await asyncio.wait_for(asyncio.to_thread(backend.stdout.readline), START_S):
            raise CheckFailedError("the backend does not start")
        listener = Listener(port)
        gateway = Gateway(folder, wire.port, clock, sys.maxsize, is_packed=True)
        blocks, bills = await fill(gateway, clock, days)
        packed = (await asyncio.wrap_future(gateway.ledger.summary())).telemetry_bytes
        size = sum(path.stat().st_size for path in folder.glob("ledger.db*"))  # noqa: ASYNC240 - before anything is timed
        bills_s, all_s = await drain(gateway, folder / "ledger.db", listener)
        gateway.ledger.close()
    finally:
        await wire.stop()
        if listener is not None:
            listener.close()
        for process in (backend, broker):
            if process is not None:
                process.terminate()
                process.wait()
        if backend is not None and backend.stdout is not None:
            backend.stdout.close()
    ages = sorted(listener.ages_s)
    return {
        "days": days,
        "blocks": blocks,
        "bills": bills,
        "telemetry_bytes": packed,
        "ledger_bytes": size,
        "bills_s": bills_s,
        "all_s": all_s,
        "state_age_s": ages,
    }


def run(days: float = DAYS) -> Results:
    with tempfile.TemporaryDirectory() as name:
        found = asyncio.run(play(Path(name), days))
    ages = found["state_age_s"]
    if not ages:
        raise CheckFailedError("no state arrived")
    p99_s = ages[min(len(ages) - 1, round(0.99 * len(ages)))]
    print(
        f"offline: {days:g} days of {EVSES} EVSEs, {found['blocks']} blocks and {found['bills']} sessions, caught up over 50 ms"
    )
    print(f"  telemetry {found['telemetry_bytes'] / 1e6:.1f} MB on the disk, of {BUDGET_BYTES / 1e6:.0f}:", end=" ")
    print(verdict(found["telemetry_bytes"], BUDGET_BYTES), f"; the ledger with its journal {found['ledger_bytes'] / 1e6:.1f} MB")
    print(f"  {found['bills'] / found['bills_s']:.0f} sessions/s, all of them in {found['bills_s']:.1f} s")
    print(f"  everything in {found['all_s']:.0f} s, goal {GOAL_CATCH_UP_S:.0f}: {verdict(found['all_s'], GOAL_CATCH_UP_S)}")
    print(f"  live state {p99_s:.2f} s old at the 99th percentile of {len(ages)}, goal {GOAL_STATE_S:g}:", end=" ")
    print(verdict(p99_s, GOAL_STATE_S))
    return {**{name: value for name, value in found.items() if name != "state_age_s"}, "state_age_p99_s": p99_s}
