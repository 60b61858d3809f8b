"""A baseline for the backend: the shortest consumer that keeps the promise, a commit and a receipt for each record.

    python -m benchmarks.servers.plain_consumer BROKER_PORT DATABASE_URL LISTEN_PORT

It checks no hash and no chain. It listens on a port only so that one can see that it is ready.
"""

from __future__ import annotations

import asyncio
import json
import sys

import asyncpg
import paho.mqtt.client as mqtt


async def main(broker_port: int, url: str, listen_port: int) -> None:
    loop = asyncio.get_running_loop()
    database = await asyncpg.connect(url)
    await database.execute(
        "CREATE TABLE IF NOT EXISTS plain (site text, record_id text, rev bigint, body bytea, PRIMARY KEY (site, record_id, rev))"
    )
    arrived: asyncio.Queue[mqtt.MQTTMessage] = asyncio.Queue()
    ready = asyncio.Event()
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5, manual_ack=True)
    client.on_message = lambda _client, _data, message: loop.call_soon_threadsafe(arrived.put_nowait, message)
    client.on_connect = lambda client, *_: client.subscribe("$share/plain/edgectl/v1/+/billing/session", 1)
    client.on_subscribe = lambda *_: loop.call_soon_threadsafe(ready.set)
    client.connect("127.0.0.1", broker_port)
    client.loop_start()
    await ready.wait()
    await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", listen_port)
    while True:
        message = await arrived.get()
        body = json.loads(message.payload)
        site, record_id, rev = body["site"], body["record_id"], body["rev"]
        await database.execute(
            "INSERT INTO plain VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING", site, record_id, rev, bytes(message.payload)
        )
        receipt = {"epoch": body["epoch"], "acked": [{"record_id": record_id, "rev": rev}]}
        client.publish(f"edgectl/v1/{site}/receipt/billing", json.dumps(receipt), qos=1)
        client.ack(message.mid, 1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
