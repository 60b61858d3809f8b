"""Transactions of a station of OCPP 2: their events, their drivers, and what is kept while nobody listens."""

from __future__ import annotations

import pytest
from support.station20_bench import Station20Bench
from support.station_bench import TAG

CARD = {"idToken": TAG, "type": "ISO14443"}
of = Station20Bench.of


def kinds(bench: Station20Bench) -> list[tuple[str, str, str]]:
    return [
        (event["eventType"], event["triggerReason"], event["transactionInfo"]["chargingState"])
        for event in bench.events
        if event["triggerReason"] != "MeterValuePeriodic"
    ]


def test_a_visit_from_the_card_to_the_empty_place() -> None:
    bench = of().connect()
    bench.plug()
    bench.run(60)
    bench.station.unplug(1, bench.now_s)
    bench.run(5)
    assert kinds(bench) == [
        ("Started", "Authorized", "EVConnected"),
        ("Updated", "ChargingStateChanged", "Charging"),
        ("Ended", "EVDeparted", "Idle"),
    ]
    assert [event["seqNo"] for event in bench.events] == list(range(len(bench.events)))
    started, ended = bench.events[0], bench.events[-1]
    assert started["evse"] == {"id": 1, "connectorId": 1}
    assert started["idToken"] == CARD
    assert ended["transactionInfo"]["stoppedReason"] == "EVDisconnected"
    assert ended["transactionInfo"]["timeSpentCharging"] == pytest.approx(57, abs=3)
    assert not any("offline" in event for event in bench.events)
    assert bench.told_statuses == ["Available", "Occupied", "Available"]
    assert bench.actions.index("Authorize") < bench.actions.index("TransactionEvent")


def test_the_cable_may_start_the_transaction_and_the_card_comes_later() -> None:
    bench = of()
    bench.connect()
    assert bench.put("TxCtrlr.TxStartPoint", "EVConnected") == "Accepted"
    bench.plug()
    bench.run(10)
    assert kinds(bench)[:2] == [("Started", "CablePluggedIn", "EVConnected"), ("Updated", "Authorized", "EVConnected")]
    assert "idToken" not in bench.events[0]
    assert bench.events[1]["idToken"] == CARD


def test_values_come_at_the_interval_and_have_the_measurands_asked_for() -> None:
    bench = of().connect()
    assert bench.put("SampledDataCtrlr.TxUpdatedInterval", "20") == "Accepted"
    assert bench.put("SampledDataCtrlr.TxUpdatedMeasurands", "SoC,Current.Import") == "Accepted"
    assert bench.put("SampledDataCtrlr.TxUpdatedMeasurands", "SoC,Mood") == "Rejected"
    bench.plug(phase_count=1)
    bench.run(70)
    periodic = [event for event in bench.events if event["triggerReason"] == "MeterValuePeriodic"]
    assert len(periodic) == 3
    values = [(s["measurand"], s.get("phase"), s["value"]) for s in periodic[-1]["meterValue"][0]["sampledValue"]]
    assert values == [
        ("SoC", None, 16), ("Current.Import", "L1", 32.0), ("Current.Import", "L2", 0.0), ("Current.Import", "L3", 0.0)
    ]  # fmt: skip


def test_clock_aligned_values_come_with_the_clock() -> None:
    bench = of().connect()
    bench.put("AlignedDataCtrlr.Interval", "60")
    bench.run(70)
    assert len(bench.said("MeterValues")) == 1
    bench.plug()
    bench.run(60)
    assert [e["triggerReason"] for e in bench.events].count("MeterValueClock") == 1
    assert len(bench.said("MeterValues")) == 1, "in a transaction its events tell them"


def test_what_happens_offline_is_kept_in_order_and_survives_a_power_cut() -> None:
    bench = of().connect()
    bench.disconnect()
    bench.plug()
    bench.run(40)
    bench.station.power_cut(bench.now_s)
    bench.run(20)
    bench.station.power_restored(bench.now_s)
    bench.connect()
    bench.run(10)
    assert [event["seqNo"] for event in bench.events] == list(range(len(bench.events)))
    assert kinds(bench)[0][0] == "Started"
    assert kinds(bench)[-1] == ("Ended", "AbnormalCondition", "EVConnected")
    assert all(event["offline"] for event in bench.events)
    assert bench.said("Authorize") == []
    assert bench.said("BootNotification")[-1].at_s < bench.said("TransactionEvent")[0].at_s + 1
    assert bench.station.queued_count == 0
    assert bench.station.closed_transactions == 1


def test_an_event_is_tried_again_with_its_own_id_and_then_given_up() -> None:
    bench = of().connect()
    bench.put("OCPPCommCtrlr.MessageAttempts", "2")
    bench.refuses = frozenset({"TransactionEvent"})
    bench.plug()
    bench.run(400)
    starts = [said for said in bench.said("TransactionEvent") if said.payload["eventType"] == "Started"]
    assert [round(said.at_s - starts[0].at_s) for said in starts] == [0, 60, 180]
    assert len({said.message_id for said in starts}) == 1
    assert bench.station.discarded[0] == "Started"


def test_whoever_is_not_known_does_not_charge_offline() -> None:
    bench = of(known_tokens=frozenset()).connect()
    bench.disconnect()
    bench.plug()
    bench.run(30)
    bench.connect()
    bench.run(1)
    assert [said.action for said in bench.calls if said.action in {"Authorize", "TransactionEvent"}][:2] == [
        "Authorize", "TransactionEvent"
    ]  # fmt: skip
    assert "offline" not in bench.events[0]


def test_a_refused_driver_does_not_charge() -> None:
    bench = of().connect()
    bench.token_status = "Blocked"
    bench.plug()
    bench.run(30)
    assert bench.events == []
    assert (len(bench.said("Authorize")), bench.station.rejected_tokens) == (1, 1)


def test_a_driver_who_is_refused_afterwards_does_not_charge_on() -> None:
    bench = of().connect()
    bench.disconnect()
    bench.plug()
    bench.run(30)
    bench.token_status = "Blocked"
    bench.connect()
    bench.run(5)
    assert kinds(bench)[-1][:2] == ("Ended", "Deauthorized")
    assert bench.drawn_a == 0


def test_a_refused_driver_may_keep_the_transaction_but_not_the_current() -> None:
    bench = of().connect()
    bench.put("TxCtrlr.StopTxOnInvalidId", "false")
    bench.disconnect()
    bench.plug()
    bench.run(30)
    bench.token_status = "Blocked"
    bench.connect()
    bench.run(15)
    assert ("Updated", "Deauthorized", "SuspendedEVSE") in kinds(bench)
    assert bench.drawn_a == 0


def test_who_is_on_the_list_need_not_wait_when_that_is_set() -> None:
    bench = of().connect()
    bench.put("AuthCtrlr.LocalPreAuthorize", "true")
    bench.plug()
    bench.run(5)
    assert bench.said("Authorize") == []
    assert bench.events[0]["idToken"] == CARD


def test_a_start_from_afar_and_a_stop() -> None:
    bench = of(evse_count=2).connect()
    bench.put("AuthCtrlr.AuthorizeRemoteStart", "false")
    bench.token_status = "Blocked"
    bench.plug(token="04NO")
    bench.run(5)
    bench.token_status = "Accepted"
    token = {"idToken": "app-7", "type": "Central"}
    assert bench.ask("RequestStartTransaction", idToken=token, remoteStartId=12, evseId=1) == {"status": "Accepted"}
    bench.run(10)
    assert kinds(bench)[0][:2] == ("Started", "RemoteStart")
    assert bench.events[0]["idToken"] == token
    assert bench.events[0]["transactionInfo"]["remoteStartId"] == 12
    assert bench.ask("UnlockConnector", evseId=1, connectorId=1)["status"] == "OngoingAuthorizedTransaction"
    assert bench.ask("GetTransactionStatus", transactionId=bench.transaction)["ongoingIndicator"] is True
    assert bench.ask("RequestStopTransaction", transactionId="nobody's")["status"] == "Rejected"
    assert bench.ask("RequestStopTransaction", transactionId=bench.transaction)["status"] == "Accepted"
    bench.run(2)
    assert kinds(bench)[-1] == ("Ended", "RemoteStop", "EVConnected")
    assert bench.told_statuses[-1] == "Occupied"


def test_a_start_from_afar_waits_for_the_cable_but_not_for_ever() -> None:
    bench = of().connect()
    bench.put("AuthCtrlr.AuthorizeRemoteStart", "false")
    assert bench.ask("RequestStartTransaction", idToken=CARD, remoteStartId=1)["status"] == "Accepted"
    bench.run(30)
    bench.plug(token="04NO")
    bench.run(5)
    assert bench.events[0]["triggerReason"] == "RemoteStart"
    bench.station.unplug(1, bench.now_s)
    bench.ask("RequestStartTransaction", idToken=CARD, remoteStartId=2)
    bench.run(90)
    bench.plug()
    bench.run(5)
    assert bench.events[-1]["triggerReason"] != "RemoteStart"


def test_what_the_faults_do_to_events() -> None:
    def visit(*faults: str) -> Station20Bench:
        bench = of(*faults).connect()
        bench.plug()
        bench.run(60)
        bench.station.unplug(1, bench.now_s)
        bench.run(10)
        return bench

    assert {event["seqNo"] for event in visit("same-sequence").events} == {0}
    assert 4 not in {event["seqNo"] for event in visit("sequence-gap").events}
    assert visit("lose-started").events[0]["eventType"] == "Updated"
    assert [event["eventType"] for event in visit("ended-then-updated").events[-2:]] == ["Ended", "Updated"]
    assert "idToken" not in visit("no-token-in-started").events[0]
    twice = visit("repeat-events").said("TransactionEvent")
    assert twice[0].payload == twice[1].payload
    assert twice[0].message_id != twice[1].message_id
    assert len(visit("long-transaction-id").transaction) > 36
