"""Which states have changed enough to tell the broker. The newest replaces any older one not yet sent."""

from __future__ import annotations

from edgectl.core.balancing import Balancing
from edgectl.core.chargers import ChargerState
from edgectl.core.picture import draw_circuits, draw_evse, draw_meter, shown_reason
from edgectl.core.sessions import Sessions
from edgectl.domain.decisions import Decision, PublishState
from edgectl.domain.ids import EvseId
from edgectl.domain.phases import Phases
from edgectl.domain.reasons import Reason
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import Millis
from edgectl.domain.views import CircuitView, EvseView, MeterView

REPEAT_MS: Millis = 30_000
"""Without a notable change a state is told this often, so that a reader sees that its numbers still live."""


class StatePublishing:
    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[object, Millis]] = {}

    def forget(self) -> None:
        """After a reconnect everything is told again."""
        self._told.clear()

    def changes(self, balancing: Balancing, sessions: Sessions, now: Instant) -> list[Decision]:
        """What to tell now. Only what is told is drawn: this runs every second, and seldom has anything changed."""
        found: list[Decision] = []
        for state in balancing.chargers.by_id.values():
            charger = state.charger
            limited_by = balancing.limited_by(charger.id)
            headline: tuple[object, ...] = (state.is_connected, state.is_accepted, state.fallback, state.firmware, limited_by)
            if self._is_due("charger", charger.id, headline, now):
                found.append(_state("charger", charger.id, _charger(state, limited_by), now))
            for evse in charger.evses:
                name = f"{charger.id}-{evse.number}"
                if self._is_due("evse", name, _evse_headline(state, evse, balancing, sessions, now), now):
                    found.append(_state("evse", name, _evse(draw_evse(state, evse, balancing, sessions, now)), now))
        found += [
            _state("circuit", circuit.id, _circuit(circuit), now)
            for circuit in draw_circuits(balancing, now)
            if self._is_due("circuit", circuit.id, _circuit_headline(circuit), now)
        ]
        found += [
            _state("meter", meter.id, _meter(meter), now)
            for meter in (draw_meter(state, now) for state in balancing.meters.by_id.values())
            if self._is_due("meter", meter.id, (meter.quality, meter.reason), now)
        ]
        return found

    def _is_due(self, kind: str, id_: str, headline: object, now: Instant) -> bool:
        """Whether it is to be told, and is taken to be told now."""
        told = self._told.get((kind, id_))
        if told is not None and told[0] == headline and now.mono_ms - told[1] < REPEAT_MS:
            return False
        self._told[kind, id_] = (headline, now.mono_ms)
        return True


def _state(kind: str, id_: str, body: dict[str, object], now: Instant) -> PublishState:
    return PublishState(kind, id_, {"schema": f"edgectl/state-{kind}/1", "at": iso(now.utc_ms), **body})


def _evse_headline(
    state: ChargerState, evse: EvseId, balancing: Balancing, sessions: Sessions, now: Instant
) -> tuple[object, ...]:
    connector, session = state.connector(evse.number), sessions.at(evse)
    commanded_ma = balancing.limits[evse].commanded_ma if evse in balancing.vehicles else None
    reason = shown_reason(state, evse, balancing, now)
    because = (reason.cause, reason.authority, reason.circuit, reason.phase, reason.by)
    turn = balancing.turns.by_evse.get(evse)
    stands = (balancing.waiting.get(evse), turn.is_served, turn.pause_count) if turn is not None else None
    return connector.shown(now), session.id if session is not None else None, commanded_ma, because, connector.error_code, stands


def _charger(state: ChargerState, limited_by: str) -> dict[str, object]:
    return {
        "charger": state.charger.id,
        "circuit": state.charger.circuit,
        "quality": "good" if state.is_connected else "stale",
        "reason": state.detail,
        "connected": state.is_connected,
        "accepted": state.is_accepted,
        "protocol": state.protocol,
        "vendor": state.vendor,
        "model": state.model,
        "firmware": state.firmware,
        "fallback": state.fallback.value,
        "limited_by": limited_by,
    }


def _evse(view: EvseView) -> dict[str, object]:
    return {
        "evse": view.number,
        "quality": "good" if view.measured_age_ms is not None else "no-value",
        "reason": view.reason.cause.value,
        "why": _why(view.reason),
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
        "turn": _turn(view),
    }


def _turn(view: EvseView) -> dict[str, object] | None:
    if view.turn_since_utc_ms is None:
        return None
    since = iso(view.turn_since_utc_ms)
    return {"place": view.queue_number, "since": since, "pauses": view.pause_count, "owed_wh": view.owed_wh}


def _circuit_headline(view: CircuitView) -> tuple[object, ...]:
    return (view.mode, view.over_limit_ms > 0, view.allowed_ma, view.allowed_w, view.limited_by)


def _why(reason: Reason) -> dict[str, object]:
    """Everything the limit rests on."""
    return {
        "cause": reason.cause.value,
        "authority": reason.authority.value,
        "circuit": reason.circuit,
        "phase": None if reason.phase is None else reason.phase.name,
        "by": reason.by,
        "until": None if reason.until_utc_ms is None else iso(reason.until_utc_ms),
        "inputs": [{"name": i.name, "value": i.value, "unit": i.unit, "age_ms": i.age_ms} for i in reason.inputs],
    }


def _circuit(view: CircuitView) -> dict[str, object]:
    return {
        "circuit": view.id,
        "quality": "good" if view.mode in {"metered", "static"} else "stale",
        "reason": view.mode,
        "limit_ma": _phases(view.limit_ma),
        "allowed_ma": _phases(view.allowed_ma),
        "allowed_w": view.allowed_w,
        "limited_by": view.limited_by,
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
        "energy_age_ms": view.energy_age_ms,
    }


def _phases(value: Phases | None) -> dict[str, int] | None:
    return None if value is None else {"l1": value.l1, "l2": value.l2, "l3": value.l3}
