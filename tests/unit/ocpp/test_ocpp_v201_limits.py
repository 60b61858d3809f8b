"""Limits and the fallback on OCPP 2: profiles that end by themselves above one that does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgectl.domain.decisions import InstallFallback, SetLimit
from edgectl.domain.events import Outcome
from edgectl.domain.ids import ChargerId, EvseId, TransactionRef
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.site import PowerKind
from edgectl.domain.time import Instant
from edgectl.ocpp.rpc import CallEnded, Ending, OwnCall
from edgectl.ocpp.v21 import V21
from edgectl.ocpp.v201 import V201

CP = ChargerId("CP-1")
NOW = Instant(1_000, 1_748_772_000_000)  # 2025-06-01T10:00:00Z
TX = TransactionRef("2f6e8a0c-6a53-4f5e-9f0e-0d3c1b7a9e42")
INSTALL = InstallFallback(CP, 6_000, 4_140, 64_000, 44_160, PowerKind.AC)

codecs = pytest.mark.parametrize("codec", [V201(), V21()], ids=["2.0.1", "2.1"])


def order(**changes: Any) -> SetLimit:
    values: dict[str, Any] = {
        "evse": EvseId(CP, 2),
        "order_number": 9,
        "limit_ma": 15_999,
        "limit_w": 11_039,
        "kind": PowerKind.AC,
        "phase_count": 3,
        "lease_ms": 180_000,
        "transaction": TX,
        "reason": Reason(Cause.FULL, Authority.CHARGER),
    }
    return SetLimit(**(values | changes))


def profile_of(limit: SetLimit, codec: V201 | None = None) -> Any:
    codec = codec or V201()
    (own_call,) = codec.limit_calls(limit, NOW)
    assert codec.own_call_problem(own_call) is None
    assert (own_call.action, own_call.slot) == ("SetChargingProfile", f"limit/{limit.evse.number}")
    assert own_call.payload["evseId"] == limit.evse.number
    return own_call.payload["chargingProfile"]


def ended(ending: Ending = Ending.ANSWERED, status: object = None, code: str = "", **info: str) -> CallEnded:
    payload: dict[str, Any] = {} if status is None else {"status": status}
    if info:
        payload["statusInfo"] = info
    return CallEnded(OwnCall("SetChargingProfile", {}), ending, payload, code, "words")


def test_a_limit_during_a_transaction_is_a_tx_profile_that_ends_with_its_lease() -> None:
    assert profile_of(order()) == {
        "id": 2002,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "validTo": "2025-06-01T10:03:00.000Z",
        "transactionId": TX,
        "chargingSchedule": [
            {
                "id": 2002,
                "duration": 240,
                "startSchedule": "2025-06-01T09:59:00.000Z",
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 15.9}],
            }
        ],
    }


@codecs
@pytest.mark.parametrize("transaction", [None, TransactionRef(""), TransactionRef("x" * 37)])
def test_a_limit_without_a_usable_transaction_is_a_default_of_the_evse_above_the_fallback(
    codec: V201, transaction: TransactionRef | None
) -> None:
    profile = profile_of(order(transaction=transaction), codec)
    assert (profile["chargingProfilePurpose"], profile["stackLevel"], profile["id"]) == ("TxDefaultProfile", 1, 1002)
    assert "transactionId" not in profile
    assert profile["chargingSchedule"][0]["duration"] == 240


def test_ocpp_2_1_also_says_how_long_a_limit_holds_offline() -> None:
    for transaction in (TX, None):
        profile = profile_of(order(transaction=transaction), V21())
        assert profile["maxOfflineDuration"] == 180
        assert "invalidAfterOfflineDuration" not in profile
        assert profile.items() >= profile_of(order(transaction=transaction), V201()).items()


@pytest.mark.parametrize(("offline_ms", "told_s"), [(30_000, 30), (None, 180), (600_000, 180)])
def test_a_limit_can_be_given_less_time_offline_than_its_lease_and_never_more(offline_ms: int | None, told_s: int) -> None:
    asked = replace(order(), offline_ms=offline_ms)
    assert profile_of(asked, V21())["maxOfflineDuration"] == told_s
    assert "maxOfflineDuration" not in profile_of(asked, V201())


@codecs
def test_phases_are_said_when_they_are_not_three(codec: V201) -> None:
    (schedule,) = profile_of(order(phase_count=1), codec)["chargingSchedule"]
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 15.9, "numberPhases": 1}]


@codecs
def test_q41_a_dc_station_is_told_watts(codec: V201) -> None:
    (schedule,) = profile_of(order(kind=PowerKind.DC, phase_count=1), codec)["chargingSchedule"]
    assert (schedule["chargingRateUnit"], schedule["chargingSchedulePeriod"]) == ("W", [{"startPeriod": 0, "limit": 11_039}])


@pytest.mark.parametrize(
    ("end", "outcome", "detail"),
    [
        (ended(status="Accepted", reasonCode="NoError"), Outcome.ACCEPTED, ""),
        (ended(status="Rejected"), Outcome.REJECTED, "Rejected"),
        (
            ended(status="Rejected", reasonCode="TxNotFound", additionalInfo="no such transaction"),
            Outcome.REJECTED,
            "Rejected: TxNotFound: no such transaction",
        ),
        (ended(status="Whatever"), Outcome.ERROR, "Whatever"),
        (ended(), Outcome.ERROR, "the answer has no status"),
        (ended(Ending.REFUSED, code="NotSupported"), Outcome.NOT_SUPPORTED, "NotSupported: words"),
        (ended(Ending.REFUSED, code="InternalError"), Outcome.ERROR, "InternalError: words"),
        (ended(Ending.TIMED_OUT), Outcome.TIMEOUT, "words"),
        (ended(Ending.SUPERSEDED), Outcome.SUPERSEDED, "words"),
        (ended(Ending.DISCONNECTED), Outcome.DISCONNECTED, "words"),
    ],
)
def test_q19_every_way_a_limit_can_end_has_its_outcome_and_the_stations_reason(
    end: CallEnded, outcome: Outcome, detail: str
) -> None:
    answered = V201().limit_answered(order(), [end])
    assert (answered.charger, answered.evse_number, answered.order_number) == (CP, 2, 9)
    assert (answered.outcome, answered.detail) == (outcome, detail)


@codecs
def test_the_fallback_is_a_rating_and_a_default_without_an_end_in_the_lowest_layer(codec: V201) -> None:
    rating, default = codec.fallback_calls(INSTALL, NOW)
    assert codec.own_call_problem(rating) is None
    assert codec.own_call_problem(default) is None
    assert default.payload == {
        "evseId": 0,
        "chargingProfile": {
            "id": 2,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": [
                {
                    "id": 2,
                    "startSchedule": "1970-01-01T00:00:00.000Z",
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 6}],
                }
            ],
        },
    }
    profile = rating.payload["chargingProfile"]
    assert (profile["id"], profile["chargingProfilePurpose"]) == (1, "ChargingStationMaxProfile")
    assert profile["chargingSchedule"][0]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 64}]


@pytest.mark.parametrize(
    ("rating", "default", "outcome", "detail"),
    [
        (ended(status="Accepted"), ended(status="Accepted"), Outcome.ACCEPTED, ""),
        (
            ended(status="Rejected", reasonCode="UnsupportedParam"),
            ended(status="Accepted"),
            Outcome.ACCEPTED,
            "ChargingStationMaxProfile rejected (Rejected: UnsupportedParam)",
        ),
        (ended(status="Accepted"), ended(status="Rejected"), Outcome.REJECTED, "TxDefaultProfile rejected (Rejected)"),
        (
            ended(Ending.TIMED_OUT),
            ended(status="Accepted"),
            Outcome.TIMEOUT,
            "ChargingStationMaxProfile timeout (words)",
        ),
    ],
)
def test_the_fallback_stands_or_falls_with_the_default_profile(
    rating: CallEnded, default: CallEnded, outcome: Outcome, detail: str
) -> None:
    answered = V201().fallback_answered(INSTALL, [rating, default])
    assert (answered.outcome, answered.detail) == (outcome, detail)
