"""Commissioning, version by version, over a real WebSocket: read, written where it differs, read back, taken back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.configured_peer import Configured
from support.peer import VERSIONS, Peer, peer
from support.small_site import CHARGER, SmallSite, small_site

OURS = "Energy.Active.Import.Register,Power.Active.Import,Current.Import,Voltage,Current.Offered,SoC"
FRESH = {
    "1.6": {"HeartbeatInterval": "86400", "TransactionMessageAttempts": "3",
        "SupportedFeatureProfiles": "Core", "MeterValuesSampledData": ""},
    "2": {
        "OCPPCommCtrlr.HeartbeatInterval": "86400",
        "OCPPCommCtrlr.MessageAttempts[TransactionEvent]": "3",
        "TxCtrlr.EVConnectionTimeOut": "90",
        "SampledDataCtrlr.TxUpdatedMeasurands": "",
        "SmartChargingCtrlr.RateUnit": "A,W",
        "DisplayMessageCtrlr.Available": "false",
    },
}  # fmt: skip
MEASURANDS = {"1.6": "MeterValuesSampledData", "2": "SampledDataCtrlr.TxUpdatedMeasurands"}
ATTEMPTS = {"1.6": "TransactionMessageAttempts", "2": "OCPPCommCtrlr.MessageAttempts[TransactionEvent]"}


def of(version: str, table: dict[str, Any]) -> Any:
    return table["1.6" if version == "1.6" else "2"]


async def until(holds: Callable[[], Any], what: str, timeout_s: float = 15) -> None:
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.02)
    assert holds(), what


async def let_in(station: Peer) -> int:
    """Boot as long as it is told to wait; how often that was."""
    waits = 0
    while (answer := await station.boot()).status != "Accepted":
        assert (answer.status, answer.interval) == ("Pending", 5)
        waits += 1
        await asyncio.sleep(0.3)
    return waits


def view(site: SmallSite) -> Any:
    (charger,) = site.daemon.view().chargers
    return charger.commissioning


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_fresh_charger_is_set_up_and_a_second_time_nothing_is_written(version: str, tmp_path: Path) -> None:
    values = dict(of(version, FRESH))
    async with small_site(tmp_path, is_configured=True) as site:
        async with peer(site.url(), version, CHARGER) as station:
            held = Configured(station, values)
            waits = await let_in(station)
            assert (waits > 0) is (version != "1.6"), "2.x is held until its configuration is right"
            await until(lambda: view(site).state == "done", "set up")
            assert held.values[of(version, MEASURANDS)] == OURS
            assert int(held.values[of(version, ATTEMPTS)]) == 10
            first = list(held.writes)
        outcomes = {key.key: key.outcome for key in view(site).keys}
        assert {outcomes[name] for name, _ in first} == {"accepted"}
        assert "not-supported" in outcomes.values(), "a key it does not have has an outcome of its own"
        async with peer(site.url(), version, CHARGER) as station:
            again = Configured(station, values)
            assert await let_in(station) == 0
            await station.asked("TriggerMessage")
            assert again.writes == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_was_changed_can_be_taken_back(version: str, tmp_path: Path) -> None:
    async with small_site(tmp_path, is_configured=True) as site, peer(site.url(), version, CHARGER) as station:
        held = Configured(station, dict(of(version, FRESH)))
        await let_in(station)
        await until(lambda: view(site).state == "done", "set up")
        assert held.values != of(version, FRESH)
        assert (await site.act("restore"))[0] == "accepted"
        await until(lambda: view(site).state == "done" and held.values == of(version, FRESH), "as it was")
        assert {key.outcome for key in view(site).keys if key.key == of(version, ATTEMPTS)} == {"restored"}


@pytest.mark.parametrize("version", VERSIONS)
async def test_q36_one_bad_measurand_does_not_cost_the_others(version: str, tmp_path: Path) -> None:
    def refuses(name: str, value: str) -> str | None:
        is_bad = name == of(version, MEASURANDS) and "SoC" in value.split(",")
        return "Rejected" if is_bad else None

    async with small_site(tmp_path, is_configured=True) as site, peer(site.url(), version, CHARGER) as station:
        held = Configured(station, dict(of(version, FRESH)), refuses)
        await let_in(station)
        await until(lambda: view(site).state == "done", "set up")
        assert held.values[of(version, MEASURANDS)] == OURS.removesuffix(",SoC")
        assert {key.after for key in view(site).keys if key.key == of(version, MEASURANDS)} == {OURS.removesuffix(",SoC")}


@pytest.mark.parametrize("version", VERSIONS)
async def test_q19_what_was_refused_is_tried_again_on_demand_and_not_before(version: str, tmp_path: Path) -> None:
    key = of(version, ATTEMPTS)
    is_stubborn = True
    values = dict(of(version, FRESH))
    async with small_site(tmp_path, is_configured=True) as site:
        for _ in range(2):
            async with peer(site.url(), version, CHARGER) as station:
                held = Configured(station, values, lambda name, _v: "Rejected" if name == key and is_stubborn else None)
                await let_in(station)
                await station.asked("TriggerMessage")
                # One that goes away in the middle would have restarted because of its last write.
                await until(lambda: view(site).state == "done", "set up")
        assert key not in dict(held.writes), "the second time it is left alone"
        assert {one.outcome for one in view(site).keys if one.key == key} == {"rejected"}
        async with peer(site.url(), version, CHARGER) as station:
            held = Configured(station, values)
            await let_in(station)
            await station.asked("TriggerMessage")
            await until(lambda: view(site).state == "done", "read again")
            is_stubborn = False
            assert (await site.act("commission"))[0] == "accepted"
            await until(lambda: held.values[key] == "10", "written on demand")


async def test_a_station_without_reports_is_read_key_by_key_and_let_in(tmp_path: Path) -> None:
    async with small_site(tmp_path, is_configured=True) as site, peer(site.url(), "2.0.1", CHARGER) as station:
        held = Configured(station, dict(FRESH["2"]))
        station.station.route_map.pop("GetBaseReport")
        await let_in(station)
        await until(lambda: view(site).state == "done", "set up")
        assert held.values[ATTEMPTS["2"]] == "10"
