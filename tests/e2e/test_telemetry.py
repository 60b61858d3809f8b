"""Telemetry of the real daemon over a real broker: the blocks say what meter and charger gave, and what made room is told."""

from __future__ import annotations

import json
import threading
import time
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import zstandard
from support.backend_bench import BackendProcess
from support.daemon import Depot
from support.mosquitto import Mosquitto
from support.postgres import running_server

from edgectl_backend.postgres import questions
from edgectl_backend.postgres.database import Database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

QUICK = {"edgectl.core.telemetry.INTERVAL_MS": 250, "edgectl.core.telemetry.BLOCK_MS": 2_000}
"""A row with every control period and a block every two seconds, so that minutes are seconds."""
TOLERANCE_MA = 60
"""The meter's registers are floats, the charger speaks tenths of an ampere."""


class Reader:
    """Reads ``tele/#`` by the contract's words alone: the content type, one zstd frame, columns."""

    def __init__(self, port: int) -> None:
        self._lock = threading.Lock()
        self._blocks: list[dict[str, Any]] = []
        self.wrong: list[str] = []
        self.is_ready = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("edgectl/v1/e2e/tele/#", 1)
        self._client.on_subscribe = lambda *_: self.is_ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        content_type = getattr(message.properties, "ContentType", None)
        if content_type != "application/json+zstd":
            self.wrong.append(f"{message.topic} came as {content_type}")
            return
        with self._lock:
            self._blocks.append(json.loads(zstandard.ZstdDecompressor().decompress(message.payload)))

    def blocks(self, kind: str) -> list[dict[str, Any]]:
        """Each once, in the order of their numbers."""
        with self._lock:
            found = {block["record_id"]: block for block in self._blocks if block["kind"] == kind}
        return sorted(found.values(), key=lambda block: block["seq"])

    def last_s(self, kind: str) -> float:
        """When its last row was taken; 0 while there is none."""
        return max((row["at"] for row in rows(self.blocks(kind), {"meter": "main", "evse": "CP-1/1"}[kind])), default=0.0)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def rows(blocks: list[dict[str, Any]], thing: str) -> list[dict[str, Any]]:
    """The rows of one thing: its columns, and ``at`` in seconds."""
    found = []
    for block in blocks:
        columns = block["columns"]
        assert {len(column) for column in columns.values()} == {len(block["thing"])} == {len(block["offset_ms"])}
        assert block["offset_ms"] == sorted(block["offset_ms"])
        began_s = datetime.fromisoformat(block["from"]).timestamp()
        for number, place in enumerate(block["thing"]):
            if block["things"][place] == thing:
                row = {name: column[number] for name, column in columns.items()}
                found.append({"at": began_s + block["offset_ms"][number] / 1_000, **row})
    return found


def packed(depot: Depot) -> None:
    depot.site.write_text(depot.site.read_text().replace("mqtt: {", "mqtt: {pack_telemetry: true, "))


async def test_the_blocks_say_what_the_meter_and_the_charger_gave(tmp_path: Path) -> None:
    depot, broker = Depot(tmp_path), Mosquitto(tmp_path)
    depot.mqtt_port = broker.port
    async with broker, depot:
        packed(depot)
        reader = Reader(broker.port)
        try:
            await depot.until(reader.is_ready.is_set, "the reader is subscribed")
            began_s = time.time()
            await depot.start(numbers=QUICK)
            await depot.connected()
            depot.building_a = 17.0
            depot.plug()
            await depot.charging()
            limit_a = 32.0
            await depot.until(lambda: min(depot.stations[0].evses[1].drawn_a) > limit_a - 0.5, "the car takes all it may")
            steady_s = time.time() + 3.0  # two samples of a meter and of a charger later everybody has seen it
            await depot.until(
                lambda: min(reader.last_s("meter"), reader.last_s("evse")) > steady_s + 4, "blocks of that time", 60
            )
            ended_s = time.time()
        finally:
            reader.close()
        assert reader.wrong == []
        meter = [row for row in rows(reader.blocks("meter"), "main") if row["at"] > steady_s]
        evse = [row for row in rows(reader.blocks("evse"), "CP-1/1") if row["at"] > steady_s]
        other = rows(reader.blocks("evse"), "CP-2/1")
        drawn_ma = [round(1_000 * ampere) for ampere in depot.stations[0].evses[1].drawn_a]
        assert len(meter) > 3
        assert len(evse) > 3
        for phase in (1, 2, 3):
            for row in meter:
                assert row[f"current_l{phase}_ma"] == pytest.approx(17_000 + drawn_ma[phase - 1], abs=TOLERANCE_MA)
            for row in evse:
                assert row[f"current_l{phase}_ma"] == pytest.approx(drawn_ma[phase - 1], abs=TOLERANCE_MA)
        assert {row["confirmed_ma"] for row in evse} == {row["limit_ma"] for row in evse} == {round(limit_a * 1_000)}
        energies = [row["energy_wh"] for row in evse]
        assert energies == sorted(energies)
        assert all(row["energy_wh"] is None for row in other), "no session, no energy"
        every = list(chain(meter, evse, other))
        assert all(began_s - 1 <= row["at"] <= ended_s + 1 for row in every)


async def test_blocks_that_made_room_while_nobody_listened_are_told_to_the_backend(tmp_path: Path) -> None:
    numbers = {**QUICK, "edgectl.store.telemetry.BUDGET_BYTES": 6_000, "edgectl.store.telemetry.STEP_ROWS": 4}
    depot, broker = Depot(tmp_path), Mosquitto(tmp_path)
    depot.mqtt_port = broker.port
    gap_events = "SELECT COUNT(*) FROM event WHERE kind = 'telemetry-gap'"
    blocks = "SELECT COUNT(*) FROM outbox WHERE stream = 'telemetry'"
    owed_events = "SELECT COUNT(*) FROM outbox WHERE stream = 'events'"
    with running_server() as server:
        async with depot:
            packed(depot)
            await depot.start(numbers=numbers)
            await depot.until(lambda: depot.rows(gap_events)[0][0] >= 2, "blocks make room", 90)
            depot.kill()
            async with broker, BackendProcess(tmp_path, broker.port, server.url, "--migrate"):
                await depot.start(numbers=numbers)  # what it had told is still there
                await depot.until(
                    lambda: depot.rows(owed_events) == [(0,)] and depot.rows(blocks)[0][0] <= 3,
                    "the backend has what there is",
                    90,
                )
                depot.kill()
                async with Database(server.url, connections=1) as database:
                    gaps = await questions.telemetry_gaps(database)
                    bodies = [row["body"] for row in await database.rows("SELECT body FROM telemetry")]
            told = depot.rows("SELECT body FROM event WHERE kind = 'telemetry-gap' ORDER BY id")
            waiting = {seq for (seq,) in depot.rows("SELECT stream_seq FROM outbox WHERE stream = 'telemetry'")}
            ((last,),) = depot.rows("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'telemetry_seq'")
    stored = {json.loads(zstandard.ZstdDecompressor().decompress(body))["seq"] for body in bodies}
    shown = [(gap["from_seq"], gap["through_seq"], gap["count"], gap["reason"]) for gap in gaps]
    assert len(shown) >= 2
    own = [json.loads(body) for (body,) in told]
    assert set(shown) <= {(gap["from_seq"], gap["through_seq"], gap["count"], gap["reason"]) for gap in own}
    assert {gap["reason"] for gap in gaps} == {"telemetry-budget"}
    assert all(gap["first_at"] <= gap["last_at"] for gap in gaps)
    missing = set(chain.from_iterable(range(gap["from_seq"], gap["through_seq"] + 1) for gap in own))
    assert missing | stored | waiting == set(range(1, last + 1)), "every block is here, on its way, or told of"
    assert sum(gap["count"] for gap in own) == len(missing)
    assert stored, "the newest came"
