"""One P1 port, listened to until cancelled. The meter sends by itself; we say when it does not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.settings import MeterConnection
from edgectl.domain.units import Millis
from edgectl.meters.p1.telegram import Damage, Telegram, TelegramReader
from edgectl.meters.p1.values import NoValueError, P1Values, reading_of, values_of
from edgectl.meters.streams import LINE_ERRORS, close_stream, line_reason, open_stream
from edgectl.ports import Clock

log = structlog.get_logger(__name__)

REOPEN_MIN_MS, REOPEN_MAX_MS = 500, 4_000
"""A line that comes back is heard again within five seconds."""
GRACE_MS: Millis = 1_500
"""How much later than twice its interval a telegram may come before the port counts as silent."""
FROZEN_MS: Millis = 30_000
"""A meter that has sent the same time of day for this long is repeating itself: three telegrams of the slowest."""
LOST_AFTER = 3
"""Failures in a row before the log says so; one damaged telegram is no news."""
CHUNK = 4_096


@dataclass
class _Seen:
    """What the telegrams before have said."""

    serial: str | None = None
    timestamp: str | None = None
    timestamp_mono_ms: Millis = 0
    noted_mono_ms: Millis = 0
    failure_count: int = 0


class P1Reader:
    """Puts a reading for every telegram, and one without a value for every stretch of silence or damage."""

    def __init__(self, connection: MeterConnection, put: Callable[[MeterReading], None], clock: Clock) -> None:
        self._connection = connection
        self._put = put
        self._clock = clock
        self._seen = _Seen()
        self._counters: Counter[str] = Counter()
        self.telegram: Telegram | None = None
        """The latest one, for the tools."""

    def counters(self) -> dict[str, int]:
        return dict(self._counters)

    async def run(self) -> None:
        pause_ms = REOPEN_MIN_MS
        while True:
            telegram_count = self._counters["p1_telegrams"]
            reason = await self._listen()
            self._note(self._without(reason))
            has_worked = self._counters["p1_telegrams"] > telegram_count
            pause_ms = REOPEN_MIN_MS if has_worked else min(pause_ms * 2, REOPEN_MAX_MS)
            await asyncio.sleep(pause_ms / 1000)

    @property
    def _silent_ms(self) -> Millis:
        return 2 * self._connection.interval_ms + GRACE_MS

    async def _listen(self) -> str:
        """Until the line is gone; the reason."""
        try:
            reader, writer = await open_stream(self._connection.connection)
        except LINE_ERRORS as error:
            return line_reason(error)
        receiver = TelegramReader()
        self._seen.noted_mono_ms = self._clock.now().mono_ms
        try:
            while True:
                data = await self._read(reader)
                if data == b"":
                    return "connection-lost"
                now_ms = self._clock.now().mono_ms
                for found in receiver.feed(data or b"", now_ms):
                    self._note(self._reading(found))
                if now_ms - self._seen.noted_mono_ms >= self._silent_ms:
                    # Bytes without a telegram: another baud rate, another protocol.
                    self._note(self._without("timeout" if data is None else "no-telegram"))
        except LINE_ERRORS as error:
            return line_reason(error)
        finally:
            await close_stream(writer)

    async def _read(self, reader: asyncio.StreamReader) -> bytes | None:
        """Some bytes, none when it is closed, None after too long a silence."""
        try:
            async with asyncio.timeout(self._silent_ms / 1000):
                return await reader.read(CHUNK)
        except TimeoutError:
            return None

    def _reading(self, found: Telegram | Damage) -> MeterReading:
        if isinstance(found, Damage):
            return self._without(found.reason)
        now_ms = self._clock.now().mono_ms
        try:
            values = values_of(found)
        except NoValueError as reason:
            return self._without(str(reason))
        self._counters["p1_telegrams"] += 1
        self.telegram = found
        is_replaced = self._remember(values, now_ms)
        if values.timestamp is not None and now_ms - self._seen.timestamp_mono_ms >= FROZEN_MS:
            return self._without("frozen")
        reading = reading_of(values, self._connection, now_ms)
        return replace(reading, energy_note="meter-replaced") if is_replaced else reading

    def _remember(self, values: P1Values, now_ms: Millis) -> bool:
        """True when another meter is there than before: its counters start elsewhere."""
        seen = self._seen
        is_replaced = False
        if values.timestamp != seen.timestamp:
            seen.timestamp, seen.timestamp_mono_ms = values.timestamp, now_ms
        if values.serial is not None and values.serial != seen.serial:
            is_replaced = seen.serial is not None
            if is_replaced:
                self._counters["meter_replaced"] += 1
                log.warning("meter_replaced", meter=self._connection.meter, before=seen.serial, after=values.serial)
            seen.serial = values.serial
        return is_replaced

    def _without(self, reason: str) -> MeterReading:
        return MeterReading(self._connection.meter, self._clock.now().mono_ms, Quality.NO_VALUE, reason=reason)

    def _note(self, reading: MeterReading) -> None:
        seen, is_good = self._seen, reading.quality is Quality.GOOD
        self._counters["reads"] += 1
        if not is_good:
            self._counters["no_value"] += 1
            self._counters[reading.reason.replace("-", "_")] += 1
            seen.failure_count += 1
            if seen.failure_count == LOST_AFTER:
                log.warning("meter_lost", meter=reading.meter, reason=reading.reason)
        else:
            if seen.failure_count >= LOST_AFTER:
                log.info("meter_back", meter=reading.meter)
            seen.failure_count = 0
        seen.noted_mono_ms = reading.completed_mono_ms
        self._put(reading)
