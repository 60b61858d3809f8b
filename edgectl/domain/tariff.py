"""A tariff: what a session costs, in the words of OCPI. One model for the shapes of 2.2.1 and 2.3.0.

Money and rates are ``Decimal``, never float, in the major unit of the currency (euros, not cents). Quantities of restrictions
are in the house's units. ``tariff_objects`` reads and writes OCPI's own objects.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from edgectl.domain.units import MilliAmps, Millis, UtcMillis, WattHours, Watts


class Dimension(StrEnum):
    """What is paid for (OCPI TariffDimensionType)."""

    ENERGY = "ENERGY"
    """Per kWh; ``step_size`` in Wh."""
    TIME = "TIME"
    """Per hour of charging; ``step_size`` in seconds. Of a reservation: per hour reserved."""
    PARKING_TIME = "PARKING_TIME"
    """Per hour in which the vehicle requests no power; ``step_size`` in seconds."""
    FLAT = "FLAT"
    """Once per session, or once per reservation."""


class Shape(StrEnum):
    """The OCPI version whose object a tariff came as."""

    V2_2_1 = "2.2.1"
    V2_3_0 = "2.3.0"


class TaxIncluded(StrEnum):
    """Whether the prices of a tariff contain tax. OCPI 2.2.1 has no such field: there they never do."""

    YES = "YES"
    NO = "NO"
    NOT_APPLICABLE = "N/A"


class Booking(StrEnum):
    """Of what kind of reservation a tariff element speaks."""

    RESERVATION = "RESERVATION"
    RESERVATION_EXPIRES = "RESERVATION_EXPIRES"
    """Only of one that ran out unused."""


DAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
"""In the order of ``date.weekday``."""


@dataclass(frozen=True, slots=True)
class PriceComponent:
    dimension: Dimension
    price: Decimal
    """Per kWh, per hour, or once."""
    tax_percent: Decimal | None = None
    """None: no tax applies, or the tariff does not say."""
    step_count: int = 1
    """``step_size``: billed in blocks of so many Wh or seconds; 0 and 1 are the finest."""


@dataclass(frozen=True, slots=True)
class Restrictions:
    """When an element is active. All that are given must hold; lower bounds are inclusive, upper bounds exclusive."""

    start_minute_count: int | None = None
    """Minutes after local midnight."""
    end_minute_count: int | None = None
    """0 is the end of the day; not after the start: past midnight."""
    start_date: str | None = None
    """``YYYY-MM-DD``, local."""
    end_date: str | None = None
    min_wh: WattHours | None = None
    """Consumed in the session so far."""
    max_wh: WattHours | None = None
    min_ma: MilliAmps | None = None
    """Sum over the phases."""
    max_ma: MilliAmps | None = None
    min_w: Watts | None = None
    max_w: Watts | None = None
    min_ms: Millis | None = None
    """Since the session began."""
    max_ms: Millis | None = None
    days: tuple[str, ...] = ()
    """Of ``DAYS``, local; none: every day."""
    booking: Booking | None = None


@dataclass(frozen=True, slots=True)
class Element:
    components: tuple[PriceComponent, ...]
    restrictions: Restrictions = Restrictions()


@dataclass(frozen=True, slots=True)
class PriceLimit:
    """A bound of the whole session, before and after tax separately."""

    before_taxes: Decimal
    after_taxes: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Tariff:
    id: str
    currency: str
    """ISO 4217."""
    elements: tuple[Element, ...]
    shape: Shape = Shape.V2_2_1
    tax_included: TaxIncluded = TaxIncluded.NO
    min_price: PriceLimit | None = None
    max_price: PriceLimit | None = None
    valid_from_utc_ms: UtcMillis | None = None
    valid_until_utc_ms: UtcMillis | None = None
    country_code: str | None = None
    party_id: str | None = None


class PriceStanding(StrEnum):
    INDICATIVE = "indicative"
    """The backend works out what is paid."""
    BINDING = "binding"
    """What this site works out is paid."""


class PlanKind(StrEnum):
    SUBSCRIPTION = "subscription"
    """A fixed amount a month, with energy included, a discount, or both."""
    INTERNAL = "internal"
    """Settled inside the house against a cost centre: no tax."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What an account has agreed on. An account without one pays as it goes."""

    account: str
    kind: PlanKind
    tariff: str | None = None
    """Of the account's sessions, unless their token names one; None for the site's default."""
    included_wh: WattHours = 0
    """A month; worth the month's mean price of energy."""
    discount_percent: Decimal = Decimal(0)
    """Of every session's price for energy and time, at once."""
    monthly_fee: Decimal = Decimal(0)
    """Before tax."""
    fee_tax_percent: Decimal | None = None
    cost_centre: str | None = None


@dataclass(frozen=True, slots=True)
class Pricing:
    """Everything the site says about prices. Without tariffs nothing is priced."""

    tariffs: tuple[Tariff, ...] = ()
    plans: tuple[Plan, ...] = ()
    default: str | None = None
    """The tariff of a session whose token and account name none."""
    grace_ms: Millis = 0
    """So much of a session's time without demand costs nothing."""
    is_authority: bool = False
    """Our price is the price. Otherwise it is indicative, and the backend's counts."""
    sells_as: tuple[str, str] | None = None
    """``country_code`` and ``party_id`` of the operator in OCPI."""

    def tariff(self, tariff_id: str | None) -> Tariff | None:
        return next((tariff for tariff in self.tariffs if tariff.id == tariff_id), None)

    def plan(self, account: str | None) -> Plan | None:
        return next((plan for plan in self.plans if plan.account == account), None)


@dataclass(frozen=True, slots=True)
class CostLine:
    """One line of a price. Amounts and quantities are decimal text: what is written is what was computed."""

    dimension: str
    """A ``Dimension``, ``RESERVATION_TIME``, ``RESERVATION_FLAT``, ``MIN_PRICE``, ``MAX_PRICE``, ``DISCOUNT``, ``INCLUDED``."""
    element_number: int
    """Of the tariff, from 1; 0 when no element is meant."""
    quantity: str
    """Consumed."""
    billed: str
    """After ``step_size``; what the amount is worked out from."""
    unit: str
    """``kWh``, ``h`` or ``1``."""
    unit_price: str
    amount: str
    """With or without tax as the tariff's prices are; four decimals."""
    tax_percent: str | None
    step_count: int = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What a session costs, and why. ``lines`` and ``taxes`` add up to the totals by the rule set ``rules``."""

    rules: str
    currency: str
    before_taxes: str
    after_taxes: str
    taxes: tuple[tuple[str, str, str], ...]
    """``(percent, net, tax)`` for each rate, in minor units of the currency."""
    lines: tuple[CostLine, ...]
    is_indicative: bool
    notes: tuple[str, ...] = ()
    """Named doubts, sorted: ``tariff-expired``, ``tax-rate-unknown``, ``power-is-a-mean``, ..."""
