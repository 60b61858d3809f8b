"""How a station of OCPP 2 comes up, goes down, and is never out of order without saying so."""

from __future__ import annotations

from typing import Any

import pytest
from support.station20_bench import Station20Bench
from support.station_bench import TAG

CARD = {"idToken": TAG, "type": "ISO14443"}
of = Station20Bench.of


def named(component: str, variable: str, **more: Any) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": variable}, **more}


def test_until_it_is_accepted_it_only_answers() -> None:
    bench = of()
    bench.boot_status, bench.boot_interval_s = "Pending", 20
    bench.connect()
    bench.plug()
    bench.run(15)
    assert bench.actions == ["BootNotification"]
    assert bench.ask("GetBaseReport", requestId=1, reportBase="SummaryInventory") == {"status": "Accepted"}
    assert bench.ask("RequestStartTransaction", idToken=CARD, remoteStartId=1)["status"] == "Rejected"
    bench.run(2)
    assert bench.actions == ["BootNotification", "NotifyReport"]
    bench.boot_status = "Accepted"
    bench.run(5)
    first, second = bench.said("BootNotification")
    assert second.at_s - first.at_s == pytest.approx(20, abs=1)
    assert bench.told_statuses == ["Occupied"]
    assert bench.events, "its driver had not been forgotten"


def test_it_may_be_asked_to_boot_again_while_it_is_pending_and_not_afterwards() -> None:
    bench = of()
    bench.boot_status, bench.boot_interval_s = "Pending", 600
    bench.connect()
    bench.boot_status = "Accepted"
    assert bench.ask("TriggerMessage", requestedMessage="BootNotification")["status"] == "Accepted"
    bench.run(1)
    assert [said.payload["reason"] for said in bench.said("BootNotification")] == ["PowerUp", "Triggered"]
    assert bench.ask("TriggerMessage", requestedMessage="BootNotification")["status"] == "Rejected"


def test_while_rejected_it_answers_nothing() -> None:
    bench = of()
    bench.boot_status, bench.boot_interval_s = "Rejected", 60
    bench.connect()
    assert bench.ask("GetVariables", getVariableData=[named("ClockCtrlr", "DateTime")]) == "SecurityError"
    bench.run(120)
    assert len(bench.said("BootNotification")) == 3
    assert set(bench.actions) == {"BootNotification"}


def test_a_pending_that_it_ignores() -> None:
    bench = of("ignores-pending")
    bench.boot_status = "Pending"
    bench.connect()
    assert "StatusNotification" in bench.actions


def test_the_heartbeat_follows_the_boot_and_the_variable() -> None:
    bench = of()
    bench.boot_interval_s = 100
    bench.connect().run(210)
    assert len(bench.said("Heartbeat")) == 2
    assert bench.put("OCPPCommCtrlr.HeartbeatInterval", "10") == "Accepted"
    bench.run(140)
    assert len(bench.said("Heartbeat")) >= 4


def test_after_a_reconnection_it_tells_its_states_only_when_it_was_away_for_long() -> None:
    bench = of().connect()
    bench.disconnect()
    bench.run(30)
    bench.connect()
    assert bench.told_statuses == ["Available"]
    bench.disconnect()
    bench.run(90)
    bench.connect()
    assert bench.told_statuses == ["Available", "Available"]
    assert len(bench.said("BootNotification")) == 1


def test_a_reset_waits_for_the_transaction_or_ends_it() -> None:
    bench = of().connect()
    bench.plug()
    bench.run(20)
    assert bench.ask("Reset", type="OnIdle")["status"] == "Scheduled"
    bench.run(30)
    assert bench.closes == 0
    bench.station.unplug(1, bench.now_s)
    bench.run(3)
    assert bench.closes == 1
    bench.connect()
    bench.plug()
    bench.run(20)
    assert bench.ask("Reset", type="Immediate")["status"] == "Accepted"
    bench.run(3)
    assert bench.events[-1]["transactionInfo"]["stoppedReason"] == "ImmediateReset"
    bench.connect()
    assert [said.payload["reason"] for said in bench.said("BootNotification")] == ["PowerUp", "ScheduledReset", "RemoteReset"]
