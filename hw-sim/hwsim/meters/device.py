"""Units that answer read requests from their registers, and what can be wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from edgectl.meters.catalogue import MeterModel

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
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, BUSY = 1, 2, 3, 6


@dataclass(frozen=True)
class Strictness:
    """What a device refuses; by default, no more than what is not there."""

    functions: frozenset[int] = frozenset({3, 4})
    max_registers: int = 125
    has_pairs: bool = False
    singles: frozenset[int] = frozenset()
    values: tuple[tuple[int, int], ...] = ()
    """Start and end of every value; a read that cuts one is refused. Empty where the device does not mind."""
    holes: frozenset[int] | None = None
    """Registers that may be read although nothing is listed there; None for any between the first and the last asked for."""

    loose: frozenset[int] = frozenset()
    """Registers outside the table of values, such as the model's number: they are single words."""

    def refuses(self, function: int, address: int, count: int, contents: dict[int, int]) -> int | None:
        """The exception code, or None."""
        if function not in self.functions:
            return ILLEGAL_FUNCTION
        if not 0 < count <= self.max_registers:
            return ILLEGAL_VALUE
        if self.has_pairs and (address % 2 or count % 2) and address not in self.loose:
            return ILLEGAL_ADDRESS
        addresses = range(address, address + count)
        if count > 1 and not self.singles.isdisjoint(addresses):
            return ILLEGAL_ADDRESS
        if any(first < edge < last for first, last in self.values for edge in (address, address + count)):
            return ILLEGAL_ADDRESS
        if self.holes is None:
            return None if address in contents or address + count - 1 in contents else ILLEGAL_ADDRESS
        return None if all(one in contents or one in self.holes for one in addresses) else ILLEGAL_ADDRESS


def strict(model: MeterModel, *, has_trial_areas: bool = True) -> Strictness:
    """All the catalogue says of a model, enforced. Without ``has_trial_areas`` only what somebody is known to read."""
    rules = model.rules
    values = [
        (address, address + point.width)
        for point in model.points.values()
        for address in point.addresses
        if rules.is_whole and point.width > 1
    ]
    holes = [
        address
        for area in model.areas
        if area.is_proven or has_trial_areas
        for address in range(area.block.address, area.block.end)
    ]
    return Strictness(
        functions=frozenset({model.function, *(probe.function for probe in model.detect)}),
        max_registers=rules.max_registers,
        has_pairs=rules.has_pairs,
        singles=rules.singles,
        values=tuple(values),
        holes=frozenset(holes),
    )


@dataclass
class Device:
    """One unit. ``source`` gives its registers now; an address that is not there is refused like a real one would."""

    source: Callable[[], dict[int, int]]
    max_registers: int = 125
    faults: set[str] = field(default_factory=set)
    late_s: float = 0.0
    """How late a ``late`` answer comes."""
    strictness: Strictness | None = None
    request_count: int = 0
    refusals: list[tuple[int, int, int]] = field(default_factory=list)
    """Function, address and count of what was refused."""
    _frozen: dict[int, int] | None = None

    def answer(self, function: int, address: int, count: int) -> bytes:
        """The PDU: function, byte count, registers; or an exception."""
        self.request_count += 1
        if "busy" in self.faults:
            return bytes([function | 0x80, BUSY])
        if "frozen" in self.faults:
            self._frozen = self._frozen or self.source()
            contents = self._frozen
        else:
            self._frozen = None
            contents = self.source()
        strictness = self.strictness or Strictness(max_registers=self.max_registers)
        refusal = strictness.refuses(function, address, count, contents)
        if refusal is not None:
            self.refusals.append((function, address, count))
            del self.refusals[:-100]
            return bytes([function | 0x80, refusal])
        words = [contents.get(a, 0) for a in range(address, address + count)]
        if "wrong-length" in self.faults:
            words = words[:1]
        body = b"".join(word.to_bytes(2) for word in words)
        return bytes([function ^ 0x07 if "wrong-function" in self.faults else function, len(body)]) + body
