"""Bytes from a P1 port to telegrams: found wherever they begin, checked by all there is to check with, or named as damaged.

A telegram is lines of text from ``/`` to ``!``; behind ``!`` stand four hex digits, a CRC-16 over all of it (DSMR 4 on; some
meters leave leading zeros out). DSMR 2.2 and 3 have none: there the parity bits are checked, each line must have its form, no
code may come twice, and all lines must be as long as those of the telegram before, so that a telegram with a piece missing
never passes for a whole one.

The port is opened with eight data bits whatever the meter sends: seven bits and a parity bit are eight bits, and a bridge may
have taken the parity away already. The bytes tell which it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edgectl.domain.units import Millis

BUFFER_MAX = 8_192
"""Five times the longest telegram seen in public (1.6 kB, Belgium with a gas and a water meter): more is no telegram."""
GAP_MS: Millis = 2_000
"""Silence inside a telegram. The slowest takes 1.5 s in one piece and is followed by 8 s of silence: beyond this it was cut."""
CANDIDATES_MAX = 4
"""How many ``/`` before one ``!`` are tried as its beginning: a cut telegram, and noise."""
TAIL_MAX = 8
"""Longest checksum with its line end."""

_SEVEN_BITS = bytes(byte & 0x7F for byte in range(256))
_EVEN = bytes(byte for byte in range(256) if byte.bit_count() % 2 == 0)
_LINE = re.compile(r"\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}\.\d{1,3}(\.\d{1,3})?(\([^()]*\))+")
_VERSIONS = ("1-3:0.2.8", "0-0:96.1.4")
"""Lines that say which version the telegram has; each version that has one of them has a checksum."""
_ENCRYPTED = b"\xdb\x08"
"""How a Luxembourg telegram begins: general-glo-ciphering (DLMS), then eight bytes of system title."""
_ENCRYPTED_HEAD = 13


@dataclass(frozen=True, slots=True)
class Telegram:
    """A telegram that has passed every check."""

    ident: str
    """The first line behind ``/``: maker and type."""
    objects: dict[str, tuple[str, ...]]
    """What stands in brackets, by code such as ``1-0:21.7.0``."""
    has_checksum: bool


@dataclass(frozen=True, slots=True)
class Damage:
    """Something that is no telegram; the reason says why."""

    reason: str


class TelegramReader:
    """Collects bytes, however they are cut. Memory is bounded by ``BUFFER_MAX`` and one piece."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._fed_mono_ms: Millis = 0
        self._shape: tuple[tuple[str, int], ...] = ()
        """Codes and lengths of the last telegram without a checksum."""

    def feed(self, data: bytes, now_mono_ms: Millis) -> list[Telegram | Damage]:
        """Everything that is complete with these bytes."""
        found: list[Telegram | Damage] = []
        if self._raw and now_mono_ms - self._fed_mono_ms > GAP_MS:
            self._raw.clear()
            found.append(Damage("cut-telegram"))
        self._fed_mono_ms = now_mono_ms
        self._raw += data
        while (more := self._next()) is not None:
            found.append(more)
        return found

    def _next(self) -> Telegram | Damage | None:
        if self._is_encrypted():
            return self._take_encrypted()
        text = self._raw.translate(_SEVEN_BITS)
        start = text.find(b"/")
        if start < 0:
            # Nothing has begun; only the first byte of what may be an encrypted telegram is worth keeping.
            del self._raw[: len(self._raw) - int(self._raw[-1:] == _ENCRYPTED[:1])]
            return None
        if start:
            del self._raw[:start]
            return self._next()
        end = text.find(b"\n!")
        if end < 0:
            if len(text) > BUFFER_MAX:
                self._raw.clear()
                return Damage("endless-telegram")
            return None
        line_end = text.find(b"\n", end + 2)
        if line_end < 0:
            if len(text) - end <= TAIL_MAX:
                return None
            del self._raw[: end + 2]
            return Damage("damaged-telegram")
        raw = bytes(self._raw[: end + 2])
        tail = bytes(text[end + 2 : line_end]).strip()
        del self._raw[: line_end + 1]
        return self._confirmed(_best(raw, tail))

    def _confirmed(self, found: Telegram | Damage) -> Telegram | Damage:
        if isinstance(found, Damage) or found.has_checksum:
            return found
        shape = ((found.ident, 0), *((code, len("".join(values))) for code, values in found.objects.items()))
        is_like_before, self._shape = shape == self._shape, shape
        return found if is_like_before else Damage("unconfirmed-telegram")

    def _is_encrypted(self) -> bool:
        at = self._raw.find(_ENCRYPTED)
        return at >= 0 and b"/" not in self._raw[:at].translate(_SEVEN_BITS)

    def _take_encrypted(self) -> Damage | None:
        del self._raw[: self._raw.find(_ENCRYPTED)]
        if len(self._raw) < _ENCRYPTED_HEAD:
            return None
        size = _ENCRYPTED_HEAD + int.from_bytes(self._raw[11:13])
        if self._raw[10] != 0x82 or size > BUFFER_MAX:
            del self._raw[: len(_ENCRYPTED)]
            return Damage("damaged-telegram")
        if len(self._raw) < size:
            return None
        del self._raw[:size]
        return Damage("encrypted-telegram")


def _best(raw: bytes, tail: bytes) -> Telegram | Damage:
    """The telegram that ends here, from the last ``/`` that makes it one: what stands before was cut off."""
    text = raw.translate(_SEVEN_BITS)
    verdict: Telegram | Damage = Damage("damaged-telegram")
    start = len(text)
    for _ in range(CANDIDATES_MAX):
        start = text.rfind(b"/", 0, start)
        if start < 0:
            break
        verdict = _judge(raw[start:], tail)
        if isinstance(verdict, Telegram):
            break
    return verdict


def _judge(raw: bytes, tail: bytes) -> Telegram | Damage:
    if max(raw) > 0x7F:
        if raw.translate(None, _EVEN):
            return Damage("damaged-telegram")
        raw = raw.translate(_SEVEN_BITS)
    if tail:
        if re.fullmatch(rb"[0-9A-Fa-f]{1,4}", tail) is None:
            return Damage("damaged-telegram")
        if int(tail, 16) != checksum(raw):
            return Damage("wrong-checksum")
    lines = _lines(raw)
    if lines is None:
        return Damage("damaged-telegram")
    objects: dict[str, tuple[str, ...]] = {}
    for line in lines[1:]:
        code, _, rest = line.partition("(")
        is_known_form = _LINE.fullmatch(line) is not None and code not in objects
        if is_known_form:
            objects[code] = tuple(rest[:-1].split(")("))
        elif not tail:
            return Damage("damaged-telegram")
    if not tail and any(code in objects for code in _VERSIONS):
        return Damage("missing-checksum")
    return Telegram(lines[0][1:], objects, has_checksum=bool(tail))


def _lines(raw: bytes) -> list[str] | None:
    """The lines without the last; one that begins with a bracket belongs to the one before (DSMR 3 writes gas like that)."""
    lines: list[str] = []
    for line in raw[:-1].decode("ascii").splitlines():
        text = line.strip()
        if not text.isprintable():
            return None
        if text.startswith("(") and len(lines) > 1:
            lines[-1] += text
        elif text:
            lines.append(text)
    return lines


def checksum(data: bytes) -> int:
    """CRC-16, polynomial 0x8005 reflected, from zero (DSMR P1 companion standard 5.0.2, 6.2)."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return value
