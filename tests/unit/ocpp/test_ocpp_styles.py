"""A limit in every way a charger may need it, in every version, always valid by the standard's schema."""

from __future__ import annotations

from typing import Any

import pytest

from edgectl.domain.decisions import InstallFallback, ProfileStyle, ScheduleAnswer, SetLimit
from edgectl.domain.events import Call, SchedulePulled
from edgectl.domain.ids import ChargerId, EvseId, TransactionRef
from edgectl.domain.quirks import ProfileKind, ProfilePurpose, RateUnit
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.site import PowerKind
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import Codec
from edgectl.ocpp.v16 import V16
from edgectl.ocpp.v21 import V21
from edgectl.ocpp.v201 import V201

NOW = Instant(1_000, 1_790_000_000_000)
CODECS: list[Codec] = [V16(), V201(), V21()]
STYLES = [
    ProfileStyle(purpose, kind, level, unit)
    for purpose in (None, *ProfilePurpose)
    for kind in ProfileKind
    for level in (0, 1, 7)
    for unit in (None, *RateUnit)
]
MAXIMA = {"ChargePointMaxProfile", "ChargingStationMaxProfile"}

each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.subprotocol)


def order(style: ProfileStyle, transaction: str | None = "5", **changes: Any) -> SetLimit:
    values: dict[str, Any] = {
        "evse": EvseId(ChargerId("A"), 2),
        "order_number": 1,
        "limit_ma": 10_150,
        "limit_w": 7_003,
        "kind": PowerKind.AC,
        "phase_count": 3,
        "lease_ms": 180_000,
        "transaction": None if transaction is None else TransactionRef(transaction),
        "reason": Reason(Cause.FULL, Authority.CHARGER),
        "style": style,
    }
    return SetLimit(**(values | changes))


def sent(codec: Codec, limit: SetLimit) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """The EVSE, the profile and its schedule, under the names of OCPP 2."""
    (call,) = codec.limit_calls(limit, NOW)
    assert codec.own_call_problem(call) is None
    place = call.payload.get("evseId", call.payload.get("connectorId"))
    profile = call.payload.get("chargingProfile") or call.payload["csChargingProfiles"]
    schedule = profile["chargingSchedule"]
    return place, profile, schedule[0] if isinstance(schedule, list) else schedule


@each_codec
@pytest.mark.parametrize("style", STYLES, ids=str)
def test_every_style_is_a_valid_profile_that_ends(codec: Codec, style: ProfileStyle) -> None:
    for transaction in ("5", None):
        place, profile, schedule = sent(codec, order(style, transaction))
        assert profile["validTo"] == "2026-09-21T14:16:20.000Z"
        assert profile["stackLevel"] == style.stack_level
        is_maximum = profile["chargingProfilePurpose"] in MAXIMA
        assert is_maximum == (style.purpose is ProfilePurpose.STATION_MAX)
        assert place == (0 if is_maximum else 2)
        assert ("transactionId" in profile) == (profile["chargingProfilePurpose"] == "TxProfile")
        assert ("startSchedule" in schedule) == (profile["chargingProfileKind"] == "Absolute") == ("duration" in schedule)
        is_dynamic = style.kind is ProfileKind.DYNAMIC and codec.subprotocol == "ocpp2.1"
        assert (profile["chargingProfileKind"] == "Dynamic") == is_dynamic == ("dynUpdateInterval" in profile)


@each_codec
def test_a_default_is_told_where_no_transaction_can_be_named(codec: Codec) -> None:
    assert sent(codec, order(ProfileStyle(ProfilePurpose.TX), None))[1]["chargingProfilePurpose"] == "TxDefaultProfile"
    assert sent(codec, order(ProfileStyle(ProfilePurpose.TX_DEFAULT)))[1]["chargingProfilePurpose"] == "TxDefaultProfile"
    assert sent(codec, order(ProfileStyle()))[1]["chargingProfilePurpose"] == "TxProfile"


@each_codec
def test_profiles_of_different_purposes_never_replace_each_other(codec: Codec) -> None:
    key = "id" if codec.subprotocol != "ocpp1.6" else "chargingProfileId"
    numbers = {sent(codec, order(ProfileStyle(purpose)))[1][key] for purpose in ProfilePurpose}
    assert len(numbers) == 3
    assert all(number >= 10 for number in numbers)


@each_codec
def test_units_round_down(codec: Codec) -> None:
    amps = sent(codec, order(ProfileStyle(unit=RateUnit.AMPS)))[2]
    watts = sent(codec, order(ProfileStyle(unit=RateUnit.WATTS)))[2]
    assert (amps["chargingRateUnit"], amps["chargingSchedulePeriod"]) == ("A", [{"startPeriod": 0, "limit": 10.1}])
    assert (watts["chargingRateUnit"], watts["chargingSchedulePeriod"]) == ("W", [{"startPeriod": 0, "limit": 7003}])
    direct = sent(codec, order(ProfileStyle(unit=RateUnit.AMPS), kind=PowerKind.DC))[2]
    assert direct["chargingRateUnit"] == "W"  # amps of a DC charger would be those of the battery


@each_codec
def test_the_fallback_has_no_end_and_follows_kind_and_unit(codec: Codec) -> None:
    style = ProfileStyle(kind=ProfileKind.RELATIVE, unit=RateUnit.WATTS)
    install = InstallFallback(ChargerId("A"), 6_000, 4_140, 32_000, 22_080, PowerKind.AC, style)
    calls = codec.fallback_calls(install, NOW)
    for call in calls:
        assert codec.own_call_problem(call) is None
    profiles = [call.payload.get("chargingProfile") or call.payload["csChargingProfiles"] for call in calls]
    assert [profile["chargingProfileKind"] for profile in profiles] == ["Absolute", "Relative"]
    for profile, watts in zip(profiles, (22_080, 4_140), strict=True):
        schedule = profile["chargingSchedule"]
        schedule = schedule[0] if isinstance(schedule, list) else schedule
        assert "validTo" not in profile
        assert "duration" not in schedule
        assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": watts}]


def test_a_station_pulls_the_limit_of_the_evse_its_profile_stands_for() -> None:
    codec = V21()
    call = Call(ChargerId("A"), 1, "m", "PullDynamicScheduleUpdate")
    for number, evse_number in ((1002, 2), (2001, 1), (3000, 1), (2, None), (77_000, None)):
        assert codec.decode(call, {"chargingProfileId": number}) == SchedulePulled(call, evse_number)
    assert codec.encode_answer(ScheduleAnswer(10_150, 7_003), call, NOW) == {
        "status": "Accepted",
        "scheduleUpdate": {"limit": 10.1},
    }
    assert codec.encode_answer(ScheduleAnswer(10_150, 7_003, is_power=True), call, NOW)["scheduleUpdate"] == {"limit": 7_003}
    assert codec.encode_answer(ScheduleAnswer(None), call, NOW) == {"status": "Rejected"}
