"""One meter on its bus: what to ask next, when, and what became of it. Sans-IO; the poller carries the requests.

A cycle is one reading: the blocks of volts, amps and watts, each of one request. Frequency, energy and the serial number follow
now and then, in requests of their own, so that a reading never waits for them.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Generator
from dataclasses import dataclass, field, replace

from edgectl.domain.events import MeterReading
from edgectl.domain.settings import MeterConnection, Transport
from edgectl.domain.units import Millis
from edgectl.meters.catalogue import Block, MeterModel
from edgectl.meters.decode import NoValueError, energy_wh, judge_limits, measured_of, no_value, reading_of
from edgectl.meters.energy import Counter
from edgectl.meters.plan import NOTHING_KNOWN, SLOW, Known, areas_of, control_blocks, pairs, slow_blocks, ways
from edgectl.meters.plausibility import Watch, check_power, check_sum
from edgectl.meters.rtu import REFUSALS, Answer, Request
from edgectl.meters.sunspec import locate
from edgectl.meters.waiting import Latency, Shapes

SLOW_EVERY = 10
"""Totals, frequency and energy come with each tenth reading."""
DEAD_AFTER = 3
"""Failures in a row before a meter is probed instead of polled."""
PROBE_PAUSE_MIN_MS, PROBE_PAUSE_MAX_MS = 1_000, 4_500
"""A repaired meter is back within five seconds ..."""
PROBE_SHARE = 20
"""... and a dead one takes no more than a twentieth of the bus: it waits this many times what its last probe took."""
REFUSED_AFTER = 2
"""A refusal may be late itself; two in a row are meant."""
POWER_MAX_W = 4_000_000.0
"""More than a medium-voltage connection of 4 MVA does not flow through a meter on a low-voltage site."""

ALIVE = REFUSALS | {"device-busy", "acknowledge", "device-failure", "memory-parity"}
"""Reasons a living device gives."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The next request of a meter, and the earliest moment for it."""

    request: Request
    timeout_ms: Millis
    not_before_mono_ms: Millis


class _FailedError(Exception):
    """A cycle ends without a value."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.reason)
        self.answer = answer


Part = tuple[Block, tuple[int, ...]]
"""A read and what it brought."""
Cycle = Generator[Ask, tuple[Answer, Millis], MeterReading | None]


@dataclass
class UnitReader:
    """One meter. ``ask`` gives the next request, ``answered`` takes what became of it and returns a reading once complete."""

    connection: MeterConnection
    model: MeterModel
    is_guard: bool
    turn: int = 0
    """Its number on the bus: slow values of neighbours come in different seconds."""
    due_mono_ms: Millis = 0
    is_silent: bool = False
    """It does not answer and is probed now and then."""
    failure_count: int = 0
    events: Counts[str] = field(default_factory=Counts)
    """What happened besides readings: counters that start again, meters replaced, reads refused for good."""
    _here: MeterModel | None = None
    """The model as it lies in the device; None until a SunSpec meter has been found."""
    _known: Known = NOTHING_KNOWN
    _refused: Counts[Block] = field(default_factory=Counts)
    _refused_ways: set[Block] = field(default_factory=set)
    _shapes: Shapes = field(default_factory=Shapes)
    _latency: Latency = field(default_factory=Latency)
    _watch: Watch = field(default_factory=Watch)
    _counters: dict[str, Counter] = field(default_factory=dict)
    _energy_note: str = ""
    _serial: tuple[int, ...] | None = None
    _wants_serial: bool = True
    _slow: dict[int, int] = field(default_factory=dict)
    _slow_mono_ms: Millis | None = None
    _reading_count: int = 0
    _wants_slow: bool = False
    _cycle: Cycle | None = None
    _ask: Ask | None = None
    _now_mono_ms: Millis = 0
    _free_mono_ms: Millis = 0
    """Before this the meter wants to be left alone, or its last answer may still come."""
    _control: tuple[Block, ...] = ()
    _pairs: tuple[tuple[tuple[int, int], ...], ...] = ()
    _slow_plan: tuple[Block, ...] = ()
    _ways: dict[Block, tuple[tuple[Block, ...], ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.model.chain is None:
            self._settle(self.model)

    # --- for the poller -----------------------------------------------------------------------------------------------

    @property
    def is_in_cycle(self) -> bool:
        return self._cycle is not None

    def ready_mono_ms(self) -> Millis:
        """The earliest moment for its next request."""
        if self._ask is not None:
            return self._ask.not_before_mono_ms
        return self._free_mono_ms if self._wants_slow and not self.is_silent else max(self.due_mono_ms, self._free_mono_ms)

    def ask(self, now_mono_ms: Millis) -> Ask:
        """What to ask next; look at ``not_before_mono_ms`` before asking it."""
        self._now_mono_ms = now_mono_ms
        if self._ask is None:
            self._cycle = self._read_slow() if self._wants_slow and not self.is_silent else self._read_control()
            self._ask = next(self._cycle)
        return self._ask

    def answered(self, answer: Answer, now_mono_ms: Millis) -> MeterReading | None:
        """A reading when the answer completes one, with a value or without."""
        cycle, ask = self._cycle, self._ask
        if cycle is None or ask is None:
            raise RuntimeError("an answer without a request")
        self._now_mono_ms = now_mono_ms
        self._note(ask.request, answer)
        try:
            self._ask = cycle.send((answer, now_mono_ms))
        except StopIteration as end:
            self._cycle = self._ask = None
            reading: MeterReading | None = end.value
            return reading
        return None

    # --- cycles -------------------------------------------------------------------------------------------------------

    def _read_control(self) -> Cycle:
        meter, interval_ms = self.connection.meter, self.connection.interval_ms
        was_slow_turn = self._reading_count % SLOW_EVERY == self.turn % SLOW_EVERY or self._slow_mono_ms is None
        try:
            if self.is_silent:
                yield from self._probe()
            if self._here is None:
                yield from self._locate()
            model = self._here or self.model
            parts: list[Part] = []
            for block in self._control:
                yield from self._read(block, parts)
        except _FailedError as failed:
            self._fail(failed.answer)
            return no_value(meter, self._now_mono_ms, failed.answer.reason)
        except NoValueError as reason:  # a SunSpec chain without a meter of ours
            self.due_mono_ms = self._now_mono_ms + interval_ms
            return no_value(meter, self._now_mono_ms, str(reason))
        self.failure_count, self.is_silent = 0, False
        self._reading_count += 1
        self._wants_slow = was_slow_turn and bool(self._slow_plan)
        self.due_mono_ms = max(self.due_mono_ms + interval_ms, self._now_mono_ms)
        return self._judged(model, self._together(parts), tuple(block for block, _ in parts))

    def _judged(self, model: MeterModel, registers: dict[int, int], blocks: tuple[Block, ...]) -> MeterReading:
        connection, now_mono_ms = self.connection, self._now_mono_ms
        try:
            found = measured_of(model, registers, len(connection.phases))
            judge_limits(found, connection.ct_ratio_permille)
            check_power(model, found, blocks)
            check_sum(model, found, blocks)
            self._watch.check_jump(found)
            self._watch.check_heartbeat(model, registers, now_mono_ms)
        except NoValueError as reason:
            if str(reason) == "layout-moved":
                self._here = None
            return no_value(connection.meter, now_mono_ms, str(reason))
        reading = reading_of(model, connection, registers, now_mono_ms, found, self._slow, self._slow_mono_ms)
        note, self._energy_note = self._energy_note, ""
        return replace(reading, energy_note=note) if note else reading

    def _probe(self) -> Generator[Ask, tuple[Answer, Millis], None]:
        """A read as short as can be, whose content nobody uses: any answer brings the meter back."""
        model = self._here or self.model
        point = model.points.get("i") or next(iter(model.points.values()))
        count = point.width + point.width % 2 if model.rules.has_pairs else point.width
        address = point.addresses[0]
        if self._here is None and model.chain is not None:
            address, count = (model.chain.at or model.chain.bases[0]), 2
        request = Request(self.connection.unit_number, model.function, address, count, is_probe=True)
        answer, _ = yield Ask(request, self._latency.probe_ms(self.connection.timeout_ms), self._free_mono_ms)
        if answer.words is None and answer.reason not in ALIVE:
            raise _FailedError(answer)

    def _locate(self) -> Generator[Ask, tuple[Answer, Millis], None]:
        """Walk the chain; on a serial line with reads of changing length, of which only the beginning counts."""
        chain = self.model.chain
        if chain is None:
            return
        walk = locate(chain)
        block = next(walk)
        while True:
            spare = [Block(block.address, block.count + more) for more in range(3)] if self._is_serial else [block]
            part = self._shapes.choose(tuple((one,) for one in spare), self.model.function, self._now_mono_ms)[0]
            answer = yield from self._transact(part)
            if answer.reason in REFUSALS and part != block:
                answer = yield from self._transact(block)
            if answer.words is None and answer.reason not in REFUSALS:
                raise _FailedError(answer)
            try:
                block = walk.send(None if answer.words is None else answer.words[: block.count])
            except StopIteration as found:
                self._settle(found.value)
                return

    def _read_slow(self) -> Cycle:
        self._wants_slow = False
        model = self._here or self.model
        parts: list[Part] = []
        try:
            for block in self._slow_plan:
                yield from self._read(block, parts)
            yield from self._read_serial(model)
        except _FailedError as failed:
            # The next reading tells whether the meter is lost.
            if failed.answer.is_link_trouble:
                self.due_mono_ms = self._now_mono_ms + self.connection.interval_ms
            return None
        self._slow, self._slow_mono_ms = self._together(parts), self._now_mono_ms
        self._check_counters(model)
        return None

    def _read_serial(self, model: MeterModel) -> Generator[Ask, tuple[Answer, Millis], None]:
        """A meter of another number is another meter: its counters start elsewhere."""
        probe = model.serial_probe
        if probe is None or not self._wants_serial:
            return
        self._wants_serial = False
        answer, _ = yield self._ask_for(probe.function, Block(probe.address, probe.count))
        if answer.words is None:
            return
        if self._serial is not None and answer.words != self._serial:
            self._counters.clear()
            self._energy_note = "meter-replaced"
            self.events["meter_replaced"] += 1
        self._serial = answer.words

    def _check_counters(self, model: MeterModel) -> None:
        ratio = self.connection.ct_ratio_permille / 1000
        for quantity in ("e_imp", "e_exp"):
            value_wh = energy_wh(model, quantity, self._slow, ratio)
            if value_wh is None:
                continue
            point = model.points[quantity]
            counter = self._counters.setdefault(quantity, Counter(max(1, round(point.scale * ratio)), POWER_MAX_W))
            event = counter.note(value_wh, self._now_mono_ms)
            if event:
                self._energy_note = event
                self.events[event.replace("-", "_")] += 1
            if event == "energy-jump":
                for address in range(point.addresses[0], point.addresses[0] + point.width):
                    self._slow.pop(address, None)

    # --- transactions -------------------------------------------------------------------------------------------------

    def _together(self, parts: list[Part]) -> dict[int, int]:
        """The registers of all reads; where reads overlap, the amps and watts of a phase are of the same one."""
        registers: dict[int, int] = {}
        for block, words in parts:
            registers.update(zip(range(block.address, block.end), words, strict=True))
        if len(parts) > 1:
            for pair in self._pairs:
                for block, words in parts:
                    if all(block.address <= start and end <= block.end for start, end in pair):
                        for start, end in pair:
                            own = words[start - block.address : end - block.address]
                            registers.update(zip(range(start, end), own, strict=True))
                        break
        return registers

    def _read(self, block: Block, parts: list[Part]) -> Generator[Ask, tuple[Answer, Millis], None]:
        for part in self._way(block):
            answer = yield from self._transact(part)
            if answer.reason in REFUSALS:
                self._refuse(block, part)
            if answer.words is None:
                raise _FailedError(answer)
            self._refused.pop(part, None)
            parts.append((part, answer.words))

    def _way(self, block: Block) -> tuple[Block, ...]:
        if not self._is_serial:
            return (block,)
        if block not in self._ways:
            self._ways[block] = ways(block, self._here or self.model, self._known)
        found = tuple(way for way in self._ways[block] if self._refused_ways.isdisjoint(way))
        return self._shapes.choose(found, self.model.function, max(self._now_mono_ms, self._free_mono_ms))

    def _transact(self, block: Block) -> Generator[Ask, tuple[Answer, Millis], Answer]:
        model = self._here or self.model
        answer, _ = yield self._ask_for(model.function, block)
        return answer

    def _ask_for(self, function: int, block: Block) -> Ask:
        shape = (function, block.count)
        is_mistakable = self._is_serial and self._shapes.is_mistakable(shape)
        request = Request(self.connection.unit_number, function, block.address, block.count, is_mistakable)
        free_mono_ms = self._shapes.free_at(shape, self._now_mono_ms) if self._is_serial else 0
        return Ask(request, self._timeout_ms(), max(self._free_mono_ms, free_mono_ms))

    def _timeout_ms(self) -> Millis:
        return self._latency.timeout_ms(self.connection.timeout_ms, self.failure_count)

    def _note(self, request: Request, answer: Answer) -> None:
        now_mono_ms = self._now_mono_ms
        self._shapes.note((request.function, request.count), answer, now_mono_ms)
        self._free_mono_ms = now_mono_ms + self.model.rules.gap_ms
        if answer.words is not None:
            self._latency.note(answer.elapsed_ms)
        elif answer.reason not in ALIVE and not answer.is_link_trouble and self._is_serial:
            # Its answer may still be on the way; others, who have other numbers, need not wait for that.
            self._free_mono_ms = max(self._free_mono_ms, now_mono_ms - answer.elapsed_ms + self.model.rules.reply_max_ms)

    @property
    def _is_serial(self) -> bool:
        """Whether answers carry no number of their own."""
        return self.connection.connection.transport is not Transport.TCP

    # --- trouble ------------------------------------------------------------------------------------------------------

    def _fail(self, answer: Answer) -> None:
        now_mono_ms, interval_ms = self._now_mono_ms, self.connection.interval_ms
        self._wants_serial = True
        if answer.is_link_trouble or answer.reason in ALIVE:
            self.due_mono_ms = now_mono_ms + interval_ms
            return
        self.failure_count += 1
        self.is_silent = self.is_silent or self.failure_count >= DEAD_AFTER
        if self.is_silent:
            pause_ms = min(PROBE_PAUSE_MAX_MS, max(PROBE_PAUSE_MIN_MS, answer.elapsed_ms * PROBE_SHARE))
            self.due_mono_ms = now_mono_ms + pause_ms
        else:
            self.due_mono_ms = min(max(self._free_mono_ms, now_mono_ms), now_mono_ms + interval_ms)

    def _refuse(self, block: Block, part: Block) -> None:
        """What a device refuses twice it does not have; another way to read the same is given up at once."""
        if part != block:
            self._refused_ways.add(part)
            return
        self._refused[block] += 1
        if self._refused[block] < REFUSED_AFTER:
            return
        known, model = self._known, self._here or self.model
        fallback = model.rules.fallback_registers
        areas = frozenset(areas_of(block, model)) - known.refused_areas
        slow = frozenset(
            quantity
            for quantity in SLOW
            if (point := model.points.get(quantity)) is not None and block.address <= point.addresses[0] < block.end
        )
        if fallback is not None and known.max_registers is None and block.count > fallback:
            known = replace(known, max_registers=fallback)
        elif areas:
            known = replace(known, refused_areas=known.refused_areas | areas)
        elif block in self._slow_plan and block not in self._control and slow - known.refused_points:
            known = replace(known, refused_points=known.refused_points | slow)
        else:
            return
        self.events["reads_refused"] += 1
        self._known = known
        self._settle(model)

    def _settle(self, model: MeterModel) -> None:
        """Plan anew."""
        self._here = model
        self._control = control_blocks(model, self._known)
        self._slow_plan = slow_blocks(model, self._known)
        self._pairs = pairs(model)
        self._ways.clear()
        self._refused.clear()
