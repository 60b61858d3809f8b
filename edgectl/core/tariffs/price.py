"""The price of a session, line by line (OCPI mod_tariffs; the rounding OCPI leaves open is ours and has a name).

The rules, ``edgectl-1``:

- For each dimension the first active element counts; a span is cut wherever that changes.
- ``step_size`` acts once on a session's energy and once on its time: on the total, in blocks of the component that was used
  last. Where charging and parking are both paid, only the parking is rounded up, not the change from one to the other.
- FLAT is paid once, by the first element that is active at any time.
- Time in which the vehicle could have charged and we gave nothing is neither TIME nor PARKING_TIME.
- What one dimension costs at one tax rate is rounded once, to four decimals, half up; where several elements share it, their
  lines are rounded so that they add up to that. Lines of one tax rate are summed and rounded to the currency's minor unit;
  tax is worked out from that net amount, or out of that gross amount where the prices contain it. Sums are sums of those.
- ``min_price`` and ``max_price`` bound the totals before and after tax each by itself; where only the bound before tax is
  given, the tax keeps its proportion.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Final

from edgectl.core.tariffs.match import Situation, clock_moments, cuts, first_match, local_time
from edgectl.core.tariffs.usage import Usage
from edgectl.domain.reservations import Reserved
from edgectl.domain.tariff import (
    Booking,
    Cost,
    CostLine,
    Dimension,
    Plan,
    PlanKind,
    PriceComponent,
    PriceLimit,
    Shape,
    Tariff,
    TaxIncluded,
)
from edgectl.domain.units import Millis

RULES: Final = "edgectl-1"
_LINE_DECIMALS: Final = 4
_MINOR: Final = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Decimals of a currency where they are not two (ISO 4217)."""
_PER_UNIT: Final = {Dimension.ENERGY: 1_000, Dimension.TIME: 3_600_000, Dimension.PARKING_TIME: 3_600_000, Dimension.FLAT: 1}
"""Wh in a kWh, milliseconds in an hour."""
_STEP: Final = {Dimension.ENERGY: 1, Dimension.TIME: 1_000, Dimension.PARKING_TIME: 1_000}
"""What one of ``step_size`` is: a watt-hour, a second."""
_UNITS: Final = {Dimension.ENERGY: "kWh", Dimension.TIME: "h", Dimension.PARKING_TIME: "h", Dimension.FLAT: "1"}


@dataclass(slots=True)
class _Draft:
    """A line that still grows."""

    element_number: int
    component: PriceComponent
    used: Fraction = Fraction(0)
    billed: Fraction = Fraction(0)
    is_reservation: bool = False

    @property
    def amount(self) -> Fraction:
        return self.worth(self.billed)

    def worth(self, quantity: Fraction) -> Fraction:
        return quantity / _PER_UNIT[self.component.dimension] * Fraction(self.component.price)


@dataclass(slots=True)
class _Drafts:
    by_key: dict[tuple[int, Dimension, bool], _Draft] = field(default_factory=dict)
    last: dict[Dimension, _Draft] = field(default_factory=dict)

    def add(self, found: tuple[int, PriceComponent] | None, quantity: Fraction, *, is_reservation: bool = False) -> None:
        if found is None or quantity <= 0:
            return
        number, component = found
        key = (number, component.dimension, is_reservation)
        draft = self.by_key.setdefault(key, _Draft(number, component, is_reservation=is_reservation))
        draft.used += quantity
        draft.billed += quantity
        self.last[component.dimension] = draft

    def total(self, dimension: Dimension) -> Fraction:
        return sum((draft.used for draft in self.by_key.values() if draft.component.dimension is dimension), Fraction(0))

    def round_up(self, dimension: Dimension) -> None:
        """To whole blocks of what was used last; what is missing to a block is paid at its price."""
        last = self.last.get(dimension)
        if last is None:
            return
        block = max(1, last.component.step_count) * _STEP[dimension]
        last.billed += -self.total(dimension) % block


def price(
    tariff: Tariff,
    usages: Sequence[Usage],
    zone: tzinfo,
    *,
    reservation: Reserved | None = None,
    grace_ms: Millis = 0,
    plan: Plan | None = None,
    is_indicative: bool = True,
    notes: frozenset[str] = frozenset(),
) -> Cost:
    """What it costs. ``usages`` follow each other in time; ``zone`` is the site's.

    A reservation without any is one that nobody came for: no "Charging Session", so the least and highest price of one do not
    hold.
    """
    drafts = list(draft_lines(tariff, usages, zone, grace_ms=grace_ms))
    if reservation is not None:
        drafts += _reservation_lines(tariff, reservation, zone)
        tariff = tariff if usages else replace(tariff, min_price=None, max_price=None)
    lines = _lines(drafts, tariff, plan)
    if plan is not None and plan.discount_percent:
        lines += _discount(lines, plan.discount_percent)
    return settle(tariff, lines, is_indicative=is_indicative, plan=plan, notes=notes | _doubts(tariff, usages, drafts))


def exact(tariff: Tariff, usages: Sequence[Usage], zone: tzinfo, *, grace_ms: Millis = 0) -> Fraction:
    """The sum of the lines before blocks, any rounding of money and any limit, as the tariff's prices are."""
    return sum((draft.worth(draft.used) for draft in draft_lines(tariff, usages, zone, grace_ms=grace_ms)), Fraction(0))


def pieces(tariff: Tariff, usages: Sequence[Usage], zone: tzinfo, *, grace_ms: Millis = 0) -> Iterator[tuple[Usage, Situation]]:
    """The session cut wherever another price may hold, with the time that is paid: parking less the grace."""
    energy_wh, grace_left_ms = Fraction(0), Fraction(grace_ms)
    if not usages:
        return
    began_utc_ms = usages[0].from_utc_ms
    clock = clock_moments(tariff, began_utc_ms, max(usage.to_utc_ms for usage in usages), zone)
    for usage in usages:
        places = cuts(tariff, usage, energy_wh, began_utc_ms, clock)
        for begin, end in pairwise(places):
            piece = usage if len(places) == 2 else usage.part(begin, end)
            at_ms = usage.from_utc_ms + begin * usage.duration_ms
            local = local_time(int(at_ms), zone)
            situation = Situation(local, energy_wh, at_ms - began_utc_ms, usage.power_w, usage.current_ma)
            if grace_left_ms and piece.parking_ms:
                free_ms = min(grace_left_ms, piece.parking_ms)
                grace_left_ms -= free_ms
                piece = replace(piece, parking_ms=piece.parking_ms - free_ms)
            yield piece, situation
            energy_wh += piece.energy_wh


def draft_lines(tariff: Tariff, usages: Sequence[Usage], zone: tzinfo, *, grace_ms: Millis = 0) -> list[_Draft]:
    drafts = _Drafts()
    flat: tuple[int, PriceComponent] | None = None
    for piece, situation in pieces(tariff, usages, zone, grace_ms=grace_ms):
        flat = flat or first_match(tariff, Dimension.FLAT, situation)
        quantities = (
            (Dimension.ENERGY, piece.energy_wh),
            (Dimension.TIME, piece.charging_ms),
            (Dimension.PARKING_TIME, piece.parking_ms),
        )
        for dimension, quantity in quantities:
            if quantity:
                drafts.add(first_match(tariff, dimension, situation), quantity)
    drafts.round_up(Dimension.ENERGY)
    drafts.round_up(Dimension.PARKING_TIME if drafts.total(Dimension.PARKING_TIME) else Dimension.TIME)
    drafts.add(flat, Fraction(1))
    return list(drafts.by_key.values())


def reserved_pieces(tariff: Tariff, reservation: Reserved, zone: tzinfo) -> Iterator[tuple[Usage, Situation]]:
    """The reserved time, as ``charging_ms``, cut wherever another price may hold."""
    lasted_ms = max(0, reservation.ended_utc_ms - reservation.from_utc_ms)
    usage = Usage(reservation.from_utc_ms, reservation.from_utc_ms + lasted_ms, charging_ms=Fraction(lasted_ms))
    clock = clock_moments(tariff, usage.from_utc_ms, usage.to_utc_ms, zone)
    places = cuts(tariff, usage, Fraction(0), usage.from_utc_ms, clock)
    for begin, end in pairwise(places):
        at_ms = usage.from_utc_ms + begin * usage.duration_ms
        yield usage.part(begin, end), Situation(local_time(int(at_ms), zone), Fraction(0), at_ms - usage.from_utc_ms)


def _reservation_lines(tariff: Tariff, reservation: Reserved, zone: tzinfo) -> list[_Draft]:
    """For each dimension what speaks of expired reservations comes first where this one has expired."""
    bookings = [Booking.RESERVATION_EXPIRES, Booking.RESERVATION] if reservation.is_expired else [Booking.RESERVATION]
    drafts = _Drafts()
    flat: tuple[int, PriceComponent] | None = None
    for piece, situation in reserved_pieces(tariff, reservation, zone):
        found = [first_match(tariff, Dimension.TIME, situation, booking) for booking in bookings]
        drafts.add(next(filter(None, found), None), piece.charging_ms, is_reservation=True)
        flats = [first_match(tariff, Dimension.FLAT, situation, booking) for booking in bookings]
        flat = flat or next(filter(None, flats), None)
    drafts.round_up(Dimension.TIME)
    drafts.add(flat, Fraction(1), is_reservation=True)
    return list(drafts.by_key.values())


# --- money ----------------------------------------------------------------------------------------------------------------


def minor_decimals(currency: str) -> int:
    return _MINOR.get(currency, 2)


def rounded(amount: Fraction, decimals: int) -> Decimal:
    """Half away from zero."""
    scaled = abs(amount) * 10**decimals
    whole = int(scaled + Fraction(1, 2))
    return Decimal(-whole if amount < 0 else whole).scaleb(-decimals)


def decimal_text(amount: Fraction, decimals: int = 6) -> str:
    """For quantities: rounded, without trailing zeros."""
    text = format(rounded(amount, decimals), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _lines(drafts: Sequence[_Draft], tariff: Tariff, plan: Plan | None) -> list[CostLine]:
    is_untaxed = plan is not None and plan.kind is PlanKind.INTERNAL and tariff.tax_included is TaxIncluded.YES
    so_far: dict[tuple[str, Decimal | None], Fraction] = {}
    lines = []
    for draft in drafts:
        component = draft.component
        per_unit, tax = _PER_UNIT[component.dimension], tax_of(component, tariff, plan)
        name = component.dimension.value
        if draft.is_reservation:
            name = "RESERVATION_FLAT" if component.dimension is Dimension.FLAT else "RESERVATION_TIME"
        amount = draft.amount
        if is_untaxed:
            amount /= 1 + Fraction(component.tax_percent or 0) / 100  # the house pays itself no tax
        before = so_far.get((name, tax), Fraction(0))
        so_far[name, tax] = before + amount
        shown = rounded(before + amount, _LINE_DECIMALS) - rounded(before, _LINE_DECIMALS)
        lines.append(
            CostLine(
                dimension=name,
                element_number=draft.element_number,
                quantity=decimal_text(draft.used / per_unit),
                billed=decimal_text(draft.billed / per_unit),
                unit=_UNITS[component.dimension],
                unit_price=format(component.price, "f"),
                amount=format(shown, "f"),
                tax_percent=None if tax is None else format(tax, "f"),
                step_count=component.step_count,
            )
        )
    return lines


def tax_of(component: PriceComponent, tariff: Tariff, plan: Plan | None) -> Decimal | None:
    if tariff.tax_included is TaxIncluded.NOT_APPLICABLE or (plan is not None and plan.kind is PlanKind.INTERNAL):
        return None
    return component.tax_percent


def _discount(lines: Sequence[CostLine], percent: Decimal) -> list[CostLine]:
    """One line for each tax rate, for what was used; flat fees and parking are not discounted."""
    found: dict[str | None, Decimal] = {}
    for line in lines:
        if line.dimension in {Dimension.ENERGY, Dimension.TIME}:
            found[line.tax_percent] = found.get(line.tax_percent, Decimal(0)) + Decimal(line.amount)
    return [
        CostLine(
            "DISCOUNT",
            0,
            format(percent, "f"),
            format(percent, "f"),
            "%",
            format(amount, "f"),
            format(rounded(-Fraction(amount) * Fraction(percent) / 100, _LINE_DECIMALS), "f"),
            rate,
        )
        for rate, amount in found.items()
    ]


def settle(
    tariff: Tariff,
    lines: Sequence[CostLine],
    *,
    is_indicative: bool,
    plan: Plan | None = None,
    notes: frozenset[str] = frozenset(),
) -> Cost:
    """Totals of lines: by tax rate, then the limits."""
    decimals = minor_decimals(tariff.currency)
    is_gross = tariff.tax_included is TaxIncluded.YES and not (plan is not None and plan.kind is PlanKind.INTERNAL)
    sums: dict[str | None, Fraction] = {}
    for line in lines:
        sums[line.tax_percent] = sums.get(line.tax_percent, Fraction(0)) + Fraction(line.amount)
    taxes: list[tuple[str, str, str]] = []
    before = after = Decimal(0)
    exact_after = Fraction(0)
    for rate, amount in sums.items():
        net, tax = taxed(amount, rate, decimals, is_gross=is_gross)
        before, after = before + net, after + net + tax
        exact_after += Fraction(net) * (1 + Fraction(rate or 0) / 100)
        taxes.append((rate or "0", format(net, "f"), format(tax, "f")))
    gross_of_net = exact_after / Fraction(before) if before else 1 + Fraction(_first_percent(tariff, plan)) / 100
    all_lines = list(lines)
    for name, limit in (("MIN_PRICE", tariff.min_price), ("MAX_PRICE", tariff.max_price)):
        if limit is None:
            continue
        new_before, new_after = _limited(limit, before, after, gross_of_net, tariff, plan, is_lowest=name == "MIN_PRICE")
        if (new_before, new_after) == (before, after):
            continue
        more, more_tax = new_before - before, (new_after - new_before) - (after - before)
        bound = format(limit.before_taxes, "f")
        all_lines.append(CostLine(name, 0, "1", "1", "1", bound, format(more, "f"), None))
        taxes.append((name, format(more, "f"), format(more_tax, "f")))
        before, after = new_before, new_after
    return Cost(
        rules=f"ocpi-{tariff.shape.value}/{RULES}",
        currency=tariff.currency,
        before_taxes=format(before.quantize(Decimal(1).scaleb(-decimals)), "f"),
        after_taxes=format(after.quantize(Decimal(1).scaleb(-decimals)), "f"),
        taxes=tuple(taxes),
        lines=tuple(all_lines),
        is_indicative=is_indicative,
        notes=tuple(sorted(notes)),
    )


def taxed(amount: Fraction, rate: str | None, decimals: int, *, is_gross: bool) -> tuple[Decimal, Decimal]:
    """Net and tax of the amount at one rate, both in minor units; they add up to what is paid."""
    percent = Fraction(rate or 0) / 100
    whole = rounded(amount, decimals)
    if is_gross:
        net = rounded(Fraction(whole) / (1 + percent), decimals)
        return net, whole - net
    return whole, rounded(Fraction(whole) * percent, decimals)


def _limited(
    limit: PriceLimit,
    before: Decimal,
    after: Decimal,
    gross_of_net: Fraction,
    tariff: Tariff,
    plan: Plan | None,
    *,
    is_lowest: bool,
) -> tuple[Decimal, Decimal]:
    """``gross_of_net``: what is paid for each unit before tax, unrounded, so that a bound after tax follows from one before."""
    decimals = minor_decimals(tariff.currency)
    pick = max if is_lowest else min
    net = pick(before, rounded(Fraction(limit.before_taxes), decimals))
    if plan is not None and plan.kind is PlanKind.INTERNAL:
        return net, net
    if limit.after_taxes is not None:
        return net, max(net, pick(after, rounded(Fraction(limit.after_taxes), decimals)))
    return net, max(net, pick(after, rounded(Fraction(limit.before_taxes) * gross_of_net, decimals)))


def _first_percent(tariff: Tariff, plan: Plan | None) -> Decimal:
    """The tax on a least price when nothing else was used."""
    return tax_of(tariff.elements[0].components[0], tariff, plan) or Decimal(0)


def _doubts(tariff: Tariff, usages: Sequence[Usage], drafts: Sequence[_Draft]) -> set[str]:
    found = set()
    # In 2.2.1 a missing rate says that no tax applies; in 2.3.0 it may also be added by whoever sells.
    is_open = tariff.shape is Shape.V2_3_0 and tariff.tax_included is not TaxIncluded.NOT_APPLICABLE
    if is_open and any(draft.component.tax_percent is None for draft in drafts):
        found.add("tax-rate-unknown")
    began_utc_ms = usages[0].from_utc_ms if usages else None
    if began_utc_ms is not None:
        is_early = tariff.valid_from_utc_ms is not None and began_utc_ms < tariff.valid_from_utc_ms
        is_late = tariff.valid_until_utc_ms is not None and began_utc_ms >= tariff.valid_until_utc_ms
        if is_early or is_late:
            found.add("tariff-out-of-date")
    every = [element.restrictions for element in tariff.elements]
    if any(bound is not None for one in every for bound in (one.min_w, one.max_w, one.min_ma, one.max_ma)):
        found.add("power-is-a-mean")
    return found
