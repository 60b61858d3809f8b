"""Places that a simulated charge point of OCPP 1.6 keeps for somebody."""

from __future__ import annotations

from typing import Any

import pytest
from support.station_bench import TAG, StationBench, schema_problems

TEN_PAST = "2027-01-15T08:10:00Z"
"""Ten minutes after the bench begins."""


def reserve(bench: StationBench, number: int = 5, token: str = TAG, connector: int = 1, **more: Any) -> str:
    payload = {"connectorId": connector, "expiryDate": TEN_PAST, "idTag": token, "reservationId": number, **more}
    assert schema_problems("ReserveNow", payload) == []
    return str(bench.ask("ReserveNow", **payload)["status"])


def statuses(bench: StationBench) -> list[str]:
    return [said.payload["status"] for said in bench.said("StatusNotification")]


def test_it_keeps_the_place_for_one_driver_and_names_the_reservation_with_the_start() -> None:
    bench = StationBench.of().connect()
    assert reserve(bench) == "Accepted"
    assert statuses(bench)[-1] == "Reserved"
    bench.plug(token="04FF")
    bench.run(5)
    assert (bench.said("StartTransaction"), bench.station.rejected_tokens) == ([], 1)
    bench.station.unplug(1, bench.now_s)
    bench.run(1)
    assert statuses(bench)[-1] == "Reserved"
    bench.plug()
    bench.run(5)
    (start,) = bench.said("StartTransaction")
    assert start.payload["reservationId"] == 5
    assert schema_problems("StartTransaction", start.payload) == []
    bench.station.unplug(1, bench.now_s)
    bench.run(1)
    assert statuses(bench)[-1] == "Available"


@pytest.mark.parametrize(("told", "is_let_in"), [("G", True), ("H", False), (None, False)])
def test_the_server_says_whether_another_card_is_of_the_group(
    monkeypatch: pytest.MonkeyPatch, told: str | None, *, is_let_in: bool
) -> None:
    bench = StationBench.of().connect()
    info = {"status": "Accepted", **({} if told is None else {"parentIdTag": told})}
    plain = bench._answer
    monkeypatch.setattr(bench, "_answer", lambda action: {"idTagInfo": info} if action == "Authorize" else plain(action))
    reserve(bench, parentIdTag="G")
    bench.plug(token="04FF")
    bench.run(5)
    assert [said.payload["reservationId"] for said in bench.said("StartTransaction")] == ([5] if is_let_in else [])


def test_it_runs_out_by_itself_is_cancelled_once_and_ends_where_the_place_is_out_of_order() -> None:
    bench = StationBench.of().connect()
    reserve(bench)
    bench.run(590)
    assert statuses(bench)[-1] == "Reserved"
    bench.run(20)
    assert statuses(bench)[-1] == "Available"
    assert bench.ask("CancelReservation", reservationId=5) == {"status": "Rejected"}
    assert reserve(bench) == "Rejected"  # its time is over

    again = StationBench.of().connect()
    reserve(again)
    assert again.ask("CancelReservation", reservationId=5) == {"status": "Accepted"}
    assert statuses(again)[-1] == "Available"
    reserve(again)
    again.ask("ChangeAvailability", connectorId=1, type="Inoperative")
    assert statuses(again)[-1] == "Unavailable"
    again.ask("ChangeAvailability", connectorId=1, type="Operative")
    again.run(1)
    assert statuses(again)[-1] == "Available"


def test_it_says_why_not() -> None:
    bench = StationBench.of(evse_count=2).connect()
    assert reserve(bench, connector=0) == "Rejected"
    assert reserve(bench, connector=7) == "Rejected"
    bench.plug(2)
    bench.run(5)
    assert reserve(bench, connector=2) == "Occupied"
    reserve(bench)
    assert reserve(bench, number=6, token="04FF") == "Occupied"
    assert reserve(bench, token="04FF") == "Accepted"  # the same number replaces what it named
    bench.ask("ChangeAvailability", connectorId=1, type="Inoperative")
    assert reserve(bench) == "Unavailable"


def test_a_start_from_afar_is_for_whom_it_is_kept() -> None:
    bench = StationBench.of().connect()
    reserve(bench)
    bench.plug(token="04FF")
    bench.run(2)
    assert bench.ask("RemoteStartTransaction", idTag="04FF", connectorId=1) == {"status": "Rejected"}
    assert bench.ask("RemoteStartTransaction", idTag=TAG, connectorId=1) == {"status": "Accepted"}
    bench.run(2)
    assert bench.said("StartTransaction")[0].payload["reservationId"] == 5
