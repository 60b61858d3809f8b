"""A month of an account: what its sessions cost, what its plan takes off or adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from edgectl.core.tariffs.price import decimal_text, minor_decimals, rounded, taxed
from edgectl.domain.records import Session
from edgectl.domain.tariff import CostLine, Dimension, Plan, PlanKind
from edgectl.domain.units import WattHours


@dataclass(frozen=True, slots=True)
class Month:
    """What an account owes. ``lines`` are those of the plan, beside the sessions' own costs; all in one currency."""

    account: str
    currency: str
    plan: Plan | None
    sessions: tuple[Session, ...]
    energy_wh: WattHours
    included_wh: WattHours
    """Of the energy, what the plan has covered."""
    lines: tuple[CostLine, ...]
    before_taxes: Decimal
    after_taxes: Decimal
    unpriced_count: int
    """Sessions without a price, or in another currency: listed, and in no sum."""


def month(account: str, sessions: Sequence[Session], plan: Plan | None, currency: str) -> Month:
    """Settle the sessions of one account that ended in one month.

    Included energy is worth the mean price the month's energy has had, each tax rate for its share, so that it does not matter
    in which order the sessions came.
    """
    priced = [one for one in sessions if one.cost is not None and one.cost.currency == currency]
    before = sum((Decimal(one.cost.before_taxes) for one in priced if one.cost), Decimal(0))
    after = sum((Decimal(one.cost.after_taxes) for one in priced if one.cost), Decimal(0))
    energy_wh = sum(one.net_energy_wh for one in priced)
    lines: list[CostLine] = []
    included_wh = 0
    if plan is not None:
        included_wh = max(0, min(plan.included_wh, energy_wh))  # corrections alone can take away more than was charged
        if included_wh:
            lines += _included(priced, included_wh, energy_wh)
        if plan.monthly_fee:
            is_taxed = plan.kind is not PlanKind.INTERNAL and plan.fee_tax_percent is not None
            rate = format(plan.fee_tax_percent, "f") if is_taxed and plan.fee_tax_percent is not None else None
            fee = format(plan.monthly_fee, "f")
            lines.append(CostLine("FEE", 0, "1", "1", "1", fee, format(rounded(Fraction(plan.monthly_fee), 4), "f"), rate))
    for line in lines:
        net, tax = taxed(Fraction(line.amount), line.tax_percent, minor_decimals(currency), is_gross=False)
        before, after = before + net, after + net + tax
    return Month(
        account,
        currency,
        plan,
        tuple(sessions),
        energy_wh,
        included_wh,
        tuple(lines),
        before,
        after,
        len(sessions) - len(priced),
    )


def _included(sessions: Sequence[Session], included_wh: WattHours, energy_wh: WattHours) -> list[CostLine]:
    share = Fraction(included_wh, energy_wh)
    found: dict[str | None, Fraction] = {}
    for session in sessions:
        for rate, net in _energy_cost(session).items():
            found[rate] = found.get(rate, Fraction(0)) + net
    quantity = decimal_text(Fraction(included_wh, 1_000))
    mean = decimal_text(sum(found.values(), Fraction(0)) / Fraction(energy_wh, 1_000), 4)
    return [
        CostLine("INCLUDED", 0, quantity, quantity, "kWh", mean, format(rounded(-net * share, 4), "f"), rate)
        for rate, net in found.items()
        if net
    ]


def _energy_cost(session: Session) -> dict[str | None, Fraction]:
    """What a session's energy cost before tax, its share of a discount taken off, by tax rate."""
    found: dict[str | None, Fraction] = {}
    cost = session.cost
    if cost is None:
        return found
    off = Fraction(0)
    for line in cost.lines:
        if line.dimension == "DISCOUNT":
            off = Fraction(line.quantity) / 100
    for line in cost.lines:
        if line.dimension == Dimension.ENERGY:
            net = Fraction(line.amount) * (1 - off)
            if _is_gross(session):
                net /= 1 + Fraction(line.tax_percent or 0) / 100
            found[line.tax_percent] = found.get(line.tax_percent, Fraction(0)) + net
    return found


def _is_gross(session: Session) -> bool:
    return session.tariff is not None and '"tax_included":"YES"' in session.tariff
