"""Measurements for the backend: a row for each thing every ten seconds, in blocks by column (contract ``tele/{kind}``).

A block is in memory until it is full or five minutes old, so a crash costs that much of what may be lost anyway. The present
states go their own way and wait for no block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgectl.core.balancing import Balancing
from edgectl.core.sessions import Sessions
from edgectl.domain.decisions import Decision, Keep, WakeUplink
from edgectl.domain.phases import ALL_PHASES, Phases
from edgectl.domain.records import TelemetryKept
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis

INTERVAL_MS: Millis = 10_000
BLOCK_MS: Millis = 5 * 60_000
BLOCK_ROWS_COUNT = 2_000
"""Some 90 kB of JSON and 20 kB when packed: a message of MQTT that no broker minds."""


@dataclass(slots=True)
class _Block:
    from_mono_ms: Millis
    from_utc_ms: UtcMillis
    things: list[str] = field(default_factory=list)
    thing: list[int] = field(default_factory=list)
    offset_ms: list[int] = field(default_factory=list)
    columns: dict[str, list[int | None]] = field(default_factory=dict)

    def add(self, thing: str, values: Mapping[str, int | None], now: Instant) -> None:
        if thing not in self.things:
            self.things.append(thing)
        self.thing.append(self.things.index(thing))
        self.offset_ms.append(now.mono_ms - self.from_mono_ms)
        for name, value in values.items():
            self.columns.setdefault(name, []).append(value)


class TelemetryBook:
    """The blocks that are being filled."""

    def __init__(self) -> None:
        self._blocks: dict[str, _Block] = {}
        self._sampled_mono_ms: Millis | None = None

    def sample(self, balancing: Balancing, sessions: Sessions, now: Instant) -> list[Decision]:
        """Take a row of everything when it is time, and give away the blocks that are full or old."""
        if self._sampled_mono_ms is not None and now.mono_ms - self._sampled_mono_ms < INTERVAL_MS:
            return []
        self._sampled_mono_ms = now.mono_ms
        for evse, vehicle in balancing.vehicles.items():
            limit, session = balancing.limits[evse], sessions.at(evse)
            self._add(
                "evse",
                str(evse),
                {
                    "limit_ma": limit.commanded_ma,
                    "confirmed_ma": limit.confirmed_now_ma(now),
                    **_by_phase("current", vehicle.current_ma),
                    "power_w": vehicle.power_w,
                    "energy_wh": session.energy_wh if session is not None else None,
                    "soc_percent": vehicle.soc_percent,
                },
                now,
            )
        for meter in balancing.meters.by_id.values():
            current_ma = meter.current_ma(now)
            good = meter.good if current_ma is not None else None
            values = {
                "power_w": good.power_total_w if good is not None else None,
                "energy_import_wh": good.energy_import_wh if good is not None else None,
            }
            self._add("meter", meter.meter.id, {**_by_phase("current", current_ma), **values}, now)
        for circuit in balancing.circuits.by_id.values():
            allowed = _by_phase("allowed", circuit.allowed_ma)
            self._add("circuit", circuit.circuit.id, {**_by_phase("current", circuit.measured_ma), **allowed}, now)
        return self._full(now)

    def _add(self, kind: str, thing: str, values: Mapping[str, int | None], now: Instant) -> None:
        block = self._blocks.get(kind)
        if block is None:
            block = self._blocks[kind] = _Block(now.mono_ms, now.utc_ms)
        block.add(thing, values, now)

    def _full(self, now: Instant) -> list[Decision]:
        found: list[Decision] = []
        for kind, block in list(self._blocks.items()):
            if len(block.thing) >= BLOCK_ROWS_COUNT or now.mono_ms - block.from_mono_ms >= BLOCK_MS:
                del self._blocks[kind]
                body: dict[str, object] = {
                    "things": block.things,
                    "thing": block.thing,
                    "offset_ms": block.offset_ms,
                    "columns": block.columns,
                }
                found.append(Keep(TelemetryKept(kind, block.from_utc_ms, block.from_utc_ms + block.offset_ms[-1], body)))
        return [*found, WakeUplink()] if found else []


def _by_phase(name: str, value: Phases | None) -> dict[str, int | None]:
    return {f"{name}_{phase.name.lower()}_ma": None if value is None else value[phase] for phase in ALL_PHASES}
