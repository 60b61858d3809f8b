"""Which states have changed enough to tell the broker. The newest replaces any older one not yet sent."""

from __future__ import annotations

from edgectl.domain.decisions import Decision, PublishState
from edgectl.domain.phases import Phases
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import Millis
from edgectl.domain.views import ChargerView, CircuitView, EvseView, MeterView, SiteView

REPEAT_MS: Millis = 30_000
"""Without a notable change a state is told this often, so that a reader sees that its numbers still live."""


class StatePublishing:
    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[object, Millis]] = {}

    def forget(self) -> None:
        """After a reconnect everything is told again."""
        self._told.clear()

    def changes(self, view: SiteView, now: Instant) -> list[Decision]:
        found: list[Decision] = []
        for charger in view.chargers:
            headline = (charger.is_connected, charger.is_accepted, charger.fallback, charger.firmware)
            found += self._tell("charger", charger.id, headline, _charger(charger), now)
            for evse in charger.evses:
                evse_headline = (evse.status, evse.session, evse.commanded_ma, evse.reason.cause, evse.error_code)
                found += self._tell("evse", f"{charger.id}-{evse.number}", evse_headline, _evse(evse), now)
        for circuit in view.circuits:
            found += self._tell("circuit", circuit.id, (circuit.mode, circuit.over_limit_ms > 0), _circuit(circuit), now)
        for meter in view.meters:
            found += self._tell("meter", meter.id, (meter.quality, meter.reason), _meter(meter), now)
        return found

    def _tell(self, kind: str, id_: str, headline: object, body: dict[str, object], now: Instant) -> list[Decision]:
        told = self._told.get((kind, id_))
        if told is not None and told[0] == headline and now.mono_ms - told[1] < REPEAT_MS:
            return []
        self._told[kind, id_] = (headline, now.mono_ms)
        return [PublishState(kind, id_, {"schema": f"edgectl/state-{kind}/1", "at": iso(now.utc_ms), **body})]


def _charger(view: ChargerView) -> dict[str, object]:
    return {
        "charger": view.id,
        "circuit": view.circuit,
        "quality": "good" if view.is_connected else "stale",
        "reason": view.detail,
        "connected": view.is_connected,
        "accepted": view.is_accepted,
        "protocol": view.protocol,
        "vendor": view.vendor,
        "model": view.model,
        "firmware": view.firmware,
        "fallback": view.fallback,
    }


def _evse(view: EvseView) -> dict[str, object]:
    return {
        "evse": view.number,
        "quality": "good" if view.measured_age_ms is not None else "no-value",
        "reason": view.reason.cause.value,
        "status": view.status,
        "error_code": view.error_code,
        "session": view.session,
        "energy_wh": view.energy_wh,
        "limit_ma": view.commanded_ma,
        "confirmed_ma": view.confirmed_ma,
        "measured_ma": _phases(view.measured_ma),
        "measured_age_ms": view.measured_age_ms,
        "power_w": view.power_w,
        "soc_percent": view.soc_percent,
    }


def _circuit(view: CircuitView) -> dict[str, object]:
    return {
        "circuit": view.id,
        "quality": "good" if view.mode in {"metered", "static"} else "stale",
        "reason": view.mode,
        "limit_ma": _phases(view.limit_ma),
        "measured_ma": _phases(view.measured_ma),
        "background_ma": _phases(view.background_ma),
        "headroom_ma": _phases(view.headroom_ma),
        "over_limit_ms": view.over_limit_ms,
    }


def _meter(view: MeterView) -> dict[str, object]:
    return {
        "meter": view.id,
        "quality": view.quality.value,
        "reason": view.reason,
        "age_ms": view.age_ms,
        "current_ma": _phases(view.current_ma),
        "power_w": view.power_total_w,
        "energy_import_wh": view.energy_import_wh,
    }


def _phases(value: Phases | None) -> dict[str, int] | None:
    return None if value is None else {"l1": value.l1, "l2": value.l2, "l3": value.l3}
