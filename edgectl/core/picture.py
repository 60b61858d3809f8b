"""The state of the site as people are shown it: reads everything, changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from edgectl.core.alarms import Alarms
from edgectl.core.balancing import Balancing
from edgectl.core.chargers import ChargerState
from edgectl.core.circuits import CircuitState
from edgectl.core.demand import is_commandable
from edgectl.core.mechanisms import mechanisms
from edgectl.core.meters import MeterState
from edgectl.core.sessions import Sessions
from edgectl.core.turns import Turn
from edgectl.core.vehicles import Vehicle
from edgectl.domain.events import ConnectorStatus, Quality
from edgectl.domain.ids import ChargerId, CircuitId, EvseId
from edgectl.domain.lines import Flow
from edgectl.domain.phases import ZERO, Phases
from edgectl.domain.reasons import Authority, Cause, Input, Reason
from edgectl.domain.records import Session
from edgectl.domain.site import Site
from edgectl.domain.time import Instant
from edgectl.domain.units import UtcMillis, WattHours
from edgectl.domain.views import (
    AlarmView,
    ChargerView,
    CircuitView,
    CommissioningView,
    CurtailedView,
    DrillView,
    EvseView,
    MeterView,
    RefusedView,
    ReservationView,
    RoomView,
    SiteView,
    TargetView,
)


@dataclass(frozen=True, slots=True)
class Uplink:
    is_connected: bool
    detail: str


About: TypeAlias = Callable[[ChargerId], tuple[CommissioningView, DrillView, str]]
"""What is known of a charger's configuration, and of its behaviour."""


def draw_picture(
    site: Site,
    balancing: Balancing,
    sessions: Sessions,
    alarms: Alarms,
    *,
    uplink: Uplink,
    is_store_healthy: bool,
    refused: tuple[RefusedView, ...],
    curtailed: tuple[CurtailedView, ...],
    about: About,
    counters: Mapping[str, int],
    room: tuple[RoomView, ...],
    started: Instant,
    now: Instant,
) -> SiteView:
    return SiteView(
        site=site.id,
        name=site.name,
        timezone=site.timezone,
        at_utc_ms=now.utc_ms,
        uptime_ms=now.mono_ms - started.mono_ms,
        uplink_connected=uplink.is_connected,
        uplink_detail=uplink.detail,
        store_healthy=is_store_healthy,
        circuits=draw_circuits(balancing, now),
        meters=tuple(draw_meter(state, now) for state in balancing.meters.by_id.values()),
        chargers=tuple(
            _charger(state, balancing, sessions, about(state.charger.id), now) for state in balancing.chargers.by_id.values()
        ),
        limits=balancing.external.views(now),
        alarms=tuple(AlarmView(a.kind, a.subject, a.since_utc_ms, a.detail) for a in alarms.active),
        refused=refused,
        open_session_count=len(sessions.open),
        curtailed=curtailed,
        counters=tuple(sorted(counters.items())),
        room=room,
    )


def draw_circuits(balancing: Balancing, now: Instant) -> tuple[CircuitView, ...]:
    """All circuits, from the grid connection down."""
    commanded, worst = _sums(balancing, now)
    return tuple(
        _circuit(state, commanded[circuit], worst[circuit], balancing.reserved.get(circuit, ZERO), now)
        for circuit, state in balancing.circuits.by_id.items()
    )


def _sums(balancing: Balancing, now: Instant) -> tuple[dict[CircuitId, Phases], dict[CircuitId, Phases]]:
    """Per circuit: what the vehicles below were told, and the worst they may draw (silent chargers included)."""
    commanded = dict.fromkeys(balancing.circuits.by_id, Flow())
    worst = {circuit: Flow(balancing.reserved.get(circuit, ZERO)) for circuit in balancing.circuits.by_id}
    wiring = balancing.site.wiring
    for evse, vehicle in balancing.vehicles.items():
        state = balancing.chargers.by_id[evse.charger]
        limit = balancing.limits[evse]
        if not is_commandable(state, now):
            continue  # counted among the silent
        told = Flow.of(Phases.on(vehicle.phases, limit.commanded_ma), wiring)
        at_worst = Flow.of(Phases.on(vehicle.phases, limit.worst_ma(now, None)), wiring)
        for circuit in balancing.book.paths[state.charger.circuit]:
            commanded[circuit] += told
            worst[circuit] += at_worst
    most_ma = {circuit: flow.most_ma for circuit, flow in commanded.items()}
    return most_ma, {circuit: flow.most_ma for circuit, flow in worst.items()}


def _circuit(state: CircuitState, commanded_ma: Phases, worst_ma: Phases, silent_ma: Phases, now: Instant) -> CircuitView:
    circuit = state.circuit
    return CircuitView(
        id=circuit.id,
        fed_by=circuit.fed_by,
        limit_ma=circuit.limit_ma,
        allowed_ma=state.allowed_ma,
        allowed_w=state.allowed_w,
        limited_by="" if state.allowed is None else state.allowed.words,
        margin_ma=circuit.margin_ma,
        measured_ma=state.measured_ma,
        background_ma=state.background_ma,
        headroom_ma=state.headroom_ma(circuit.margin_ma),
        reserved_ma=worst_ma,
        silent_ma=silent_ma,
        commanded_ma=commanded_ma,
        mode=state.mode.value,
        over_limit_ms=state.over_limit_ms(now),
    )


def draw_meter(state: MeterState, now: Instant) -> MeterView:
    good = state.good
    is_good = state.current_ma(now) is not None
    return MeterView(
        id=state.meter.id,
        role=state.meter.role.value,
        quality=Quality.GOOD if is_good else Quality.NO_VALUE,
        reason="" if is_good else state.why_lost,
        age_ms=state.age_ms(now),
        current_ma=good.current_ma if good else None,
        power_total_w=good.power_total_w if good else None,
        energy_import_wh=good.energy_import_wh if good else None,
        energy_age_ms=now.mono_ms - good.energy_mono_ms if good and good.energy_mono_ms is not None else None,
    )


def _charger(
    state: ChargerState, balancing: Balancing, sessions: Sessions, about: tuple[CommissioningView, DrillView, str], now: Instant
) -> ChargerView:
    charger = state.charger
    rate = balancing.orders.writes.get(charger.id)
    return ChargerView(
        id=charger.id,
        circuit=charger.circuit,
        is_connected=state.is_connected,
        is_accepted=state.is_accepted,
        protocol=state.protocol,
        peer=state.peer,
        security_profile=state.security_profile,
        vendor=state.vendor,
        model=state.model,
        firmware=state.firmware,
        serial=state.serial,
        fallback=state.fallback.value,
        mechanisms=mechanisms(state, about[1]),
        writes_per_hour_count=rate.last_hour_count(now) if rate is not None else 0,
        link_count=state.link_count,
        clock_offset_ms=state.clock.offset_ms,
        since_ms=None if state.since_mono_ms is None else now.mono_ms - state.since_mono_ms,
        detail=state.detail,
        quirks=state.applied.because,
        checklist=state.quirks.checklist,
        register=state.register.value,
        commissioning=about[0],
        drill=about[1],
        limited_by=balancing.limited_by(charger.id),
        local_list=about[2],
        reservations=tuple(
            ReservationView(one.reservation_number, one.evse_number, one.until_utc_ms)
            for one in sessions.reservations.held
            if one.charger == charger.id
        ),
        evses=tuple(draw_evse(state, evse, balancing, sessions, now) for evse in charger.evses),
    )


def shown_reason(state: ChargerState, evse: EvseId, balancing: Balancing, now: Instant) -> Reason:
    """Why an EVSE may draw what it may, as people are told. One that cannot be told anything: what is kept free for it, and
    what it falls to."""
    if is_commandable(state, now):
        return balancing.reasons.of(evse, now)
    silent_ms = None if state.since_mono_ms is None else now.mono_ms - state.since_mono_ms
    kept_free_ma = balancing.book.silent_worst_ma(state, evse, now).largest
    inputs = (Input("reserved", kept_free_ma, "mA", silent_ms), Input("fallback", state.charger.fallback_ma, "mA"))
    return Reason(Cause.CHARGER_SILENT, Authority.CHARGER, state.charger.circuit, None, inputs)


def draw_evse(state: ChargerState, evse: EvseId, balancing: Balancing, sessions: Sessions, now: Instant) -> EvseView:
    connector = state.connector(evse.number)
    limit = balancing.limits[evse]
    vehicle = balancing.vehicles.get(evse)
    session = sessions.at(evse)
    reported_ms = vehicle.reported_mono_ms if vehicle else None
    commanded = limit.commanded
    turn = balancing.turns.by_evse.get(evse)
    shown = connector.shown(now)
    if shown is ConnectorStatus.OCCUPIED and vehicle is not None and vehicle.status is not ConnectorStatus.UNKNOWN:
        shown = vehicle.status  # 2.x says only "occupied"; its transaction says more
    return EvseView(
        number=evse.number,
        status=shown.value,
        reported_status=connector.status.value,
        fault_count=connector.fault_count,
        error_code=connector.error_code,
        session=session.id if session else None,
        id_token=session.id_token if session else None,
        energy_wh=session.energy_wh if session else None,
        session_started_utc_ms=session.started_utc_ms if session else None,
        commanded_ma=limit.commanded_ma if vehicle else None,
        confirmed_ma=limit.confirmed_now_ma(now) if vehicle else None,
        measured_ma=vehicle.current_ma if vehicle else None,
        measured_age_ms=None if reported_ms is None else now.mono_ms - reported_ms,
        power_w=vehicle.power_w if vehicle else None,
        soc_percent=vehicle.soc_percent if vehicle else None,
        lease_left_ms=None if commanded is None else max(0, commanded.lease_end_mono_ms - now.mono_ms),
        limit_since_ms=None if commanded is None else now.mono_ms - limit.changed_mono_ms,
        rung=limit.ladder.rung.value,
        rung_since_utc_ms=limit.ladder.entered_utc_ms,
        rung_detail=limit.ladder.why,
        queue_number=balancing.waiting.get(evse),
        pause_count=turn.pause_count if turn else 0,
        owed_wh=_owed_wh(turn, vehicle, balancing.site) if turn and vehicle else 0,
        turn_since_utc_ms=_turn_since_utc_ms(turn, session, now) if turn and session else None,
        target=_target(evse, balancing, session),
        reason=shown_reason(state, evse, balancing, now),
    )


def _turn_since_utc_ms(turn: Turn, session: Session, now: Instant) -> UtcMillis:
    """One that has never been served waits since its session began."""
    return session.started_utc_ms if turn.since_ms is None else now.utc_ms - (now.mono_ms - turn.since_ms)


def _owed_wh(turn: Turn, vehicle: Vehicle, site: Site) -> WattHours:
    return turn.owed_ma_s * site.load_mv(len(vehicle.phases)) // 3_600_000_000


def _target(evse: EvseId, balancing: Balancing, session: Session | None) -> TargetView | None:
    target = balancing.book.departures.of(session, evse)
    if target is None:
        return None
    seen = balancing.outlooks.get(evse)
    return TargetView(
        energy_wh=target.energy_wh,
        depart_utc_ms=target.depart_utc_ms,
        priority=target.priority,
        actor=target.actor,
        remaining_wh=seen.remaining_wh if seen else None,
        laxity_ms=seen.laxity_ms if seen else None,
    )
