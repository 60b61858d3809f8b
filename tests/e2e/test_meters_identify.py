"""Identification over a real socket: a device with the identity of its catalogue entry is named, with the next best beside it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from edgectl.domain.settings import P1_MODEL, Connection, Transport
from edgectl.meters.catalogue import model
from edgectl.meters.catalogue.sheets import sheet, sheet_names
from edgectl.meters.tools.identify import Identity, identify, text_of
from edgectl.runtime.clock import SystemClock
from hwsim.meters.device import Device
from hwsim.meters.generated import device_of
from hwsim.meters.registers import Truth
from hwsim.meters.rtu_server import MeterPty
from hwsim.meters.tcp_server import MeterTcpServer

TRUTH = Truth((12.5, 7.25, 31.0), (229.0, 231.5, 230.0), import_wh=123_400.0, export_wh=56_700.0)
TEXTS = {"hager-ecr": "HAGER", "shelly-pro-3em": "Shelly Pro 3EM", "finder-7m38": "7M.38.8.400"}
"""What stands in the text registers where it is not the first model's name."""


def device_like(name: str, truth: Truth = TRUTH) -> Device:
    """As strict as the catalogue says, with the numbers it names; its texts as the maker would write them."""
    one = model(name)

    def write_texts(contents: dict[int, int]) -> None:
        for probe in one.detect:
            if probe.kind == "str":
                text = "AB123456" if probe.is_serial else TEXTS.get(name, sheet(name).models[0])
                raw = text.encode().ljust(2 * probe.count, b"\0")[: 2 * probe.count]
                contents.update({probe.address + at // 2: raw[at] << 8 | raw[at + 1] for at in range(0, len(raw), 2)})

    return device_of(one, lambda: truth, spoil=write_texts)


WITH_PROBE = [
    name
    for name in sheet_names()
    if name != P1_MODEL and "i" in model(name).points and any(not probe.is_serial for probe in model(name).detect)
]


@asynccontextmanager
async def served(units: dict[int, Device]) -> AsyncIterator[Connection]:
    server = MeterTcpServer(units)
    port = await server.start()
    try:
        yield Connection(Transport.TCP, "127.0.0.1", port)
    finally:
        await server.stop()


async def ask(connection: Connection, unit: int = 3, progress: Callable[[int, int], None] = lambda _, __: None) -> Identity:
    return await identify(connection, unit, SystemClock(), random.Random(1), progress)


def test_there_are_entries_to_try() -> None:
    assert len(WITH_PROBE) >= 14


@pytest.mark.parametrize("name", WITH_PROBE)
async def test_an_entry_with_a_probe_is_named(name: str) -> None:
    async with served({3: device_like(name)}) as connection:
        found = await ask(connection)
    assert found.best is not None
    assert name in found.alike, [(one.model, one.points_count, one.evidence) for one in found.candidates[:3]]
    assert found.best.evidence


@pytest.mark.parametrize("name", ["cg-em3x0", "eastron-sdm120", "abb-b21", "schneider-iem3x55"])
async def test_a_number_or_name_that_fits_makes_it_sure(name: str) -> None:
    async with served({3: device_like(name)}) as connection:
        found = await ask(connection)
    assert (found.best.model if found.best else None) == name
    assert found.confidence_percent >= 90


@pytest.mark.parametrize("name", ["janitza-umg-19000", "siemens-pac-float", "chint-dtsu666"])
async def test_a_meter_without_a_probe_is_known_by_its_values_and_less_sure(name: str) -> None:
    async with served({3: device_like(name)}) as connection:
        found = await ask(connection)
    assert found.best is not None
    assert found.best.model == name
    assert found.confidence_percent < 90


async def test_look_alikes_are_named_together_and_the_next_best_beside_them() -> None:
    async with served({3: device_like("eastron-sdm630")}) as connection:
        found = await ask(connection)
    assert found.best is not None
    assert found.best.model == "eastron-sdm630"
    # The single-phase layout reads L1 of the same meter.
    assert found.runner_up is not None
    assert found.runner_up.model.startswith("eastron-")
    assert found.runner_up.points_count < found.best.points_count


async def test_a_phase_without_voltage_does_not_hide_who_it_is() -> None:
    async with served({3: device_like("cg-em3x0", Truth((3.0, 0.0, 0.0), (230.0, 0.0, 0.0)))}) as connection:
        found = await ask(connection)
    assert found.best is not None
    assert found.best.model == "cg-em3x0"


async def test_nobody_is_not_somebody_unknown() -> None:
    silent = Device(dict)
    silent.faults.add("silent")
    async with served({3: silent, 4: Device(lambda: {0xFFF0: 1})}) as connection:
        assert not (await ask(connection, 3)).is_answering
        stranger = await ask(connection, 4)
    assert stranger.is_answering
    assert stranger.best is None


async def test_it_works_on_a_serial_line_and_tells_how_far_it_is() -> None:
    pty = MeterPty({3: device_like("cg-em24-rs485")})
    pty.start()
    steps: list[tuple[int, int]] = []
    try:
        connection = Connection(Transport.SERIAL, device=pty.device, baud=115_200)
        found = await ask(connection, progress=lambda done, of: steps.append((done, of)))
    finally:
        await pty.stop()
    assert (found.best.model if found.best else None) == "cg-em24-rs485"
    assert found.serial == "AB123456"
    assert all(done <= of for done, of in steps)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((0x4142, 0x4300, 0), "ABC"),
        ((0x0041, 0x0042), "AB"),
        ((0xFFFF, 0xFFFF), ""),
        ((0x0001, 0x0203), ""),
        ((0x4120, 0x2020), "A"),
    ],
)
def test_registers_are_text_only_when_they_can_be_printed(words: tuple[int, ...], text: str) -> None:
    assert text_of(words) == text
