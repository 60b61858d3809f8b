"""Energy from registers that may lie: integers, never negative, never more than the rated power could have delivered."""

from __future__ import annotations

from dataclasses import dataclass

from edgectl.domain.quirks import RegisterBehaviour
from edgectl.domain.units import Millis, WattHours, Watts

SLACK_WH: WattHours = 200
"""Registers of whole tenths of a kWh and clocks a few seconds apart make a short session look impossibly fast."""


@dataclass(frozen=True, slots=True)
class Energy:
    """Billable energy and the doubts about it."""

    energy_wh: WattHours
    flags: frozenset[str]


def plausible_wh(rated_w: Watts, elapsed_ms: Millis) -> WattHours:
    """The most that can have flowed in ``elapsed_ms``: rated power plus a tenth, and a fixed slack."""
    return rated_w * 11 // 10 * max(0, elapsed_ms) // 3_600_000 + SLACK_WH


def is_plausible(start_wh: WattHours | None, register_wh: WattHours, rated_w: Watts, elapsed_ms: Millis) -> bool:
    """Judged over the whole session: an offline queue delivers an hour of registers within a second."""
    return start_wh is None or 0 <= register_wh - start_wh <= plausible_wh(rated_w, elapsed_ms)


def session_energy(
    start_wh: WattHours | None, last_good_wh: WattHours | None, stop_wh: WattHours | None, rated_w: Watts, elapsed_ms: Millis
) -> Energy:
    """Stop minus start where that can be; else what the last good register shows; else nothing. Doubts are flagged.

    Args:
        start_wh: the register when the session began, None when never said.
        last_good_wh: the newest register of the session that passed ``is_plausible``.
        stop_wh: the register the stop message gives.
        rated_w: the most the EVSE can deliver.
        elapsed_ms: from start to stop on our clock or the charger's, whichever is longer.
    """
    flags: set[str] = set()
    if start_wh is None:
        return Energy(0, frozenset({"energy-unknown", "meter-start-missing"}))
    if stop_wh is None:
        flags.add("meter-stop-missing")
    elif stop_wh < start_wh:
        flags.add("register-backwards")
    elif not is_plausible(start_wh, stop_wh, rated_w, elapsed_ms):
        flags.add("register-jump")
    else:
        return Energy(stop_wh - start_wh, frozenset(flags))
    flags.add("energy-estimated")
    return Energy(max(0, (last_good_wh if last_good_wh is not None else start_wh) - start_wh), frozenset(flags))


def baseline(
    start_wh: WattHours | None, first_wh: WattHours, before_wh: WattHours | None, rated_w: Watts, elapsed_ms: Millis
) -> WattHours | None:
    """Where a session began whose start said zero although the register counts on: some say 0 at every start.

    Args:
        start_wh: what the start said.
        first_wh: the first register seen in the session.
        before_wh: the register as it was last seen before the session.
        rated_w: the most the EVSE can deliver.
        elapsed_ms: since the start.

    Returns:
        The register to count from, or None when the start's own can stand.
    """
    if start_wh != 0 or is_plausible(0, first_wh, rated_w, elapsed_ms):
        return None
    if before_wh is not None and before_wh > 0 and is_plausible(before_wh, first_wh, rated_w, elapsed_ms):
        return before_wh
    return first_wh


class RegisterWatch:
    """How the register of one EVSE behaves, from where it stands when sessions begin."""

    def __init__(self) -> None:
        self.behaviour = RegisterBehaviour.UNKNOWN
        self.before_wh: WattHours | None = None
        """Where it stood before the session that began last."""
        self._last_wh: WattHours | None = None
        self._has_booted = False
        self._is_first = False

    def booted(self) -> None:
        self._has_booted = True

    def note(self, register_wh: WattHours | None, *, is_start: bool = False) -> None:
        """A register as told, in the order of telling."""
        if register_wh is None or register_wh < 0:
            return
        if is_start:
            self.before_wh = self._last_wh
            if self._last_wh:  # after a register that stood at 0 every start looks alike
                self._judge(register_wh, self._last_wh)
            self._has_booted = False
        elif self._is_first and self._last_wh == 0 and self.before_wh and register_wh >= self.before_wh:
            self.behaviour = RegisterBehaviour.LIFETIME  # only the start said zero
        self._is_first = is_start
        self._last_wh = register_wh

    def _judge(self, register_wh: WattHours, last_wh: WattHours) -> None:
        if register_wh >= last_wh:
            self.behaviour = RegisterBehaviour.LIFETIME
        elif register_wh <= SLACK_WH:
            self.behaviour = RegisterBehaviour.BOOT if self._has_booted else RegisterBehaviour.SESSION
