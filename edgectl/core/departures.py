"""Who must leave when, with how much: targets, and how they stand against what the conductors can really deliver.

A target is asked for by a person or the backend, for an EVSE or for a token, and remembered over a restart. *Laxity* is the
time that could still be lost: time left, less the time its energy takes at the current the conductors can give it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from edgectl.domain.decisions import Decision, Remember
from edgectl.domain.events import ActionRequested
from edgectl.domain.ids import EvseId, SessionId
from edgectl.domain.records import Session
from edgectl.domain.remembered import TARGETS
from edgectl.domain.site import Charger
from edgectl.domain.time import Instant, utc_ms
from edgectl.domain.units import MilliAmps, Millis, UtcMillis, WattHours

SPARE_MS: Millis = 15 * 60_000
"""With less laxity than this a departure is pressing: it comes before turns and may break soft limits. One rotation, so that
somebody who has to wait for one more turn still makes it."""
GUARD_MS: Millis = 5 * 60_000
"""Energy is planned to be there this long before the departure: the last minutes of a battery are slow."""
ACTIONS = ("set-target", "set-priority", "clear-target")
"""The actions that are about targets; they need no answer of the charger."""
KEPT_MS: Millis = 24 * 3_600_000
"""A target nobody came for is forgotten this long after its departure."""
TARGETS_MAX = 500
"""Each is a document of the state file, which holds 2,000 of all kinds."""
ENERGY_MAX_WH: WattHours = 2_000_000
"""More than any vehicle's battery."""


@dataclass(frozen=True, slots=True)
class Target:
    """So much by then. Either may be missing: a priority alone is a target too."""

    energy_wh: WattHours | None = None
    """In this session, from its start."""
    depart_utc_ms: UtcMillis | None = None
    priority: int | None = None
    """Instead of the token's."""
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How a target stands now."""

    remaining_wh: WattHours
    left_ms: Millis
    need_ma: MilliAmps
    """The even current that would just do."""
    laxity_ms: Millis
    """Negative: it will be missed by about that much charging."""

    @property
    def is_pressing(self) -> bool:
        return self.laxity_ms < SPARE_MS


def outlook(remaining_wh: WattHours, left_ms: Millis, reach_ma: MilliAmps, voltage_mw_per_ma: int) -> Outlook | None:
    """None when there is nothing left to plan: the energy is there, or the departure is past.

    ``reach_ma`` is what the conductors could give it, alone beside everybody else's minimum; ``voltage_mw_per_ma`` what one
    milliamp per phase is in milliwatts.
    """
    if remaining_wh <= 0 or left_ms <= 0:
        return None
    usable_ms = max(left_ms - GUARD_MS, left_ms // 2)
    work_mw_ms = remaining_wh * 3_600_000_000
    need_ma = -(-work_mw_ms // (usable_ms * voltage_mw_per_ma))
    takes_ms = -(-work_mw_ms // (max(1, reach_ma) * voltage_mw_per_ma))
    return Outlook(remaining_wh, left_ms, need_ma, usable_ms - takes_ms)


class Departures:
    """The targets of a site, by EVSE (``CP-1/1``) and by token (``token:UID``)."""

    def __init__(self, remembered: Mapping[str, Mapping[str, object]]) -> None:
        self._targets: dict[str, Target] = {}
        self._used: dict[str, SessionId] = {}
        """The session at the EVSE of each target."""
        for key, document in remembered.items():
            target = _target(document)
            if target is not None:
                self._targets[key] = target

    def of(self, session: Session | None, evse: EvseId) -> Target | None:
        """The target of whoever is at this EVSE."""
        if session is None:
            return None
        own = self._targets.get(str(evse))
        if own is not None:
            self._used[str(evse)] = session.id
            return own
        return self._targets.get(token_key(session.id_token)) if session.id_token else None

    def asked(self, event: ActionRequested, charger: Charger | None, timezone: str, now: Instant) -> tuple[str, list[Decision]]:
        """``set-target``, ``set-priority`` or ``clear-target``: why not, or nothing, and what is to be remembered."""
        arguments = dict(event.arguments)
        if "token" in arguments:
            key = token_key(arguments["token"])
        elif charger is None:
            return f"no charger is called {event.charger}", []
        else:
            number = arguments.get("evse", "1" if charger.evse_count == 1 else "")
            evse = next((evse for evse in charger.evses if str(evse.number) == number), None)
            if evse is None:
                return f"name an EVSE of {charger.id}: {charger.id}/1 to {charger.id}/{charger.evse_count}", []
            key = str(evse)
        if event.name == "clear-target":
            return "", self._forget(key)
        try:
            return "", self._set(key, arguments, timezone, event.actor, now)
        except ValueError as problem:
            return str(problem), []

    def _set(self, key: str, arguments: Mapping[str, str], timezone: str, actor: str, now: Instant) -> list[Decision]:
        before = self._targets.get(key, Target())
        target = Target(
            parse_energy_wh(arguments["energy"]) if "energy" in arguments else before.energy_wh,
            parse_moment(arguments["by"], timezone, now.utc_ms) if "by" in arguments else before.depart_utc_ms,
            _priority(arguments["priority"]) if "priority" in arguments else before.priority,
            actor,
        )
        if (target.energy_wh is None) != (target.depart_utc_ms is None):
            raise ValueError("a target is an energy and a departure, such as 30 kWh by 06:30")
        if target.energy_wh is None and target.priority is None:
            raise ValueError("nothing was said: an energy and a departure, or a priority, are needed")
        if len(self._targets) >= TARGETS_MAX and key not in self._targets:
            raise ValueError(f"{TARGETS_MAX} targets are known already; clear some")
        self._targets[key] = target
        return [Remember(TARGETS, key, asdict(target))]

    def tidy(self, running: Container[SessionId], now: Instant) -> list[Decision]:
        """The target of an EVSE goes with the session; one of a token stays until its time is long over."""
        gone = [key for key, session in self._used.items() if session not in running]
        old = [k for k, t in self._targets.items() if t.depart_utc_ms is not None and t.depart_utc_ms + KEPT_MS < now.utc_ms]
        return [decision for key in (*gone, *old) for decision in self._forget(key)]

    def _forget(self, key: str) -> list[Decision]:
        self._used.pop(key, None)
        if self._targets.pop(key, None) is None:
            return []
        return [Remember(TARGETS, key, {})]  # an empty document is no target


def token_key(uid: str) -> str:
    return f"token:{uid.strip().casefold()}"


def _target(document: Mapping[str, object]) -> Target | None:
    """What a state file says; None for what is no target."""
    numbers = [document.get(name) for name in ("energy_wh", "depart_utc_ms", "priority")]
    if not any(number is not None for number in numbers) or not all(n is None or isinstance(n, int) for n in numbers):
        return None
    energy_wh, depart_utc_ms, priority = (number if isinstance(number, int) else None for number in numbers)
    return Target(energy_wh, depart_utc_ms, priority, str(document.get("actor", "")))


def parse_energy_wh(text: str) -> WattHours:
    """``30 kWh`` or ``30000 Wh``.

    Raises:
        ValueError: it is not an energy.
    """
    match = re.fullmatch(r"\s*(\d{1,7}(?:\.\d{1,3})?)\s*(kWh|Wh)\s*", text, re.ASCII | re.IGNORECASE)
    if match is None:
        raise ValueError(f"{text!r} is not an energy; write it like 30 kWh")
    value = Decimal(match[1]) * (1_000 if match[2].casefold() == "kwh" else 1)
    if not 0 < value <= ENERGY_MAX_WH:
        raise ValueError(f"{text!r} is out of range; up to {ENERGY_MAX_WH // 1_000} kWh")
    return int(value)


def parse_moment(text: str, timezone: str, now_utc_ms: UtcMillis) -> UtcMillis:
    """``06:30``, the next one on the clock of the site, or a moment with its offset.

    Raises:
        ValueError: it is not a moment, or in the past.
    """
    now = datetime.fromtimestamp(now_utc_ms / 1_000, UTC)
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text, re.ASCII):
        there = now.astimezone(ZoneInfo(timezone))
        moment = there.replace(hour=int(text[:2]), minute=int(text[3:]), second=0, microsecond=0)
        return utc_ms(moment if moment > there else moment + timedelta(days=1))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a moment; write 06:30 or 2027-03-01T06:30:00+01:00") from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset, so its moment is unknown; write it like 2027-03-01T06:30:00+01:00")
    if utc_ms(moment) <= now_utc_ms:
        raise ValueError(f"{text!r} is past")
    if utc_ms(moment) > now_utc_ms + 7 * 24 * 3_600_000:
        raise ValueError(f"{text!r} is more than a week ahead")
    return utc_ms(moment)


def _priority(text: str) -> int:
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or int(text) > 100:
        raise ValueError(f"{text!r} is not a priority; 0 to 100, larger is served first")
    return int(text)
