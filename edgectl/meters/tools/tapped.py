"""A bus that remembers what went over it, for people who want to see the registers themselves."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgectl.domain.units import Millis
from edgectl.meters.buses import Bus
from edgectl.meters.rtu import Answer, Request


@dataclass
class TappedBus:
    bus: Bus
    exchanges: list[tuple[Request, Answer]] = field(default_factory=list)

    async def read(self, request: Request, timeout_ms: Millis) -> Answer:
        answer = await self.bus.read(request, timeout_ms)
        self.exchanges.append((request, answer))
        return answer

    async def close(self) -> None:
        await self.bus.close()
