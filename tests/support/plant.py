"""A small site and a bench that speaks the domain: events with the time moved on, decisions sorted by kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from edgectl.core.controller import Controller
from edgectl.domain.decisions import Answer, Decision, Keep, Reply, SetLimit
from edgectl.domain.events import (
    Call,
    ChargerBooted,
    ChargerConnected,
    ChargerDisconnected,
    ConnectorStatus,
    Event,
    FallbackAnswered,
    LimitAnswered,
    MeterRead,
    MeterReading,
    MeterValuesReported,
    Outcome,
    Quality,
    Sample,
    StatusReported,
    Tick,
    TransactionEnded,
    TransactionStarted,
)
from edgectl.domain.ids import ChargerId, CircuitId, EvseId, IdToken, MeterId, SessionId, SiteId, TransactionRef
from edgectl.domain.phases import ALL_PHASES, Phases
from edgectl.domain.quirks import QuirkProfile
from edgectl.domain.records import Record, Restored
from edgectl.domain.site import Charger, Circuit, Meter, Site, Token
from edgectl.domain.time import Instant
from edgectl.domain.views import EvseView

GRID = CircuitId("grid")
HALL = CircuitId("hall")
MAIN = MeterId("main")
TAG = IdToken("04AABBCC")
NOON_UTC_MS = 1_790_000_000_000

Kind = TypeVar("Kind")


def plant(
    *chargers: str | Charger, limit_a: int = 100, hall_a: int | None = None, metered: bool = True, **circuit: object
) -> Site:
    """One grid circuit, optionally a hall below it; chargers by name are AC 6 to 32 A on three phases."""
    leaf = GRID if hall_a is None else HALL
    built = tuple(c if isinstance(c, Charger) else Charger(ChargerId(c), leaf) for c in chargers)
    grid = Circuit(GRID, Phases.uniform(limit_a * 1000), meter=MAIN if metered else None)
    circuits = [replace(grid, **circuit)]
    if hall_a is not None:
        circuits.append(Circuit(HALL, Phases.uniform(hall_a * 1000), fed_by=GRID))
    return Site(
        id=SiteId("test"),
        circuits=tuple(circuits),
        chargers=built,
        meters=(Meter(MAIN),) if metered else (),
        tokens=(Token(TAG), Token(IdToken("VIP"), priority=5)),
    )


class CountingIds:
    def __init__(self) -> None:
        self.count = 0

    def session_id(self, now: Instant) -> SessionId:
        self.count += 1
        return SessionId(f"session-{self.count}")


@dataclass
class Bench:
    """A controller with a hand-moved clock."""

    site: Site
    restored: Restored = field(default_factory=Restored)
    quirk_table: Sequence[QuirkProfile] = ()
    mono_ms: int = 1_000_000
    utc_ms: int = NOON_UTC_MS
    orders: dict[EvseId, SetLimit] = field(default_factory=dict)
    answers_limits: bool = True
    is_configured: bool = False
    """Whether the chargers are set up; most tests are about something else."""
    volts: float | None = None
    """What the guard meter reads, if it measures voltage."""
    log: list[Decision] = field(default_factory=list)
    _message: int = 0
    _link: int = 0

    def __post_init__(self) -> None:
        self.ids = CountingIds()
        if not self.is_configured:
            alone = (("is_configured", False),)
            chargers = tuple(replace(c, own_quirks=(*c.own_quirks, *alone)) for c in self.site.chargers)
            self.site = replace(self.site, chargers=chargers)
        self.controller = Controller(self.site, self.restored, self.ids, self.now, quirk_table=self.quirk_table)

    @property
    def now(self) -> Instant:
        return Instant(self.mono_ms, self.utc_ms)

    def wait(self, seconds: float) -> None:
        self.mono_ms += round(seconds * 1000)
        self.utc_ms += round(seconds * 1000)

    def put(self, event: Event) -> list[Decision]:
        decisions = self.controller.handle(event, self.now)
        self.log += decisions
        has_raised = False
        for order in of(SetLimit, decisions):
            before = self.orders.get(order.evse)
            if before is not None and order.limit_ma < before.limit_ma:
                assert not has_raised, "a reduction was ordered after a raise"
            has_raised = has_raised or (before is not None and order.limit_ma > before.limit_ma)
            self.orders[order.evse] = order
        return decisions

    def settle(self, decisions: Sequence[Decision]) -> list[Decision]:
        """Every charger accepts what it is told, until nothing more is ordered."""
        everything = list(decisions)
        waiting = of(SetLimit, decisions) if self.answers_limits else []
        while waiting:
            order = waiting.pop(0)
            answer = LimitAnswered(order.evse.charger, order.evse.number, order.order_number, Outcome.ACCEPTED)
            more = self.put(answer)
            everything += more
            waiting += of(SetLimit, more)
        return everything

    def call(self, charger: str, action: str = "X") -> Call:
        self._message += 1
        return Call(ChargerId(charger), self._link, f"m{self._message}", action, frame=f"frame {self._message}")

    # --- what happens -------------------------------------------------------------------------------------------------

    def boot(self, *chargers: str) -> list[Decision]:
        decisions: list[Decision] = []
        for charger in chargers:
            self._link += 1
            decisions += self.put(ChargerConnected(ChargerId(charger), self._link, "ocpp1.6", "127.0.0.1", 1))
            decisions += self.put(ChargerBooted(self.call(charger), "Vendor", "Model"))
            decisions += self.put(FallbackAnswered(ChargerId(charger), Outcome.ACCEPTED))
        return self.settle(decisions)

    def drop(self, charger: str) -> list[Decision]:
        state = next(c for c in self.controller._chargers.by_id.values() if c.charger.id == charger)
        return self.settle(self.put(ChargerDisconnected(ChargerId(charger), state.link_number, "gone")))

    def status(self, charger: str, status: ConnectorStatus, evse: int = 1) -> list[Decision]:
        return self.settle(self.put(StatusReported(self.call(charger), evse, 1, status)))

    def meter(self, l1_a: float, l2_a: float | None = None, l3_a: float | None = None) -> list[Decision]:
        values = [round(1000 * (l1_a if value is None else value)) for value in (l1_a, l2_a, l3_a)]
        voltage_mv = None if self.volts is None else Phases.uniform(round(1000 * self.volts))
        reading = MeterReading(MAIN, self.mono_ms, Quality.GOOD, current_ma=Phases(*values), voltage_mv=voltage_mv)
        return self.settle(self.put(MeterRead(reading)))

    def start(
        self, charger: str, evse: int = 1, token: str = TAG, meter_wh: int | None = 1000, reported_utc_ms: int | None = -1
    ) -> list[Decision]:
        reported = self.utc_ms if reported_utc_ms == -1 else reported_utc_ms
        event = TransactionStarted(self.call(charger, "StartTransaction"), evse, 1, IdToken(token), meter_wh, reported)
        return self.settle(self.put(event))

    def values(
        self,
        charger: str,
        evse: int = 1,
        energy_wh: int | None = None,
        amps: tuple[float, ...] | None = None,
        power_w: int | None = None,
    ) -> list[Decision]:
        current = Phases(*(round(1000 * a) for a in amps)) if amps else None
        sample = Sample(reported_utc_ms=self.utc_ms, energy_wh=energy_wh, current_ma=current, power_w=power_w)
        return self.settle(self.put(MeterValuesReported(self.call(charger, "MeterValues"), evse, None, (sample,))))

    def stop(
        self,
        charger: str,
        transaction: str | None,
        meter_wh: int | None = 2000,
        token: str | None = None,
        reported_utc_ms: int | None = -1,
    ) -> list[Decision]:
        reported = self.utc_ms if reported_utc_ms == -1 else reported_utc_ms
        ref = None if transaction is None else TransactionRef(transaction)
        uid = None if token is None else IdToken(token)
        event = TransactionEnded(self.call(charger, "StopTransaction"), ref, uid, meter_wh, reported, "Local")
        return self.settle(self.put(event))

    def tick(self) -> list[Decision]:
        return self.settle(self.put(Tick()))

    def run(self, seconds: int, building_a: float | None = None, follows: bool = True) -> list[Decision]:
        """One tick and one guard reading a second; vehicles draw what they are told and report it every ten seconds."""
        decisions: list[Decision] = []
        for second in range(seconds):
            self.wait(1)
            if building_a is not None:
                drawn = self.drawn_ma() if follows else 0
                decisions += self.meter(building_a + drawn / 1000)
            if follows and second % 10 == 9:
                for evse in list(self.controller._balancing.vehicles):
                    amps = self.limit_a(evse.charger, evse.number)
                    decisions += self.values(evse.charger, evse.number, amps=(amps, amps, amps))
            decisions += self.tick()
        return decisions

    # --- what is -------------------------------------------------------------------------------------------------------

    def drawn_ma(self) -> int:
        return sum(round(1000 * self.limit_a(e.charger, e.number)) for e in self.controller._balancing.vehicles)

    def limit_a(self, charger: str, evse: int = 1) -> float:
        return self.controller._balancing.limits[EvseId(ChargerId(charger), evse)].commanded_ma / 1000

    def view(self, charger: str, evse: int = 1) -> EvseView:
        picture = self.controller.picture(self.now)
        return next(e for c in picture.chargers if c.id == charger for e in c.evses if e.number == evse)


def of(kind: type[Kind], decisions: Sequence[object]) -> list[Kind]:
    return [decision for decision in decisions if isinstance(decision, kind)]


def records(kind: type[Kind], decisions: Sequence[Decision]) -> list[Kind]:
    kept: list[Record] = [keep.record for keep in of(Keep, decisions)]
    return of(kind, kept)


def answer(decisions: Sequence[Decision]) -> Answer:
    """The one reply in the list."""
    (reply,) = of(Reply, decisions)
    return reply.answer


__all__ = ["ALL_PHASES", "GRID", "HALL", "MAIN", "TAG", "Bench", "answer", "of", "plant", "records"]
