"""The ledger is kept small beside everything else, and what is found of room becomes an alarm in time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.plant import Bench, plant
from support.store_bench import LedgerBench, ledger_bench
from support.store_records import NOW, limit

from edgectl.domain.events import RoomMeasured
from edgectl.domain.time import Instant
from edgectl.domain.views import Health
from edgectl.runtime import housekeeping as room
from edgectl.runtime.housekeeping import Housekeeping
from edgectl.runtime.inbox import Inbox
from edgectl.status.metrics import exposition

GB = 1_000_000_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[LedgerBench]:
    with ledger_bench(tmp_path) as bench:
        yield bench


class Clock:
    def now(self) -> Instant:
        return NOW


async def test_step_follows_step_until_nothing_is_left_to_do(bench: LedgerBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STEP_S", 0.0)
    monkeypatch.setattr(room, "PAUSE_S", 0.001)
    ledger = bench.open(max_bytes=1_000_000)
    for number in range(2_500):
        ledger.commit([limit(NOW.utc_ms + number)], NOW)
    inbox = Inbox()
    task = asyncio.create_task(Housekeeping(ledger, inbox, Clock()).run())
    seen: list[RoomMeasured] = []
    async with asyncio.timeout(20):
        while not seen or seen[-1].used_bytes > 750_000:
            event = await inbox.get()
            assert isinstance(event, RoomMeasured)
            seen.append(event)
    task.cancel()
    assert seen[0].budget_bytes == 1_000_000


async def test_a_ledger_that_is_closed_does_not_end_it(bench: LedgerBench) -> None:
    ledger = bench.open()
    ledger.close()
    assert await Housekeeping(ledger, Inbox(), Clock()).step() is False


def kinds(bench: Bench) -> set[str]:
    return {alarm.kind for alarm in bench.controller.picture(bench.now).alarms}


def test_a_filling_ledger_is_told_at_four_fifths_and_does_not_flap() -> None:
    site = Bench(plant("A"))
    for used, is_told in ((79, False), (80, True), (77, True), (74, False), (79, False)):
        site.put(RoomMeasured(used * GB // 100, GB, 90 * GB, GB // 4))
        assert ("ledger-filling" in kinds(site)) is is_told, used


def test_a_filling_disk_is_told_before_telemetry_stops() -> None:
    site = Bench(plant("A"))
    for free, is_told in ((10, False), (5, False), (4, True), (5, True), (6, True), (8, False)):
        site.put(RoomMeasured(1, GB, free * GB // 10, GB // 4))
        assert ("disk-filling" in kinds(site)) is is_told, free


def test_a_disk_that_fills_is_told_a_month_ahead_with_the_days_left() -> None:
    site = Bench(plant("A"))
    per_day, free = 300_000_000, 12 * GB
    told_at_days = None
    for day in range(40):
        site.wait(86_400)
        free -= per_day
        site.put(RoomMeasured(1, 4 * GB, free, GB // 4))
        if "disk-filling" in kinds(site):
            told_at_days = day
            break
    assert told_at_days is not None
    assert 27 <= (free - GB // 4) // per_day < 30, "a month before the end"
    (alarm,) = (alarm for alarm in site.controller.picture(site.now).alarms if alarm.kind == "disk-filling")
    assert alarm.detail.endswith("; 300 MB a day, at that rate 29 days are left")
    assert "ledger-filling" not in kinds(site)
    view = site.controller.picture(site.now)
    assert [(one.name, one.left_days) for one in view.room] == [("ledger", None), ("disk", 29)]
    lines = exposition(lambda: view, Health(0, True, True, ""), None).decode()
    assert 'edgectl_room_left_days{of="disk"} 29.0' in lines
    assert 'edgectl_room_left_days{of="ledger"}' not in lines
