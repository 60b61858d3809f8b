"""OCPI tariff objects (2.2.1 and 2.3.0, mod_tariffs) to ``Tariff`` and back.

Reading is strict, because a tariff half understood bills wrongly: an unknown field that could change a price is an error.
Numbers are ``Decimal`` or text as written; a float is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar

from edgectl.domain.tariff import (
    DAYS,
    Booking,
    Dimension,
    Element,
    PriceComponent,
    PriceLimit,
    Restrictions,
    Shape,
    Tariff,
    TaxIncluded,
)
from edgectl.domain.time import iso, utc_ms

T = TypeVar("T")

ELEMENTS_MAX: Final = 200
"""No tariff of a site has more; a period is held against each of them."""
_MAGNITUDE_MAX: Final = Decimal(10) ** 9
_DECIMALS_MAX: Final = 9
_UNPRICED: Final = frozenset({"type", "tariff_alt_text", "tariff_alt_url", "energy_mix", "last_updated", "preauthorize_amount"})
"""Fields of a tariff that change no price: passed over."""


@dataclass(frozen=True, slots=True)
class TariffProblem:
    path: tuple[str | int, ...]
    """Keys and list positions (from 0) from the object down."""
    message: str
    allowed: str


class TariffError(ValueError):
    """An object that is no tariff. ``problems`` holds every mistake."""

    def __init__(self, problems: tuple[TariffProblem, ...]) -> None:
        self.problems = problems
        super().__init__(
            "; ".join(f"{'.'.join(map(str, one.path)) or 'tariff'}: {one.message}; {one.allowed}" for one in problems)
        )


def tariff_of(found: object) -> Tariff:
    """The tariff of an object as decoded from JSON or YAML.

    Raises:
        TariffError: with every mistake.
    """
    reader = _Reader()
    tariff = reader.tariff(found)
    if tariff is None or reader.problems:
        raise TariffError(tuple(reader.problems))
    return tariff


def tariff_of_text(text: str) -> Tariff:
    """The same from JSON text.

    Raises:
        TariffError: also for text that is not JSON.
    """
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise TariffError((TariffProblem((), f"is not JSON: {error}", "one OCPI tariff object"),)) from error
    return tariff_of(found)


class _Reader:
    def __init__(self) -> None:
        self.problems: list[TariffProblem] = []

    def wrong(self, path: tuple[str | int, ...], message: str, allowed: str) -> None:
        self.problems.append(TariffProblem(path, message, allowed))

    def tariff(self, found: object) -> Tariff | None:
        known = {item: item for item in ("id", "currency", "elements", "tax_included", "min_price", "max_price")}
        known |= {item: item for item in ("start_date_time", "end_date_time", "country_code", "party_id")}
        body = self._object(found, (), set(known) | _UNPRICED)
        if body is None:
            return None
        has_230 = "tax_included" in body or any(
            isinstance(body.get(key), dict) and "before_taxes" in body[key] for key in ("min_price", "max_price")
        )
        shape = Shape.V2_3_0 if has_230 else Shape.V2_2_1
        if has_230 and "tax_included" not in body:
            self.wrong((), "tax_included is missing", "YES, NO or N/A (OCPI 2.3.0 requires it)")
        name = self._text(body, (), "id", r"[\x21-\x7e]{1,36}", "up to 36 printable characters", is_required=True)
        currency = self._text(body, (), "currency", r"[A-Z]{3}", "three capital letters of ISO 4217", is_required=True)
        elements = self._list(body, (), "elements", self._element, ELEMENTS_MAX)
        return Tariff(
            id=name or "",
            currency=currency or "",
            elements=elements,
            shape=shape,
            tax_included=TaxIncluded(self._choice(body, (), "tax_included", [item.value for item in TaxIncluded]) or "NO"),
            min_price=self._limit(body, "min_price", shape),
            max_price=self._limit(body, "max_price", shape),
            valid_from_utc_ms=self._moment(body, "start_date_time"),
            valid_until_utc_ms=self._moment(body, "end_date_time"),
            country_code=self._text(body, (), "country_code", r"[A-Za-z]{2}", "two letters"),
            party_id=self._text(body, (), "party_id", r"[A-Za-z0-9]{3}", "three letters or digits"),
        )

    def _element(self, found: object, path: tuple[str | int, ...]) -> Element | None:
        body = self._object(found, path, {"price_components", "restrictions"})
        if body is None:
            return None
        components = self._list(body, path, "price_components", self._component, len(Dimension))
        seen = [component.dimension for component in components]
        if len(set(seen)) != len(seen):
            self.wrong((*path, "price_components"), "prices a dimension twice", "one component for each type")
        restrictions = Restrictions()
        if body.get("restrictions") is not None:
            restrictions = self._restrictions(body["restrictions"], (*path, "restrictions")) or restrictions
        if restrictions.booking is not None and {Dimension.ENERGY, Dimension.PARKING_TIME} & set(seen):
            self.wrong(path, "prices what no reservation has", "FLAT and TIME where restrictions.reservation is given")
        return Element(components, restrictions)

    def _component(self, found: object, path: tuple[str | int, ...]) -> PriceComponent | None:
        body = self._object(found, path, {"type", "price", "vat", "step_size"})
        if body is None:
            return None
        kind = self._choice(body, path, "type", [item.value for item in Dimension], is_required=True)
        price = self._number(body, path, "price", is_required=True)
        if kind is None or price is None:
            return None
        vat = self._number(body, path, "vat")
        step = self._number(body, path, "step_size")
        if vat is not None and vat > 100:
            self.wrong((*path, "vat"), "is more than the whole price", "0 to 100, in percent")
        if step is not None and (step != int(step) or step > 10**6):
            self.wrong((*path, "step_size"), "is no possible block", "a whole number of Wh or seconds, at most 1000000")
            step = None
        return PriceComponent(Dimension(kind), price, vat, 1 if step is None else int(step))

    def _restrictions(self, found: object, path: tuple[str | int, ...]) -> Restrictions | None:
        body = self._object(found, path, {*_SCALED, *_CLOCK, *_DATES, "day_of_week", "reservation"})
        if body is None:
            return None
        values: dict[str, Any] = {}
        for key, (name, power) in _SCALED.items():
            number = self._number(body, path, key)
            if number is not None:
                values[name] = int(number.scaleb(power))
        for key, name in _CLOCK.items():
            text = self._text(body, path, key, r"([0-1]\d|2[0-3]):[0-5]\d", "local time as 00:00 to 23:59")
            if text is not None:
                values[name] = int(text[:2]) * 60 + int(text[3:])
        for key, name in _DATES.items():
            text = self._text(body, path, key, r"2\d{3}-\d\d-\d\d", "a local date such as 2027-12-31")
            if text is not None and self._is_date(text, (*path, key)):
                values[name] = text
        if body.get("day_of_week") is not None:
            values["days"] = self._days(body, path)
        booking = self._choice(body, path, "reservation", [item.value for item in Booking])
        return Restrictions(**values, booking=None if booking is None else Booking(booking))

    def _days(self, body: dict[str, Any], path: tuple[str | int, ...]) -> tuple[str, ...]:
        days = body["day_of_week"]
        if not isinstance(days, list) or not all(day in DAYS for day in days):
            self.wrong((*path, "day_of_week"), "is no list of days", ", ".join(DAYS))
            return ()
        return tuple(day for day in DAYS if day in days)

    def _limit(self, body: dict[str, Any], key: str, shape: Shape) -> PriceLimit | None:
        if body.get(key) is None:
            return None
        before, after = _LIMIT_KEYS[shape]
        limit = self._object(body[key], (key,), {before, after})
        if limit is None:
            return None
        net = self._number(limit, (key,), before, is_required=True)
        return None if net is None else PriceLimit(net, self._number(limit, (key,), after))

    # --- kinds --------------------------------------------------------------------------------------------------------

    def _object(self, found: object, path: tuple[str | int, ...], known: set[str]) -> dict[str, Any] | None:
        if not isinstance(found, dict):
            self.wrong(path, "is no object", f"keys: {', '.join(sorted(known))}")
            return None
        for key in found:
            if key not in known:
                self.wrong((*path, key), "is not a known key here", f"keys: {', '.join(sorted(known))}")
        return found

    def _list(
        self,
        body: dict[str, Any],
        path: tuple[str | int, ...],
        key: str,
        read: Callable[[object, tuple[str | int, ...]], T | None],
        largest: int,
    ) -> tuple[T, ...]:
        found = body.get(key)
        if not isinstance(found, list) or not 1 <= len(found) <= largest:
            self.wrong((*path, key) if key in body else path, f"{key} is no list of 1 to {largest}", "a list of objects")
            return ()
        read_items = [read(item, (*path, key, index)) for index, item in enumerate(found)]
        return tuple(item for item in read_items if item is not None)

    def _text(
        self,
        body: dict[str, Any],
        path: tuple[str | int, ...],
        key: str,
        pattern: str,
        allowed: str,
        *,
        is_required: bool = False,
    ) -> str | None:
        found = body.get(key)
        if found is None:
            if is_required:
                self.wrong(path, f"{key} is missing", allowed)
            return None
        if not isinstance(found, str) or re.fullmatch(pattern, found) is None:
            self.wrong((*path, key), "is not possible here", allowed)
            return None
        return found

    def _choice(
        self, body: dict[str, Any], path: tuple[str | int, ...], key: str, words: list[str], *, is_required: bool = False
    ) -> str | None:
        found = body.get(key)
        if found is None and not is_required:
            return None
        if found not in words:
            self.wrong((*path, key) if key in body else path, f"{key} is not known here", ", ".join(words))
            return None
        return str(found)

    def _number(
        self, body: dict[str, Any], path: tuple[str | int, ...], key: str, *, is_required: bool = False
    ) -> Decimal | None:
        found = body.get(key)
        allowed = f"a number from 0 to {_MAGNITUDE_MAX:f} with at most {_DECIMALS_MAX} decimals"
        if found is None:
            if is_required:
                self.wrong(path, f"{key} is missing", allowed)
            return None
        number: Decimal | None = None
        if isinstance(found, Decimal | int | str) and not isinstance(found, bool):
            try:
                number = Decimal(found)
            except InvalidOperation:
                number = None
        exponent = number.as_tuple().exponent if number is not None else None
        if number is None or not isinstance(exponent, int) or not 0 <= number <= _MAGNITUDE_MAX or exponent < -_DECIMALS_MAX:
            self.wrong((*path, key), "is no possible number", allowed)
            return None
        return number

    def _moment(self, body: dict[str, Any], key: str) -> int | None:
        found = body.get(key)
        if found is None:
            return None
        try:
            moment = datetime.fromisoformat(str(found))
            return utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        except ValueError:
            self.wrong((key,), "is no moment", "UTC like 2027-12-31T23:59:59Z")
            return None

    def _is_date(self, text: str, path: tuple[str | int, ...]) -> bool:
        try:
            date.fromisoformat(text)
        except ValueError:
            self.wrong(path, "is not in the calendar", "a local date such as 2027-12-31")
            return False
        return True


_SCALED: Final = {
    "min_kwh": ("min_wh", 3),
    "max_kwh": ("max_wh", 3),
    "min_current": ("min_ma", 3),
    "max_current": ("max_ma", 3),
    "min_power": ("min_w", 3),
    "max_power": ("max_w", 3),
    "min_duration": ("min_ms", 3),
    "max_duration": ("max_ms", 3),
}
"""Key of OCPI to our field and the power of ten between them."""
_CLOCK: Final = {"start_time": "start_minute_count", "end_time": "end_minute_count"}
_DATES: Final = {"start_date": "start_date", "end_date": "end_date"}
_LIMIT_KEYS: Final = {Shape.V2_2_1: ("excl_vat", "incl_vat"), Shape.V2_3_0: ("before_taxes", "after_taxes")}


# --- and back -------------------------------------------------------------------------------------------------------------


def tariff_object(tariff: Tariff, shape: Shape | None = None) -> dict[str, Any]:
    """The OCPI object, with ``Decimal`` numbers; in its own shape, or converted to another.

    OCPI 2.2.1 cannot say that prices contain tax: a gross price is then written as net, at its own rate.
    """
    shape = shape or tariff.shape
    body: dict[str, Any] = {"country_code": tariff.country_code, "party_id": tariff.party_id, "id": tariff.id}
    body |= {"currency": tariff.currency}
    before, after = _LIMIT_KEYS[shape]
    for key, limit in (("min_price", tariff.min_price), ("max_price", tariff.max_price)):
        if limit is not None:
            body[key] = {before: limit.before_taxes} | ({} if limit.after_taxes is None else {after: limit.after_taxes})
    is_net = shape is Shape.V2_2_1 and tariff.tax_included is TaxIncluded.YES
    body["elements"] = [_element_object(element, is_net=is_net) for element in tariff.elements]
    if shape is Shape.V2_3_0:
        body["tax_included"] = tariff.tax_included.value
    for key, moment in (("start_date_time", tariff.valid_from_utc_ms), ("end_date_time", tariff.valid_until_utc_ms)):
        if moment is not None:
            body[key] = iso(moment)
    return {key: value for key, value in body.items() if value is not None}


def _element_object(element: Element, *, is_net: bool) -> dict[str, Any]:
    components = []
    for component in element.components:
        price = component.price
        if is_net and component.tax_percent:
            price = (price / (1 + component.tax_percent / 100)).quantize(Decimal("0.0001"))
        one: dict[str, Any] = {"type": component.dimension.value, "price": price}
        if component.tax_percent is not None:
            one["vat"] = component.tax_percent
        components.append({**one, "step_size": component.step_count})
    restrictions = _restrictions_object(element.restrictions)
    return {"price_components": components} | ({"restrictions": restrictions} if restrictions else {})


def _restrictions_object(found: Restrictions) -> dict[str, Any]:
    values = {item.name: getattr(found, item.name) for item in fields(found)}
    body: dict[str, Any] = {}
    for key, name in _CLOCK.items():
        if values[name] is not None:
            body[key] = f"{values[name] // 60:02d}:{values[name] % 60:02d}"
    body |= {key: values[name] for key, name in _DATES.items() if values[name] is not None}
    for key, (name, power) in _SCALED.items():
        if values[name] is not None:
            number = Decimal(values[name]).scaleb(-power)
            body[key] = int(number) if number == int(number) else number
    if found.days:
        body["day_of_week"] = list(found.days)
    if found.booking is not None:
        body["reservation"] = found.booking.value
    return body


def tariff_text(tariff: Tariff) -> str:
    """The object as compact JSON, prices digit for digit as they were given: what a session's record carries."""
    return json_text(tariff_object(tariff))


def json_text(found: Any) -> str:
    """JSON with ``Decimal`` numbers written digit for digit."""
    if isinstance(found, dict):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{json_text(value)}" for key, value in found.items()) + "}"
    if isinstance(found, list | tuple):
        return "[" + ",".join(json_text(value) for value in found) + "]"
    if isinstance(found, Decimal):
        return format(found, "f")
    return json.dumps(found, ensure_ascii=False)
