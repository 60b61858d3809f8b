"""Whatever the tariff and the session: more never costs less, parts add up, and where a period is cut does not matter.

Blocks are one watt-hour and one second, and sessions are made of whole ones: OCPI's own rounding up of a block, at the price of
whatever came last, can make a longer session cheaper.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from edgectl.core.tariffs.price import exact, price
from edgectl.core.tariffs.usage import Usage
from edgectl.domain.tariff import DAYS, Dimension, Element, PriceComponent, PriceLimit, Restrictions, Shape, Tariff, TaxIncluded
from edgectl.domain.tariff_objects import tariff_of_text, tariff_text

BERLIN = ZoneInfo("Europe/Berlin")
CLOCK_CHANGE_UTC_MS = 1_824_944_400_000
"""2027-10-31T01:00:00Z, when the clock is put back in Berlin."""

prices = st.decimals(0, 20, places=4, allow_nan=False)
taxes = st.sampled_from([None, Decimal(7), Decimal(19), Decimal("5.2")])
minutes = st.integers(0, 24 * 60 - 1)
clocks = st.builds(
    Restrictions,
    start_minute_count=st.none() | minutes,
    end_minute_count=st.none() | minutes,
    days=st.sets(st.sampled_from(DAYS)).map(lambda days: tuple(day for day in DAYS if day in days)),
)
bounds = st.builds(
    Restrictions,
    start_minute_count=st.none() | minutes,
    min_wh=st.none() | st.integers(0, 30_000),
    max_wh=st.none() | st.integers(1, 60_000),
    min_ms=st.none() | st.integers(0, 7_200_000),
    max_ms=st.none() | st.integers(1, 20_000_000),
)


def components(tax: Decimal | None) -> st.SearchStrategy[tuple[PriceComponent, ...]]:
    one = st.builds(PriceComponent, st.sampled_from(Dimension), prices, st.just(tax))
    return st.lists(one, min_size=1, max_size=4, unique_by=lambda found: found.dimension).map(tuple)


@st.composite
def tariffs(draw: st.DrawFn, restrictions: st.SearchStrategy[Restrictions] = bounds) -> Tariff:
    tax = draw(taxes)
    elements = draw(st.lists(st.builds(Element, components(tax), restrictions), min_size=1, max_size=5))
    limit = st.none() | st.builds(PriceLimit, prices)
    return Tariff("T", "EUR", tuple(elements), min_price=draw(limit), max_price=draw(limit))


@st.composite
def sessions(draw: st.DrawFn) -> tuple[Usage, ...]:
    begin = CLOCK_CHANGE_UTC_MS + draw(st.integers(-90_000, 90_000)) * 1_000
    found = []
    for kind, lasts_s, energy_wh in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20_000), st.integers(0, 40_000)), min_size=1, max_size=5)
    ):
        lasts_ms = lasts_s * 1_000
        found.append(
            Usage(
                begin,
                begin + lasts_ms,
                Fraction(energy_wh),
                charging_ms=Fraction(lasts_ms if kind == 0 else 0),
                parking_ms=Fraction(lasts_ms if kind == 1 else 0),
            )
        )
        begin += lasts_ms
    return tuple(found)


@settings(max_examples=40, deadline=None)
@given(tariffs(), sessions(), st.integers(0, 3_600))
def test_more_never_costs_less(tariff: Tariff, session: tuple[Usage, ...], grace_s: int) -> None:
    whole = [price(tariff, session[:count], BERLIN, grace_ms=grace_s * 1_000) for count in range(1, len(session) + 1)]
    before = [Decimal(cost.before_taxes) for cost in whole]
    after = [Decimal(cost.after_taxes) for cost in whole]
    assert before == sorted(before)
    assert after == sorted(after)


@settings(max_examples=40, deadline=None)
@given(tariffs(), sessions(), st.data(), st.integers(0, 3_600_000))
def test_cutting_a_period_changes_nothing(tariff: Tariff, session: tuple[Usage, ...], data: st.DataObject, grace_ms: int) -> None:
    index = data.draw(st.integers(0, len(session) - 1))
    cut = session[index]
    place_ms = data.draw(st.integers(0, cut.duration_ms))
    share = Fraction(place_ms, cut.duration_ms) if cut.duration_ms else Fraction(0)
    first = replace(cut.part(Fraction(0), share), to_utc_ms=cut.from_utc_ms + place_ms)
    second = replace(cut.part(share, Fraction(1)), from_utc_ms=cut.from_utc_ms + place_ms)
    parts = (*session[:index], first, second, *session[index + 1 :])
    assert price(tariff, parts, BERLIN, grace_ms=grace_ms) == price(tariff, session, BERLIN, grace_ms=grace_ms)


@settings(max_examples=40, deadline=None)
@given(tariffs(clocks), sessions())
def test_sessions_of_one_energy_and_time_add_up(tariff: Tariff, session: tuple[Usage, ...]) -> None:
    """Without a flat fee and blocks, and where only the clock decides, each part costs what it costs alone.

    Blocks count for the whole: where the clock changes within a watt-hour and half of it costs nothing, each part has one.
    """
    elements = tuple(
        replace(one, components=tuple(part for part in one.components if part.dimension is not Dimension.FLAT))
        for one in tariff.elements
    )
    tariff = replace(tariff, elements=elements)
    whole = exact(tariff, session, BERLIN)
    alone = [exact(tariff, (part,), BERLIN) for part in session]
    assert sum(alone, Fraction(0)) == whole


@settings(max_examples=40, deadline=None)
@given(tariffs(), sessions())
def test_totals_are_the_sums_of_what_is_shown(tariff: Tariff, session: tuple[Usage, ...]) -> None:
    cost = price(tariff, session, BERLIN)
    assert sum(Decimal(net) for _, net, _ in cost.taxes) == Decimal(cost.before_taxes)
    assert sum(Decimal(net) + Decimal(tax) for _, net, tax in cost.taxes) == Decimal(cost.after_taxes)
    assert Decimal(0) <= Decimal(cost.before_taxes) <= Decimal(cost.after_taxes)


@settings(max_examples=40, deadline=None)
@given(tariffs(), st.sampled_from(Shape), st.sampled_from(TaxIncluded))
def test_a_tariff_written_is_the_tariff_read(tariff: Tariff, shape: Shape, included: TaxIncluded) -> None:
    tariff = replace(tariff, shape=shape, tax_included=included if shape is Shape.V2_3_0 else TaxIncluded.NO)
    assert tariff_of_text(tariff_text(tariff)) == tariff
