"""The meter tools as people start them: a process, a real pseudo terminal or socket, its words and its exit code."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgectl.config import check
from edgectl.config.addresses import parse_connect
from edgectl.meters import model, model_names, read_plan
from edgectl.meters.buses import open_bus
from edgectl.meters.rtu import Request
from hwsim.meters.device import Device
from hwsim.meters.p1 import DIALECTS, P1Meter, P1Pty
from hwsim.meters.registers import Truth, registers_of
from hwsim.meters.rtu_server import MeterPty
from hwsim.meters.tcp_server import MeterTcpServer

ROOT = Path(__file__).resolve().parents[2]
TRUTH = Truth((12.5, 7.25, 31.0), (229.0, 231.5, 230.0), import_wh=123_400.0, export_wh=5_000.0)


@dataclass
class Done:
    code: int
    out: str
    err: str


async def edgectl(*arguments: str, width: int = 80) -> Done:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edgectl",
        "meters",
        *arguments,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": str(width)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Done(process.returncode or 0, out.decode(), err.decode())


def sdm() -> Device:
    one = model("eastron-sdm630")
    return Device(lambda: registers_of(one, TRUTH), max_registers=80)


@asynccontextmanager
async def serial_line(units: dict[int, Device]) -> AsyncIterator[str]:
    pty = MeterPty(units)
    pty.start()
    try:
        yield f"serial://{pty.device}?baud=115200&parity=none"
    finally:
        await pty.stop()


@asynccontextmanager
async def tcp_line(units: dict[int, Device]) -> AsyncIterator[str]:
    server = MeterTcpServer(units)
    port = await server.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        await server.stop()


def site_file(folder: Path, meters: str) -> Path:
    file = folder / "site.yaml"
    file.write_text(
        f"site: {{id: north}}\nmeters:\n{meters}circuits:\n  grid: {{limit: 63 A, meter: main}}\n"
        "ocpp: {listeners: [{address: 0.0.0.0:8887, security_profile: 1}]}\n",
        encoding="utf-8",
    )
    return file


async def test_scan_names_the_units_and_what_to_do_next() -> None:
    async with serial_line({3: sdm()}) as address:
        done = await edgectl("scan", address, "--units", "2-4")
        assert (done.code, done.err) == (0, "")
        assert "1 of 3" in done.out
        assert f"edgectl meters identify '{address}' --unit 3" in done.out
        machine = await edgectl("scan", address, "--units", "3", "--json")
    (report,) = json.loads(machine.out)
    assert report["found"] == [{"unit": 3, "finding": "answers", "clean_count": 3}]
    assert report["address"] == address


async def test_scan_of_an_empty_line_fails_and_of_none_says_why() -> None:
    async with serial_line({}) as address:
        done = await edgectl("scan", address, "--units", "1")
    assert (done.code, done.out) == (1, done.out)
    assert "nobody among 1 units" in done.out
    gone = await edgectl("scan", "serial:///dev/ttyNOBODY?baud=9600", "--units", "1")
    assert (gone.code, gone.out) == (1, "")
    assert "group dialout" in gone.err


async def test_a_wrong_address_is_bad_input_with_what_is_allowed() -> None:
    done = await edgectl("scan", "ttyUSB0")
    assert done.code == 2
    assert "serial:///dev/ttyUSB0" in done.err


async def test_identify_prints_a_block_that_loads(tmp_path: Path) -> None:
    async with tcp_line({3: sdm()}) as address:
        done = await edgectl("identify", address, "--unit", "3", "--json")
        shown = await edgectl("identify", address, "--unit", "3", width=30)
    assert done.code == 0, done.err
    assert f"    connect: {address}\n    unit: 3" in shown.out
    found = json.loads(done.out)
    assert found["candidates"][0]["model"] in found["alike"]
    (tmp_path / "site.yaml").write_text(
        f"site: {{id: north}}\n{found['yaml']}\ncircuits:\n  grid: {{limit: 63 A, meter: main}}\n"
        "ocpp: {listeners: [{address: 0.0.0.0:8887, security_profile: 1}]}\n",
        encoding="utf-8",
    )
    settings, problems = check(tmp_path / "site.yaml", known_models=model_names(), planner=read_plan, environ={})
    assert problems == ()
    assert settings is not None
    assert settings.meters[0].unit_number == 3


async def test_identify_of_nobody_fails() -> None:
    silent = sdm()
    silent.faults.add("silent")
    async with tcp_line({3: silent}) as address:
        done = await edgectl("identify", address, "--unit", "3")
    assert done.code == 1
    assert "unit 3 does not answer" in done.out


async def test_read_shows_every_value_and_the_registers(tmp_path: Path) -> None:
    async with tcp_line({3: sdm()}) as address:
        done = await edgectl("read", address, "--unit", "3", "--model", "eastron-sdm630", "--raw")
        assert done.code == 0, done.err
        for words in ("229.0", "12.500", "123.40 kWh", "50.00 Hz", "good", "4365 0000"):
            assert words in done.out
        file = site_file(tmp_path, f"  main: {{model: eastron-sdm630, connect: '{address}', unit: 3}}\n")
        named = await edgectl("read", "main", "-c", str(file), "--json")
    assert json.loads(named.out)["reading"]["current_ma"] == {"L1": 12_500, "L2": 7_250, "L3": 31_000}


async def test_read_without_a_value_fails_and_says_why(tmp_path: Path) -> None:
    dead = sdm()
    dead.faults.add("silent")
    async with tcp_line({3: dead}) as address:
        done = await edgectl("read", address, "--unit", "3", "--model", "eastron-sdm630")
    assert done.code == 1
    assert "no value: timeout" in done.out
    file = site_file(tmp_path, "  main: {model: eastron-sdm630, connect: 'tcp://127.0.0.1:1'}\n")
    unknown = await edgectl("read", "hall", "-c", str(file))
    assert unknown.code == 2
    assert "has main" in unknown.err


async def test_read_of_a_p1_port_shows_its_telegram() -> None:
    port = P1Pty(P1Meter(lambda: TRUTH, DIALECTS["belgium"]), 0.2)
    port.start()
    try:
        done = await edgectl("read", f"serial://{port.device}?baud=115200", "--model", "dsmr-p1", "--raw")
    finally:
        await port.stop()
    assert done.code == 0, done.out
    assert "12.500" in done.out
    assert "/FLU5" in done.out
    assert "1-0:21.7.0(02.862*kW)" in done.out


async def test_a_line_the_daemon_has_is_said_to_be_in_use() -> None:
    async with serial_line({3: sdm()}) as address:
        bus = open_bus(parse_connect(address))
        try:
            assert (await bus.read(Request(3, 4, 0, 2), 500)).words is not None
            done = await edgectl("read", address, "--unit", "3", "--model", "eastron-sdm630")
            scanned = await edgectl("scan", address, "--units", "3")
        finally:
            await bus.close()
    assert (done.code, scanned.code) == (1, 1)
    assert "serial line in use (by the daemon?" in done.out
    assert "is in use: the daemon reads it" in scanned.err


@pytest.mark.parametrize("width", [80, 44])
async def test_watch_shows_all_meters_of_the_file_in_a_terminal_of_any_width(tmp_path: Path, width: int) -> None:
    async with tcp_line({3: sdm()}) as address:
        file = site_file(
            tmp_path,
            f"  main: {{model: eastron-sdm630, connect: '{address}', unit: 3}}\n"
            f"  gone: {{model: eastron-sdm630, connect: '{address}', unit: 9, timeout: 100 ms}}\n",
        )
        done = await edgectl("watch", "-c", str(file), "--for", "3", width=width)
        assert done.code == 0, done.err
        assert "12.50" in done.out
        assert "gone: no value: timeout" in " ".join(done.out.split())
        assert max(map(len, done.out.splitlines())) <= width
        lines = await edgectl("watch", "main", "-c", str(file), "--for", "2", "--json")
    assert {json.loads(line)["meter"] for line in lines.out.splitlines()} == {"main"}


async def test_budget_shows_the_sum_and_refuses_too_much(tmp_path: Path) -> None:
    line = "serial:///dev/ttyUSB0?baud=9600"
    two = "".join(
        f"  {name}: {{model: eastron-sdm630, connect: '{line}', unit: {unit}}}\n" for unit, name in ((1, "main"), (2, "hall"))
    )
    done = await edgectl("budget", str(site_file(tmp_path, two)))
    assert done.code == 0, done.err
    assert "/dev/ttyUSB0 9600 8N1" in done.out
    assert "% left, room for" in done.out
    many = two + "".join(f"  m{unit}: {{model: eastron-sdm630, connect: '{line}', unit: {unit}}}\n" for unit in range(3, 20))
    full = await edgectl("budget", str(site_file(tmp_path, many)))
    assert full.code == 2
    assert "more than the line can carry" in full.out
    machine = json.loads((await edgectl("budget", str(site_file(tmp_path, many)), "--json")).out)
    assert machine[0]["load_permille"] > 1_000


async def test_models_are_listed_found_and_shown_with_their_sources() -> None:
    found = await edgectl("models", "--search", "victron", "--json")
    assert "cg-em24-rs485" in {one["name"] for one in json.loads(found.out)}
    shown = await edgectl("models", "--show", "carlo-gavazzi-em340")
    assert shown.code == 0, shown.err
    for words in ("Where sources disagree", "volkszaehler/mbmd", "0x1103", "cross-checked"):
        assert words in shown.out
    wrong = await edgectl("models", "--show", "eastron-sdm360")
    assert wrong.code == 2
    assert "did you mean eastron-sdm630" in wrong.err.replace("\n", " ")
