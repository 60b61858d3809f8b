"""Every cause has a sentence that a person understands, and every view becomes plain JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from support.plant import Bench, plant

from edgectl.core.authorization import Authorization
from edgectl.domain.ids import CircuitId, IdToken
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.reasons import Authority, Cause, Input, Reason
from edgectl.domain.views import Health
from edgectl.ports import OutboxSummary
from edgectl.status import openapi
from edgectl.status.encode import encode
from edgectl.status.metrics import exposition
from edgectl.status.words import climbed, explain

INPUTS = (
    Input("limit", 125_000, "mA"),
    Input("other-loads", 61_200, "mA", 400),
    Input("reserved", 6_000, "mA"),
    Input("vehicles", 6, "count"),
)


def test_a_full_conductor_is_explained_with_its_numbers_and_their_age() -> None:
    reason = Reason(Cause.CIRCUIT, Authority.CONDUCTOR, CircuitId("hall-a"), Phase.L2, INPUTS)
    assert explain("CP-A-01/1", 9_000, reason, 12_000) == (
        "CP-A-01/1 may draw 9.0 A because hall-a L2 is full: limit 125.0 A, other loads 61.2 A (measured 0.4 s ago), "
        "6.0 A kept free for silent chargers, shared by 6 vehicles. Set 12 s ago."
    )


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("limit_ma", [None, 0, 16_000])
def test_every_cause_has_a_sentence(cause: Cause, limit_ma: int | None) -> None:
    words = explain("X/1", limit_ma, Reason(cause, Authority.POLICY, CircuitId("c"), Phase.L1, INPUTS), 5_000)
    assert words.startswith("X/1")
    assert words.endswith(".")
    assert "None" not in words


@pytest.mark.parametrize(
    ("rung", "words"),
    [
        ("tx-default", "It is told by the default profile of transactions since 2027-01-15 09:00; before: 2 limits refused."),
        ("stop", "Since 2027-01-15 09:00 nothing it is told has any effect (2 limits refused); where there is no room it stops."),
    ],
)
def test_another_way_of_telling_a_charger_its_limit_is_said_with_its_start_and_its_cause(rung: str, words: str) -> None:
    bench = Bench(plant("A"))
    evse = bench.controller.picture(bench.now).chargers[0].evses[0]
    assert climbed(evse) == ""
    told = replace(evse, rung=rung, rung_since_utc_ms=1_800_000_000_000, rung_detail="2 limits refused")
    assert climbed(told, "Europe/Berlin") == words


def test_a_picture_is_plain_json_with_moments_and_phases_spelled_out() -> None:
    bench = Bench(plant("A", "B"))
    bench.boot("A")
    bench.meter(10, 11, 12)
    bench.start("A")
    body = json.loads(json.dumps(encode(bench.controller.picture(bench.now))))
    assert body["at"].endswith("Z")
    assert body["circuits"][0]["measured_ma"] == {"L1": 10_000, "L2": 11_000, "L3": 12_000}
    assert body["chargers"][0]["evses"][0]["reason"]["cause"] == "full"
    assert body["chargers"][1]["evses"][0]["session"] is None


def test_metrics_parse_and_carry_base_units() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    bench.meter(10)
    bench.start("A")
    body = exposition(
        lambda: bench.controller.picture(bench.now),
        Health(100, True, True, ""),
        OutboxSummary(3, 1, None),
        {"last_puback_age_ms": 1_500},
    ).decode()
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert samples["edgectl_circuit_current_amperes", (("circuit", "grid"), ("phase", "L1"))] == 10
    assert samples["edgectl_evse_limit_amperes", (("charger", "A"), ("evse", "1"))] == 32
    assert samples["edgectl_outbox_backlog", ()] == 3
    assert samples["edgectl_uplink_puback_age_seconds", ()] == 1.5
    assert ("edgectl_uplink_receipt_age_seconds", ()) not in samples
    assert samples["edgectl_control_steps_total", ()] > 0


def test_the_api_description_names_parameters_of_every_path() -> None:
    for path, item in openapi.document()["paths"].items():
        for operation in item.values():
            named = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert named == {part[1:-1] for part in path.split("/") if part.startswith("{")}


@given(st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6))
def test_phases_keep_their_places(l1: int, l2: int, l3: int) -> None:
    assert encode({"x_ma": Phases(l1, l2, l3)}) == {"x_ma": {"L1": l1, "L2": l2, "L3": l3}}


def test_tokens_match_whatever_their_case() -> None:
    authorization = Authorization(plant("A"))
    assert authorization.verdict(IdToken("04aabbcc"), 0) == authorization.verdict(IdToken("04AABBCC "), 0)
