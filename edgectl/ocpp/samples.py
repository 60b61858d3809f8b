"""Sampled values of any version to ``Sample``: units, phases and the nonsense in between.

Numbers are scaled as integers and decimal digits, never as floats: 0.15003999999999998 kWh is 150 Wh, and 0.2899999 kWh must
not become 290.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgectl.domain.events import Sample
from edgectl.domain.phases import Phases
from edgectl.domain.units import UtcMillis

DROPPED_MAX = 8
"""Words kept per sample about what was not understood; a page of them tells no more than the first few."""
_MAGNITUDE_MAX = 10**13
"""In internal units: 10 TWh of register, 10 GA. Larger is a fault of the meter, not a measurement."""

_PLAIN_CHARS = 18
_NUMBER = re.compile(r"([+-]?)(\d{0,40})(?:\.(\d{0,400}))?(?:[eE]([+-]?\d{1,3}))?", re.ASCII)

DEFAULT_MEASURAND = "Energy.Active.Import.Register"

# measurand: (field, default unit, {unit: power of ten to the internal unit})
_USED: dict[str, tuple[str, str, dict[str, int]]] = {
    DEFAULT_MEASURAND: ("energy", "wh", {"wh": 0, "kwh": 3}),
    "Power.Active.Import": ("power", "w", {"w": 0, "kw": 3}),
    "Current.Import": ("current", "a", {"a": 3, "ma": 0}),
    "Current.Offered": ("offered", "a", {"a": 3, "ma": 0}),
    "Current.Import.Offered": ("offered", "a", {"a": 3, "ma": 0}),  # its name in OCPP 2.1
    "Voltage": ("voltage", "v", {"v": 3}),
    "SoC": ("soc", "percent", {"percent": 0, "%": 0}),
}
# Understood, of no use to us: skipped without a word.
_UNUSED_PREFIXES = (
    "Current.Export",
    "Current.Import.Minimum",
    "Display.",
    "Energy.Active.",
    "Energy.Apparent.",
    "Energy.Reactive.",
    "EnergyRequest.",
    "Frequency",
    "Power.",
    "RPM",
    "Temperature",
    "Voltage.",
)

_KNOWN_MAX = 4_000
"""Descriptions of a value remembered with their meaning: a site's chargers use some dozens, an attacker any number."""

_PHASES = {"L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2}


def scaled(value: object, power: int, *, is_floored: bool) -> int | None:
    """``value`` times ten to the ``power`` as an integer, rounded down or to the nearest; None when it is no usable number."""
    text = value if type(value) is str else repr(value) if type(value) in {int, float} else ""
    whole, _, fraction = text.partition(".")
    if whole.isdecimal() and len(text) <= _PLAIN_CHARS and text.isascii() and (not fraction or fraction.isdecimal()):
        shift = power - len(fraction)  # as nearly all are written
        digits = int(whole + fraction)
        if 0 <= shift <= _PLAIN_CHARS:
            plain = digits * 10**shift
        elif -2 * _PLAIN_CHARS <= shift < 0:
            plain = digits // 10**-shift if is_floored else (2 * digits // 10**-shift + 1) // 2
        else:
            return _scaled(value, power, is_floored=is_floored)
        return plain if plain < _MAGNITUDE_MAX else None
    return _scaled(value, power, is_floored=is_floored)


def _scaled(value: object, power: int, *, is_floored: bool) -> int | None:
    """The same for every way to write a number."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    found = _NUMBER.fullmatch(value.strip() if isinstance(value, str) else repr(value))
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups()
    digits = whole + (fraction or "")
    if not digits:
        return None
    shift = int(exponent or 0) + power - len(fraction or "")
    number = int(digits) * (-1 if sign == "-" else 1)
    if shift >= 0:
        # Ten to the 1000 is a legal exponent and a large integer; the magnitude is known before it is computed.
        result = number * 10**shift if number == 0 or shift <= 16 else _MAGNITUDE_MAX
    elif is_floored:
        result = number // 10**-shift
    else:
        result = (2 * number // 10**-shift + 1) // 2
    return result if abs(result) < _MAGNITUDE_MAX else None


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a value of one measurand, phase and unit is. ``complaint``: why it cannot be used; without a field it is unused."""

    field: str = ""
    place: int | None = None
    power: int = 0
    complaint: str = ""


_UNUSED = _Meaning()
_known: dict[tuple[str, str | None, str | None], _Meaning] = {}


def _meaning(measurand: str, phase: str | None, unit: str | None) -> _Meaning:
    key = (measurand, phase, unit)
    known = _known.get(key)
    if known is None:
        known = _work_out(measurand, phase, unit)
        if len(_known) < _KNOWN_MAX:
            _known[key] = known
    return known


def _work_out(measurand: str, phase: str | None, unit: str | None) -> _Meaning:
    used = _USED.get(measurand)
    if used is None:
        is_unused = measurand.startswith(_UNUSED_PREFIXES)
        return _UNUSED if is_unused else _Meaning(complaint=f"measurand {measurand[:50]}")
    field, default_unit, units = used
    power = units.get(unit.casefold() if unit else default_unit)
    if power is None:
        return _Meaning(complaint=f"unit {(unit or '')[:20]} of {measurand}")
    if phase and phase not in _PHASES:
        return _Meaning(field, -1, power, f"phase {phase[:10]} of {measurand}")
    return _Meaning(field, _PHASES[phase] if phase else None, power)


class SampleBuilder:
    """Gathers the values of one moment and context."""

    def __init__(self, reported_utc_ms: UtcMillis | None, context: str) -> None:
        self._reported_utc_ms = reported_utc_ms
        self._context = context
        self._total: dict[str, int] = {}
        self._phases: dict[str, list[int | None]] = {}
        self._signed: list[str] = []
        self._dropped: list[str] = []
        self._dropped_count = 0
        self._elsewhere: SampleBuilder | None = None

    def elsewhere(self) -> SampleBuilder:
        """For values measured at another place than the outlet: they count only for what the outlet does not say."""
        if self._elsewhere is None:
            self._elsewhere = SampleBuilder(self._reported_utc_ms, self._context)
        return self._elsewhere

    def drop(self, words: str) -> None:
        """Note, in words, what could not be understood."""
        self._dropped_count += 1
        if len(self._dropped) < DROPPED_MAX and words not in self._dropped:
            self._dropped.append(words)

    def sign(self, value: str) -> None:
        """Keep a signed meter value byte for byte."""
        self._signed.append(value)

    def add(self, measurand: str, phase: str | None, unit: str | None, value: object, power: int = 0) -> None:
        """Add one sampled value; ``power`` is the decimal multiplier OCPP 2.x has beside the unit."""
        meaning = _meaning(measurand, phase, unit)
        field = meaning.field
        if not field:
            if meaning.complaint:
                self.drop(meaning.complaint)
            return
        number = scaled(value, meaning.power + power, is_floored=field == "energy")
        if number is None or (field == "soc" and not 0 <= number <= 100):
            self.drop(f"value of {measurand}")
        elif meaning.place is None:
            self._total[field] = number
        elif meaning.complaint:
            self.drop(meaning.complaint)
        else:
            phases = self._phases.get(field)
            if phases is None:
                phases = self._phases[field] = [None, None, None]
            phases[meaning.place] = number

    @property
    def has_dropped(self) -> bool:
        return self._dropped_count > 0

    def build(self) -> Sample:
        """The sample. Per-phase currents win over a total, totals of power and energy over their parts."""
        if self._elsewhere is not None:
            self._complete_from(self._elsewhere)
        dropped = list(self._dropped)
        if self._dropped_count > len(dropped):
            dropped.append(f"{self._dropped_count} values in all")
        current = self._by_phase("current")
        voltage = self._by_phase("voltage")
        total_voltage = self._total.get("voltage")
        if voltage is None and total_voltage is not None:
            voltage = Phases.uniform(total_voltage)
        return Sample(
            reported_utc_ms=self._reported_utc_ms,
            context=self._context,
            energy_wh=self._sum("energy"),
            power_w=self._sum("power"),
            current_ma=current,
            current_single_ma=self._total.get("current") if current is None else None,
            voltage_mv=voltage,
            offered_ma=self._largest("offered"),
            soc_percent=self._largest("soc"),
            signed_values=tuple(self._signed),
            dropped=tuple(dropped),
        )

    def _complete_from(self, other: SampleBuilder) -> None:
        said = self._total.keys() | self._phases.keys()
        self._total |= {field: value for field, value in other._total.items() if field not in said}
        self._phases |= {field: values for field, values in other._phases.items() if field not in said}
        for words in other._dropped:
            self.drop(words)

    def _by_phase(self, field: str) -> Phases | None:
        # A phase that is not mentioned while others are carries nothing: single-phase cars are reported so.
        values = self._phases.get(field)
        return None if values is None else Phases(*(value or 0 for value in values))

    def _sum(self, field: str) -> int | None:
        if field in self._total:
            return self._total[field]
        phases = self._by_phase(field)
        return None if phases is None else phases.total

    def _largest(self, field: str) -> int | None:
        if field in self._total:
            return self._total[field]
        phases = self._by_phase(field)
        return None if phases is None else phases.largest
