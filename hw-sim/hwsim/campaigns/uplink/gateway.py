"""The gateway: the real ledger and the real uplink, fed with records. A process of its own, to be killed.

    python -m hwsim.campaigns.uplink.gateway FOLDER BROKER_PORT RECORDS PRESSURE

What record ``n`` says follows from ``n``, and how many there are is read from the ledger, so a killed gateway goes on where its
disk ends. ``FOLDER/allowed`` says how many there may be by now. A line in ``FOLDER/promised`` is written after a record's commit:
what stands there must never be missing again.
SIGUSR1 and SIGUSR2 put its civil clock forwards and backwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from edgectl.domain.errors import StoreError
from edgectl.domain.events import Event, PublishRefused, ReceiptReceived
from edgectl.domain.ids import SessionId, SiteId
from edgectl.domain.records import BillKept, ParkKept, ReceiptKept, Record
from edgectl.domain.settings import MqttSettings
from edgectl.domain.time import Instant, iso
from edgectl.runtime.clock import SystemClock, uuid7
from edgectl.runtime.logs import configure_logs
from edgectl.store import Ledger
from edgectl.uplink import PahoTransport, Uplink, paho
from edgectl_backend.conformance.scenarios import session

SITE = SiteId("faulty")
JUMP_MS = 3_600_000
RECEIPT_TIMEOUT_MS = 2_000
LONGEST_PAUSE_S = 0.5
STATUS_S = 0.5


class JumpingClock:
    """The system's, with a civil time that jumps."""

    def __init__(self) -> None:
        self._clock = SystemClock()
        self._offset_ms = 0

    def jump(self, by_ms: int) -> None:
        self._offset_ms += by_ms

    def now(self) -> Instant:
        now = self._clock.now()
        return Instant(now.mono_ms, now.utc_ms + self._offset_ms)


def record(number: int) -> BillKept:
    """Record ``number``, from 1: every second one is the last revision of the session before."""
    index, rev = divmod(number - 1, 2)
    is_over = rev == 1
    id_ = uuid7(1_700_000_000_000 + index, index)
    body = session(
        id_,
        charger=f"CP-{index % 20}",
        started_at=iso(1_700_000_000_000 + index * 60_000),
        ended_at=iso(1_700_000_000_000 + index * 60_000 + 3_600_000) if is_over else None,
        energy_wh=index % 50_000 if is_over else 0,
        status="completed" if is_over else "active",
    )
    return BillKept(SessionId(id_), rev + 1, body)


class Gateway:
    """Implements ``ports.Inbox`` with what the core does about what comes from the uplink."""

    def __init__(self, folder: Path, broker_port: int, records: int, pressure: int) -> None:
        self._folder = folder
        self._goal = records
        self._pressure = pressure
        self._clock = JumpingClock()
        self._ledger = Ledger(
            folder / "ledger.db", site=SITE, new_epoch=lambda: secrets.token_hex(16), now=self._clock.now(), progress_linger_ms=50
        )
        with closing(sqlite3.connect(f"file:{folder / 'ledger.db'}?mode=ro", uri=True)) as connection:
            self._written: int = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM bill").fetchone()[0]
        self._promised = (folder / "promised").open("a", buffering=1)
        self.failure_count = 0
        settings = MqttSettings("127.0.0.1", broker_port, is_tls=False, receipt_timeout_ms=RECEIPT_TIMEOUT_MS, keepalive_s=5)
        self.uplink = Uplink(
            settings,
            SITE,
            epoch=self._ledger.opened.epoch,
            boot_id=secrets.token_hex(8),
            version="faults",
            outbox=self._ledger,
            inbox=self,
            clock=self._clock,
            transport=PahoTransport(settings, SITE, lambda name: b""),
            random=random.Random(),
        )

    def put(self, event: Event) -> None:
        now = self._clock.now()
        match event:
            case ReceiptReceived():
                rejected = tuple((item.record_id, item.rev, f"{item.code}: {item.reason}") for item in event.rejected)
                self._keep(ReceiptKept(event.stream, event.epoch, event.acked_through, event.acked, rejected, now.utc_ms), now)
            case PublishRefused():
                self._keep(ParkKept(event.outbox_seq, event.reason, now.utc_ms), now)
            case _:
                return

    def _keep(self, kept: Record, now: Instant) -> None:
        future = asyncio.wrap_future(self._ledger.commit([kept], now))
        future.add_done_callback(self._kept)

    def _kept(self, future: asyncio.Future[None]) -> None:
        if not future.cancelled() and future.exception() is not None:
            self.failure_count += 1
        self.uplink.wake()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self._clock.jump, JUMP_MS)
        loop.add_signal_handler(signal.SIGUSR2, self._clock.jump, -JUMP_MS)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.uplink.run())
            group.create_task(self._feed())
            group.create_task(self._tell())

    async def _feed(self) -> None:
        """As fast as the line keeps up: never more than ``pressure`` records that wait."""
        while self._written < self._goal:
            backlog = (await asyncio.wrap_future(self._ledger.summary())).backlog_count
            allowed = int((self._folder / "allowed").read_text())
            room = min(64, self._pressure - backlog, min(allowed, self._goal) - self._written)
            if room <= 0:
                await asyncio.sleep(0.02)
                continue
            futures = [
                asyncio.wrap_future(self._ledger.commit([record(self._written + n)], self._clock.now()))
                for n in range(1, room + 1)
            ]
            for answer in await asyncio.gather(*futures, return_exceptions=True):
                if isinstance(answer, StoreError):
                    # The disk is full. What comes after it may have been written, so the numbers are read anew; a repeat is none.
                    self.failure_count += 1
                    await asyncio.sleep(0.1)
                    break
                if isinstance(answer, BaseException):
                    raise answer
                self._written += 1
                with contextlib.suppress(OSError):  # its own disk is full; a promise nobody heard of is none
                    self._promised.write(f"{self._written}\n")
            self.uplink.wake()

    async def _tell(self) -> None:
        """What it has done, for the figures; a file that is replaced whole."""
        path = self._folder / "gateway.json"
        while True:
            status = {
                "pid": os.getpid(),
                "written": self._written,
                "failures": self.failure_count,
                "counters": dict(self.uplink.counters()),
            }
            draft = path.with_suffix(".draft")
            with contextlib.suppress(OSError):
                draft.write_text(json.dumps(status))
                draft.replace(path)
            await asyncio.sleep(STATUS_S)


def main() -> None:
    folder, port, records, pressure = sys.argv[1:]
    configure_logs()  # as the daemon does: a log that cannot be written, for the disk is full, ends nothing
    paho.FIRST_PAUSE_S = paho.LONGEST_PAUSE_S = LONGEST_PAUSE_S  # type: ignore[misc]  # a fault a second must not teach it patience
    asyncio.run(Gateway(Path(folder), int(port), int(records), int(pressure)).run())


if __name__ == "__main__":
    main()
