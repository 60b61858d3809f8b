"""Reads, and nothing else. The tools hand a ``Question`` to a line; no other function code can be expressed by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edgectl.meters.rtu import Request


class Table(IntEnum):
    """The function codes of Modbus that read registers. There is no third, and none that writes."""

    HOLDING = 3
    INPUT = 4


@dataclass(frozen=True, slots=True)
class Question:
    """``count`` registers from ``address`` of one unit."""

    unit: int
    table: Table
    address: int
    count: int

    def __post_init__(self) -> None:
        if not isinstance(self.table, Table):
            raise TypeError("a question reads a Table; nothing else may be sent")

    def request(self) -> Request:
        return Request(self.unit, self.table.value, self.address, self.count)
