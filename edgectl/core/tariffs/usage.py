"""What was used and when, as exact quantities that can be cut at any moment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from edgectl.domain.reasons import Cause
from edgectl.domain.records import Period, PeriodState
from edgectl.domain.reservations import ReservationEnd, Reserved
from edgectl.domain.time import utc_ms
from edgectl.domain.units import MilliVolts, UtcMillis

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Usage:
    """A span of a session in which everything flowed evenly."""

    from_utc_ms: UtcMillis
    to_utc_ms: UtcMillis
    energy_wh: Fraction = ZERO
    charging_ms: Fraction = ZERO
    parking_ms: Fraction = ZERO
    """The vehicle requested no power. A pause of ours is neither charging nor parking."""
    power_w: Fraction | None = None
    """The mean of the span; None where that is not known."""
    current_ma: Fraction | None = None
    """Sum over the phases."""

    @property
    def duration_ms(self) -> int:
        return self.to_utc_ms - self.from_utc_ms

    def part(self, begin: Fraction, end: Fraction) -> Usage:
        """Between two fractions of the span, 0 to 1. What is per time stays, what is a sum is shared."""
        share = end - begin
        return replace(
            self, energy_wh=self.energy_wh * share, charging_ms=self.charging_ms * share, parking_ms=self.parking_ms * share
        )


def of_periods(periods: Iterable[Period], voltage_mv: MilliVolts | None = None) -> tuple[Usage, ...]:
    """The periods of a session. ``voltage_mv`` (phase to neutral) turns mean power into current."""
    return tuple(_of_period(period, voltage_mv) for period in periods)


def _of_period(period: Period, voltage_mv: MilliVolts | None) -> Usage:
    duration_ms = period.to_utc_ms - period.from_utc_ms
    power_w = Fraction(period.energy_wh * 3_600_000, duration_ms) if duration_ms > 0 else None
    current_ma = None if power_w is None or not voltage_mv else power_w * 1_000_000 / voltage_mv
    return Usage(
        period.from_utc_ms,
        period.to_utc_ms,
        energy_wh=Fraction(period.energy_wh),
        charging_ms=Fraction(duration_ms if period.state is PeriodState.CHARGING else 0),
        parking_ms=Fraction(duration_ms if period.state is PeriodState.SUSPENDED_EV else 0),
        power_w=power_w,
        current_ma=current_ma,
    )


# --- records as others have them ------------------------------------------------------------------------------------------


def of_body(body: dict[str, Any], voltage_mv: MilliVolts | None = None) -> tuple[Usage, ...]:
    """The ``session`` of a billing record, or an OCPI CDR, as decoded from JSON with ``Decimal`` numbers.

    Raises:
        ValueError: neither of them; the text says what is missing.
    """
    try:
        if "charging_periods" in body:
            return _of_cdr(body)
        if (body.get("reservation") or {}).get("outcome", "used") != "used":
            return ()  # nobody came
        found = [
            Period(_moment(one["from"]), _moment(one["to"]), PeriodState(one["state"]), int(one["energy_wh"]), Cause.IDLE)
            for one in body["periods"]
        ]
        energy_wh = int(body["energy_wh"])
        ended = _moment(body["ended_at"] or body["started_at"])
    except KeyError as error:
        raise ValueError(f"{error.args[0]} is missing: neither a session of ours nor an OCPI CDR") from error
    except (TypeError, AttributeError, InvalidOperation) as error:
        raise ValueError(f"neither a session of ours nor an OCPI CDR: {error}") from error
    return with_rest(of_periods(found, voltage_mv), energy_wh, ended)


def reservation_of(body: dict[str, Any]) -> Reserved | None:
    """The reservation in a body that ``of_body`` takes. An OCPI CDR has no word for how one ended: with nothing but reserved time
    it is taken to have expired.

    Raises:
        ValueError: it has one that cannot be understood.
    """
    try:
        if "charging_periods" in body:
            return _reserved_of_cdr(body)
        found = body.get("reservation")
        if found is None:
            return None
        begin, until, ended = (_moment(found[name]) for name in ("from", "until", "ended_at"))
        return Reserved(int(found["id"]), begin, until, ended, ReservationEnd(found["outcome"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its reservation cannot be understood: {error!r}") from error


def with_rest(usages: tuple[Usage, ...], energy_wh: int, ended_utc_ms: UtcMillis) -> tuple[Usage, ...]:
    """Energy no period accounts for (it came late) counts at the end; a session without periods is a moment."""
    missing_wh = energy_wh - sum(usage.energy_wh for usage in usages)
    if usages and missing_wh <= 0:
        return usages
    return (*usages, Usage(ended_utc_ms, ended_utc_ms, energy_wh=Fraction(max(0, missing_wh))))


def _of_cdr(body: dict[str, Any]) -> tuple[Usage, ...]:
    """The periods of a CDR: each lasts to the next; its volumes are what they are, kWh and hours."""
    periods = body["charging_periods"]
    begins = [_moment(period["start_date_time"]) for period in periods]
    ends = [*begins[1:], _moment(body["end_date_time"])]
    spans = zip(periods, begins, ends, strict=True)
    return tuple(_of_cdr_period(period, begin, end) for period, begin, end in spans if not _is_reserved(period))


def _is_reserved(period: dict[str, Any]) -> bool:
    """Nothing of a session is in it."""
    return {one["type"] for one in period["dimensions"]} == {"RESERVATION_TIME"}


def _reserved_of_cdr(body: dict[str, Any]) -> Reserved | None:
    """By the moments, because volumes have four decimals and a rounded minute would be a begun one; unless one says much less."""
    periods = body["charging_periods"]
    kept = [_is_reserved(period) for period in periods]
    if True not in kept:
        return None
    begins = [*(_moment(period["start_date_time"]) for period in periods), _moment(body["end_date_time"])]
    first, last = kept.index(True), len(kept) - 1 - kept[::-1].index(True)
    end = ReservationEnd.EXPIRED if all(kept) else ReservationEnd.USED
    told_ms = sum(int(Fraction(Decimal(one["volume"])) * 3_600_000) for one in periods[last]["dimensions"])
    ended_utc_ms = begins[last + 1] if begins[last + 1] - begins[last] - told_ms < 1_000 else begins[last] + told_ms
    return Reserved(0, begins[first], ended_utc_ms, ended_utc_ms, end)


def _of_cdr_period(period: dict[str, Any], begin_utc_ms: UtcMillis, end_utc_ms: UtcMillis) -> Usage:
    volumes = {one["type"]: Fraction(Decimal(one["volume"])) for one in period["dimensions"]}
    energy_wh = volumes.get("ENERGY", ZERO) * 1_000
    hours = volumes.get("TIME", ZERO), volumes.get("PARKING_TIME", ZERO)
    duration_ms = max(0, end_utc_ms - begin_utc_ms)
    return Usage(
        begin_utc_ms,
        begin_utc_ms + duration_ms,
        energy_wh=energy_wh,
        charging_ms=hours[0] * 3_600_000,
        parking_ms=hours[1] * 3_600_000,
        power_w=energy_wh * 3_600_000 / duration_ms if duration_ms else None,
    )


def _moment(text: str) -> UtcMillis:
    moment = datetime.fromisoformat(text)
    return utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
