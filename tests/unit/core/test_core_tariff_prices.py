"""Prices worked out by hand, in both shapes of OCPI; each case says what it is about."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edgectl.core.tariffs.explain import explain
from edgectl.core.tariffs.price import price
from edgectl.core.tariffs.usage import Usage, of_periods
from edgectl.domain.reasons import Cause
from edgectl.domain.records import Period, PeriodState
from edgectl.domain.reservations import ReservationEnd, Reserved
from edgectl.domain.tariff import Cost, Plan, PlanKind, Tariff
from edgectl.domain.tariff_objects import tariff_of
from edgectl.domain.time import utc_ms

BERLIN = ZoneInfo("Europe/Berlin")
CHARGING, IDLE, OURS = PeriodState.CHARGING, PeriodState.SUSPENDED_EV, PeriodState.SUSPENDED_EVSE
SHAPES = ("2.2.1", "2.3.0")


def at(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return utc_ms(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold))


def component(kind: str, price_: str, vat: str | None = "20", step: int = 1) -> dict[str, Any]:
    return {"type": kind, "price": price_, "step_size": step} | ({} if vat is None else {"vat": vat})


def element(*components: dict[str, Any], **restrictions: Any) -> dict[str, Any]:
    return {"price_components": list(components)} | ({"restrictions": restrictions} if restrictions else {})


def tariff(
    *elements: dict[str, Any], shape: str = "2.2.1", low: tuple[str, ...] = (), high: tuple[str, ...] = (), **more: Any
) -> Tariff:
    body: dict[str, Any] = {"id": "T", "currency": "EUR", "elements": list(elements), **more}
    names = ("excl_vat", "incl_vat") if shape == "2.2.1" else ("before_taxes", "after_taxes")
    for key, bound in (("min_price", low), ("max_price", high)):
        if bound:
            body[key] = dict(zip(names, bound, strict=False))
    if shape == "2.3.0":
        body.setdefault("tax_included", "NO")
    return tariff_of(body)


def spans(start: str, *parts: tuple[int, PeriodState, int]) -> tuple[Usage, ...]:
    """Minutes, state and Wh of each part, one after the other."""
    found, begin = [], at(start)
    for minutes, state, energy_wh in parts:
        found.append(Period(begin, begin + minutes * 60_000, state, energy_wh, Cause.IDLE))
        begin += minutes * 60_000
    return of_periods(found, 230_000)


def cost(tariff_: Tariff, usages: tuple[Usage, ...], **known: Any) -> Cost:
    return price(tariff_, usages, BERLIN, **known)


def total(found: Cost) -> tuple[str, str]:
    return found.before_taxes, found.after_taxes


DAY = "2027-03-03T12:00"
HOUR = spans(DAY, (60, CHARGING, 12_345))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("elements", "low", "high", "before", "after"),
    [
        # 12.345 kWh * 0.37 = 4.56765 -> 4.5677 -> 4.57; 19 % of 4.57 = 0.8683 -> 0.87
        ([element(component("ENERGY", "0.37", "19"))], (), (), "4.57", "5.44"),
        # 12.345 -> 12.4 kWh in blocks of 100 Wh: 4.588 -> 4.59; tax 0.8721 -> 0.87
        ([element(component("ENERGY", "0.37", "19", 100))], (), (), "4.59", "5.46"),
        # one flat fee at 20 %, one hour at 10 %: 0.50 + 0.10 and 3.00 + 0.30
        ([element(component("FLAT", "0.50"), component("TIME", "3", "10"))], (), (), "3.50", "3.90"),
        # both lines of one rate are rounded together: 0.005 + 0.005 * 1 -> 0.01, not 0.02
        ([element(component("FLAT", "0.005"), component("TIME", "0.005"))], (), (), "0.01", "0.01"),
        # at least 6 before and 7 after tax; 4.57 and 5.44 are both below
        ([element(component("ENERGY", "0.37", "19"))], ("6", "7"), (), "6.00", "7.00"),
        # the bound after tax alone binds: 4.57 is above 4, 5.44 below 6
        ([element(component("ENERGY", "0.37", "19"))], ("4", "6"), (), "4.57", "6.00"),
        # at most 2 before tax; after tax in proportion: 2 * 5.44 / 4.57 = 2.3807
        ([element(component("ENERGY", "0.37", "19"))], (), ("2",), "2.00", "2.38"),
        # nothing has a price: a tariff of parking only, and nobody parked
        ([element(component("PARKING_TIME", "5"))], (), (), "0.00", "0.00"),
        # a flat fee of nothing, blocks of nothing
        ([element(component("FLAT", "0", None, 0))], (), (), "0.00", "0.00"),
    ],
)
def test_an_hour_of_charging_costs(
    shape: str, elements: list[dict[str, Any]], low: tuple[str, ...], high: tuple[str, ...], before: str, after: str
) -> None:
    found = cost(tariff(*elements, shape=shape, low=low, high=high), HOUR)
    assert total(found) == (before, after)
    assert found.rules == f"ocpi-{shape}/edgectl-1"
    assert sum(Decimal(net) for _, net, _ in found.taxes) == Decimal(before)
    assert sum(Decimal(net) + Decimal(tax) for _, net, tax in found.taxes) == Decimal(after)


def test_prices_that_contain_tax_are_taken_apart_after_rounding() -> None:
    gross = tariff(element(component("ENERGY", "0.59", "19")), shape="2.3.0", tax_included="YES")
    # 12.345 * 0.59 = 7.28355 -> 7.2836 -> 7.28; 7.28 / 1.19 = 6.1176 -> 6.12
    assert total(cost(gross, HOUR)) == ("6.12", "7.28")


def test_no_tax_is_added_where_none_applies_and_a_missing_rate_is_said() -> None:
    untaxed = tariff(element(component("ENERGY", "1", "19")), shape="2.3.0", tax_included="N/A")
    assert total(cost(untaxed, HOUR)) == ("12.35", "12.35")
    open_rate = tariff(element(component("ENERGY", "1", None)), shape="2.3.0")
    assert cost(open_rate, HOUR).notes == ("tax-rate-unknown",)
    assert cost(tariff(element(component("ENERGY", "1", None))), HOUR).notes == ()


@pytest.mark.parametrize(
    ("currency", "before", "after"), [("JPY", "12", "14"), ("EUR", "12.35", "14.70"), ("KWD", "12.345", "14.691")]
)
def test_a_currency_has_its_own_minor_unit(currency: str, before: str, after: str) -> None:
    assert total(
        cost(tariff_of({"id": "T", "currency": currency, "elements": [element(component("ENERGY", "1", "19"))]}), HOUR)
    ) == (
        before,
        after,
    )


# --- which element --------------------------------------------------------------------------------------------------------

DAY_AND_NIGHT = (
    element(component("ENERGY", "0.50", None), start_time="06:00", end_time="22:00"),
    element(component("ENERGY", "0.20", None)),
)


def by_element(found: Cost) -> dict[tuple[int, str], str]:
    return {(line.element_number, line.dimension): line.quantity for line in found.lines}


def test_a_period_is_cut_where_the_tariff_changes() -> None:
    found = cost(tariff(*DAY_AND_NIGHT), spans("2027-03-03T21:00", (120, CHARGING, 10_000)))
    assert by_element(found) == {(1, "ENERGY"): "5", (2, "ENERGY"): "5"}
    assert total(found) == ("3.50", "3.50")


NIGHT_HOURS = tariff(
    element(component("TIME", "1", None), start_time="02:00", end_time="03:00"), element(component("TIME", "0", None))
)


def test_the_hour_that_comes_twice_is_paid_twice() -> None:
    # 2027-10-31: 03:00 CEST is 02:00 CET again. 00:30 to 04:30 on the wall lasts five hours.
    found = cost(NIGHT_HOURS, spans("2027-10-31T00:30", (300, CHARGING, 0)))
    assert by_element(found) == {(1, "TIME"): "2", (2, "TIME"): "3"}


def test_the_hour_that_is_missing_is_not_paid() -> None:
    # 2027-03-28: 02:00 CET is 03:00 CEST at once. 00:30 to 04:30 on the wall lasts three hours.
    found = cost(NIGHT_HOURS, spans("2027-03-28T00:30", (180, CHARGING, 0)))
    assert by_element(found) == {(2, "TIME"): "3"}


def test_hours_past_midnight_and_to_its_end() -> None:
    wrapping = tariff(element(component("TIME", "1", None), start_time="22:00", end_time="06:00"))
    assert by_element(cost(wrapping, spans("2027-03-03T21:00", (600, CHARGING, 0)))) == {(1, "TIME"): "8"}
    evening = tariff(element(component("TIME", "1", None), start_time="20:00", end_time="00:00"))
    assert by_element(cost(evening, spans("2027-03-03T19:00", (600, CHARGING, 0)))) == {(1, "TIME"): "4"}


def test_days_and_dates_are_the_sites_own() -> None:
    # Friday 2027-03-05 23:00 in Berlin; midnight there is 23:00 UTC.
    weekend = tariff(element(component("TIME", "1", None), day_of_week=["SATURDAY"]))
    assert by_element(cost(weekend, spans("2027-03-05T23:00", (180, CHARGING, 0)))) == {(1, "TIME"): "2"}
    until = tariff(element(component("TIME", "1", None), start_date="2027-03-04", end_date="2027-03-06"))
    assert by_element(cost(until, spans("2027-03-05T23:00", (180, CHARGING, 0)))) == {(1, "TIME"): "1"}


def test_energy_and_duration_open_and_close_elements() -> None:
    tiers = tariff(
        element(component("ENERGY", "0", None), max_kwh="2"),
        element(component("ENERGY", "0.3", None), min_kwh="2", max_kwh="7.5"),
        element(component("ENERGY", "0.5", None)),
    )
    assert by_element(cost(tiers, HOUR)) == {(1, "ENERGY"): "2", (2, "ENERGY"): "5.5", (3, "ENERGY"): "4.845"}
    hours = tariff(element(component("TIME", "1", None), min_duration=1800, max_duration=2700))
    assert by_element(cost(hours, HOUR)) == {(1, "TIME"): "0.25"}


def test_power_and_current_are_those_of_the_period() -> None:
    # 12,345 Wh in an hour: 12.345 kW, 53.674 A over the phases at 230 V.
    by_power = tariff(element(component("ENERGY", "0.2"), max_power="12.345"), element(component("ENERGY", "0.3")))
    found = cost(by_power, HOUR)
    assert by_element(found) == {(2, "ENERGY"): "12.345"}
    assert found.notes == ("power-is-a-mean",)
    by_current = tariff(element(component("ENERGY", "0.2"), min_current="53.6", max_current="53.7"))
    assert by_element(cost(by_current, HOUR)) == {(1, "ENERGY"): "12.345"}
    unknown = (Usage(at(DAY), at(DAY), energy_wh=Fraction(1000)),)
    assert cost(by_current, unknown).lines == ()


def test_each_dimension_finds_its_own_first_element() -> None:
    mixed = tariff(
        element(component("FLAT", "1", None)),
        element(component("ENERGY", "0.1", None), day_of_week=["SUNDAY"]),
        element(component("ENERGY", "0.2", None), component("FLAT", "9", None)),
    )
    assert by_element(cost(mixed, HOUR)) == {(3, "ENERGY"): "12.345", (1, "FLAT"): "1"}


# --- blocks ---------------------------------------------------------------------------------------------------------------


def test_time_is_rounded_up_once_at_the_price_used_last() -> None:
    two = tariff(
        element(component("TIME", "6", None, 600), end_time="12:30"),
        element(component("TIME", "12", None, 900), start_time="12:30"),
    )
    found = cost(two, spans(DAY, (40, CHARGING, 0)))
    # 40 min in blocks of 15 is 45: 30 min at 6 and 10 + 5 min at 12
    assert [(line.quantity, line.billed) for line in found.lines] == [("0.5", "0.5"), ("0.166667", "0.25")]
    assert total(found) == ("6.00", "6.00")


def test_where_parking_is_paid_too_only_parking_is_rounded_up() -> None:
    both = tariff(element(component("TIME", "6", None, 900), component("PARKING_TIME", "2", None, 1800)))
    found = cost(both, spans(DAY, (10, CHARGING, 0), (4, IDLE, 0)))
    assert {line.dimension: line.billed for line in found.lines} == {"TIME": "0.166667", "PARKING_TIME": "0.5"}
    assert total(found) == ("2.00", "2.00")


# --- parking --------------------------------------------------------------------------------------------------------------

PARKING = tariff(element(component("PARKING_TIME", "6", None), component("TIME", "1", None)))


def test_only_what_the_vehicle_did_not_want_is_parking_and_a_pause_of_ours_costs_nothing() -> None:
    found = cost(PARKING, spans(DAY, (60, CHARGING, 0), (60, OURS, 0), (30, IDLE, 0)))
    assert {line.dimension: line.quantity for line in found.lines} == {"TIME": "1", "PARKING_TIME": "0.5"}


@pytest.mark.parametrize(("grace", "paid"), [(0, "0.75"), (15, "0.5"), (30, "0.25"), (45, None), (90, None)])
def test_the_first_minutes_without_demand_are_free(grace: int, paid: str | None) -> None:
    found = cost(PARKING, spans(DAY, (20, IDLE, 0), (60, CHARGING, 0), (25, IDLE, 0)), grace_ms=grace * 60_000)
    assert {line.dimension: line.quantity for line in found.lines}.get("PARKING_TIME") == paid


# --- reservations ---------------------------------------------------------------------------------------------------------

BOOKED = (
    element(component("FLAT", "4"), reservation="RESERVATION_EXPIRES"),
    element(component("FLAT", "1"), component("TIME", "2", step=600), reservation="RESERVATION"),
    element(component("FLAT", "0.5"), component("ENERGY", "0.25", "10")),
)


def reserved(minutes: int, end: ReservationEnd) -> Reserved:
    """Until the day begins."""
    return Reserved(5, at(DAY) - minutes * 60_000, at(DAY), at(DAY), end)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_reservation_is_paid_beside_the_session(shape: str) -> None:
    booked = reserved(25, ReservationEnd.USED)
    found = cost(tariff(*BOOKED, shape=shape), spans(DAY, (60, CHARGING, 8_000)), reservation=booked)
    # 25 -> 30 min at 2/h: 1.00; fees 1.00 and 0.50: 2.50 at 20 %; 2.00 at 10 %
    assert {line.dimension: line.amount for line in found.lines} == {
        "ENERGY": "2.0000",
        "FLAT": "0.5000",
        "RESERVATION_TIME": "1.0000",
        "RESERVATION_FLAT": "1.0000",
    }
    assert total(found) == ("4.50", "5.20")


def test_one_that_expired_is_paid_by_its_own_elements_first() -> None:
    missed = reserved(30, ReservationEnd.EXPIRED)
    found = cost(tariff(*BOOKED), (), reservation=missed)
    assert {line.dimension: line.amount for line in found.lines} == {"RESERVATION_FLAT": "4.0000", "RESERVATION_TIME": "1.0000"}


SESSION = element(component("FLAT", "0.50"), component("ENERGY", "0.25", "10"))
FIVE = element(component("TIME", "5", step=60), reservation="RESERVATION")
FEE = element(component("FLAT", "2"), component("TIME", "5", step=300), reservation="RESERVATION")
EXPIRE_FEE = (
    element(component("FLAT", "4"), reservation="RESERVATION_EXPIRES"),
    element(component("TIME", "2", step=600), reservation="RESERVATION"),
)
EXPIRE_TIME = (
    element(component("TIME", "6", step=600), reservation="RESERVATION_EXPIRES"),
    element(component("TIME", "3", step=600), reservation="RESERVATION"),
)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("elements", "minutes", "costs"),
    [
        ([FIVE], 15, ("6.75", "7.60")),
        ([FEE], 13, ("8.75", "10.00")),
        (EXPIRE_FEE, 22, ("6.50", "7.30")),
        (EXPIRE_FEE, None, ("6.00", "7.20")),
        (EXPIRE_TIME, 22, ("7.00", "7.90")),
        (EXPIRE_TIME, None, ("6.00", "7.20")),
    ],
    ids=["per-hour", "and-a-fee", "expire-fee", "expire-fee-nobody", "expire-time", "expire-time-nobody"],
)
def test_the_reservations_of_the_specification_cost_what_it_says(
    elements: tuple[Any, ...], minutes: int | None, costs: tuple[str, str], shape: str
) -> None:
    """OCPI 2.2.1 mod_tariffs, the examples 15 to 18: so long reserved and then 20 kWh, or an hour and nobody came."""
    booked = reserved(minutes or 60, ReservationEnd.EXPIRED if minutes is None else ReservationEnd.USED)
    used = () if minutes is None else spans(DAY, (60, CHARGING, 20_000))
    assert total(cost(tariff(*elements, SESSION, shape=shape), used, reservation=booked)) == costs


def test_one_that_was_cancelled_has_not_expired() -> None:
    found = cost(tariff(*BOOKED), (), reservation=reserved(30, ReservationEnd.CANCELLED))
    assert {line.dimension: line.amount for line in found.lines} == {"RESERVATION_FLAT": "1.0000", "RESERVATION_TIME": "1.0000"}


@pytest.mark.parametrize(("bound", "words"), [({"low": ("50",)}, "50.00"), ({"high": ("1",)}, "1.00")])
def test_a_sessions_bounds_are_not_those_of_a_reservation_nobody_came_for(bound: dict[str, Any], words: str) -> None:
    alone = cost(tariff(*BOOKED, **bound), (), reservation=reserved(30, ReservationEnd.EXPIRED))
    assert total(alone) == ("5.00", "6.00")
    beside = cost(tariff(*BOOKED, **bound), spans(DAY, (60, CHARGING, 8_000)), reservation=reserved(30, ReservationEnd.USED))
    assert beside.before_taxes == words


# --- plans and words ------------------------------------------------------------------------------------------------------

MIXED = tariff(
    element(
        component("FLAT", "1", "19"),
        component("ENERGY", "0.4", "19"),
        component("TIME", "1", "7"),
        component("PARKING_TIME", "6", "19"),
    )
)
MIXED_USE = spans(DAY, (60, CHARGING, 10_000), (30, IDLE, 0))


def test_a_discount_is_for_energy_and_time_at_their_own_tax_rates() -> None:
    plan = Plan("fleet", PlanKind.SUBSCRIPTION, discount_percent=Decimal(25))
    found = cost(MIXED, MIXED_USE, plan=plan)
    assert [(line.amount, line.tax_percent) for line in found.lines if line.dimension == "DISCOUNT"] == [
        ("-1.0000", "19"),
        ("-0.2500", "7"),
    ]
    # 19 %: 1 + 4 + 3 - 1 = 7.00, tax 1.33; 7 %: 0.75, tax 0.05
    assert total(found) == ("7.75", "9.13")


def test_inside_the_house_there_is_no_tax_even_where_the_price_contains_it() -> None:
    plan = Plan("works", PlanKind.INTERNAL, cost_centre="4711")
    assert total(cost(MIXED, MIXED_USE, plan=plan)) == ("9.00", "9.00")
    gross = tariff(element(component("ENERGY", "0.476", "19")), shape="2.3.0", tax_included="YES")
    assert total(cost(gross, MIXED_USE, plan=plan)) == ("4.00", "4.00")


def test_every_line_is_explained() -> None:
    blocks = tariff(element(component("ENERGY", "0.37", "19", 1000), component("FLAT", "0.5", "19")), low=("9",))
    assert explain(cost(blocks, HOUR)) == (
        "energy (element 1): 12.345 kWh, billed as 13 kWh in blocks of 1000 Wh, at 0.37 EUR/kWh: 4.8100 EUR, taxed at 19 %",
        "flat fee (element 1): 0.5000 EUR, taxed at 19 %",
        "up to the least price: 3.69 EUR",
        "tax: 19 % of 5.31 EUR is 1.01 EUR",
        "total: 9.00 EUR before taxes, 10.71 EUR after (indicative; the backend's price counts; rules ocpi-2.2.1/edgectl-1)",
    )


def test_a_tariff_out_of_its_dates_is_said() -> None:
    old = tariff(element(component("ENERGY", "1")), end_date_time="2019-06-30T23:59:59Z")
    assert cost(old, HOUR).notes == ("tariff-out-of-date",)


def test_a_session_without_a_period_still_owes_what_is_flat() -> None:
    moment = (Usage(at(DAY), at(DAY)),)
    assert total(cost(tariff(element(component("FLAT", "1", "19"), component("ENERGY", "1"))), moment)) == ("1.00", "1.19")


def test_json_round_trip_of_a_cost_is_text_only() -> None:
    assert "e-" not in json.dumps([line.amount for line in cost(MIXED, MIXED_USE).lines])
