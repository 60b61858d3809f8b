"""What each vehicle draws and wants, as far as it shows: its phases, its current, whether it uses what it is offered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from edgectl.domain.events import ConnectorStatus, Sample
from edgectl.domain.ids import EvseId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import ZERO, Phase, Phases
from edgectl.domain.site import Charger
from edgectl.domain.time import Instant
from edgectl.domain.units import MilliAmps, Millis, MilliVolts, Watts, current_from_power_ma

REPORT_MAX_AGE_MS: Millis = 180_000
"""Some chargers report once a minute at best; three such reports missing is silence."""
SETTLE_MS: Millis = 8_000
"""After a new limit a vehicle may take 5 s to follow (IEC 61851-1), and the meter up to 3 s to show it."""
UNUSED_MA: MilliAmps = 3_000
"""Less drawn than offered by more than this ..."""
UNUSED_AFTER_MS: Millis = 15_000
"""... for this long: the difference is released to others, but for a small reserve that shows when it wants more."""
LATE_MS: Millis = 60_000
"""Who takes up his reserve so soon after it has left nothing unused: he follows late. He is waited for twice as long from
then on, this long at most."""
RESERVE_MA: MilliAmps = 2_000
ASKS_MS: Millis = 30_000
"""Who takes up his reserve is raised for so long as soon as others have confirmed that they give back what he had left them."""
DRAWING_MA: MilliAmps = 1_000
"""Above this a vehicle is charging; below lie standby and measuring noise."""

LEFT_OUT_PERCENT = 125
"""Of the power that the told currents carry. Voltage is within 10 % (EN 50160); a phase left out of three makes 150 %."""


class Use(Enum):
    """What a vehicle does with what it is offered, once it has had time to follow."""

    ALL = auto()
    """It takes what it gets: it may want more."""
    NEARLY_ALL = auto()
    """As a vehicle does that was left a reserve it does not need."""
    PART = auto()
    """It leaves some unused."""

    @classmethod
    def of(cls, drawn_ma: MilliAmps, offered_ma: MilliAmps) -> Use:
        if drawn_ma >= offered_ma - DRAWING_MA:
            return cls.ALL
        return cls.PART if drawn_ma < offered_ma - UNUSED_MA else cls.NEARLY_ALL


@dataclass(slots=True)
class Vehicle:
    """The vehicle at one EVSE, from plug-in to plug-out."""

    evse: EvseId
    charger: Charger
    status: ConnectorStatus = ConnectorStatus.UNKNOWN
    current_ma: Phases | None = None
    """On site phases, as the charger reports it."""
    power_w: Watts | None = None
    soc_percent: int | None = None
    reported_mono_ms: Millis | None = None
    phases: tuple[Phase, ...] = ()
    """The site phases it is taken to load; all the charger has until shown otherwise."""
    unused_since_mono_ms: Millis | None = None
    wanted_ma: MilliAmps | None = None
    """A cap learned from what it draws; None while it may want everything."""
    unused_after_ms: Millis = UNUSED_AFTER_MS
    """How long it may leave current unused before that is released."""
    released_mono_ms: Millis | None = None
    """When what it left was released; None while nothing is."""
    asked_mono_ms: Millis | None = None
    """When it last took up its reserve."""
    has_shown_phases: bool = False
    """Real current on named phases has been seen, twice in a row."""
    _narrow_count: int = 0
    _shown_count: int = 0

    def __post_init__(self) -> None:
        self.phases = self.charger.phases

    def report(self, sample: Sample, voltage_mv: MilliVolts, now: Instant, wiring: Wiring = Wiring.STAR) -> None:
        """Take in one sample: currents on the charger's own phases, mapped to the site's."""
        if sample.soc_percent is not None:
            self.soc_percent = sample.soc_percent
        if sample.power_w is not None:
            self.power_w = sample.power_w
        told_ma = self._told_ma(sample, wiring)
        leaves_out = told_ma is not None and self._leaves_out(told_ma, sample.power_w, voltage_mv)
        if told_ma is None:
            current_ma = self._assumed_ma(sample, voltage_mv, wiring)
        else:
            current_ma = Phases.on(self.charger.phases, told_ma.largest) if leaves_out else told_ma
        if current_ma is None:
            return
        self.current_ma = current_ma
        self.reported_mono_ms = now.mono_ms
        if leaves_out:
            self._forget_phases()
        elif told_ma is not None:
            self._learn_phases(told_ma)

    def _told_ma(self, sample: Sample, wiring: Wiring) -> Phases | None:
        """The currents it tells by phase, on the site's phases. Between lines none flows on one alone: some chargers tell the
        first of two."""
        if sample.current_ma is None:
            return None
        values = list(ZERO)
        for own, site_phase in enumerate(self.charger.phases):
            values[site_phase] = max(0, sample.current_ma[own])
        if wiring is Wiring.DELTA and sum(value >= DRAWING_MA for value in values) == 1:
            return Phases.on(self.charger.phases, max(values))
        return Phases(*values)

    def _assumed_ma(self, sample: Sample, voltage_mv: MilliVolts, wiring: Wiring) -> Phases | None:
        """A current without a phase is taken to flow on every phase the vehicle may use: the worst case for each conductor."""
        single_ma = sample.current_single_ma
        if single_ma is None and sample.power_w is not None:
            single_ma = current_from_power_ma(sample.power_w, wiring.load_mv(voltage_mv, len(self.phases)))
        return None if single_ma is None else Phases.on(self.phases, max(0, single_ma))

    def _leaves_out(self, told_ma: Phases, power_w: Watts | None, voltage_mv: MilliVolts) -> bool:
        """It draws clearly more power than these currents carry: some chargers tell the current of their first phase only."""
        if power_w is None or all(told_ma[phase] for phase in self.charger.phases):
            return False
        return power_w * 100 > told_ma.total * voltage_mv // 1_000_000 * LEFT_OUT_PERCENT > 0

    def _forget_phases(self) -> None:
        """Back to the worst case, until it tells all of its phases."""
        self.phases = self.charger.phases
        self.has_shown_phases = False
        self._narrow_count = self._shown_count = 0

    def _learn_phases(self, current_ma: Phases) -> None:
        drawing = tuple(phase for phase in self.charger.phases if current_ma[phase] >= DRAWING_MA)
        if not drawing:
            return
        self._shown_count += 1
        self.has_shown_phases = self._shown_count >= 2
        if set(drawing) - set(self.phases):
            self.phases = self.charger.phases  # it uses more than believed: back to the worst case at once
            self._narrow_count = 0
        elif len(drawing) < len(self.phases):
            # Two reports in a row, with real current, before a phase is given to others.
            self._narrow_count = self._narrow_count + 1 if current_ma.largest >= 2 * DRAWING_MA else 0
            if self._narrow_count >= 2:
                self.phases = drawing
                self._narrow_count = 0
        else:
            self._narrow_count = 0

    def drawn_ma(self, now: Instant) -> Phases | None:
        """The reported current, or None when it was never said or is too old."""
        if self.reported_mono_ms is None or now.mono_ms - self.reported_mono_ms > REPORT_MAX_AGE_MS:
            return None
        return self.current_ma

    @property
    def is_drawing(self) -> bool:
        if self.current_ma is not None:
            return self.current_ma.largest >= DRAWING_MA
        return self.power_w is not None and self.power_w >= 200

    def asks_again(self, now: Instant) -> bool:
        """It has just shown that it wants more than it was left with."""
        return self.asked_mono_ms is not None and now.mono_ms - self.asked_mono_ms < ASKS_MS

    @property
    def is_satisfied(self) -> bool:
        """The vehicle itself has paused: nothing is wanted now."""
        return self.status in {ConnectorStatus.SUSPENDED_EV, ConnectorStatus.FINISHING}

    def watch(self, commanded_ma: MilliAmps, changed_mono_ms: Millis, now: Instant) -> None:
        """Learn from what is drawn against what is offered, once the vehicle has had time to follow."""
        drawn_ma = self.drawn_ma(now)
        if drawn_ma is None or self.reported_mono_ms is None or self.reported_mono_ms < changed_mono_ms + SETTLE_MS:
            return
        largest_ma = drawn_ma.largest
        if commanded_ma <= 0:
            self.unused_since_mono_ms = None
            return
        use = Use.of(largest_ma, commanded_ma)
        if use is Use.ALL:
            self.unused_since_mono_ms = None
            if self.released_mono_ms is not None:
                self.asked_mono_ms = now.mono_ms
                if now.mono_ms - self.released_mono_ms < LATE_MS:
                    self.unused_after_ms = min(2 * self.unused_after_ms, LATE_MS)
            self.wanted_ma = self.released_mono_ms = None
        elif use is Use.PART:
            if self.unused_since_mono_ms is None:
                self.unused_since_mono_ms = now.mono_ms
            elif now.mono_ms - self.unused_since_mono_ms >= self.unused_after_ms:
                if self.released_mono_ms is None:
                    self.released_mono_ms = now.mono_ms
                self.wanted_ma = max(self.charger.min_ma, largest_ma + RESERVE_MA)
        else:
            self.unused_since_mono_ms = None
