"""Units that answer read requests from their registers, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

FAULTS = frozenset(
    {
        "silent",
        "late",
        "truncated",
        "noise",
        "wrong-unit",
        "wrong-function",
        "wrong-length",
        "damaged",
        "doubled",
        "frozen",
        "busy",
    }
)


@dataclass
class Device:
    """One unit. ``source`` gives its registers now; an address that is not there is refused like a real one would."""

    source: Callable[[], dict[int, int]]
    max_registers: int = 125
    faults: set[str] = field(default_factory=set)
    late_s: float = 0.0
    """How late a ``late`` answer comes."""
    request_count: int = 0
    _frozen: dict[int, int] | None = None

    def answer(self, function: int, address: int, count: int) -> bytes:
        """The PDU: function, byte count, registers; or an exception."""
        self.request_count += 1
        if function not in {3, 4}:
            return bytes([function | 0x80, 1])
        if "busy" in self.faults:
            return bytes([function | 0x80, 6])
        if not 0 < count <= self.max_registers:
            return bytes([function | 0x80, 3])
        if "frozen" in self.faults:
            self._frozen = self._frozen or self.source()
            contents = self._frozen
        else:
            self._frozen = None
            contents = self.source()
        if address not in contents and address + count - 1 not in contents:
            return bytes([function | 0x80, 2])
        words = [contents.get(a, 0) for a in range(address, address + count)]
        if "wrong-length" in self.faults:
            words = words[:1]
        body = b"".join(word.to_bytes(2) for word in words)
        return bytes([function ^ 0x07 if "wrong-function" in self.faults else function, len(body)]) + body
