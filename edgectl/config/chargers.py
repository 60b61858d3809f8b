"""Chargers: defaults filled in, AC amps and DC power as one current per phase, and what each falls to without us."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgectl.config.circuits import UNBALANCED_MA
from edgectl.config.electrical import LEAST_AC_MA, Span, milliamps
from edgectl.config.keys import ChargerDefaultKeys, ChargerKeys, CircuitKeys, SiteKeys
from edgectl.config.kinds import known_name
from edgectl.config.problems import Place, excerpt
from edgectl.config.quantities import CURRENT, POWER, Amount, Dimension, show
from edgectl.config.quirk_keys import quirk_values
from edgectl.config.sections import Entries
from edgectl.domain.ids import ChargerId, CircuitId
from edgectl.domain.phases import ALL_PHASES, Phase
from edgectl.domain.quirks import QuirkValue
from edgectl.domain.site import Charger, PowerKind
from edgectl.domain.units import MilliAmps, MilliVolts, Watts, current_from_power_ma, power_from_current_w

_DEFAULT_AC = Span(LEAST_AC_MA, 32_000)


@dataclass(frozen=True, slots=True)
class _Rating:
    """What a charger gives, still as written: AC in mA, DC in W."""

    kind: PowerKind
    span: Span
    place: Place

    @property
    def dimension(self) -> Dimension:
        return CURRENT if self.kind is PowerKind.AC else POWER

    def show(self, value: int) -> str:
        return show(value, self.dimension)


def compose_chargers(
    chargers: Entries[ChargerKeys], defaults: ChargerDefaultKeys, circuits: Entries[CircuitKeys], site: SiteKeys
) -> tuple[Charger, ...]:
    """The chargers that could be understood. Reports all that is wrong with them and with their defaults."""
    parents = {name: keys.fed_by for name, keys in circuits if keys.fed_by in circuits.sections}
    _check_one_rating(defaults)
    if defaults.fallback is not None and ("current" in defaults.written or "power" in defaults.written):
        rating = _rating(defaults, defaults)
        if rating is not None:
            _is_possible(defaults.fallback, rating, defaults.at("fallback"))
    composed = []
    for name, keys in chargers:
        is_circuit_known = keys.circuit is not None and known_name(
            keys.circuit, circuits.sections, "circuits", keys.at("circuit")
        )
        charger = _charger(name, keys, defaults, site)
        if charger is not None and is_circuit_known:
            _check_fit(charger, keys, circuits, parents, site)
            composed.append(charger)
    return tuple(composed)


def _charger(name: str, keys: ChargerKeys, defaults: ChargerDefaultKeys, site: SiteKeys) -> Charger | None:
    _check_one_rating(keys)
    rating = _rating(keys, defaults)
    if rating is None:
        return None
    fallback = _fallback(keys, defaults, rating)
    evses_from = keys if "evses" in keys.written else defaults
    phases_from = keys if "phases" in keys.written else defaults
    if fallback is None or keys.circuit is None or not phases_from.is_sound("phases"):
        return None
    phases = phases_from.phases or ALL_PHASES
    min_ma, max_ma, fallback_ma = rating.span.low, rating.span.high, fallback
    if rating.kind is PowerKind.DC:
        min_ma, max_ma, fallback_ma = _currents_of_powers(rating.span, fallback, site.load_mv(len(phases)))
    return Charger(
        id=ChargerId(name),
        circuit=CircuitId(keys.circuit),
        kind=rating.kind,
        evse_count=evses_from.evses or 1,
        min_ma=min_ma,
        max_ma=max_ma,
        fallback_ma=fallback_ma,
        phases=phases,
        unbalanced_ma=_unbalanced_ma(keys, defaults, site) if rating.kind is PowerKind.AC else None,
        plug=keys.plug or defaults.plug,
        is_fallback_vouched=bool(keys.fallback_verified if "fallback_verified" in keys.written else defaults.fallback_verified),
        own_quirks=_own_quirks(keys, defaults, min_ma, max_ma),
    )


def _unbalanced_ma(keys: ChargerKeys, defaults: ChargerDefaultKeys, site: SiteKeys) -> MilliAmps | None:
    """Its own setting for vehicles on fewer phases; where the file says nothing, what the country asks of every charger."""
    for source in (keys, defaults):
        if "unbalanced_limit" in source.written:
            return source.unbalanced_limit
    return UNBALANCED_MA.get(site.country or "")


def _own_quirks(
    keys: ChargerKeys, defaults: ChargerDefaultKeys, min_ma: MilliAmps, max_ma: MilliAmps
) -> tuple[tuple[str, QuirkValue], ...]:
    """The charger's quirks over the default ones; each must be possible with its rating."""
    for key in ("minimum", "wakes_at"):
        value = getattr(keys.quirks, key, None)
        if value is not None and value > max_ma:
            keys.quirks.at(key).wrong("is above the charger's maximum", f"at most {milliamps(max_ma)}")  # type: ignore[union-attr]
    if keys.quirks is not None and keys.quirks.steps is not None and not any(min_ma <= s <= max_ma for s in keys.quirks.steps):
        keys.quirks.at("steps").wrong("holds no current the charger can give", f"{milliamps(min_ma)} to {milliamps(max_ma)}")
    return tuple((dict(quirk_values(defaults.quirks)) | dict(quirk_values(keys.quirks))).items())


def _check_one_rating(keys: ChargerDefaultKeys) -> None:
    if "current" in keys.written and "power" in keys.written:
        keys.at("power").wrong("stands beside `current`", "keep one: `current` for an AC charger, `power` for a DC charger")


def _rating(keys: ChargerDefaultKeys, defaults: ChargerDefaultKeys) -> _Rating | None:
    """The charger's own rating before the default one; None where the one that counts is broken or not clear."""
    for source in (keys, defaults):
        if "current" in source.written and "power" in source.written:
            return None
        for key, span, kind in (("power", source.power, PowerKind.DC), ("current", source.current, PowerKind.AC)):
            if key in source.written:
                return None if span is None else _Rating(kind, span, source.at(key))
    return _Rating(PowerKind.AC, _DEFAULT_AC, keys.place)


def _fallback(keys: ChargerKeys, defaults: ChargerDefaultKeys, rating: _Rating) -> int | None:
    """In the rating's unit."""
    if "fallback" in keys.written:
        if keys.fallback is None:
            return None
        return keys.fallback.value if _is_possible(keys.fallback, rating, keys.at("fallback")) else None
    if "fallback" in defaults.written and defaults.fallback is None:
        return None
    if defaults.fallback is not None and defaults.fallback.dimension is rating.dimension:
        # A default that does not suit this charger is the charger's matter: others may live with it well.
        is_own_rating = rating.place.path.startswith(f"{keys.place.path}.")
        place = rating.place if is_own_rating else defaults.at("fallback")
        return defaults.fallback.value if _is_possible(defaults.fallback, rating, place) else None
    if rating.kind is PowerKind.DC:
        keys.at("fallback").wrong("is missing", "say what the DC charger falls to without us, for example `fallback: 0 kW`")
        return None
    return rating.span.low


def _is_possible(fallback: Amount, rating: _Rating, place: Place) -> bool:
    low, high = rating.span.low, rating.span.high
    allowed = f"{rating.show(0)}, or {rating.show(low)} to {rating.show(high)}"
    told = f"the fallback {fallback}"
    if fallback.dimension is not rating.dimension:
        place.wrong(f"{told} does not suit {'an AC' if rating.kind is PowerKind.AC else 'a DC'} charger", allowed)
    elif fallback.value > high:
        place.wrong(f"{told} is above the maximum {rating.show(high)}", allowed)
    elif 0 < fallback.value < low:
        place.wrong(f"{told} is between 0 and the minimum {rating.show(low)}, where nothing is possible", allowed)
    else:
        return True
    return False


def _currents_of_powers(span: Span, fallback_w: Watts, load_mv: MilliVolts) -> tuple[MilliAmps, MilliAmps, MilliAmps]:
    """Minimum, maximum and fallback of a DC charger as current per phase.

    The maximum rounds down and the minimum up, so that neither promises what was not written. A fallback at the minimum
    stays at the minimum, whatever the rounding, because a value between 0 and the minimum is not possible.
    """
    max_ma = current_from_power_ma(span.high, load_mv)
    min_ma = min(max_ma, -current_from_power_ma(-span.low, load_mv))
    fallback_ma = current_from_power_ma(fallback_w, load_mv)
    return min_ma, max_ma, max(fallback_ma, min_ma) if fallback_w else 0


def _check_fit(
    charger: Charger, keys: ChargerKeys, circuits: Entries[CircuitKeys], parents: Mapping[str, str | None], site: SiteKeys
) -> None:
    """What one EVSE falls to by itself must fit every conductor above it; all together are the matter of the proof."""
    seen: set[str] = set()
    current: str | None = charger.circuit
    while current is not None and current not in seen:
        seen.add(current)
        circuit = circuits.sections[current]
        current = parents.get(current)
        if circuit.limit is None or not circuit.is_sound("power"):
            continue
        name = excerpt(circuit.place.path.removeprefix(f"{circuits.place.path}."))
        least_ma, phase = min((circuit.limit.current_ma[phase], phase) for phase in charger.phases)
        power_w = circuit.power if circuit.limit.power_w is None else circuit.limit.power_w
        fallback_w = power_from_current_w(charger.fallback_ma, site.load_mv(len(charger.phases)))
        if charger.fallback_ma > least_ma:
            keys.at("fallback").wrong(
                f"the fallback {milliamps(charger.fallback_ma)} is above the limit of circuit {name}",
                f"at most {milliamps(least_ma)} ({Phase(phase).name} of {name})",
            )
            return
        if power_w is not None and fallback_w > power_w:
            keys.at("fallback").wrong(
                f"the fallback {show(fallback_w, POWER)} is above the power limit of circuit {name}",
                f"at most {show(power_w, POWER)}",
            )
            return
        if charger.min_ma > least_ma:
            keys.place.warn(
                f"can never charge: its minimum {milliamps(charger.min_ma)} is above the limit of circuit {name}",
                f"at most {milliamps(least_ma)} ({Phase(phase).name} of {name})",
            )
            return
