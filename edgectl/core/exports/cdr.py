"""The OCPI 2.2.1 CDR of a session (mod_cdrs). Numbers are ``Decimal``; ``tariff_objects.json_text`` writes them.

The CDR's id is the session's: a backend that issues CDRs of its own replaces it. Money comes from the session's cost as it was
recorded; nothing is priced anew. Periods are cut where the price could change, as OCPI asks, and time that costs nothing by our
own rules (the grace, a pause of ours) is in no dimension, so that whoever prices the CDR by its tariff comes to the same.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

from edgectl.core.signed.envelope import opened
from edgectl.core.signed.ocmf import NotOcmfError, parse
from edgectl.core.tariffs.book import usages_of
from edgectl.core.tariffs.credit import credit_cdr, negated
from edgectl.core.tariffs.price import pieces, reserved_pieces, rounded
from edgectl.domain.records import Session
from edgectl.domain.site import Charger, Plug, PowerKind, Site
from edgectl.domain.tariff import Cost, Shape, Tariff, TaxIncluded
from edgectl.domain.tariff_objects import tariff_object, tariff_of_text
from edgectl.domain.time import iso
from edgectl.domain.units import UtcMillis

_PLUGS: dict[Plug, tuple[str, str]] = {
    Plug.TYPE2_SOCKET: ("IEC_62196_T2", "SOCKET"),
    Plug.TYPE2_CABLE: ("IEC_62196_T2", "CABLE"),
    Plug.TYPE1_CABLE: ("IEC_62196_T1", "CABLE"),
    Plug.CCS2: ("IEC_62196_T2_COMBO", "CABLE"),
    Plug.CCS1: ("IEC_62196_T1_COMBO", "CABLE"),
    Plug.CHADEMO: ("CHADEMO", "CABLE"),
    Plug.NACS: ("TESLA_S", "CABLE"),
}
_PARTS = {
    "total_fixed_cost": ("FLAT",),
    "total_energy_cost": ("ENERGY",),
    "total_time_cost": ("TIME",),
    "total_parking_cost": ("PARKING_TIME",),
    "total_reservation_cost": ("RESERVATION_TIME", "RESERVATION_FLAT"),
}
_BESIDE = {"DISCOUNT": "discount", "MIN_PRICE": "least price", "MAX_PRICE": "highest price"}


class NoCdrError(ValueError):
    """What is missing for a CDR; the text says where it would be written."""


@dataclass(frozen=True, slots=True)
class Seller:
    """What every CDR of a site needs."""

    site: Site
    zone: tzinfo
    country: str
    party: str


def seller(site: Site, zone: tzinfo) -> Seller:
    """
    Raises:
        NoCdrError: the site's file does not say who sells, or where.
    """
    missing = []
    if site.pricing.sells_as is None:
        missing.append("tariffs.operator")
    if site.location is None:
        missing.append("site.location")
    if missing or site.pricing.sells_as is None:
        raise NoCdrError(f"an OCPI record needs {' and '.join(missing)} in the site's file")
    return Seller(site, zone, *site.pricing.sells_as)


def cdr_of(session: Session, by: Seller) -> dict[str, Any]:
    """The CDR of a completed session that has a cost, or of what corrects it.

    Raises:
        NoCdrError: it has not ended, or it has no price.
    """
    if session.ended_utc_ms is None or session.cost is None or session.tariff is None:
        raise NoCdrError(f"session {session.id} has no price yet")
    tariff = tariff_of_text(session.tariff)
    cost = negated(session.cost) if session.is_credit else session.cost
    correction = session.correction
    lasted_ms = 0 if session.is_reservation else session.ended_utc_ms - session.started_utc_ms
    body: dict[str, Any] = {
        "country_code": by.country,
        "party_id": by.party,
        "id": session.id,
        "start_date_time": iso(_began_utc_ms(session)),
        "end_date_time": iso(session.ended_utc_ms),
        "session_id": session.id if correction is None else correction.session,
        "cdr_token": _token(session, by),
        "auth_method": "AUTH_REQUEST" if session.authorisation.how in {"backend", "upstream"} else "WHITELIST",
        "cdr_location": _location(session, by),
        "currency": cost.currency,
        "tariffs": [_tariff(tariff, by)],
        "charging_periods": _periods(session, tariff, by),
        "signed_data": _signed(session),
        "total_cost": _price(Decimal(cost.before_taxes), Decimal(cost.after_taxes)),
        "total_energy": _number(Fraction(session.energy_wh, 1_000)),
        "total_time": _number(Fraction(lasted_ms, 3_600_000)),
        "remark": _remark(session, cost),
        "last_updated": iso(session.ended_utc_ms if correction is None else correction.at_utc_ms),
    }
    parking = [Fraction(line.quantity) for line in cost.lines if line.dimension == "PARKING_TIME"]
    if parking:
        body["total_parking_time"] = _number(sum(parking, Fraction(0)))
    body |= _parts(cost, is_gross=tariff.tax_included is TaxIncluded.YES)
    body = {key: value for key, value in body.items() if value is not None}
    return credit_cdr(body, correction.of) if correction is not None and session.is_credit else body


def _began_utc_ms(session: Session) -> UtcMillis:
    """Of a reservation where there was one (mod_cdrs). By the charger's clock a session can begin just before its reservation."""
    return min(session.started_utc_ms, session.reservation.from_utc_ms if session.reservation else session.started_utc_ms)


def _token(session: Session, by: Seller) -> dict[str, Any]:
    uid = (session.id_token or session.id).strip()
    kind = "RFID" if session.id_token else "AD_HOC_USER"
    if session.authorisation.how == "free-vend":
        kind = "AD_HOC_USER"
    contract = session.account or uid
    return {"country_code": by.country, "party_id": by.party, "uid": uid[:36], "type": kind, "contract_id": contract[:36]}


def _location(session: Session, by: Seller) -> dict[str, Any]:
    place, charger = by.site.location, by.site.charger(session.charger)
    if place is None:
        raise NoCdrError("an OCPI record needs site.location in the site's file")
    standard, shape = _PLUGS[_plug(charger)]
    plain = "".join(char for char in session.charger.upper() if char.isascii() and char.isalnum())
    found = {
        "id": by.site.id[:36],
        "name": by.site.name or None,
        "address": place.address,
        "city": place.city,
        "postal_code": place.postal_code,
        "country": place.country,
        "coordinates": {"latitude": place.latitude, "longitude": place.longitude},
        "evse_uid": f"{session.charger}-{session.evse_number}"[-36:],
        "evse_id": f"{by.country}*{by.party}*E{plain[:30]}*{session.evse_number}",
        "connector_id": str(session.connector_number or 1),
        "connector_standard": standard,
        "connector_format": shape,
        "connector_power_type": _power(charger),
    }
    return {key: value for key, value in found.items() if value is not None}


def _plug(charger: Charger | None) -> Plug:
    if charger is not None and charger.plug is not None:
        return charger.plug
    return Plug.CCS2 if charger is not None and charger.kind is PowerKind.DC else Plug.TYPE2_SOCKET


def _power(charger: Charger | None) -> str:
    if charger is not None and charger.kind is PowerKind.DC:
        return "DC"
    return f"AC_{len(charger.phases) if charger is not None else 3}_PHASE"


def _tariff(tariff: Tariff, by: Seller) -> dict[str, Any]:
    body = tariff_object(tariff, Shape.V2_2_1)
    own = {"country_code": by.country, "party_id": by.party}
    updated = body.get("start_date_time", "2020-01-01T00:00:00.000Z")
    return own | body | {"last_updated": updated}


def _periods(session: Session, tariff: Tariff, by: Seller) -> list[dict[str, Any]]:
    usages = usages_of(session, by.site.voltage_mv)
    began_ms = usages[0].from_utc_ms if usages else session.started_utc_ms
    found: list[dict[str, Any]] = []
    if session.reservation is not None:
        for piece, situation in reserved_pieces(tariff, session.reservation, by.zone):
            reserved_time = {"type": "RESERVATION_TIME", "volume": _number(piece.charging_ms / 3_600_000)}
            at = iso(_began_utc_ms(session) + int(situation.lasted_ms))
            found.append({"start_date_time": at, "dimensions": [reserved_time], "tariff_id": tariff.id})
    for piece, situation in pieces(tariff, usages, by.zone, grace_ms=by.site.pricing.grace_ms):
        volumes = (
            ("ENERGY", piece.energy_wh / 1_000),
            ("TIME", piece.charging_ms / 3_600_000),
            ("PARKING_TIME", piece.parking_ms / 3_600_000),
        )
        # A period has at least one dimension: nothing flowed, and no time is paid.
        dimensions = [(kind, volume) for kind, volume in volumes if volume] or [("ENERGY", Fraction(0))]
        found.append(
            {
                "start_date_time": iso(began_ms + int(situation.lasted_ms)),
                "dimensions": [{"type": kind, "volume": _number(volume)} for kind, volume in dimensions],
                "tariff_id": tariff.id,
            }
        )
    return found


def _parts(cost: Cost, *, is_gross: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, names in _PARTS.items():
        lines = [line for line in cost.lines if line.dimension in names]
        if not lines:
            continue
        net = gross = Fraction(0)
        for line in lines:
            factor = 1 + Fraction(line.tax_percent or 0) / 100
            amount = Fraction(line.amount)
            net += amount / factor if is_gross else amount
            gross += amount if is_gross else amount * factor
        found[key] = _price(_number(net), _number(gross))
    return found


def _remark(session: Session, cost: Cost) -> str | None:
    """What OCPI has no field for, so that the parts need not add up to the total."""
    words = [f"{_BESIDE[line.dimension]} {line.amount} {cost.currency}" for line in cost.lines if line.dimension in _BESIDE]
    if session.reservation is not None:
        words.append(f"reservation {session.reservation.reservation_number} {session.reservation.end.value}")
    if session.correction is not None:
        words.append(f"{session.correction.kind.value} of {session.correction.of}: {session.correction.reason}")
    words += [f"rules {cost.rules}", *(["indicative price"] if cost.is_indicative else []), *session.flags]
    return "; ".join(words)[:255]


def _signed(session: Session) -> dict[str, Any] | None:
    """The OCMF records of a session; what is of another kind stays in the billing record alone."""
    values: list[dict[str, Any]] = []
    key: str | None = None
    for text in session.signed_values:
        envelope = opened(text)
        try:
            record = parse(envelope.record)
        except NotOcmfError:
            continue
        key = key or envelope.key
        reads = {reading.transaction for reading in record.readings}
        nature = "End" if reads & set("ELRAP") else "Start" if "B" in reads else "Intermediate"
        encoded = base64.b64encode(envelope.record.encode()).decode()
        values.append({"nature": nature, "plain_data": record.payload.decode(), "signed_data": encoded})
    if not values:
        return None
    return {"encoding_method": "OCMF", **({"public_key": key} if key else {}), "signed_values": values}


def _number(value: Fraction) -> Decimal:
    """OCPI numbers have four decimals."""
    number = rounded(value, 4)
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number.normalize()


def _price(net: Decimal, gross: Decimal) -> dict[str, Decimal]:
    return {"excl_vat": net, "incl_vat": gross}


def cdrs_of(sessions: Sequence[Session], by: Seller) -> tuple[list[dict[str, Any]], int]:
    """The CDRs of those that have a price, and how many have none."""
    found = [cdr_of(session, by) for session in sessions if session.cost is not None]
    return found, len(sessions) - len(found)
