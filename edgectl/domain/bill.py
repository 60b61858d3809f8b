"""A session as everybody outside gets it: the ``session`` of the billing record (MQTT contract, ``billing/session``)."""

from __future__ import annotations

from dataclasses import asdict

from edgectl.domain.records import Correction, Session
from edgectl.domain.reservations import Reserved
from edgectl.domain.signed import SignedVerdict
from edgectl.domain.tariff import Cost
from edgectl.domain.time import iso
from edgectl.domain.units import UtcMillis


def session_body(session: Session) -> dict[str, object]:
    """The ``session`` object: JSON-ready, integers and text only, so that its canonical form is unambiguous."""
    return {
        "id": session.id,
        "charger": session.charger,
        "evse": session.evse_number,
        "connector": session.connector_number,
        "transaction": session.transaction,
        "id_token": session.id_token,
        "auth": {
            "how": session.authorisation.how,
            "by": session.authorisation.by,
            "status": session.authorisation.status,
            "offline": session.authorisation.is_offline,
        },
        "started_at": iso(session.started_utc_ms),
        "ended_at": _iso(session.ended_utc_ms),
        "started_reported_at": _iso(session.started_reported_utc_ms),
        "ended_reported_at": _iso(session.ended_reported_utc_ms),
        "meter_start_wh": session.meter_start_wh,
        "meter_stop_wh": session.meter_stop_wh,
        "energy_wh": session.energy_wh,
        "status": session.status.value,
        "stop_reason": session.stop_reason,
        **({} if session.stopped_by is None else {"stopped_by": session.stopped_by}),
        "periods": [
            {
                "from": iso(period.from_utc_ms),
                "to": iso(period.to_utc_ms),
                "state": period.state.value,
                "energy_wh": period.energy_wh,
                "limit_reason": period.limit_cause.value,
            }
            for period in session.periods
        ],
        "signed_values": list(session.signed_values),
        "signed_verdicts": [_verdict(one) for one in session.signed_verdicts],
        "account": session.account,
        "tariff": session.tariff,
        "cost": None if session.cost is None else cost_body(session.cost),
        "clock_quality": clock_quality(session),
        "flags": list(session.flags),
        **({} if session.reservation is None else {"reservation": _reservation(session.reservation)}),
        **({} if session.correction is None else {"correction": _correction(session.correction)}),
    }


def _reservation(one: Reserved) -> dict[str, object]:
    return {
        "id": one.reservation_number,
        "from": iso(one.from_utc_ms),
        "until": iso(one.until_utc_ms),
        "ended_at": iso(one.ended_utc_ms),
        "outcome": one.end.value,
    }


def _correction(one: Correction) -> dict[str, object]:
    return {
        "kind": one.kind.value,
        "of": one.of,
        "session": one.session,
        "at": iso(one.at_utc_ms),
        "by": one.by,
        "reason": one.reason,
    }


def _verdict(one: SignedVerdict) -> dict[str, object]:
    return {
        "verdict": one.verdict.value,
        "why": one.why,
        "meter": one.meter,
        "pagination": one.pagination,
        "doubts": list(one.doubts),
    }


def cost_body(cost: Cost) -> dict[str, object]:
    """Amounts stay the text they are, so nobody reads them as floats."""
    return {
        "rules": cost.rules,
        "currency": cost.currency,
        "before_taxes": cost.before_taxes,
        "after_taxes": cost.after_taxes,
        "is_indicative": cost.is_indicative,
        "taxes": [{"percent": percent, "net": net, "tax": tax} for percent, net, tax in cost.taxes],
        "lines": [asdict(line) for line in cost.lines],
        "notes": list(cost.notes),
    }


def clock_quality(session: Session) -> str:
    """How far the charger's clock can be believed: ``synchronised``, ``corrected`` or ``unknown``."""
    if any(flag.startswith("clock-") for flag in session.flags):
        return "corrected"
    return "synchronised" if session.started_reported_utc_ms is not None else "unknown"


def _iso(utc_ms: UtcMillis | None) -> str | None:
    return None if utc_ms is None else iso(utc_ms)
