"""Money end to end: the real daemon, stations of the ``ocpp`` package in 1.6 and 2.0.1, and the real command line."""

from __future__ import annotations

import base64
import csv
import io
import json
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.daemon import Depot
from support.ocmf import OwnMeter
from support.peer import Peer, peer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

METERS = {"1.6": OwnMeter(serial="M-16"), "2.0.1": OwnMeter(serial="M-20")}
LOCATION = "{address: Kai 1, city: Hamburg, country: DEU, latitude: 53.5503, longitude: 9.992}"
TARIFFS = """\
tariffs:
  - id: public
    currency: EUR
    elements: [{price_components: [{type: FLAT, price: 0.35, vat: 19}, {type: ENERGY, price: 0.5, vat: 19}]}]
plans:
  van-1: {kind: subscription, discount: 10 %, monthly_fee: 12, fee_tax: 19 %}
"""


def write(depot: Depot) -> None:
    keys = "".join(f"  {meter.serial}: {{key: {meter.public_key}}}\n" for meter in METERS.values())
    depot.write_site(extra=f"tariffs: {{file: tariffs.yaml, default: public, operator: DE*ABC}}\nsignature_keys:\n{keys}")
    text = depot.site.read_text().replace("{id: e2e}", f"{{id: e2e, location: {LOCATION}}}")
    more = "".join(f"  {name}: {{circuit: grid, fallback: 0 A}}\n" for name in ("P-16", "P-20"))
    depot.site.write_text(text.replace("ocpp:\n", f"{more}ocpp:\n"))
    (depot.folder / "tariffs.yaml").write_text(TARIFFS)


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def charge_16(station: Peer, meter: OwnMeter) -> None:
    """In one piece: the record itself, as text, with the stop."""
    begun = await station.call("StartTransaction", connector_id=1, id_tag="04A1", meter_start=1_000, timestamp=stamp())
    signed = {"value": meter.record("B", "E"), "format": "SignedData", "context": "Transaction.End"}
    await station.call(
        "StopTransaction",
        transaction_id=begun.transaction_id,
        meter_stop=1_010,
        timestamp=stamp(),
        transaction_data=[{"timestamp": stamp(), "sampled_value": [signed]}],
    )


async def charge_20(station: Peer, meter: OwnMeter) -> None:
    """In two: base64, at the beginning and, tampered with, at the end."""
    records = meter.record("B"), meter.record("E").replace("0.10", "0.01")
    for number, (kind, text, wh) in enumerate((("Started", records[0], 5_000), ("Ended", records[1], 5_004))):
        signed = {
            "signed_meter_data": base64.b64encode(text.encode()).decode(),
            "signing_method": "ECDSA-secp256r1-SHA256",
            "encoding_method": "OCMF",
            "public_key": base64.b64encode(meter.public_key.encode()).decode(),
        }
        sampled = {"value": float(wh), "signed_meter_value": signed}
        info = {"transaction_id": "tx-20"} | ({"stopped_reason": "EVDisconnected"} if kind == "Ended" else {})
        await station.call(
            "TransactionEvent",
            event_type=kind,
            timestamp=stamp(),
            trigger_reason="Authorized" if kind == "Started" else "EVDeparted",
            seq_no=number,
            transaction_info=info,
            evse={"id": 1, "connector_id": 1},
            id_token={"id_token": "04A1", "type": "ISO14443"},
            meter_value=[{"timestamp": stamp(), "sampled_value": [sampled]}],
        )


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def test_what_a_session_costs_and_whether_it_was_signed_from_the_charger_to_the_statement(tmp_path: Path) -> None:
    async with Depot(tmp_path) as depot:
        write(depot)
        await depot.start()
        url = f"ws://127.0.0.1:{depot.ocpp_port}"
        async with peer(url, "1.6", "P-16") as old, peer(url, "2.0.1", "P-20") as new:
            await old.boot()
            await new.boot()
            await charge_16(old, METERS["1.6"])
            await charge_20(new, METERS["2.0.1"])
        found: dict[str, dict[str, Any]] = {one["charger"]: one for one in depot.json("sessions", "list")}
        first, second = found["P-16"], found["P-20"]

        # 10 Wh at 0.50, a tenth off, and 0.35: 0.0050 - 0.0005 + 0.35 -> 0.35, with 0.07 of tax
        assert (first["cost"]["before_taxes"], first["cost"]["after_taxes"], first["account"]) == ("0.35", "0.42", "van-1")
        assert [one["verdict"] for one in first["signed_verdicts"]] == ["valid"]
        assert [one["verdict"] for one in second["signed_verdicts"]] == ["valid", "invalid"]
        assert "signed-invalid" in second["flags"]

        told = depot.edgectl("price", "--session", first["id"], "-c", str(depot.site))
        assert "discount: 10 % of 0.0050 EUR: -0.0005 EUR, taxed at 19 %" in told.stdout, told.stderr
        assert "0.35 EUR before taxes, 0.42 EUR after" in told.stdout
        shown = depot.edgectl("sessions", "show", second["id"])
        assert "M-20" in shown.stdout
        assert "invalid" in shown.stdout

        cdrs = json.loads(depot.edgectl("sessions", "export", "--format", "ocpi").stdout)
        assert {one["id"] for one in cdrs} == {first["id"], second["id"]}
        assert {one["cdr_location"]["evse_id"] for one in cdrs} == {"DE*ABC*EP16*1", "DE*ABC*EP20*1"}
        month = time.strftime("%Y-%m", time.gmtime())
        statement = rows(depot.edgectl("sessions", "export", "--format", "statement", "--month", month).stdout)
        (total,) = [row for row in statement if row["kind"] == "total"]
        assert (total["account"], total["before_taxes"], total["after_taxes"]) == ("van-1", "12.70", "15.12")
        refused = depot.edgectl("sessions", "export", "--month", "13")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "a month like 2026-11" in refused.stderr

        checked = depot.edgectl("ledger", "verify-signed", "--data-dir", str(depot.data), "-c", str(depot.site))
        assert checked.returncode == 1
        assert checked.stdout.startswith("3 signed values: 1 invalid, 2 valid")
        offline = depot.edgectl("sessions", "export", "--data-dir", str(depot.data), "-c", str(depot.site))
        assert {row["id"] for row in rows(offline.stdout)} == {first["id"], second["id"]}

        # After a restart the pages are known: the next record but one is missed, in a session of its own.
        depot.kill(signal.SIGTERM)
        await depot.start()
        METERS["1.6"].page += 1
        async with peer(url, "1.6", "P-16") as old:
            await old.boot()
            await charge_16(old, METERS["1.6"])
        flags = [one["flags"] for one in depot.json("sessions", "list") if one["charger"] == "P-16"]
        assert ["signed-gap" in one for one in flags] == [True, False]

        # What was sealed is corrected by a credit and a replacement, once however often it is asked for.
        wish = ("sessions", "correct", first["id"], "--energy-wh", "4", "--reason", "meter exchanged")
        done = [json.loads(depot.edgectl(*wish, "--json").stdout) for _ in range(2)]
        assert [one["status"] for one in done] == ["corrected", "there already"]
        ids = dict(done[0]["detail"])
        assert ids == dict(done[1]["detail"])
        sealed, credit, replacement = (
            depot.json("sessions", "show", one) for one in (first["id"], ids["credit"], ids["replacement"])
        )
        assert {name: sealed[name] for name in first} == first
        assert (sealed["credited_by"], sealed["replaced_by"]) == (credit["id"], replacement["id"])
        assert (credit["cost"]["after_taxes"], replacement["energy_wh"]) == ("-0.42", 4)
        assert replacement["correction"]["reason"] == "meter exchanged"
        shown = depot.edgectl("sessions", "show", ids["credit"])
        assert "meter exchanged" in shown.stdout
        refused = depot.edgectl("sessions", "correct", credit["id"], "--energy-wh", "1", "--reason", "x")
        assert (refused.returncode, "a credit is not credited" in refused.stderr) == (1, True)
        cheap = depot.folder / "cheap.yaml"
        cheap.write_text(
            "tariffs: [{id: cheap, currency: EUR, elements: [{price_components: [{type: FLAT, price: 0.10, vat: 19}]}]}]"
        )
        again = depot.edgectl("sessions", "correct", ids["replacement"], "--tariff", str(cheap), "--reason", "staff")
        assert "1" in again.stdout
        assert "0.12 EUR after taxes" in again.stdout, again.stderr
        cdrs = json.loads(depot.edgectl("sessions", "export", "--format", "ocpi").stdout)
        own = [one for one in cdrs if one["session_id"] == first["id"]]
        assert [(one.get("credit_reference_id"), one["total_cost"]["incl_vat"]) for one in own] == [
            (None, 0.42),
            (first["id"], -0.42),
            (None, 0.42),
            (ids["replacement"], -0.42),
            (None, 0.12),
        ]
        assert "7 billing records, the chain is intact" in depot.edgectl("ledger", "verify", "--data-dir", str(depot.data)).stdout
