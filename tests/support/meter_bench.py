"""A meter and its reader without a bus: requests go straight to a simulated device, time is a number."""

from __future__ import annotations

import struct
from collections.abc import Callable

from edgectl.domain.events import MeterReading
from edgectl.meters.rtu import EXCEPTIONS, Answer, Request
from edgectl.meters.unit import UnitReader
from hwsim.meters.device import Device

TRANSACTION_MS = 40


def carry(device: Device, request: Request) -> Answer:
    """What the device says to it."""
    pdu = device.answer(request.function, request.address, request.count)
    if pdu[0] & 0x80:
        return Answer(None, EXCEPTIONS[pdu[1]], elapsed_ms=TRANSACTION_MS)
    return Answer(struct.unpack(f">{request.count}H", pdu[2:]), elapsed_ms=TRANSACTION_MS)


def ask_device(unit: UnitReader, device: Device) -> MeterReading | None:
    """One transaction, as soon as the unit wants it."""
    ask = unit.ask(unit.ready_mono_ms())
    return unit.answered(carry(device, ask.request), ask.not_before_mono_ms + TRANSACTION_MS)


def read_until(
    unit: UnitReader, device: Device, is_enough: Callable[[MeterReading], bool], transactions: int = 400
) -> MeterReading:
    """Transactions until a reading satisfies; fails with the last one."""
    last = None
    for _ in range(transactions):
        reading = ask_device(unit, device)
        if reading is not None:
            last = reading
            if is_enough(reading):
                return reading
    raise AssertionError(f"after {transactions} transactions: {last}")
