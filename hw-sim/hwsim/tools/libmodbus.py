"""A Modbus server nobody here wrote: libmodbus (Debian), in a process of its own, over TCP or on a serial line.

    python -m hwsim.tools.libmodbus tcp PORT < registers.json
    python -m hwsim.tools.libmodbus rtu DEVICE UNIT < registers.json

Registers are a JSON object of addresses and contents; they answer to both functions. It prints a line when it listens.
"""

from __future__ import annotations

import ctypes
import json
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import Any

from hwsim.tools.debian import unpack

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / ".cache" / "debian" / "libmodbus"
PACKAGE = "libmodbus5"
REQUEST_MAX = 260
REGISTERS = 65_536


class _Mapping(ctypes.Structure):
    """``modbus_mapping_t`` of modbus.h, 3.1."""

    _fields_ = [
        *((name, ctypes.c_int) for name in ("nb_bits", "start_bits", "nb_input_bits", "start_input_bits")),
        *((name, ctypes.c_int) for name in ("nb_input_registers", "start_input_registers", "nb_registers", "start_registers")),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    ]


def find_or_fetch_libmodbus() -> str:
    """The installed library, or the one in ``.cache``, fetched when it is not there yet. Raises ``PackageError``."""
    installed = find_library("modbus")
    if installed is not None:
        return installed
    unpack([PACKAGE], FOLDER, with_dependencies=False)
    return str(next(FOLDER.rglob("libmodbus.so.5")))


def serve(kind: str, place: str, unit: int, registers: dict[int, int]) -> None:
    """Answer until killed."""
    library = ctypes.CDLL(find_or_fetch_libmodbus(), use_errno=True)
    pointer = ctypes.c_void_p
    library.modbus_new_tcp.restype = library.modbus_new_rtu.restype = pointer
    library.modbus_mapping_new_start_address.restype = ctypes.POINTER(_Mapping)
    mapping = library.modbus_mapping_new_start_address(0, 0, 0, 0, 0, REGISTERS, 0, REGISTERS)
    for address, content in registers.items():
        mapping.contents.tab_registers[address] = mapping.contents.tab_input_registers[address] = content
    if kind == "tcp":
        context = pointer(library.modbus_new_tcp(b"127.0.0.1", int(place)))
        listening = ctypes.c_int(library.modbus_tcp_listen(context, 1))
    else:
        context = pointer(library.modbus_new_rtu(place.encode(), 9_600, ctypes.c_char(b"N"), 8, 1))
        library.modbus_set_slave(context, unit)
        listening = ctypes.c_int(library.modbus_connect(context))
    if listening.value < 0:
        raise OSError(ctypes.get_errno(), f"libmodbus cannot open {place}")
    print("listening", flush=True)
    request = (ctypes.c_uint8 * REQUEST_MAX)()
    while True:
        if kind == "tcp":
            library.modbus_tcp_accept(context, ctypes.byref(listening))
        while (size := library.modbus_receive(context, request)) >= 0 or kind == "rtu":
            if size > 0:
                library.modbus_reply(context, request, size, mapping)


def main(arguments: list[str]) -> None:
    contents: dict[str, Any] = json.load(sys.stdin)
    unit = int(arguments[2]) if len(arguments) > 2 else 1
    serve(arguments[0], arguments[1], unit, {int(address): int(content) for address, content in contents.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
