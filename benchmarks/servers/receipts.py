"""A backend that commits nothing and sends a receipt for each record: ``python -m benchmarks.servers.receipts PORT``.

It prints a line once the broker delivers to it: a record that was published before had no reader, and comes again only after the
gateway's patience for a receipt, a minute.
"""

from __future__ import annotations

import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

BASE = "edgectl/v1/bench/"


def main() -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "receipts", protocol=mqtt.MQTTv5)
    client.on_connect = lambda one, *_: one.subscribe(f"{BASE}billing/session", 1)
    client.on_subscribe = lambda *_: print("subscribed", flush=True)
    client.on_message = _heard
    client.connect("127.0.0.1", int(sys.argv[1]))
    client.loop_forever()


def _heard(client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
    bill = json.loads(message.payload)
    receipt = {"epoch": bill["epoch"], "acked": [{"record_id": bill["record_id"], "rev": bill["rev"]}]}
    client.publish(f"{BASE}receipt/billing", json.dumps(receipt), qos=1)


if __name__ == "__main__":
    main()
