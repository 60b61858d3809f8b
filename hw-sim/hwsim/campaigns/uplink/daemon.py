"""The real daemon, with a civil clock that can be put forwards (SIGUSR1) and backwards (SIGUSR2), and little patience with the
broker: a fault a second must not teach it any.

    python -m hwsim.campaigns.uplink.daemon SITE_FILE DATA_DIR SOCKET
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from edgectl.app import run
from edgectl.domain.time import Instant
from edgectl.runtime.clock import SystemClock
from edgectl.uplink import paho
from hwsim.campaigns.uplink.gateway import JUMP_MS, LONGEST_PAUSE_S

_jumps_ms: list[int] = []


def _now(_: SystemClock) -> Instant:
    return Instant(mono_ms=time.monotonic_ns() // 1_000_000, utc_ms=time.time_ns() // 1_000_000 + sum(_jumps_ms))


def main() -> None:
    site, data, socket_path = map(Path, sys.argv[1:])
    signal.signal(signal.SIGUSR1, lambda *_: _jumps_ms.append(JUMP_MS))
    signal.signal(signal.SIGUSR2, lambda *_: _jumps_ms.append(-JUMP_MS))
    SystemClock.now = _now  # type: ignore[method-assign, assignment]
    paho.FIRST_PAUSE_S = paho.LONGEST_PAUSE_S = LONGEST_PAUSE_S  # type: ignore[misc]
    sys.exit(run(site, data, socket_path))


if __name__ == "__main__":
    main()
