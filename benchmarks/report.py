"""What a benchmark says: where it ran, medians with their spread, goals met or missed; and the same as JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Sequence
from typing import Any

Results = dict[str, Any]


class CheckFailedError(Exception):
    """The measured thing did not do its work, so its figures mean nothing."""


def machine() -> Results:
    """Where the figures come from; without it they cannot be compared."""
    names = ("edgectl", "ocpp", "websockets", "fastjsonschema", "msgspec", "aiohttp")
    versions = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "from source"
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "versions": versions,
    }


def describe_machine(found: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{found['cores']} cores {found['machine']}, load {found['load']}, Python {found['python']}, {versions}"


def middle(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def spread(values: Sequence[float]) -> str:
    """``median (least .. most)``."""
    if not values:
        return "-"
    return f"{_short(middle(values))} ({_short(min(values))} .. {_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def verdict(value: float, goal: float, *, is_least: bool = False) -> str:
    """``met`` or ``MISSED``: at most the goal, or with ``is_least`` at least."""
    return "met" if (value >= goal if is_least else value <= goal) else "MISSED"
