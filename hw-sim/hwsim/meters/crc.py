"""CRC-16 of the polynomial 0x8005, bits reversed: MODBUS begins with all ones, ARC (DSMR P1) with zero. Not edgectl's own."""

from __future__ import annotations

MODBUS_START = 0xFFFF
ARC_START = 0


def crc16(data: bytes, start: int) -> int:
    value = start
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value


def _entry(index: int) -> int:
    for _ in range(8):
        index = index >> 1 ^ (0xA001 if index & 1 else 0)
    return index


_TABLE = [_entry(index) for index in range(256)]
