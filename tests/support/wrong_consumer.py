"""A consumer in memory that keeps to the contract, but for the faults it is made with."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

import paho.mqtt.client as mqtt
import rfc8785

from edgectl.contract.billing import BillingRecord

FAULTS = (
    "acks-everything",
    "acks-through-gaps",
    "forgets-repeats",
    "first-epoch-only",
    "stops-at-garbage",
    "refuses-after-gaps",
    "retains-receipts",
    "takes-conflicts",
    "refuses-lower-revisions",
    "refuses-unknown-members",
    "answers-another-site",
    "speaks-no-json",
    "refuses-without-code",
    "chokes-on-nul",
    "refuses-large-ones",
    "one-topic-for-all",
    "loses-every-hundredth",
    "invents-records",
    "refuses-salvaged",
)


class WrongConsumer:
    """``with WrongConsumer(port, "acks-everything")``; without faults it is a right one."""

    def __init__(self, port: int, *faults: str) -> None:
        self._faults = frozenset(faults)
        assert self._faults <= set(FAULTS)
        self._records: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._numbers: dict[tuple[str, str], set[int]] = {}
        self._epochs: dict[str, str] = {}
        self._sites: list[str] = []
        self._seen: set[bytes] = set()
        self._count = 0
        self._has_stopped = False
        self._is_ready = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "", protocol=mqtt.MQTTv5)
        self._client.max_inflight_messages_set(0)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [("edgectl/v1/+/billing/session", 1), ("edgectl/v1/+/event/+", 1)]
        )
        self._client.on_subscribe = lambda *_: self._is_ready.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def __enter__(self) -> WrongConsumer:
        assert self._is_ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _has(self, fault: str) -> bool:
        return fault in self._faults

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        _, _, site, kind, *_ = message.topic.split("/")
        payload = bytes(message.payload)
        if self._has_stopped or (self._has("forgets-repeats") and payload in self._seen):
            return
        self._seen.add(payload)
        self._count += 1
        if self._has("loses-every-hundredth") and self._count % 100 == 0:
            return
        try:
            body = json.loads(payload)
            key = body["record_id"], body["rev"], body["epoch"]
        except (ValueError, RecursionError, TypeError, KeyError):
            self._has_stopped = self._has("stops-at-garbage")
            return
        if site not in self._sites:
            self._sites.append(site)
        code = "" if kind == "event" or self._has("acks-everything") else self._why_not(site, body, len(payload))
        self._answer(site, "billing" if kind == "billing" or self._has("one-topic-for-all") else "events", key, code, body)

    def _why_not(self, site: str, body: dict[str, Any], size: int) -> str:
        known = set(BillingRecord.__struct_fields__)
        if not isinstance(body.get("session"), dict) or not isinstance(body["session"]["energy_wh"], int):
            return "malformed"
        unsealed = {name: value for name, value in body.items() if name != "hash"}
        if hashlib.sha256(rfc8785.dumps(unsealed)).hexdigest() != body["hash"]:
            return "hash-mismatch"
        if body["site"] != site:
            return "wrong-site"
        if self._has("refuses-unknown-members") and (set(body) - known or "added_later" in body["session"]):
            return "malformed"
        if self._has("chokes-on-nul") and "\0" in (body["session"]["id_token"] or ""):
            return "storage"
        if self._has("refuses-large-ones") and size > 100_000:
            return "too-large"
        numbers = self._numbers.setdefault((site, body["epoch"]), set())
        if self._has("refuses-after-gaps") and body["seq"] > 1 and body["seq"] - 1 not in numbers:
            return "gap"
        key = site, body["record_id"], body["rev"]
        kept = self._records.get(key)
        if kept is not None and not self._has("takes-conflicts"):
            is_other = kept["session"] != body["session"] or (self._has("refuses-salvaged") and kept["epoch"] != body["epoch"])
            if is_other:
                return "conflict"
        higher = any(s == site and r == body["record_id"] and rev > body["rev"] for s, r, rev in self._records)
        if self._has("refuses-lower-revisions") and higher:
            return "old"
        self._records[key] = body
        numbers.add(body["seq"])
        return ""

    def _answer(self, site: str, stream: str, key: tuple[str, int, str], code: str, body: dict[str, Any]) -> None:
        record_id, rev, epoch = key
        if self._has("first-epoch-only"):
            epoch = self._epochs.setdefault(site, epoch)
        name = {"record_id": record_id, "rev": rev}
        receipt: dict[str, Any] = {"schema": "edgectl/receipt/1", "epoch": epoch, "acked": [], "rejected": []}
        if code:
            receipt["rejected"] = [{**name, "code": "" if self._has("refuses-without-code") else code, "reason": "x"}]
        elif self._has("acks-through-gaps") and stream == "billing":
            receipt["acked_through"] = max(self._numbers[site, epoch], default=0)
        else:
            receipt["acked"] = [name]
        if self._has("invents-records"):
            receipt["acked"].append({"record_id": "made-up", "rev": 1})
        to = self._sites[0] if self._has("answers-another-site") else site
        payload = b"stored!" if self._has("speaks-no-json") else json.dumps(receipt).encode()
        self._client.publish(f"edgectl/v1/{to}/receipt/{stream}", payload, qos=1, retain=self._has("retains-receipts"))
