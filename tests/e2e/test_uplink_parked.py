"""A record the backend will not have: it is set aside, the line moves on, a person sees it and puts it back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from support.daemon import Depot
from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
BASE = "edgectl/v1/e2e/"


class Pedant:
    """A backend that rejects every bill until it is told to take them."""

    def __init__(self, port: int) -> None:
        self.takes = False
        self.taken: list[str] = []
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "pedant", protocol=mqtt.MQTTv5)
        self._client.on_message = self._heard
        self._client.on_connect = lambda client, *_: client.subscribe(f"{BASE}billing/session", 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _heard(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        bill: dict[str, Any] = json.loads(message.payload)
        key = {"record_id": bill["record_id"], "rev": bill["rev"]}
        receipt: dict[str, Any] = {"epoch": bill["epoch"]}
        if self.takes:
            self.taken.append(bill["record_id"])
            receipt["acked"] = [key]
        else:
            receipt["rejected"] = [{**key, "code": "unknown-site", "reason": "nobody here knows e2e"}]
        client.publish(f"{BASE}receipt/billing", json.dumps(receipt), qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


async def test_a_rejected_bill_is_shown_put_back_and_taken(tmp_path: Path) -> None:
    async with Depot(tmp_path) as depot, Mosquitto(tmp_path) as broker:
        depot.mqtt_port = broker.port
        depot.write_site()
        await depot.start()
        await depot.connected()
        backend = Pedant(broker.port)
        try:
            assert depot.edgectl("uplink", "parked").stdout.strip() == "Nothing is set aside."
            depot.plug()
            await depot.charging()
            depot.unplug()
            await depot.until(lambda: depot.json("uplink", "parked"), "the bill is set aside")
            (parked,) = depot.json("uplink", "parked")
            assert (parked["stream"], parked["reason"]) == ("billing", "unknown-site: nobody here knows e2e")
            assert "record-rejected" in {alarm["kind"] for alarm in depot.cli.get("alarms")}
            wrong = depot.edgectl("uplink", "requeue", "99999")
            assert (wrong.returncode, wrong.stderr.strip()) == (1, "edgectl: not set aside: 99999")
            assert depot.edgectl("uplink", "requeue").returncode == 2

            backend.takes = True
            done = depot.edgectl("uplink", "requeue", str(parked["seq"]))
            assert (done.returncode, done.stdout.strip()) == (0, "1 back in the line")
            await depot.until(lambda: backend.taken == [parked["record_id"]], "it is sent again and taken")
            await depot.until(lambda: depot.rows("SELECT COUNT(*) FROM outbox WHERE stream = 'billing'") == [(0,)], "gone")
            assert "record-rejected" not in {alarm["kind"] for alarm in depot.cli.get("alarms")}
        finally:
            backend.close()
