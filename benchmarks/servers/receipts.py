"""A backend that commits nothing and sends a receipt for each record: ``python -m benchmarks.servers.receipts PORT``.

It prints a line once the broker delivers to it: a record that was published before had no reader, and comes again only after the
gateway's patience for a receipt, a minute.
"""

from __future__ import annotations

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edgectl_backend.judging.unpacking import unpacked

BASE = "edgectl/v1/bench/"


def main() -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "receipts", protocol=mqtt.MQTTv5)
    client.on_connect = lambda one, *_: one.subscribe([(f"{BASE}billing/session", 1), (f"{BASE}tele/+", 1)])
    client.on_subscribe = lambda *_: print("subscribed", flush=True)
    client.on_message = _heard
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_forever()


def _heard(client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
    record = json.loads(unpacked(message.payload, 1 << 24))
    receipt = {"epoch": record["epoch"], "acked": [{"record_id": record["record_id"], "rev": record["rev"]}]}
    stream = "telemetry" if "/tele/" in message.topic else "billing"
    client.publish(f"{BASE}receipt/{stream}", json.dumps(receipt), qos=1)


if __name__ == "__main__":
    main()
