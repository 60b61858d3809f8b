"""A charging session, feature by feature and version by version, in the clear and with both TLS profiles, over real sockets.

The station is the ``ocpp`` package's, which checks each request by the standard's schema before it answers.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.certificates import Authority
from support.ocpp_site import basic
from support.peer import VERSIONS, Peer, peer
from support.small_site import CHARGER, TAG, SmallSite, small_site

from edgectl.domain.records import Session, SessionStatus
from edgectl.domain.settings import Listener
from hwsim.models.station16 import Station16
from hwsim.station.client import StationClient

OURS, STATIONS = Authority("server root"), Authority("station root")
SERVER = OURS.server()
LOCAL = "127.0.0.1"
PLAIN = Listener(LOCAL, 0, 0)
LISTENERS = {
    "plain": PLAIN,
    "password": Listener(LOCAL, 0, 1),
    "tls-password": Listener(LOCAL, 0, 2, ("server",)),
    "tls-certificate": Listener(LOCAL, 0, 3, ("server",), ("stations",)),
}
EVERYWHERE = [(version, way) for version in VERSIONS for way in LISTENERS]


@dataclass
class Station:
    """What a charging session is in each version's own words."""

    peer: Peer
    transaction: Any = "tx-1"
    sequence: int = 0
    at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @property
    def is_16(self) -> bool:
        return self.peer.version == "1.6"

    def stamp(self) -> str:
        return self.at.strftime("%Y-%m-%dT%H:%M:%SZ")

    async def present(self, token: str) -> str:
        if self.is_16:
            return str((await self.peer.call("Authorize", id_tag=token)).id_tag_info["status"])
        answer = await self.peer.call("Authorize", id_token={"id_token": token, "type": "ISO14443"})
        return str(answer.id_token_info["status"])

    async def start(self, token: str = TAG, register_wh: int = 1_000) -> Any:
        if not self.is_16:
            return await self._event("Started", register_wh, "Authorized", id_token={"id_token": token, "type": "ISO14443"})
        answer = await self.peer.call(
            "StartTransaction", connector_id=1, id_tag=token, meter_start=register_wh, timestamp=self.stamp()
        )
        self.transaction = answer.transaction_id
        return answer

    async def tell(self, register_wh: int) -> Any:
        if not self.is_16:
            return await self._event("Updated", register_wh, "MeterValuePeriodic")
        value = {"timestamp": self.stamp(), "sampled_value": [{"value": str(register_wh)}]}
        return await self.peer.call("MeterValues", connector_id=1, transaction_id=self.transaction, meter_value=[value])

    async def stop(self, register_wh: int) -> Any:
        if not self.is_16:
            return await self._event("Ended", register_wh, "EVDeparted")
        return await self.peer.call(
            "StopTransaction", transaction_id=self.transaction, meter_stop=register_wh, timestamp=self.stamp()
        )

    async def _event(self, kind: str, register_wh: int, why: str, **more: Any) -> Any:
        value = {"timestamp": self.stamp(), "sampled_value": [{"value": register_wh}]}
        answer = await self.peer.call(
            "TransactionEvent",
            event_type=kind,
            timestamp=self.stamp(),
            trigger_reason=why,
            seq_no=self.sequence,
            transaction_info={"transaction_id": self.transaction},
            evse={"id": 1, "connector_id": 1},
            meter_value=[value],
            **more,
        )
        self.sequence += 1
        return answer


@asynccontextmanager
async def depot(folder: Path, way: str) -> AsyncIterator[SmallSite]:
    secrets = {"server": SERVER, "stations": STATIONS.root_pem, "password": b"0123456789abcdef"}
    password = "password" if "password" in way else None
    async with small_site(folder, listeners=(LISTENERS[way],), secrets=secrets, password=password) as site:
        yield site


@asynccontextmanager
async def charger(site: SmallSite, version: str, way: str, folder: Path) -> AsyncIterator[Station]:
    options: dict[str, Any] = {}
    if "password" in way:
        options["additional_headers"] = basic(CHARGER.encode(), b"0123456789abcdef")
    if "tls" in way:
        options["tls"] = context(folder, STATIONS.client(CHARGER) if "certificate" in way else None)
    async with peer(site.url("wss" if "tls" in way else "ws"), version, CHARGER, **options) as one:
        yield Station(one)


def context(folder: Path, certificate: bytes | None = None) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(cadata=OURS.root_pem.decode())
    if certificate is not None:
        path = folder / "station.pem"
        path.write_bytes(certificate)
        made.load_cert_chain(path)
    return made


async def until(holds: Callable[[], Any], what: str) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.02)
    assert holds(), what


async def closed(site: SmallSite) -> Session:
    """The only session, once it is."""
    await until(lambda: any(s.status is SessionStatus.COMPLETED for s in site.sessions), "a closed session")
    (session,) = site.sessions
    return session


@pytest.mark.parametrize(("version", "way"), EVERYWHERE)
async def test_a_session_from_boot_to_bill(version: str, way: str, tmp_path: Path) -> None:
    async with depot(tmp_path, way) as site, charger(site, version, way, tmp_path) as station:
        assert (await station.peer.boot()).status == "Accepted"
        assert await station.present(TAG) == "Accepted"
        await station.start()
        await station.tell(1_080)
        await station.stop(1_190)
        session = await closed(site)
        (shown,) = site.daemon.view().chargers
    assert (session.energy_wh, session.id_token, session.flags) == (190, TAG, ())
    assert shown.security_profile == LISTENERS[way].security_profile
    assert shown.protocol == f"ocpp{version}"


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_unknown_driver_is_refused_and_starts_nothing(version: str, tmp_path: Path) -> None:
    async with depot(tmp_path, "plain") as site, charger(site, version, "plain", tmp_path) as station:
        await station.peer.boot()
        assert await station.present("04NOBODY") in {"Invalid", "Unknown"}
        assert site.sessions == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_gets_its_limit_and_the_fallback_lies_under_it(version: str, tmp_path: Path) -> None:
    async with depot(tmp_path, "plain") as site, charger(site, version, "plain", tmp_path) as station:
        await station.peer.boot()
        await station.start()

        def purposes() -> set[str]:
            key = "csChargingProfiles" if version == "1.6" else "chargingProfile"
            return {r[key]["chargingProfilePurpose"] for name, r in station.peer.heard if name == "SetChargingProfile"}

        await until(lambda: {"TxDefaultProfile", "TxProfile"} <= purposes(), "fallback and limit")


@pytest.mark.parametrize("version", VERSIONS)
async def test_hours_without_us_are_told_afterwards_with_their_own_times(version: str, tmp_path: Path) -> None:
    async with depot(tmp_path, "plain") as site:
        async with charger(site, version, "plain", tmp_path) as station:
            await station.peer.boot()
        async with charger(site, version, "plain", tmp_path) as station:
            station.at = began = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=200)
            await station.start()
            for minute in range(1, 3):
                station.at = began + timedelta(minutes=minute)
                await station.tell(1_000 + 200 * minute)
            station.at = ended = began + timedelta(seconds=190)
            await station.stop(1_700)
            session = await closed(site)
    assert session.energy_wh == 700
    assert session.started_utc_ms == began.timestamp() * 1000
    assert session.ended_utc_ms == ended.timestamp() * 1000


@pytest.mark.parametrize("version", VERSIONS)
async def test_what_is_told_again_after_a_lost_answer_is_the_same_session(version: str, tmp_path: Path) -> None:
    async with depot(tmp_path, "plain") as site:
        async with charger(site, version, "plain", tmp_path) as station:
            await station.peer.boot()
            await station.start()
            first, at = station.transaction, station.at
        async with charger(site, version, "plain", tmp_path) as again:
            again.at = at
            await again.start()
            assert again.transaction == first
            again.sequence = 1
            await again.tell(1_060)
            for _ in range(2):
                again.at = at + timedelta(seconds=5)
                again.sequence = 2
                await again.stop(1_180)
        session = await closed(site)
    assert (session.energy_wh, session.rev) == (180, 1)


@pytest.mark.parametrize("version", VERSIONS)
async def test_another_version_after_a_reconnect_keeps_the_charger_and_its_sessions(version: str, tmp_path: Path) -> None:
    async with depot(tmp_path, "plain") as site:
        async with charger(site, "1.6", "plain", tmp_path) as station:
            await station.peer.boot()
            await station.start()
            await station.stop(1_100)
        async with charger(site, version, "plain", tmp_path) as station:
            await station.peer.boot()
            station.transaction = "tx-2"
            station.at += timedelta(seconds=3)
            await station.start(register_wh=1_100)
            await station.stop(1_300)
        await until(lambda: len(site.sessions) == 2, "both")
        assert sorted(session.energy_wh for session in site.sessions) == [100, 200]


async def test_q10_a_station_that_names_no_server_in_its_handshake_is_served(tmp_path: Path) -> None:
    async with depot(tmp_path, "tls-password") as site:
        station = Station16(CHARGER, random.Random(1), wall_offset_s=0, faults=frozenset({"Q10"}))
        port = site.daemon.ocpp.bound_ports[0]
        client = StationClient(station, LOCAL, port, random.Random(1), password=b"0123456789abcdef", tls=context(tmp_path))
        running = asyncio.create_task(client.run())
        await until(lambda: site.daemon.view().chargers[0].is_accepted, "it is let in")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
