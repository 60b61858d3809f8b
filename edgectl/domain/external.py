"""Limits that come from outside the site's file: who sets them, on what, for how long, and what holds afterwards.

They narrow what the file allows and never widen it. A wish is what a door was asked; ``core.external`` decides on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from edgectl.domain.ids import ChargerId, CircuitId, InputId
from edgectl.domain.phases import ALL_PHASES, Phases
from edgectl.domain.time import utc_ms
from edgectl.domain.units import MilliAmps, Millis, UtcMillis, Watts

LARGEST_MA: Final[MilliAmps] = 10_000_000
"""No low-voltage connection carries more than 10 kA; more is a slip of the unit."""
LARGEST_W: Final[Watts] = 10_000_000
LONGEST_MS: Final[Millis] = 31 * 86_400_000
"""What is to hold longer than a month belongs into the site's file."""


class LimitSource(StrEnum):
    """By which door a limit came: an authority. Each has one limit on one thing, and lifts no other's."""

    BACKEND = "backend"
    LOCAL_API = "local-api"
    LOCAL_CLI = "local-cli"
    INPUT = "input"
    """A contact or register; it has no expiry, it is read."""


class TargetKind(StrEnum):
    CIRCUIT = "circuit"
    CHARGER = "charger"


@dataclass(frozen=True, slots=True)
class Target:
    """What a limit is on: all that flows in a circuit, or all EVSEs of a charger together."""

    kind: TargetKind
    name: str

    @property
    def place(self) -> CircuitId:
        """The conductor it means. A charger's own feed is none of the site's circuits, whose names have no colon."""
        return CircuitId(self.name if self.kind is TargetKind.CIRCUIT else f"charger:{self.name}")

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"


def charger_place(charger: ChargerId) -> CircuitId:
    """The feed of one charger, as a conductor."""
    return Target(TargetKind.CHARGER, charger).place


@dataclass(frozen=True, slots=True)
class Amount:
    """How much: a current per phase, a power over all phases, both, or (nothing given) no limit. 0 means 0."""

    current_ma: Phases | None = None
    power_w: Watts | None = None

    @property
    def is_none(self) -> bool:
        return self.current_ma is None and self.power_w is None

    def lowest(self, other: Amount) -> Amount:
        """What satisfies both."""
        current_ma = self.current_ma or other.current_ma
        if self.current_ma is not None and other.current_ma is not None:
            current_ma = self.current_ma.at_most(other.current_ma)
        powers = [power_w for power_w in (self.power_w, other.power_w) if power_w is not None]
        return Amount(current_ma, min(powers, default=None))

    def narrows(self, other: Amount) -> bool:
        """True when nothing is allowed here that ``other`` forbids."""
        has_current = other.current_ma is None or (self.current_ma is not None and self.current_ma.fits(other.current_ma))
        return has_current and (other.power_w is None or (self.power_w is not None and self.power_w <= other.power_w))

    def __str__(self) -> str:
        parts = []
        if self.current_ma is not None:
            same = len(set(self.current_ma)) == 1
            each = [f"{phase.name} {self.current_ma[phase] / 1000:g} A" for phase in ALL_PHASES]
            parts.append(f"{self.current_ma.l1 / 1000:g} A" if same else ", ".join(each))
        if self.power_w is not None:
            parts.append(f"{self.power_w / 1000:g} kW")
        return " and ".join(parts) or "no limit"


@dataclass(frozen=True, slots=True)
class LimitWish:
    """What a door was asked for. Without an ``amount`` the authority's own earlier limit there is lifted."""

    target: Target
    amount: Amount | None = None
    until_utc_ms: UtcMillis | None = None
    for_ms: Millis | None = None
    """One of the two says when it ends."""
    then: Amount | None = None
    """What holds after its end, until it is lifted; None: what the file allows."""


@dataclass(frozen=True, slots=True)
class Level:
    """What one value of an input means. With nothing given: no limit."""

    share_percent: int | None = None
    """Of what the file allows there."""
    current_ma: MilliAmps | None = None
    power_w: Watts | None = None

    def times(self, count: int) -> Level:
        """The level of a register that counts in this one."""
        return Level(*(None if part is None else part * count for part in (self.share_percent, self.current_ma, self.power_w)))

    def of(self, allowed: Amount) -> Amount:
        """As an amount, where the file allows ``allowed``."""
        if self.share_percent is not None:
            share_percent = min(100, self.share_percent)
            current_ma = None if allowed.current_ma is None else allowed.current_ma.map(lambda ma: ma * share_percent // 100)
            return Amount(current_ma, None if allowed.power_w is None else allowed.power_w * share_percent // 100)
        return Amount(None if self.current_ma is None else Phases.uniform(self.current_ma), self.power_w)


@dataclass(frozen=True, slots=True)
class ExternalInput:
    """A contact or register that says how much may flow, e.g. the relay of a network operator."""

    id: InputId
    target: Target
    levels: tuple[tuple[int, Level], ...] = ()
    """What each value means; any other value counts as lost."""
    per_count: Level | None = None
    """Or: the value counts in this."""
    when_lost: Level = Level(share_percent=0)
    """What holds while it cannot be read."""
    max_age_ms: Millis = 5_000
    """Older than this its last value counts as none."""


# --- what a door was asked, read from JSON ---------------------------------------------------------------------------------

_WISH_KEYS: Final = ("circuit", "charger", "current_ma", "power_w", "until", "for_s", "then", "lift")


class WishError(ValueError):
    """It cannot be understood, or is absurd; the text says why and what is allowed."""


def read_wish(arguments: Mapping[str, Any]) -> LimitWish:
    """A wish from the arguments of a request, as MQTT and HTTP carry them.

    Raises:
        WishError: something is missing, unknown, or no possible value.
    """
    unknown = sorted(str(key)[:40] for key in arguments.keys() - set(_WISH_KEYS))
    if unknown:
        raise WishError(f"{unknown[0]!r} is not known here; allowed are {', '.join(_WISH_KEYS)}")
    named = [kind for kind in TargetKind if kind.value in arguments]
    if len(named) != 1:
        raise WishError("name one `circuit` or one `charger`")
    name = arguments[named[0].value]
    if not isinstance(name, str) or not name:
        raise WishError(f"`{named[0].value}` is a name")
    target = Target(named[0], name)
    if arguments.get("lift", False) is True:
        if arguments.keys() - {"circuit", "charger", "lift"}:
            raise WishError("`lift` stands alone beside the name")
        return LimitWish(target)
    if "lift" in arguments:
        raise WishError("`lift` can only be true")
    amount = _amount(arguments)
    then = arguments.get("then")
    if then is not None and (not isinstance(then, Mapping) or then.keys() - {"current_ma", "power_w"}):
        raise WishError("`then` is an object with `current_ma`, `power_w` or both")
    until, for_s = arguments.get("until"), arguments.get("for_s")
    if (until is None) == (for_s is None):
        raise WishError("say when it ends: `until`, a moment such as 2026-03-01T18:00:00Z, or `for_s`, seconds")
    return LimitWish(
        target,
        amount,
        until_utc_ms=None if until is None else _moment(until),
        for_ms=None if for_s is None else 1_000 * _number(for_s, "for_s", LONGEST_MS // 1_000, "seconds", least=1),
        then=None if then is None else _amount(then),
    )


def _amount(arguments: Mapping[str, Any]) -> Amount:
    current, power = arguments.get("current_ma"), arguments.get("power_w")
    if current is None and power is None:
        raise WishError("say how much: `current_ma`, `power_w` or both")
    current_ma: Phases | None = None
    if isinstance(current, Mapping):
        names = [phase.name for phase in ALL_PHASES]
        if set(current) != set(names):
            raise WishError("`current_ma` is one number, or names all of L1, L2 and L3")
        current_ma = Phases(*(_number(current[name], f"current_ma.{name}", LARGEST_MA, "milliamps") for name in names))
    elif current is not None:
        current_ma = Phases.uniform(_number(current, "current_ma", LARGEST_MA, "milliamps"))
    return Amount(current_ma, None if power is None else _number(power, "power_w", LARGEST_W, "watts"))


def _number(value: object, name: str, largest: int, unit: str, least: int = 0) -> int:
    """A whole number in its bounds; JSON's true, 1.5, 1e400 and NaN are none."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= largest:
        raise WishError(f"`{name}` is {str(value)[:30]!r}; a whole number of {unit} from {least} to {largest} is allowed")
    return value


def _moment(value: object) -> UtcMillis:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise WishError(f"`until` is {str(value)[:40]!r}; a moment with its zone such as 2026-03-01T18:00:00Z is allowed")
    return utc_ms(moment)
