"""Reservations end to end: asked for on the command line, kept by a station of each version, used or run out, and priced."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Depot

from hwsim.models.stations import make_station

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

VERSIONS = ("1.6", "2.0.1", "2.1")
LOCATION = "{address: Kai 1, city: Hamburg, country: DEU, latitude: 53.5503, longitude: 9.992}"
TARIFFS = """\
tariffs:
  - id: public
    currency: EUR
    elements:
      - {price_components: [{type: FLAT, price: 4, vat: 19}], restrictions: {reservation: RESERVATION_EXPIRES}}
      - price_components: [{type: FLAT, price: 2, vat: 19}, {type: TIME, price: 60, vat: 19, step_size: 60}]
        restrictions: {reservation: RESERVATION}
      - {price_components: [{type: ENERGY, price: 0.5, vat: 19}]}
"""
GRACE = {"edgectl.core.sessions.reservations.GRACE_MS": 500}
SOON_S = 60.0


@asynccontextmanager
async def depot_of(folder: Path, version: str) -> AsyncIterator[Depot]:
    depot = Depot(folder)
    offset_s = time.time() - time.monotonic()
    depot.stations[0] = make_station(version, "CP-1", random.Random(1), meter_interval_s=1.0, wall_offset_s=offset_s)  # type: ignore[call-overload]
    async with depot:
        depot.write_site(extra="tariffs: {file: tariffs.yaml, default: public, operator: DE*ABC}\n")
        text = depot.site.read_text().replace("{id: e2e}", f"{{id: e2e, location: {LOCATION}}}")
        depot.site.write_text(text)
        (folder / "tariffs.yaml").write_text(TARIFFS)
        (folder / "tokens.yaml").write_text('tokens: {"04A1": {}, "04B2": {}}\n')
        await depot.start(numbers=GRACE)
        await depot.connected()
        yield depot


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


async def reserve(depot: Depot, seconds: float = 3_600) -> None:
    options = ("--reservation", "5", "--token", "04A1", "--expires", moment(seconds))
    done = await asyncio.to_thread(depot.edgectl, "reserve", "CP-1/1", *options)
    assert done.returncode == 0, done.stderr
    assert depot.stations[0].evses[1].status == "Reserved"


def record(depot: Depot) -> dict[str, Any] | None:
    """The last revision of the only record, as it is owed to the backend."""
    found = depot.rows("SELECT body FROM bill ORDER BY seq DESC LIMIT 1")
    session: dict[str, Any] | None = json.loads(found[0][0])["session"] if found else None
    return session


def begun_minutes(session: dict[str, Any]) -> int:
    begin, end = (datetime.fromisoformat(session["reservation"][name]) for name in ("from", "ended_at"))
    return -(-(end - begin) // timedelta(minutes=1))


async def use(depot: Depot) -> dict[str, Any]:
    """Its driver comes, charges for some seconds, and leaves; the record."""
    depot.plug(token="04A1")
    await depot.charging()
    await depot.until(lambda: (depot.evse()["energy_wh"] or 0) > 0, "energy is counted")
    depot.unplug()
    await depot.until(lambda: record(depot) is not None, "it is billed", SOON_S)
    found = record(depot)
    assert found is not None
    return found


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_reserved_place_is_kept_used_and_priced(tmp_path: Path, version: str) -> None:
    async with depot_of(tmp_path, version) as depot:
        station = depot.stations[0]
        await reserve(depot)
        reserved_at = datetime.now(UTC)
        depot.plug(token="04B2")
        await depot.until(lambda: station.rejected_tokens == 1, "somebody else is not let in")
        depot.unplug()
        await depot.until(lambda: station.evses[1].status == "Reserved", "it is still kept")
        # A charger's clock knows whole seconds only.
        await depot.until(lambda: datetime.now(UTC) > reserved_at + timedelta(seconds=2), "some time is reserved")
        session = await use(depot)

        assert (session["reservation"]["id"], session["reservation"]["outcome"]) == (5, "used")
        assert session["reservation"]["ended_at"] == max(session["started_at"], session["reservation"]["from"])
        # 2.00 for the reservation, 60.00 an hour is 1.00 for each begun minute, and the energy at 0.50
        reserved = 2 + begun_minutes(session)
        energy = Decimal(session["energy_wh"]) / 2_000
        lines = {line["dimension"]: Decimal(line["amount"]) for line in session["cost"]["lines"]}
        assert lines["RESERVATION_FLAT"] + lines["RESERVATION_TIME"] == reserved
        assert abs(lines["ENERGY"] - energy) <= Decimal("0.00005")
        assert abs(Decimal(session["cost"]["before_taxes"]) - reserved - energy) <= Decimal("0.0051")

        told = await asyncio.to_thread(depot.edgectl, "price", "--session", session["id"], "-c", str(depot.site))
        assert "reserved time (element 2): " in told.stdout, told.stderr
        assert "reservation fee (element 2): 2.0000 EUR" in told.stdout
        assert f"total: {session['cost']['before_taxes']} EUR before taxes" in told.stdout
        (cdr,) = json.loads(depot.edgectl("sessions", "export", "--format", "ocpi").stdout)
        assert [one["type"] for one in cdr["charging_periods"][0]["dimensions"]] == ["RESERVATION_TIME"]
        assert cdr["start_date_time"] == min(session["started_at"], session["reservation"]["from"])
        assert cdr["total_reservation_cost"]["excl_vat"] == reserved
        assert depot.rows("SELECT COUNT(*) FROM reservation") == [(0,)]


@pytest.mark.parametrize("version", VERSIONS)
async def test_one_that_nobody_came_for_is_billed_by_itself(tmp_path: Path, version: str) -> None:
    async with depot_of(tmp_path, version) as depot:
        await reserve(depot, 8)
        await depot.until(lambda: record(depot) is not None, "it has run out and is billed", SOON_S)
        session = record(depot)
        assert session is not None
        assert (session["reservation"]["outcome"], session["stop_reason"]) == ("expired", "reservation-expired")
        assert (session["energy_wh"], session["periods"], session["id_token"]) == (0, [], "04A1")
        assert depot.stations[0].evses[1].status == "Available"
        # one begun minute of it at 60.00 an hour, and 4.00 because it expired; 19 % of 5.00 is 0.95
        assert begun_minutes(session) == 1
        assert (session["cost"]["before_taxes"], session["cost"]["after_taxes"]) == ("5.00", "5.95")
        told = await asyncio.to_thread(depot.edgectl, "price", "--session", session["id"], "-c", str(depot.site))
        assert "reservation fee (element 1): 4.0000 EUR" in told.stdout, told.stderr
        assert "total: 5.00 EUR before taxes, 5.95 EUR after" in told.stdout
        verified = depot.edgectl("ledger", "verify", "--data-dir", str(depot.data))
        assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_a_reservation_outlives_the_daemon(tmp_path: Path, version: str) -> None:
    async with depot_of(tmp_path, version) as depot:
        await reserve(depot)
        (before,) = depot.rows("SELECT body FROM reservation")
        assert depot.kill(signal.SIGKILL) == -signal.SIGKILL
        await depot.start(numbers=GRACE)
        await depot.connected()
        session = await use(depot)
        assert session["reservation"]["outcome"] == "used"
        assert datetime.fromisoformat(session["reservation"]["from"]).timestamp() * 1_000 == json.loads(before[0])["from_utc_ms"]
        assert {line["dimension"] for line in session["cost"]["lines"]} >= {"RESERVATION_TIME", "RESERVATION_FLAT", "ENERGY"}


async def test_a_cancelled_one_is_free_again_and_billed_until_then(tmp_path: Path) -> None:
    async with depot_of(tmp_path, "1.6") as depot:
        await reserve(depot)
        assert "5: EVSE 1 until 20" in depot.edgectl("chargers", "show", "CP-1").stdout
        done = await asyncio.to_thread(depot.edgectl, "cancel-reservation", "CP-1", "5")
        assert done.returncode == 0, done.stderr
        assert "reservation" not in depot.edgectl("chargers", "show", "CP-1").stdout
        session = record(depot)  # it was on the disk before the command had its answer
        assert session is not None
        assert session["reservation"]["outcome"] == "cancelled"
        assert {line["dimension"]: line["amount"] for line in session["cost"]["lines"]} == {
            "RESERVATION_TIME": f"{begun_minutes(session)}.0000",
            "RESERVATION_FLAT": "2.0000",
        }
        assert depot.stations[0].evses[1].status == "Available"
        listed = depot.edgectl("sessions", "list")
        assert "reservation" in listed.stdout
        again = await asyncio.to_thread(depot.edgectl, "cancel-reservation", "CP-1", "5")
        assert again.returncode == 1
