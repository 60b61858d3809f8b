"""Timestamps, numbers, identities and passwords as chargers really send them."""

from __future__ import annotations

import base64

import pytest

from edgectl.domain.ids import ChargerId
from edgectl.domain.time import iso
from edgectl.ocpp.credentials import (
    AccessDeniedError,
    BadIdentityError,
    PasswordForm,
    Roster,
    check_basic_auth,
    identity_from_path,
)
from edgectl.ocpp.fields import id_of, text_of, whole_of
from edgectl.ocpp.samples import SampleBuilder, scaled
from edgectl.ocpp.schemas import Schemas
from edgectl.ocpp.timestamps import read_timestamp


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-06-01T10:00:00Z", "2025-06-01T10:00:00.000Z"),
        ("2025-06-01T10:00:00.5Z", "2025-06-01T10:00:00.500Z"),
        ("2025-06-01T10:00:00.123456789Z", "2025-06-01T10:00:00.123Z"),
        ("2025-06-01T10:00:00,25z", "2025-06-01T10:00:00.250Z"),
        ("2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00.000Z"),
        ("2025-06-01T12:00:00+0200", "2025-06-01T10:00:00.000Z"),
        ("2025-06-01T12:00:00+02", "2025-06-01T10:00:00.000Z"),
        ("2025-06-01T04:30:00-05:30", "2025-06-01T10:00:00.000Z"),
        ("2025-06-01T10:00:00", "2025-06-01T10:00:00.000Z"),
        ("2025-06-01 10:00", "2025-06-01T10:00:00.000Z"),
        (" 2025-6-1T10:00:00Z ", "2025-06-01T10:00:00.000Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.000Z"),
        ("1970-01-01T00:00:12Z", "1970-01-01T00:00:12.000Z"),
        ("1969-12-31T23:59:59.900Z", "1969-12-31T23:59:59.900Z"),
    ],
)
def test_q31_a_timestamp_is_read_in_every_form_seen(text: str, meant: str) -> None:
    moment = read_timestamp(text)
    assert moment is not None
    assert iso(moment) == meant


def test_q31_the_year_1_is_a_moment_before_1970() -> None:
    assert read_timestamp("0001-01-01T00:00:00Z") == -62_135_596_800_000
    assert read_timestamp("0001-01-01T00:00:00+02:00") == -62_135_596_800_000 - 7_200_000


@pytest.mark.parametrize(
    "value",
    ["", "0", "now", "2025-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "2025-06-01", None, 1748772000, [], "2025-06-01T10:00:00ZZ"],
)
def test_q31_what_is_no_moment_is_none(value: object) -> None:
    assert read_timestamp(value) is None


@pytest.mark.parametrize(
    ("value", "power", "floored"),
    [
        ("0.15003999999999998", 3, 150),
        (0.15003999999999998, 3, 150),
        (12.3, 3, 12_300),
        ("0.2899999", 3, 289),
        ("1234.9", 0, 1_234),
        ("-0.5", 0, -1),
        (7, 3, 7_000),
        ("1.5e2", 0, 150),
        ("5e-9", 3, 0),
        (".5", 3, 500),
        ("5.", 0, 5),
        ("+8", 0, 8),
        ("0e999", 3, 0),
        ("9" * 30 + "e-25", 0, 99_999),
        ("0.00000000000000000000000000000000009", 3, 0),
        ("1234.99999999999999999999999999999999", 0, 1_234),
    ],
)
def test_energy_is_scaled_exactly_and_never_rounded_up(value: object, power: int, floored: int) -> None:
    assert scaled(value, power, is_floored=True) == floored


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "abc",
        "NaN",
        "inf",
        "-Infinity",
        float("nan"),
        float("inf"),
        "1e400",
        "1e13",
        10**14,
        "1_000",
        "1,5",
        "٣",
        "0x10",
        None,
        True,
        [],
        {},
        "--1",
        ".",
        "e5",
        "1" * 41,
    ],
)
def test_q33_what_is_no_usable_number_is_none(value: object) -> None:
    assert scaled(value, 0, is_floored=True) is None


def test_currents_are_rounded_to_the_nearest_milliamp() -> None:
    assert scaled("15.9996", 3, is_floored=False) == 16_000
    assert scaled("-0.0006", 3, is_floored=False) == -1


def test_q34_q35_phases_and_totals_find_their_field() -> None:
    builder = SampleBuilder(5, "periodic")
    for phase, value in (("L1", "16"), ("L2-N", "15.5"), ("N", "0.4"), ("L2-L3", "3")):
        builder.add("Current.Import", phase, "A", value)
    builder.add("Current.Import", None, None, "31.5")
    for phase, value in (("L1", "1.2"), ("L3", "0.3")):
        builder.add("Power.Active.Import", phase, "kW", value)
    builder.add("Voltage", None, "V", 231.4)
    builder.add("SoC", None, "Percent", "79.6")
    builder.add("Current.Offered", None, "A", "32")
    sample = builder.build()
    assert tuple(sample.current_ma or ()) == (16_000, 15_500, 0)
    assert sample.current_single_ma is None
    assert sample.power_w == 1_500
    assert tuple(sample.voltage_mv or ()) == (231_400,) * 3
    assert (sample.soc_percent, sample.offered_ma) == (80, 32_000)
    assert sample.dropped == ("phase N of Current.Import", "phase L2-L3 of Current.Import")


def test_a_current_without_a_phase_says_so() -> None:
    builder = SampleBuilder(None, "periodic")
    builder.add("Current.Import", None, "A", "15.96")
    sample = builder.build()
    assert (sample.current_ma, sample.current_single_ma) == (None, 15_960)


def test_a_total_wins_over_its_parts_for_energy() -> None:
    builder = SampleBuilder(None, "periodic")
    builder.add("Energy.Active.Import.Register", "L1", "kWh", "1")
    builder.add("Energy.Active.Import.Register", None, "Wh", "3100.7")
    assert builder.build().energy_wh == 3_100


def test_q32_a_unit_that_does_not_fit_is_dropped_and_a_missing_one_is_the_default() -> None:
    builder = SampleBuilder(None, "periodic")
    builder.add("Energy.Active.Import.Register", None, None, "12")
    builder.add("Power.Active.Import", None, "Celsius", "12")
    builder.add("Vendor.Magic", None, None, "12")
    builder.add("Temperature", None, "Celcius", "41")
    sample = builder.build()
    assert (sample.energy_wh, sample.power_w) == (12, None)
    assert sample.dropped == ("unit Celsius of Power.Active.Import", "measurand Vendor.Magic")


def test_what_was_dropped_is_bounded_and_its_number_told() -> None:
    builder = SampleBuilder(None, "periodic")
    for number in range(100):
        builder.add(f"Unknown{number}", None, None, "1")
    dropped = builder.build().dropped
    assert len(dropped) == 9
    assert dropped[-1] == "100 values in all"


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/CP-1", "CP-1"),
        ("/ocpp/CP-1/", "CP-1"),
        ("//ocpp//CP-1//", "CP-1"),
        ("/steve/websocket/CentralSystemService/CP%201", "CP 1"),
        ("/ws%3A%2F%2Fedge%3A8887%2FCP-1", "CP-1"),
        ("/CP%2541", "CP%41"),
        ("/CP-1?x=/y", "CP-1"),
        ("/" + "x" * 48, "x" * 48),
        ("/%C3%89lan", "\u00c9lan"),
    ],
)
def test_q4_the_identity_is_the_last_segment_decoded_once(path: str, identity: str) -> None:
    assert identity_from_path(path) == identity


@pytest.mark.parametrize("path", ["", "/", "///", "/?CP", "/a%3Ab", "/" + "x" * 49, "/%FF", "/a%00b", "/a%0Ab", "/%20"])
def test_q4_a_path_without_a_legal_identity_is_refused(path: str) -> None:
    with pytest.raises(BadIdentityError):
        identity_from_path(path)


def test_q4_case_is_folded_to_the_configured_spelling_and_ambiguity_refused() -> None:
    roster = Roster([ChargerId("CP-1"), ChargerId("Twin"), ChargerId("TWIN")])
    assert roster.find("cp-1") == "CP-1"
    assert roster.find("Twin") == "Twin"
    assert roster.find("twin") is None
    assert roster.is_ambiguous("twin")
    assert roster.find("CP-2") is None
    assert not roster.is_ambiguous("CP-2")


def header(user: bytes, password: bytes) -> str:
    return "Basic " + base64.b64encode(user + b":" + password).decode()


KEY = bytes([0xC3, 0x28, 0xFF, 0x3A, 0x00, *range(15)])


@pytest.mark.parametrize(
    ("stored", "shown", "form"),
    [
        (b"secret\n", b"secret", PasswordForm.AS_STORED),
        (b"se:cret", b"se:cret", PasswordForm.AS_STORED),
        (KEY, KEY, PasswordForm.AS_STORED),
        (KEY, KEY.hex().encode(), PasswordForm.HEX),
        (KEY, KEY.hex().upper().encode(), PasswordForm.HEX),
        (KEY.hex().encode(), KEY, PasswordForm.RAW),
        (KEY.hex().encode(), KEY.hex().encode(), PasswordForm.AS_STORED),
    ],
)
def test_q5_a_key_is_accepted_as_stored_as_hex_and_raw(stored: bytes, shown: bytes, form: PasswordForm) -> None:
    assert check_basic_auth(header(b"cp-1", shown), "CP-1", stored) is form


@pytest.mark.parametrize(
    ("value", "stored", "words"),
    [
        (None, b"secret", "no credentials"),
        ("Bearer abc", b"secret", "not HTTP basic"),
        ("Basic ***", b"secret", "not base64"),
        ("Basic " + base64.b64encode(b"nocolon").decode(), b"secret", "no ':'"),
        (header(b"CP-2", b"secret"), b"secret", "user name"),
        (header(b"CP-1", b"Secret"), b"secret", "wrong password"),
        (header(b"CP-1", b""), b"", "is empty"),
        (header(b"CP-1", b"\x12\x34"), b"1234", "wrong password"),
        (header(b"CP-1", b"\xff\xfe"), b"secret", "wrong password"),
    ],
)
def test_q5_everything_else_is_denied_in_words(value: str | None, stored: bytes, words: str) -> None:
    with pytest.raises(AccessDeniedError, match=words):
        check_basic_auth(value, "CP-1", stored)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5),
        (5.9, 5),
        (-1, -1),
        ("7", 7),
        ("7.9", 7),
        (float("inf"), None),
        (2**60, None),
        (True, None),
        ("x", None),
        (None, None),
        ("nan", None),
        ({}, None),
    ],
)
def test_whole_numbers_are_read_from_numbers_and_texts(value: object, number: int | None) -> None:
    assert whole_of(value) == number


def test_texts_and_ids_are_read_from_numbers_too() -> None:
    assert (text_of(" a\x00b "), text_of(12), text_of(""), text_of(True), text_of("abc", 2)) == ("ab", "12", None, None, "ab")
    assert (id_of(7), id_of(7.0), id_of("7"), id_of(-1), id_of(None), id_of([])) == ("7", "7", "7", "-1", None, None)


def test_a_schema_says_what_is_wrong_and_knows_only_its_own_actions() -> None:
    schemas = Schemas("ocpp.v16.schemas")
    assert schemas.request_problem("Heartbeat", {}) is None
    assert schemas.request_problem("Authorize", {}) == "data must contain ['idTag'] properties"
    assert schemas.response_problem("Reset", {"status": "Perhaps"}) is not None
    assert schemas.request_problem("MakeCoffee", {"x": 1}) is None
    assert schemas.request_problem("../secrets", {}) is None


@pytest.mark.parametrize("limit", [0, 6, 15.9, 16.1, 31.7])
def test_a_limit_with_one_decimal_is_valid_although_binary_floats_are_not_multiples_of_a_tenth(limit: float) -> None:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    profile = {
        "chargingProfileId": 1,
        "stackLevel": 0,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
    }
    payload = {"connectorId": 1, "csChargingProfiles": profile}
    assert Schemas("ocpp.v16.schemas").request_problem("SetChargingProfile", payload) is None


@pytest.mark.parametrize(
    ("package", "suffix", "action"),
    [("ocpp.v201.schemas", "Request", "TransactionEvent"), ("ocpp.v21.schemas", "Request", "TransactionEvent")],
)
def test_schemas_of_the_later_versions_are_found_by_the_same_reader(package: str, suffix: str, action: str) -> None:
    assert Schemas(package, suffix).request_problem(action, {}) is not None
