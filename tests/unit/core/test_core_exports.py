"""Exports: CDRs that keep OCPI's rules and price to what they say, sheets and statements that add up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.ocmf import OwnMeter
from support.plant import Bench, plant, records
from support.store_records import session as blank
from support.vectors import vectors

from edgectl.core.exports import cdr, cdr_rules, select, sheet
from edgectl.core.exports.render import BadRequestError, render
from edgectl.core.tariffs.book import PriceBook
from edgectl.core.tariffs.price import price
from edgectl.core.tariffs.usage import of_body, reservation_of
from edgectl.domain.bill import session_body
from edgectl.domain.events import CorrectionRequested
from edgectl.domain.ids import ChargerId, IdToken
from edgectl.domain.reasons import Cause
from edgectl.domain.records import Period, PeriodState, Session, SessionKept, SessionStatus
from edgectl.domain.reservations import ReservationEnd, Reserved
from edgectl.domain.site import Location, Plug, Site, Token
from edgectl.domain.tariff import Plan, PlanKind, Pricing
from edgectl.domain.tariff_objects import json_text, tariff_of, tariff_of_text, tariff_text
from edgectl.domain.time import utc_ms

BERLIN = ZoneInfo("Europe/Berlin")
TARIFF = {
    "id": "T",
    "currency": "EUR",
    "elements": [
        {
            "price_components": [
                {"type": "ENERGY", "price": "0.50", "vat": "19"},
                {"type": "FLAT", "price": "0.35", "vat": "19"},
            ],
            "restrictions": {"end_time": "22:00"},
        },
        {
            "price_components": [
                {"type": "ENERGY", "price": "0.30", "vat": "19"},
                {"type": "PARKING_TIME", "price": "6", "vat": "19"},
            ]
        },
    ],
}
PLANS = (
    Plan("fleet", PlanKind.INTERNAL, cost_centre="4711"),
    Plan("vans", PlanKind.INTERNAL, cost_centre="4711"),
    Plan("anna", PlanKind.SUBSCRIPTION, None, 8_000, Decimal(0), Decimal("10.00"), Decimal(19)),
    Plan("berta", PlanKind.SUBSCRIPTION, monthly_fee=Decimal(5)),
)
TOKENS = tuple(Token(IdToken(account.upper()), account=account) for account in ("fleet", "vans", "anna", "berta"))


def site(**known: Any) -> Site:
    pricing = Pricing((tariff_of(TARIFF),), PLANS, "T", grace_ms=600_000, sells_as=("DE", "ABC"))
    place = Location("Kai 1", "Hamburg", "DEU", "53.5503", "9.9920", "20457")
    (charger,) = plant("CP-1").chargers
    made = replace(plant(replace(charger, plug=Plug.TYPE2_CABLE)), timezone="Europe/Berlin", pricing=pricing, tokens=TOKENS)
    return replace(made, **{"location": place, "name": "Kai", **known})


def at(text: str) -> int:
    return utc_ms(datetime.fromisoformat(text).replace(tzinfo=BERLIN))


def ended(name: str, token: str | None = "ANNA", start: str = "2026-11-20T21:00", minutes: int = 120, **known: Any) -> Session:
    """10 kWh in two hours across ten in the evening, then half an hour without demand, a quarter of an hour paused by us."""
    begin = at(start)
    full, idle, end = (begin + 60_000 * more for more in (minutes, minutes + 30, minutes + 45))
    spans = (
        Period(begin, full, PeriodState.CHARGING, 10_000, Cause.IDLE),
        Period(full, idle, PeriodState.SUSPENDED_EV, 0, Cause.IDLE),
        Period(idle, end, PeriodState.SUSPENDED_EVSE, 0, Cause.TURN),
    )
    made = replace(
        blank(name, status=SessionStatus.COMPLETED, started_utc_ms=begin, ended_utc_ms=end, energy_wh=10_000),
        id_token=None if token is None else IdToken(token),
        periods=spans,
        charger=ChargerId("CP-1"),
        signed_values=(),
        flags=(),
    )
    return PriceBook(site()).priced(replace(made, **known))


class Shelf:
    def __init__(self, *sessions: Session) -> None:
        self.sessions = sorted(sessions, key=lambda one: (one.entered_utc_ms, one.id), reverse=True)

    def __call__(self, since: int | None, until: int | None, limit: int) -> Sequence[Session]:
        chosen = [
            one
            for one in self.sessions
            if (since is None or since <= one.entered_utc_ms) and (until is None or one.entered_utc_ms < until)
        ]
        return chosen[:limit]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# --- OCPI -----------------------------------------------------------------------------------------------------------------


def cdr_of(one: Session) -> dict[str, Any]:
    return cdr.cdr_of(one, cdr.seller(site(), BERLIN))


def test_a_cdr_keeps_the_rules_and_says_what_the_session_cost() -> None:
    meter = OwnMeter()
    found = cdr_of(ended("s-1", signed_values=(meter.record("B"), "AP;other", meter.record("E"))))
    assert cdr_rules.problems(found) == ()
    # 5 kWh at 0.50, 5 kWh at 0.30, a start fee of 0.35, 20 of 30 min parking: 2.50 + 1.50 + 0.35 + 2.00
    assert found["total_cost"] == {"excl_vat": Decimal("6.35"), "incl_vat": Decimal("7.56")}
    assert found["total_energy_cost"] == {"excl_vat": Decimal(4), "incl_vat": Decimal("4.76")}
    assert found["total_parking_time"] == Decimal("0.3333")
    assert (found["total_energy"], found["total_time"]) == (Decimal(10), Decimal("2.75"))
    assert [period["start_date_time"] for period in found["charging_periods"]] == [
        "2026-11-20T20:00:00.000Z",
        "2026-11-20T21:00:00.000Z",
        "2026-11-20T22:00:00.000Z",
        "2026-11-20T22:30:00.000Z",
    ]
    assert [value["nature"] for value in found["signed_data"]["signed_values"]] == ["Start", "End"]
    assert found["cdr_location"]["evse_id"] == "DE*ABC*ECP1*1"
    assert json.loads(json_text(found))["total_cost"] == {"excl_vat": 6.35, "incl_vat": 7.56}


def test_whoever_prices_the_cdr_by_its_tariff_comes_to_the_same() -> None:
    one = ended("s-1")
    found = cdr_of(one)
    again = price(tariff_of(found["tariffs"][0] | {"last_updated": "x"}), of_body(found), BERLIN)
    assert one.cost is not None
    assert (again.before_taxes, again.after_taxes) == (one.cost.before_taxes, one.cost.after_taxes)


BOOKED = {
    **TARIFF,
    "elements": [
        {
            "price_components": [
                {"type": "TIME", "price": "3", "vat": "19", "step_size": 600},
                {"type": "FLAT", "price": "2", "vat": "19"},
            ],
            "restrictions": {"reservation": "RESERVATION", "end_time": "20:30"},
        },
        {
            "price_components": [{"type": "TIME", "price": "6", "vat": "19", "step_size": 600}],
            "restrictions": {"reservation": "RESERVATION"},
        },
        *TARIFF["elements"],
    ],
}


def kept(end: ReservationEnd, minutes: int = 47, until: int = 60) -> Reserved:
    """From 20:13 on; the session begins at nine."""
    begin = at("2026-11-20T20:13")
    return Reserved(5, begin, begin + until * 60_000, begin + minutes * 60_000, end)


@pytest.mark.parametrize(
    ("one", "starts", "hours", "cost"),
    [
        # 17 min at 3, 30 min at 6, and 3 of 10 min more to a whole block: 0.85 + 3.30, 2 for it, and the session's 6.35
        (ended("s-1", tariff=tariff_text(tariff_of(BOOKED)), reservation=kept(ReservationEnd.USED)),
         ["19:13:00", "19:30:00", "20:00:00", "21:00:00", "22:00:00", "22:30:00"], ["0.2833", "0.5"], "12.50"),
        # it ran out a quarter of an hour before, at 20:45, and was used all the same: 0.85 + 1.50 and 8 min of 6
        (ended("s-1", tariff=tariff_text(tariff_of(BOOKED)), reservation=kept(ReservationEnd.USED, 32, 32)),
         ["19:13:00", "19:30:00", "20:00:00", "21:00:00", "22:00:00", "22:30:00"], ["0.2833", "0.25"], "11.50"),
        # nobody came: 17 min at 3, 43 min at 6, whole blocks, 2 for it
        (ended("s-1", minutes=0, tariff=tariff_text(tariff_of(BOOKED)), reservation=kept(ReservationEnd.EXPIRED, 60),
               periods=(), energy_wh=0, started_utc_ms=at("2026-11-20T20:13"), ended_utc_ms=at("2026-11-20T21:13")),
         ["19:13:00", "19:30:00"], ["0.2833", "0.7167"], "7.15"),
    ],
    ids=["used", "used-late", "expired"],
)  # fmt: skip
def test_reserved_time_is_in_the_cdr_which_costs_what_its_tariff_says(
    one: Session, starts: list[str], hours: list[str], cost: str
) -> None:
    found = cdr_of(one)
    assert cdr_rules.problems(found) == ()
    periods = found["charging_periods"]
    assert [period["start_date_time"][11:19] for period in periods] == starts
    reserved = [one["volume"] for period in periods for one in period["dimensions"] if one["type"] == "RESERVATION_TIME"]
    assert reserved == [Decimal(text) for text in hours]
    assert found["start_date_time"] == periods[0]["start_date_time"]
    assert one.cost is not None
    assert one.cost.before_taxes == cost
    tariff = tariff_of(found["tariffs"][0] | {"last_updated": "x"})
    again = price(tariff, of_body(found), BERLIN, reservation=reservation_of(found))
    assert (again.before_taxes, again.after_taxes) == (one.cost.before_taxes, one.cost.after_taxes)
    ours = json.loads(json.dumps(session_body(one)), parse_float=Decimal)
    once_more = price(tariff, of_body(ours), BERLIN, reservation=reservation_of(ours), grace_ms=600_000)
    assert once_more.before_taxes == one.cost.before_taxes


def test_a_session_that_begins_just_before_its_reservation_by_its_own_clock_makes_a_cdr_all_the_same() -> None:
    begin = at("2026-11-20T21:00")
    reserved = Reserved(5, begin + 300, begin + 3_600_000, begin + 300, ReservationEnd.USED)
    found = cdr_of(ended("s-1", tariff=tariff_text(tariff_of(BOOKED)), reservation=reserved))
    assert cdr_rules.problems(found) == ()
    assert found["start_date_time"] == found["charging_periods"][1]["start_date_time"]


@pytest.mark.parametrize("key", ["currency", "cdr_token", "charging_periods", "total_cost", "cdr_location"])
def test_a_field_that_is_missing_is_named(key: str) -> None:
    found = cdr_of(ended("s-1"))
    del found[key]
    assert cdr_rules.problems(found) == (f"cdr.{key}: is missing",)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("cdr_token", "type"), "CARD", "one of AD_HOC_USER"),
        (("cdr_location", "country"), "Germany", "[A-Z]{3}"),
        (("cdr_location", "coordinates", "latitude"), "53,5", "cdr.cdr_location.coordinates.latitude"),
        (("charging_periods",), [], "a list of at least 1"),
        (("total_energy",), 1.5, "a number"),
        (("end_date_time",), "2020-01-01T00:00:00Z", "before its start"),
        (("credit",), True, "a credit names what it credits"),
        (("surprise",), 1, "is not a field of it"),
    ],
)
def test_a_value_against_the_rules_is_named(path: tuple[str, ...], value: object, words: str) -> None:
    found = cdr_of(ended("s-1"))
    place: dict[str, Any] = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert words in " ".join(cdr_rules.problems(found))


def test_what_the_sites_file_lacks_is_named() -> None:
    bare = replace(site(), location=None, pricing=replace(site().pricing, sells_as=None))
    with pytest.raises(BadRequestError, match=r"needs tariffs\.operator and site\.location in the site's file"):
        render(Shelf(ended("s-1")), bare, {"format": "ocpi"})


@pytest.mark.skipif(vectors("ocpi") is None, reason="the shared OCPI vectors are not beside this checkout; own CDRs stand")
def test_the_cdr_of_the_specification_keeps_the_rules() -> None:
    folder = vectors("ocpi")
    assert folder is not None
    text = (folder / "spec-2.2.1" / "cdr_example.json").read_text(encoding="utf-8")
    assert cdr_rules.problems(json.loads(text, parse_float=Decimal)) == ()


def corrected(sealed: Session, **wish: Any) -> tuple[Session, Session, Session]:
    """The sealed record with its note, the credit, the replacement; made on the first of December."""
    bench = Bench(site(), utc_ms=at("2026-12-01T09:00"))
    decisions = bench.put(
        CorrectionRequested("1", "ops", sealed, None, **{"energy_wh": None, "tariff": None, "reason": "r", **wish})
    )
    noted, credit, replacement = (kept.session for kept in records(SessionKept, decisions))
    return noted, credit, replacement


def test_a_sealed_cdr_is_credited_and_replaced() -> None:
    noted, one, other = corrected(ended("s-1"), energy_wh=5_000)
    sealed, credit, replacement = cdr_of(noted), cdr_of(one), cdr_of(other)
    assert sealed == cdr_of(ended("s-1"))
    assert (credit["credit"], credit["credit_reference_id"], credit["id"]) == (True, "s-1", one.id)
    assert credit["total_cost"] == {"excl_vat": Decimal("-6.35"), "incl_vat": Decimal("-7.56")}
    new = {"id", "credit", "credit_reference_id", "total_cost", "last_updated", "remark"}
    assert {k: v for k, v in credit.items() if k not in new} == {k: v for k, v in sealed.items() if k not in new}
    # 2.5 kWh at 0.50, 2.5 at 0.30, 0.35, 20 minutes at 6
    assert (replacement["total_cost"]["excl_vat"], replacement["total_energy"]) == (Decimal("4.35"), Decimal(5))
    assert ("credit" in replacement, replacement["session_id"], replacement["id"]) == (False, "s-1", other.id)
    assert credit["last_updated"] == replacement["last_updated"] == "2026-12-01T08:00:00.000Z"
    assert cdr_rules.problems(credit) == cdr_rules.problems(replacement) == ()


def test_a_correction_is_booked_in_the_month_in_which_it_is_made_and_nets_to_the_replacement() -> None:
    shelf = Shelf(*corrected(ended("s-1", "FLEET"), energy_wh=5_000))

    def totals(**span: str) -> list[tuple[str, str, str]]:
        found = rows_of(render(shelf, site(), {"format": "statement", **span}).text)
        return [
            (r["energy_kwh"], r["before_taxes"], r["after_taxes"]) for r in found if (r["kind"], r["group"]) == ("total", "fleet")
        ]

    assert totals(month="2026-11") == [("10.000", "6.35", "6.35")]
    assert totals(month="2026-12") == [("-5.000", "-2.00", "-2.00")]
    assert totals() == [("5.000", "4.35", "4.35")]
    lines = rows_of(render(shelf, site(), {"format": "csv"}).text)
    assert [(row["kind"], row["corrects"], row["energy_wh"]) for row in lines] == [
        ("session", "", "10000"),
        ("credit", "s-1", "-10000"),
        ("replacement", "s-1", "5000"),
    ]
    assert sum(Decimal(row["before_taxes"]) for row in lines) == Decimal("4.35")
    page = render(shelf, site(), {"format": "statement-html", "month": "2026-12"}).text
    assert "credit of s-1: r" in page
    assert "-10.000" in page


def test_included_energy_and_a_discount_follow_a_correction() -> None:
    """8 of the 10 kWh were included in November. December takes 5 kWh back at their price, and includes nothing."""
    shelf = Shelf(*corrected(ended("s-1"), energy_wh=5_000))
    found = rows_of(render(shelf, site(), {"format": "statement", "month": "2026-12"}).text)
    anna = [row for row in found if row["group"] == "anna"]
    # 6.35 -> 4.35 before tax, 7.56 -> 5.18 after; the fee 10.00 and 1.90
    assert [(r["before_taxes"], r["after_taxes"]) for r in anna if r["kind"] == "total"] == [("8.00", "9.52")]
    assert [row["words"] for row in anna if row["kind"] == "plan"] == ["monthly fee: 10.0000 EUR, taxed at 19 %"]


# --- sheets and statements ------------------------------------------------------------------------------------------------


def test_a_sheet_has_every_session_and_no_formula() -> None:
    running = replace(blank("s-2", started_utc_ms=at("2026-11-21T08:00")), id_token=IdToken("=HYPERLINK(1)"))
    export = render(Shelf(ended("s-1"), running), site(), {"format": "csv"})
    assert export.media_type == "text/csv"
    first, second = rows_of(export.text)
    assert (first["before_taxes"], first["after_taxes"], first["tariff"], first["account"]) == ("6.35", "7.56", "T", "anna")
    assert (second["status"], second["id_token"], second["before_taxes"]) == ("active", "'=HYPERLINK(1)", "")
    assert sheet.text_of([("-1.50", "-x", None)]) == "-1.50,'-x,\r\n"


def test_a_statement_adds_up_by_account() -> None:
    shelf = Shelf(ended("s-1"), ended("s-2", start="2026-11-21T12:00"), ended("s-3", "FLEET"), ended("s-4", None))
    found = rows_of(render(shelf, site(), {"format": "statement", "month": "2026-11"}).text)
    totals = {
        row["group"]: (row["energy_kwh"], row["before_taxes"], row["after_taxes"]) for row in found if row["kind"] == "total"
    }
    # s-1: 6.35 and 7.56. s-2 is by day alone: 10 kWh at 0.50, 0.35, 20 min parking at 6: 7.35, with 1.40 of tax 8.75.
    # The energy of both cost 4.00 + 5.00; 8 of 20 kWh are included: -3.60, tax -0.68. The fee: 10.00, tax 1.90.
    assert totals == {
        "anna": ("20.000", "20.10", "23.93"),
        "berta": ("0.000", "5.00", "5.00"),
        "fleet": ("10.000", "6.35", "6.35"),
        "without an account": ("10.000", "6.35", "7.56"),
    }
    words = [row["words"] for row in found if row["kind"] == "plan" and row["group"] == "anna"]
    assert words == [
        "energy included in the month: 8 kWh, at 0.45 EUR/kWh: -3.6000 EUR, taxed at 19 %",
        "monthly fee: 10.0000 EUR, taxed at 19 %",
    ]


def test_cost_centres_gather_accounts_and_tokens_pay_as_they_go() -> None:
    shelf = Shelf(ended("s-1"), ended("s-3", "FLEET"), ended("s-5", "VANS"))
    centres = rows_of(render(shelf, site(), {"format": "statement", "month": "2026-11", "by": "cost-centre"}).text)
    assert [(row["account"], row["before_taxes"]) for row in centres if row["group"] == "4711" and row["kind"] == "total"] == [
        ("fleet", "6.35"),
        ("vans", "6.35"),
    ]
    tokens = rows_of(render(shelf, site(), {"format": "statement", "month": "2026-11", "by": "token"}).text)
    assert {row["group"]: row["before_taxes"] for row in tokens if row["kind"] == "total"} == {
        "ANNA": "6.35",
        "FLEET": "6.35",
        "VANS": "6.35",
    }


def test_a_page_to_print_needs_nothing_from_elsewhere_and_believes_no_name() -> None:
    shelf = Shelf(ended("s-1", "<b>&", charger=ChargerId("CP-<1>")), ended("s-2"))
    page = render(shelf, site(name="Kai <script>"), {"format": "statement-html", "month": "2026-11"}).text
    assert "<script" not in page
    assert "&lt;b&gt;&amp;" in page
    assert "http" not in page
    assert page.count("<section>") == 3  # anna, berta's fee, and those without an account
    assert "2026-11-20 21:00 CET" in page
    assert page.index("Indicative") < page.index("<table")  # never alone on the last page
    assert "<td class=n>10.000</td><td class=n>6.35</td>" in page
    assert page.count("<th class=n>") == 3 * page.count("<table>")


def test_sessions_without_a_price_are_listed_and_in_no_sum() -> None:
    shelf = Shelf(ended("s-1"), replace(ended("s-2"), cost=None, tariff=None))
    page = render(shelf, site(), {"format": "statement-html", "month": "2026-11", "by": "token"}).text
    assert "1 sessions have no price and are in no sum." in page
    found = rows_of(render(shelf, site(), {"format": "statement", "month": "2026-11", "by": "token"}).text)
    assert [row["words"] for row in found if row["id"] == "s-2"] == ["no price"]
    assert [row["before_taxes"] for row in found if row["kind"] == "total"] == ["6.35"]


# --- which sessions -------------------------------------------------------------------------------------------------------


def test_a_month_is_the_sites_and_a_session_belongs_where_it_ended() -> None:
    begin, end = select.month_span("2026-03", BERLIN)
    assert (begin, end) == (at("2026-03-01T00:00"), at("2026-04-01T00:00"))
    assert end - begin == (31 * 24 - 1) * 3_600_000  # the clock is put forward
    over = ended("s-1", start="2026-11-30T23:00")
    assert [one.id for one in select.ended_between(Shelf(over), *select.month_span("2026-12", BERLIN))] == ["s-1"]
    assert select.ended_between(Shelf(over), *select.month_span("2026-11", BERLIN)) == []
    assert select.month_span("2026-12", BERLIN)[1] == at("2027-01-01T00:00")


def test_no_session_is_lost_between_the_steps() -> None:
    same = [replace(blank(f"s-{number}"), started_utc_ms=1_000 * (number // 7)) for number in range(3 * select.STEP + 11)]
    found = select.oldest_first(Shelf(*same))
    assert sorted(one.id for one in found) == sorted(one.id for one in same)
    assert [one.started_utc_ms for one in found] == sorted(one.started_utc_ms for one in same)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"format": "pdf"}, "csv, ocpi, statement, statement-html are allowed"),
        ({"month": "2026-13"}, "a month like 2026-11"),
        ({"month": "2026-11", "since": "2026-11-01"}, "give a month, or since and until"),
        ({"since": "yesterday"}, "a moment like"),
        ({"format": "statement", "by": "name"}, "account, token, cost-centre are allowed"),
    ],
)
def test_what_cannot_be_exported_is_said(wanted: dict[str, str], words: str) -> None:
    with pytest.raises(BadRequestError, match=words):
        render(Shelf(), site(), wanted)


def test_the_export_of_the_whole_is_one_list_of_cdrs() -> None:
    export = render(Shelf(ended("s-1"), ended("s-2")), site(), {"format": "ocpi", "month": "2026-11"})
    assert [one["id"] for one in json.loads(export.text)] == ["s-1", "s-2"]
    assert tariff_of_text(json.dumps(json.loads(export.text)[0]["tariffs"][0])).id == "T"
