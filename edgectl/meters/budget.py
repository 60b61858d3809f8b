"""How each model is read, in numbers: what ``edgectl check`` and ``edgectl meters budget`` reckon with."""

from __future__ import annotations

from pathlib import Path

from edgectl.domain.bus_plan import TYPICAL_REPLY_MS, ReadPlan
from edgectl.domain.settings import P1_MODEL, MeterConnection
from edgectl.meters.catalogue import MeterModel, load_model_file, model
from edgectl.meters.catalogue.sheets import sheet
from edgectl.meters.plan import control_blocks, slow_blocks


def read_plan(connection: MeterConnection) -> ReadPlan | None:
    """How this meter will be read; None for a P1 port, which is not asked.

    Raises:
        CatalogueError: its model cannot be used.
    """
    if connection.model == P1_MODEL or (connection.model is None and connection.file is None):
        return None
    if connection.file is not None:
        return _plan(load_model_file(Path(connection.file)), TYPICAL_REPLY_MS)
    name = connection.model or ""
    return _plan(model(name), sheet(name).reply_ms or TYPICAL_REPLY_MS)


def _plan(one: MeterModel, reply_ms: int) -> ReadPlan:
    control = control_blocks(one)
    return ReadPlan(
        control_count=tuple(block.count for block in control),
        slow_count=tuple(block.count for block in slow_blocks(one) if block not in control),
        gap_ms=one.rules.gap_ms,
        reply_ms=reply_ms,
        has_phase_currents=one.has_phase_currents,
    )
