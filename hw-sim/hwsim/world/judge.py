"""The promises (research/style.md §5), checked while a simulated site runs: at every decision, every second, and at the end."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgectl.core.circuits import Mode
from edgectl.domain.decisions import Decision, Reply, SetLimit
from edgectl.domain.events import (
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    Event,
    LimitAnswered,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.time import Instant
from hwsim.models.breaker import Breaker
from hwsim.models.depot import together_a
from hwsim.world.faults import Excuse, Fault
from hwsim.world.proven import Afflictions, Proven

if TYPE_CHECKING:
    from hwsim.models.stations import Station
    from hwsim.world.site import World

BROKEN_COUNT_MAX = 50
COUNT_EVERY_S = 300.0
TASKS_GROWTH_COUNT = 30
"""Between one fifth of a run and another, the most running tasks may differ by so much: links come and go (L4)."""
DAMAGE_MAX = 0.05
"""Of one event while all obey."""
GRACE_S = 60.0
"""Beyond its lease, a charger has so long to be at its fallback: its clock may be off by as much."""
FIRST_LIMIT_S = 10.0
"""A charger that charges has its limit within this of being back (L3)."""
QUIET_S = 90.0
"""So long after the last fault nothing of it is left: a lease has been renewed, a charger that was away is back."""
DELAY_MAX_MS = 1_000
"""One bad charger delays what another is told by no more than this (L2)."""
SLOW_TAIL_S = 60.0
"""So long after the way to all was slow, or a charger had a fault of its own, orders may still wait behind others."""
TAILS_S = {Excuse.NONE: 0.0, Excuse.UNTOLD: 20.0, Excuse.LIES: 20.0, Excuse.DISOBEYS: 120.0}
"""How long a fault excuses what it excuses after it has ended: until a limit is told again and followed."""


class Judge:
    """``broken`` says so in the report, with the moment."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._digest = hashlib.sha256()
        self._active: Counter[Excuse] = Counter()
        self._ended_s: dict[Excuse, float] = {}
        self._obeyed = {name: Breaker(circuit.limit_a) for name, circuit in world.depot.circuits.items()}
        """What each breaker has carried while all obeyed and could be told."""
        self._told: dict[str, tuple[int, float]] = {}
        self._profiles: dict[str, tuple[int, float]] = {}
        """How many profiles each charger has been sent, and when the last."""
        self._proven = Proven(round(world.options.fallback_a * 1000))
        self._afflictions = Afflictions(SLOW_TAIL_S)
        self._slow: Counter[bool] = Counter()
        self._slow_ended_s = -SLOW_TAIL_S
        self._linked_s: dict[str, float] = {}
        """When the present link of each charger began, or its last boot."""
        self._awaits: dict[str, float] = {}
        self._overdue: set[str] = set()
        self._advanced_s = -1.0
        self._task_counts: list[int] = []

    def broken(self, words: str) -> None:
        found = self._world.report.broken
        if len(found) < BROKEN_COUNT_MAX:
            found.append(f"{self._world.loop.time():.3f} s: {words}")

    def told_a(self, name: str) -> float | None:
        """The limit a charger was told last; None without a transaction."""
        told = self._told.get(name)
        return None if told is None else told[0] / 1000

    # --- what is under way --------------------------------------------------------------------------------------------

    def begins(self, fault: Fault) -> None:
        self._active[fault.excuse] += 1
        self._slow[fault.slows] += 1

    def ends(self, fault: Fault) -> None:
        now_s = self._world.loop.time()
        self._active[fault.excuse] -= 1
        self._slow[fault.slows] -= 1
        self._ended_s[fault.excuse] = now_s
        if fault.slows:
            self._slow_ended_s = now_s
        self._afflictions.end(asyncio.current_task(), now_s)

    def afflict(self, charger: str) -> None:
        """The fault that this task plays is this charger's own."""
        self._afflictions.begin(asyncio.current_task(), charger)

    def excuses(self, excuse: Excuse) -> bool:
        """Such a fault is under way, or has only just ended."""
        ended_s = self._ended_s.get(excuse)
        return self._active[excuse] > 0 or (ended_s is not None and self._world.loop.time() - ended_s < TAILS_S[excuse])

    @property
    def is_quiet(self) -> bool:
        """No fault, and nothing left of the last."""
        return self.is_calm_for(QUIET_S)

    def is_calm_for(self, seconds: float) -> bool:
        """No fault now, and none for so long."""
        now_s = self._world.loop.time()
        return not self._active.total() and all(now_s - ended_s >= seconds for ended_s in self._ended_s.values())

    def restarted(self) -> None:
        self._told.clear()
        self._proven.restarted()
        self._awaits.clear()
        self._slow_ended_s = self._world.loop.time()  # it boots; the first orders wait for the chargers

    # --- at every decision --------------------------------------------------------------------------------------------

    def trace(self, event: Event, now: Instant, decisions: Sequence[Decision]) -> None:
        """Every event and every decision, in order: the run's fingerprint; and the promises that hold at each."""
        self._digest.update(f"{now.mono_ms} {type(event).__name__} {decisions!r}\n".encode())
        report = self._world.report
        report.digest = self._digest.hexdigest()
        report.decision_count += len(decisions)
        call = getattr(event, "call", None)
        replies = sum(isinstance(decision, Reply) for decision in decisions)
        if replies != (1 if call is not None else 0):
            self.broken(f"{type(event).__name__} got {replies} replies")
        if isinstance(event, TransactionStarted | TransactionEnded):
            self._told.pop(event.call.charger, None)  # what was told died with the transaction
            self._proven.transaction(event.call.charger)
        elif isinstance(event, LimitAnswered):
            self._check_delay(event, now)
        elif isinstance(event, ChargerBooted):
            self._linked_s[event.call.charger] = self._world.loop.time()
        elif isinstance(event, ChargerConnected):
            self._linked_s[event.charger] = self._world.loop.time()
            self._awaits[event.charger] = self._world.loop.time()
        elif isinstance(event, ChargerDisconnected):
            self._awaits.pop(event.charger, None)
        orders = [decision for decision in decisions if isinstance(decision, SetLimit)]
        if orders:
            report.limit_count += len(orders)
            self._check_orders(orders)
            raised = [order for order in orders if self._proven.order(order, now)]
            self._check_commanded(orders, now)
            if raised:
                self._check_proven(raised, now)

    def _check_orders(self, orders: Sequence[SetLimit]) -> None:
        has_raised = False
        for order in orders:
            charger = order.evse.charger
            if 0 < order.limit_ma < 6_000:
                self.broken(f"{order.evse} was told {order.limit_ma} mA")
            told = self._told.get(charger)
            if told is not None and order.limit_ma < told[0] and has_raised:
                self.broken(f"{order.evse} was lowered after a raise")
            has_raised = has_raised or (told is not None and order.limit_ma > told[0])
            self._told[charger] = (order.limit_ma, self._world.loop.time())
            self._awaits.pop(charger, None)

    def _check_commanded(self, orders: Sequence[SetLimit], now: Instant) -> None:
        """What is commanded fits what other load leaves (S1); without a meter nobody is told more than his fallback (S3); what
        comes from outside only narrows (S8)."""
        world = self._world
        if world.daemon is None:
            return
        for circuit in world.daemon.controller.circuits(now):
            if not circuit.allowed_ma.fits(circuit.limit_ma):
                self.broken(f"{circuit.id}: {circuit.allowed_ma} is allowed, more than the file's {circuit.limit_ma}")
            if circuit.mode == Mode.METERED.value:
                room = (circuit.allowed_ma - circuit.background_ma - circuit.silent_ma).at_least(Phases.uniform(0))
                if not circuit.commanded_ma.fits(room):
                    self.broken(f"{circuit.id}: commanded {circuit.commanded_ma} does not fit {room}")
            elif circuit.mode == Mode.SAFE.value and circuit.fed_by is None:
                most_ma = round(world.options.fallback_a * 1000)
                for name in {order.evse.charger for order in orders if order.limit_ma > most_ma}:
                    self.broken(f"{name} was told more than its fallback without a meter")

    def _check_proven(self, raised: Sequence[SetLimit], now: Instant) -> None:
        """Who is told more relies on nothing that is not proven: all at their worst still fit (S9)."""
        world = self._world
        if world.daemon is None:
            return
        views = world.daemon.view().chargers
        able = {view.id for view in views if view.is_connected and view.is_accepted and view.evses[0].session is not None}
        for circuit in world.daemon.controller.circuits(now):
            if circuit.mode not in {Mode.METERED.value, Mode.STATIC.value}:
                continue
            below = [s for s in world.depot.circuits[circuit.id].stations if s.identity in able]
            if circuit.fed_by is None:
                below = [s for s in world.stations if s.identity in able]
            loads_ma = [Phases.on(_loaded(station), self._proven.worst_ma(station.identity, now)) for station in below]
            told_ma = together_a([(ma.l1, ma.l2, ma.l3) for ma in loads_ma], is_delta=world.options.is_delta)
            worst_ma = circuit.background_ma + circuit.silent_ma + Phases(*(round(ma) for ma in told_ma))
            over = [phase for phase in ALL_PHASES if worst_ma[phase] > circuit.allowed_ma[phase]]
            for order in raised:
                station = world.station(order.evse.charger)
                if station in below and any(phase in over for phase in _loaded(station)):
                    self.broken(f"{order.evse} was raised while {circuit.id} may carry {worst_ma} of {circuit.allowed_ma}")

    def _check_delay(self, event: LimitAnswered, now: Instant) -> None:
        took_ms = self._proven.answer(event, now)
        now_s = self._world.loop.time()
        if took_ms is None or self._slow[True] or now_s - self._slow_ended_s < SLOW_TAIL_S:
            return
        name = event.charger
        if self._afflictions.has(name, now_s) or now_s - self._linked_s.get(name, now_s) < SLOW_TAIL_S:
            return
        self._world.report.worst_delay_ms = max(self._world.report.worst_delay_ms, took_ms)
        if took_ms > DELAY_MAX_MS:
            self.broken(f"{name} had answered what it was told after {took_ms} ms, and nothing was wrong with it")

    # --- every second -------------------------------------------------------------------------------------------------

    def advance(self, now_s: float, passed_s: float) -> None:
        is_excused = any(self.excuses(excuse) for excuse in (Excuse.DISOBEYS, Excuse.LIES))
        for name, circuit in self._world.depot.circuits.items():
            self._obeyed[name].carry((0.0, 0.0, 0.0) if is_excused else circuit.current_a, passed_s)
        if now_s - self._advanced_s < 1.0:
            return
        self._advanced_s = now_s
        if now_s >= len(self._task_counts) * COUNT_EVERY_S:
            self._task_counts.append(len(asyncio.all_tasks(self._world.loop)))
        self._check_leases(now_s)
        for name, since_s in list(self._awaits.items()):
            if now_s - since_s > FIRST_LIMIT_S:
                del self._awaits[name]
                station = self._world.station(name)
                charged_before = any(
                    e.transaction is not None and e.transaction.began_s < since_s for e in station.evses.values()
                )
                if charged_before and self.is_quiet and name not in self._told:
                    self.broken(f"{name} charges and has no limit {FIRST_LIMIT_S:g} s after it is back")

    def _check_leases(self, now_s: float) -> None:
        """Nobody has more than his fallback for longer than a lease after he was last told (S7); nobody has more than he was
        told while nothing is wrong (S4)."""
        world = self._world
        lease_s = world.settings.site.balancing.lease_ms / 1000
        for station in world.stations:
            name = station.identity
            count, at_s = self._profiles.get(name, (-1, now_s))
            if station.limits_received != count:
                self._profiles[name] = (station.limits_received, now_s)
                self._overdue.discard(name)
                continue
            evse = station.evses[1]
            if station.faults or not station.is_powered or evse.transaction is None:
                self._profiles[name] = (count, now_s)
                continue
            offered_a = evse.offered_a
            if now_s - at_s > lease_s + GRACE_S and offered_a > world.options.fallback_a and name not in self._overdue:
                self._overdue.add(name)
                if not self.excuses(Excuse.DISOBEYS):
                    self.broken(f"{name} is offered {offered_a:g} A {now_s - at_s:.0f} s after it was told last")
            told = self._told.get(name)
            if self.is_quiet and told is not None and now_s - told[1] > 5 and offered_a * 1000 > told[0] + 100:
                self.broken(f"{name} is offered {offered_a:g} A and was told {told[0] / 1000:g} A")
                self._told.pop(name)

    # --- at the end ---------------------------------------------------------------------------------------------------

    def check_healed(self) -> None:
        """Some time after everything was mended: everybody is back, and the limits rest on measurement (L1)."""
        world = self._world
        if world.daemon is None:
            self.broken("the daemon is not running")
            return
        view = world.daemon.view()
        for charger in view.chargers:
            if not (charger.is_connected and charger.is_accepted):
                self.broken(f"{charger.id} is not back")
        for circuit in view.circuits:
            if circuit.id == view.circuits[0].id and circuit.mode != Mode.METERED.value:
                self.broken(f"{circuit.id} is still run as {circuit.mode}")
        for meter in view.meters:
            if meter.reason:
                self.broken(f"{meter.id}: {meter.reason}")

    def _check_tasks(self) -> None:
        fifth = len(self._task_counts) // 5
        if not fifth:
            return
        early_count, late_count = max(self._task_counts[fifth : 2 * fifth]), max(self._task_counts[-fifth:])
        if late_count > early_count + TASKS_GROWTH_COUNT:
            self.broken(f"{late_count} tasks at the end, {early_count} after a fifth")

    def finish(self) -> None:
        self._check_tasks()
        report = self._world.report
        for name, circuit in self._world.depot.circuits.items():
            breaker, obeyed = circuit.breaker, self._obeyed[name]
            report.longest_over_s = max(report.longest_over_s, breaker.longest_over_s)
            report.worst_ratio = max(report.worst_ratio, breaker.worst_ratio)
            report.worst_damage = max(report.worst_damage, breaker.worst_damage)
            report.obeyed_damage = max(report.obeyed_damage, obeyed.worst_damage)
            for phase, damage in enumerate(breaker.worst_damages, start=1):
                report.damage[f"{name} L{phase}"] = damage
            if obeyed.longest_above_113_s > 60 or obeyed.longest_above_145_s > 5:
                report.broken.append(
                    f"{name}: {obeyed.longest_above_113_s:g} s above 1.13 x, {obeyed.longest_above_145_s:g} s above 1.45 x"
                )
            if obeyed.worst_damage > DAMAGE_MAX:
                report.broken.append(f"{name}: the breaker came within {obeyed.worst_damage:.3f} of tripping while all obeyed")
            if breaker.worst_damage >= 1:
                report.broken.append(f"{name}: the breaker may have tripped ({breaker.worst_damage:.2f})")


def _loaded(station: Station) -> tuple[Phase, ...]:
    """The phases that the vehicle of a transaction takes."""
    evse = station.evses[1]
    if evse.transaction is None or evse.car is None:
        return ()
    return tuple(Phase(phase) for phase in station.wiring[: evse.car.phase_count])
