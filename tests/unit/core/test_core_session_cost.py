"""A session is priced when it ends, by the tariff it began with."""

from __future__ import annotations

from dataclasses import replace

from support.plant import TAG, Bench, plant

from edgectl.domain.events import SiteReloaded
from edgectl.domain.ids import IdToken
from edgectl.domain.records import BillKept
from edgectl.domain.site import Site, Token
from edgectl.domain.tariff import Plan, PlanKind, Pricing
from edgectl.domain.tariff_objects import tariff_of


def priced(price: str = "0.40", **known: object) -> Site:
    def made(name: str, each: str) -> object:
        component = {"type": "ENERGY", "price": each, "vat": 19, "step_size": 1}
        return tariff_of({"id": name, "currency": "EUR", "elements": [{"price_components": [component]}]})

    tariffs = (made("public", price), made("staff", "0.10"), made("guest", "1"))
    plans = (Plan("works", PlanKind.INTERNAL, "staff"),)
    pricing = Pricing(tariffs, plans, default="public", **known)  # type: ignore[arg-type]
    tokens = (Token(TAG), Token(IdToken("GUEST"), tariff="guest"), Token(IdToken("STAFF"), account="works"))
    return replace(plant("A"), pricing=pricing, tokens=tokens)


def bill_of(decisions: list[object]) -> dict[str, object]:
    return next(one.record.body for one in decisions if isinstance(getattr(one, "record", None), BillKept))  # type: ignore[attr-defined]


def charged(bench: Bench, token: str = TAG, change: Site | None = None) -> dict[str, object]:
    bench.boot("A")
    bench.meter(10)
    bench.start("A", token=token)
    (session,) = bench.controller._sessions.open.values()
    bench.wait(3_600)
    if change is not None:
        bench.put(SiteReloaded(change))
    return bill_of(bench.stop("A", session.transaction, meter_wh=6_000))  # type: ignore[arg-type]


def test_the_record_carries_the_tariff_and_what_it_comes_to() -> None:
    body = charged(Bench(priced()))
    assert '"id":"public"' in str(body["tariff"])
    cost = body["cost"]
    assert isinstance(cost, dict)
    assert (cost["before_taxes"], cost["after_taxes"], cost["is_indicative"]) == ("2.00", "2.38", True)
    assert cost["lines"][0]["amount"] == "2.0000"


def test_token_and_account_choose_the_tariff() -> None:
    guest, staff = charged(Bench(priced()), "guest"), charged(Bench(priced()), "STAFF")
    assert (guest["cost"]["before_taxes"], guest["cost"]["after_taxes"]) == ("5.00", "5.95")  # type: ignore[index]
    assert (staff["cost"]["before_taxes"], staff["cost"]["after_taxes"]) == ("0.50", "0.50")  # type: ignore[index]


def test_a_new_price_is_for_new_sessions() -> None:
    body = charged(Bench(priced()), change=priced("9.99", is_authority=True))
    assert (body["cost"]["before_taxes"], body["cost"]["is_indicative"]) == ("2.00", False)  # type: ignore[index]


def test_without_tariffs_nothing_is_priced() -> None:
    body = charged(Bench(plant("A")))
    assert (body["tariff"], body["cost"]) == (None, None)
