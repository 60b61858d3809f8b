"""The keys of ``tariffs:`` in ``site.yaml`` and of the plans in ``tariffs.yaml``. The tariffs themselves are OCPI objects."""

# The helpers of ``sections`` return ``dataclasses.field()``, which the linter cannot see.
# ruff: noqa: RUF009

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from edgectl.config.kinds import Choice, Parsed, Quantity, Text, duration
from edgectl.config.problems import Refused
from edgectl.config.quantities import ENERGY
from edgectl.config.sections import EntriesOf, Section, SectionOf, defaulting, optional, required
from edgectl.domain.tariff import PlanKind, PriceStanding
from edgectl.domain.units import Millis, WattHours

TARIFF_ID = Text("the id of a tariff: up to 36 printable characters", r"[\x21-\x7e]+", longest=36)
TARIFF_FILE = Text("a path, relative to this file", longest=255)
PARTY = Text("country and party of the operator in OCPI, such as `DE*ABC`", r"[A-Z]{2}\*[A-Z0-9]{3}", longest=6)
_DAY_MS = 86_400_000
_PERCENT_ALLOWED = "a percentage from 0 to 100, such as `10 %`"
_MONEY_ALLOWED = "an amount such as `29.90`, with at most four decimals"


def _percent(text: str) -> Decimal:
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,4})?)\s*%", text.strip(), re.ASCII)
    if found is None or Decimal(found[1]) > 100:
        raise Refused("is not a percentage", _PERCENT_ALLOWED)
    return Decimal(found[1])


def _money(text: str) -> Decimal:
    if re.fullmatch(r"\d{1,9}(\.\d{1,4})?", text.strip(), re.ASCII) is None:
        raise Refused("is not an amount", _MONEY_ALLOWED)
    return Decimal(text.strip())


_PERCENT = Parsed(_percent, _PERCENT_ALLOWED, r"\d{1,3}(\.\d{1,4})?\s*%")
_MONEY = Parsed(_money, _MONEY_ALLOWED, r"\d{1,9}(\.\d{1,4})?")


@dataclass(frozen=True, kw_only=True)
class TariffsKeys(Section):
    file: str | None = required(TARIFF_FILE, "File of the tariffs (OCPI objects) and plans: a path, relative to this file.")
    default: str | None = optional(TARIFF_ID, "Id of the tariff for sessions whose token and account name none.")
    parking_grace: Millis = defaulting(
        duration(0, _DAY_MS, in_whole=1_000), "0 s", "So much time without demand costs nothing in a session."
    )
    price: PriceStanding = defaulting(
        Choice(PriceStanding), "indicative", "indicative: the backend's price counts. binding: the price of this site does."
    )
    operator: str | None = optional(PARTY, "Who sells, as OCPI records name it: country and party, such as `DE*ABC`.")


@dataclass(frozen=True, kw_only=True)
class PlanKeys(Section):
    kind: PlanKind | None = required(
        Choice(PlanKind), "subscription: a fee, energy included or a discount. internal: against a cost centre, without tax."
    )
    tariff: str | None = optional(TARIFF_ID, "Id of the tariff of the account's sessions.")
    included: WattHours | None = optional(Quantity(ENERGY, 0, 10**9), "Energy a month that is paid by the fee.")
    discount: Decimal | None = optional(_PERCENT, "Off the price of energy and time.")
    monthly_fee: Decimal | None = optional(_MONEY, "Before tax, in the site's currency.")
    fee_tax: Decimal | None = optional(_PERCENT, "Tax on the fee.")
    cost_centre: str | None = optional(Text(), "Where an internal account is settled.")


def _degrees(most: int) -> Parsed[str]:
    allowed = f"decimal degrees from -{most} to {most}, such as `53.5503`"

    def read(text: str) -> str:
        if re.fullmatch(r"-?\d{1,3}(\.\d{1,7})?", text, re.ASCII) is None or abs(Decimal(text)) > most:
            raise Refused("is no place on earth", allowed)
        return text

    return Parsed(read, allowed, r"-?\d{1,3}(\.\d{1,7})?")


@dataclass(frozen=True, kw_only=True)
class LocationKeys(Section):
    address: str | None = required(Text(longest=45), "Street and number.")
    city: str | None = required(Text(longest=45), "Town.")
    postal_code: str | None = optional(Text(longest=10), "Postal code.")
    country: str | None = required(Text("three capital letters (ISO 3166-1), such as `DEU`", r"[A-Z]{3}", 3), "Country.")
    latitude: str | None = required(_degrees(90), "Degrees north.")
    longitude: str | None = required(_degrees(180), "Degrees east.")


PLANS = EntriesOf(Text(), SectionOf(PlanKeys), "plan")
