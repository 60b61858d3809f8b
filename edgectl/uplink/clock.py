"""Whether the wall clock can be trusted with the expiry of commands, and nonces for while it cannot. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from edgectl.domain.settings import ClockNeed
from edgectl.domain.time import Instant, utc_ms
from edgectl.domain.units import Millis, UtcMillis

EARLIEST_UTC_MS: Final[UtcMillis] = utc_ms(datetime(2026, 1, 1, tzinfo=UTC))
"""Nothing runs this release before it was made."""
NONCE_MS: Final[Millis] = 10 * 60_000
"""How long a nonce is good for: a person reads the status, signs, sends."""
LOOK_MS: Final[Millis] = 1_000
"""How long the machine's word is good for; the pump asks a thousand times a second."""
BACKWARDS_MS: Final[Millis] = 5 * 60_000
"""A clock this far behind the last command has been set back."""


class CommandClock:
    """``is_synchronised`` asks the machine; ``latest_utc_ms`` is when the last command came that is known of."""

    def __init__(
        self, need: ClockNeed, is_synchronised: Callable[[], bool], chance: random.Random, latest_utc_ms: UtcMillis = 0
    ) -> None:
        self._need = need
        self._is_synchronised = is_synchronised
        self._chance = chance
        self._latest_utc_ms = latest_utc_ms
        self._nonce = ""
        self._made_mono_ms: Millis = 0
        self._was_synchronised = False
        self._looked_mono_ms: Millis | None = None

    def is_trusted(self, now: Instant) -> bool:
        """Not before this release, not behind the last command, and kept right by something unless the file says otherwise."""
        is_plausible = now.utc_ms >= max(EARLIEST_UTC_MS, self._latest_utc_ms - BACKWARDS_MS)
        return is_plausible and (self._need is ClockNeed.PLAUSIBLE or self._is_kept_right(now))

    def _is_kept_right(self, now: Instant) -> bool:
        looked_ms = self._looked_mono_ms
        if looked_ms is None or not 0 <= now.mono_ms - looked_ms < LOOK_MS:
            self._was_synchronised, self._looked_mono_ms = self._is_synchronised(), now.mono_ms
        return self._was_synchronised

    def note_command(self, now: Instant) -> None:
        """A command was let in at this moment."""
        self._latest_utc_ms = max(self._latest_utc_ms, now.utc_ms) if self.is_trusted(now) else self._latest_utc_ms

    def nonce(self, now: Instant) -> str | None:
        """What a command must carry now; None while the clock is trusted."""
        if self.is_trusted(now):
            self._nonce = ""
            return None
        if not self._nonce or now.mono_ms - self._made_mono_ms >= NONCE_MS:
            self._renew(now)
        return self._nonce

    def is_fresh(self, nonce: str | None, now: Instant) -> bool:
        """Whether this is the nonce of the moment."""
        return nonce is not None and nonce == self.nonce(now)

    def use(self, now: Instant) -> None:
        """One nonce, one command."""
        if self._nonce:
            self._renew(now)

    def _renew(self, now: Instant) -> None:
        self._nonce = f"{self._chance.getrandbits(128):032x}"
        self._made_mono_ms = now.mono_ms
