"""Which model a unit is, by reads alone: the identifying registers of the catalogue, then a try at reading it as each model.

A model's number or name in its own registers settles it. Where there is none, what remains is to read the unit with the very code
the daemon reads with, as one model after the other, and to see for which of them volts, amps and watts make sense together.
Models that share a register layout cannot be told apart like that; then all of them are named, and each reads right.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from edgectl.domain.events import Event, MeterRead, MeterReading, Quality
from edgectl.domain.ids import MeterId
from edgectl.domain.phases import ALL_PHASES, Phase
from edgectl.domain.settings import P1_MODEL, Connection, MeterConnection, Transport
from edgectl.domain.units import Millis
from edgectl.meters.buses import Bus, open_bus
from edgectl.meters.catalogue import CatalogueError, Probe, model
from edgectl.meters.catalogue.sheets import Sheet, sheet, sheet_names
from edgectl.meters.poller import MetersAdapter
from edgectl.meters.rtu import Answer, Request
from edgectl.meters.tools.questions import Question, Table
from edgectl.ports import Clock

TIMEOUT_MS: Millis = 500
"""The longest answer time a maker states."""
READ_MS: Millis = 4_000
"""For one try at a reading, as one model."""
SILENT_AFTER = 4
"""Reads of different registers without any answer: nobody is there."""
SHORTLIST = 5
"""Where a number or name has settled it, so many are read to name a runner-up."""

ID_FITS, NAME_FITS, BRAND_FITS, READS_RIGHT, READS_ONE_PHASE, SERIAL_THERE, THREE_PHASES = 100, 80, 30, 50, 30, 10, 5
ID_ABSENT, SERIAL_ABSENT, READS_WRONG = -15, -10, -60
"""Points; only their order of size matters: a number beats a name, both beat a reading, a reading beats a serial number."""
SETTLED, CLEAR = 80, 10

_ORDER = (0x000B, 0xFC02, 0xFC00, 0x8960, 0x0031, 0xC350, 0x1000)
"""The cheapest and least ambiguous first."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model, and what speaks for and against it."""

    model: str
    points_count: int
    evidence: tuple[str, ...]
    reading: MeterReading | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What a unit seems to be: the likeliest first. No candidates: it answers and is none we know."""

    unit: int
    is_answering: bool
    candidates: tuple[Candidate, ...] = ()
    confidence_percent: int = 0
    alike: tuple[str, ...] = ()
    """Models that read the same registers in the same way, so that it does not matter which."""
    serial: str | None = None

    @property
    def best(self) -> Candidate | None:
        return self.candidates[0] if self.candidates else None

    @property
    def runner_up(self) -> Candidate | None:
        others = [one for one in self.candidates[1:] if one.model not in self.alike]
        return others[0] if others else None


Progress = Callable[[int, int], None]
"""Told how many steps of how many are done."""


@dataclass
class _Case:
    """What is known of one model so far."""

    sheet: Sheet
    points_count: int = 0
    evidence: list[str] = field(default_factory=list)
    is_excluded: bool = False
    reading: MeterReading | None = None

    @property
    def probes(self) -> tuple[Probe, ...]:
        return model(self.sheet.name).detect

    def note(self, points_count: int, words: str) -> None:
        self.points_count += points_count
        self.evidence.append(words)


class _Collected:
    """An inbox for the first reading."""

    def __init__(self) -> None:
        self.first: asyncio.Future[MeterReading] = asyncio.get_running_loop().create_future()

    def put(self, event: Event) -> None:
        if isinstance(event, MeterRead) and not self.first.done():
            self.first.set_result(event.reading)


class _Kept:
    """The bus, for a reader that would close it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def read(self, request: Request, timeout_ms: Millis) -> Answer:
        return await self._bus.read(request, timeout_ms)

    async def close(self) -> None:
        return


async def identify(connection: Connection, unit: int, clock: Clock, random: Random, progress: Progress) -> Identity:
    """Ask the unit who it is."""
    bus = open_bus(connection)
    try:
        return await _Identification(bus, connection, unit, clock, random, progress).run()
    finally:
        await bus.close()


class _Identification:
    def __init__(self, bus: Bus, connection: Connection, unit: int, clock: Clock, random: Random, progress: Progress) -> None:
        self._bus = bus
        self._connection = connection
        self._unit = unit
        self._clock = clock
        self._random = random
        self._progress = progress
        self._cases = [_Case(one) for one in map(sheet, sheet_names()) if one.name != P1_MODEL and self._is_possible(one)]

    def _is_possible(self, one: Sheet) -> bool:
        return self._connection.transport is Transport.TCP or "rtu" in one.bus.get("kinds", ["rtu"])

    async def run(self) -> Identity:
        answers = await self._probe()
        if answers is None:
            return Identity(self._unit, is_answering=False)
        serial = None
        for case in self._cases:
            for probe in case.probes:
                words = answers[_key(probe)].words
                _judge(case, probe, words)
                if probe.is_serial and words is not None and case.points_count >= SETTLED:
                    serial = _plain(probe, words)
        await self._read_as_each()
        return self._result(serial)

    async def _probe(self) -> dict[tuple[int, int, int], Answer] | None:
        """Every identifying register once; None when nobody answers."""
        keys = sorted({_key(probe) for case in self._cases for probe in case.probes}, key=_turn)
        answers: dict[tuple[int, int, int], Answer] = {}
        for number, key in enumerate(keys, start=1):
            function, address, count = key
            question = Question(self._unit, Table(function), address, count)
            answers[key] = await self._bus.read(question.request(), TIMEOUT_MS)
            self._progress(number, len(keys) + len(self._cases))
            if number >= SILENT_AFTER and all(answer.reason and not _is_refusal(answer) for answer in answers.values()):
                return None
        return answers

    async def _read_as_each(self) -> None:
        possible = sorted((case for case in self._cases if not case.is_excluded), key=lambda case: -case.points_count)
        if possible and possible[0].points_count >= SETTLED:
            possible = possible[:SHORTLIST]
        for number, case in enumerate(possible, start=1):
            await self._read_as(case)
            self._progress(len(self._cases) - len(possible) + number, len(self._cases))
        for case in self._cases:
            case.is_excluded |= case not in possible

    async def _read_as(self, case: _Case) -> None:
        reading = await self._reading(case.sheet.name, ALL_PHASES[: case.sheet.phases])
        points_count, words = READS_RIGHT, "volts, amps and watts agree"
        if reading is not None and reading.reason == "no-voltage" and case.sheet.phases > 1:
            reading = await self._reading(case.sheet.name, (Phase.L1,))
            points_count, words = READS_ONE_PHASE, "volts, amps and watts of L1 agree, other phases have no voltage"
        if reading is None or reading.quality is not Quality.GOOD:
            reason = "it cannot be read" if reading is None else reading.reason.replace("-", " ")
            case.note(READS_WRONG, f"read as such: {reason}")
            return
        case.reading = reading
        case.note(points_count + (THREE_PHASES if case.sheet.phases > 1 else 0), words)

    async def _reading(self, model: str, phases: tuple[Phase, ...]) -> MeterReading | None:
        """One reading as this model; None when the model cannot be read, or says nothing in time."""
        connection = MeterConnection(MeterId(model), self._connection, self._unit, model, phases=phases, timeout_ms=TIMEOUT_MS)
        inbox = _Collected()
        try:
            adapter = MetersAdapter(
                (connection,), frozenset(), inbox, self._clock, self._random, buses=lambda _: _Kept(self._bus)
            )
        except CatalogueError:
            return None
        task = asyncio.create_task(adapter.run())
        try:
            async with asyncio.timeout(READ_MS / 1000):
                return await inbox.first
        except TimeoutError:
            return None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _result(self, serial: str | None) -> Identity:
        # Whoever reads wrong is no candidate, unless its own number says so.
        named = [one for one in self._cases if not one.is_excluded and (one.reading or one.points_count + READS_WRONG >= 0)]
        ranked = sorted(named, key=lambda case: (-case.points_count, case.sheet.name))
        if not ranked:
            return Identity(self._unit, is_answering=True)
        best = ranked[0]
        alike = [
            case.sheet.name for case in ranked if case.points_count == best.points_count and _is_alike(case.sheet, best.sheet)
        ]
        others = [case for case in ranked if case.sheet.name not in alike]
        lead = best.points_count - others[0].points_count if others else best.points_count
        return Identity(
            self._unit,
            is_answering=True,
            candidates=tuple(
                Candidate(case.sheet.name, case.points_count, tuple(case.evidence), case.reading) for case in ranked
            ),
            confidence_percent=_confidence(best, lead),
            alike=tuple(alike),
            serial=serial,
        )


def _judge(case: _Case, probe: Probe, words: tuple[int, ...] | None) -> None:
    where = f"register 0x{probe.address:04X}"
    if words is None:
        if probe.is_serial:
            case.note(SERIAL_ABSENT, f"no serial number at {where}")
        elif probe.values:
            case.note(ID_ABSENT, f"no answer at {where}")
        return
    if probe.values:
        if probe.fits(words):
            raw = int.from_bytes(b"".join(word.to_bytes(2) for word in words))
            case.note(ID_FITS, f"{_first(probe.name)} {_shown(raw)} at {where}")
        else:
            case.is_excluded = True
    elif probe.is_serial:
        case.note(SERIAL_THERE if any(words) else SERIAL_ABSENT, f"a serial number at {where}")
    elif probe.kind == "str":
        _judge_text(case, text_of(words), where)


def _judge_text(case: _Case, text: str, where: str) -> None:
    shown = f"“{text}” at {where}"
    plain = _letters(text)
    if any(name and (name in plain or (len(plain) > 3 and plain in name)) for name in _names(case.sheet)):
        case.note(NAME_FITS, f"says {shown}")
    elif plain and _letters(case.sheet.brand) in plain:
        case.note(BRAND_FITS, f"says {shown}")


def _names(one: Sheet) -> Iterable[str]:
    return (_letters(name) for name in (one.name, *one.models, *one.also_sold_as, *one.aliases))


def _letters(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.casefold())


def text_of(words: tuple[int, ...]) -> str:
    """Printable text of registers, high byte first; empty when it is none."""
    raw = b"".join(word.to_bytes(2) for word in words).split(b"\0\0")[0].replace(b"\0", b"").strip(b" \xff")
    text = raw.decode("ascii", errors="replace").strip()
    return text if text.isprintable() and "\ufffd" not in text else ""


def _plain(probe: Probe, words: tuple[int, ...]) -> str:
    return text_of(words) if probe.kind == "str" else str(int.from_bytes(b"".join(word.to_bytes(2) for word in words)))


def _confidence(best: _Case, lead: int) -> int:
    """A number in place of words like sure (a number or name fits and it reads right), likely, and perhaps."""
    is_settled = best.points_count >= SETTLED
    if is_settled and best.reading is not None:
        return 98 if lead >= READS_RIGHT else 90
    if is_settled:
        return 75
    return 70 if lead >= READS_RIGHT else 55 if lead >= CLEAR else 40


def _is_alike(one: Sheet, other: Sheet) -> bool:
    return one.name == other.name or (bool(one.layout) and one.layout == other.layout and one.phases == other.phases)


def _is_refusal(answer: Answer) -> bool:
    """A device said no, which is an answer."""
    return answer.reason.startswith(("illegal-", "device-", "exception-")) or answer.reason in {"acknowledge", "memory-parity"}


def _key(probe: Probe) -> tuple[int, int, int]:
    return probe.function, probe.address, probe.count


def _turn(key: tuple[int, int, int]) -> tuple[int, int]:
    address = key[1]
    return (_ORDER.index(address) if address in _ORDER else len(_ORDER), address)


def _first(name: str) -> str:
    return re.split(r"[(;,]", name)[0].strip() or "number"


def _shown(raw: int) -> str:
    return str(raw) if raw < 100_000 else f"0x{raw:X}"
