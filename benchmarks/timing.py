"""CPU time of a call: the median of rounds, each long enough to measure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ROUNDS = 7
ROUND_S = 0.15


def cpu_us(call: Callable[[], object]) -> float:
    """Microseconds of process CPU time for one call."""
    count = 1
    while True:
        began = time.process_time()
        for _ in range(count):
            call()
        spent = time.process_time() - began
        if spent >= ROUND_S / 5:
            break
        count *= 4
    count = max(1, round(count * ROUND_S / spent))
    results = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(count):
            call()
        results.append((time.process_time() - began) / count * 1e6)
    return statistics.median(results)
