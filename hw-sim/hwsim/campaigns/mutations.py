"""Frames as no charger should send them: values, shapes, sizes, ids and bytes changed here and there."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

from edgectl.ocpp.frames import MAX_DEPTH, MAX_FRAME_CHARS

_HUGE = 10**40
_SIZES = (0, 1, 19, 20, 21, 35, 36, 37, 50, 51, 254, 255, 256, 500, 501, 2_500, 5_501)
_CHARS = ("x", "é", "\u4e2d", "\U0001f600", "\x00", '"', "\\", "\u202e", " ", "٣", "\ud800", "-", "9")
_TYPES = (0, 1, 2, 3, 4, 5, 6, 7, -2, 2.0, 2.5, "2", None, True, [2], {"2": 2}, _HUGE, "")
_IDS: tuple[Any, ...] = (
    0, 7, -1, 2**63, _HUGE, 1.5, True, None, "", " ", "-1", "0", [], {}, "x" * 36, "x" * 37, "x" * 255, "x" * 256, "\u4e2d" * 36,
)  # fmt: skip

_NUMBERS = (0, -1, 1, 2, 2**31 - 1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, 2**63, 2**64, _HUGE, 10**400, 0.1, -0.0, 1e308, 5e-324)
_TEXTS = (
    "", " ", "0", "-1", "1e400", "NaN", "Infinity", "null", "1.5.2", "1,5", "٣", "0x10", "9" * 60, "1E5", "-0", "+7", "Wh", "kWh",
    "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:60Z", "2027-01-15T08:00:00+14:59",
    "2027-02-30T08:00:00Z", "20270115T080000Z", "Energy.Active.Import.Register", "Power.Active.Import", "Current.Import",
    "SignedData", "L1", "L1-N", "Transaction.End", "Started", "Ended",
)  # fmt: skip
_NOISE = (
    "[", "]", "{", "}", '"', ",", ":", "null", "true", "-1", "1e400", "NaN", "-Infinity", "9" * 60, "9" * 5_000, "\\", "\\ud800",
    "\\u0000", "\x00", "\ufeff", "é", "[[[[", "{}", "2", "6", " ", "\n", "//", "'",
)  # fmt: skip
_KEYS = (
    "", "status", "transactionId", "connectorId", "evseId", "timestamp", "value", "meterValue", "sampledValue", "x" * 300,
    "__class__",
)  # fmt: skip


class Mutator:
    """Changes frames; everything it does comes from ``rng``."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def mutated(self, frame: list[Any]) -> str:
        """The text of ``frame``, which it may change, after some mutations; now and then after none."""
        rng = self._rng
        if rng.random() < 0.25:
            return json.dumps(frame)
        if rng.random() < 0.8:
            for _ in range(rng.choice((1, 1, 2, 4))):
                self._change_somewhere(frame)
        if rng.random() < 0.15:
            self._change_head(frame)
        text = json.dumps(frame, ensure_ascii=rng.random() < 0.7)
        if rng.random() < 0.3:
            for _ in range(rng.choice((1, 1, 2, 6))):
                text = self._with_noise(text)
        if rng.random() < 0.001:
            text = self._sized(text)
        # Half a surrogate pair comes as an escape or not at all: it is no UTF-8, so no WebSocket carries it.
        return text.encode("utf-8", "replace").decode()

    # --- structure ------------------------------------------------------------------------------------------------------

    def _change_somewhere(self, frame: list[Any]) -> None:
        """Walk down to some place behind the head and change what is there."""
        place: Any = frame
        key: Any = len(frame) - 1
        while isinstance(place[key], dict | list) and place[key] and self._rng.random() < 0.85:
            place = place[key]
            key = self._rng.choice(list(place)) if isinstance(place, dict) else self._rng.randrange(len(place))
        self._rng.choice(self._changes)(self, place, key)

    def _replace(self, place: Any, key: Any) -> None:
        place[key] = self._value()

    def _vary(self, place: Any, key: Any) -> None:
        """Another value of the same kind, which gets further than one of another."""
        value = place[key]
        if isinstance(value, str):
            number = self._rng.choice(_NUMBERS)
            place[key] = self._rng.choice((self._text(), value.swapcase(), value + " ", str(number), value * 2))
        elif isinstance(value, int | float):
            place[key] = self._rng.choice((*_NUMBERS, value + 1, -value, str(value)))
        else:
            self._replace(place, key)

    def _remove(self, place: Any, key: Any) -> None:
        if len(place) > 1 or isinstance(place, dict):
            del place[key]

    def _rename(self, place: Any, key: Any) -> None:
        if isinstance(place, dict):
            place[self._rng.choice((*_KEYS, key.swapcase(), key + "x"))] = place.pop(key)

    def _add(self, place: Any, key: Any) -> None:
        if isinstance(place, dict):
            place[self._rng.choice(_KEYS)] = self._value()
        else:
            place.insert(key, self._value())

    def _repeat(self, place: Any, key: Any) -> None:
        if isinstance(place, list):
            place[key:key] = [place[key]] * self._rng.choice((1, 3, 40, 300))
        else:
            place[key] = [place[key]] * self._rng.choice((0, 1, 2, 100))

    def _nest(self, place: Any, key: Any) -> None:
        for _ in range(self._rng.choice((1, 2, MAX_DEPTH - 4, MAX_DEPTH - 3, MAX_DEPTH - 2, MAX_DEPTH, 200))):
            place[key] = [place[key]] if self._rng.random() < 0.5 else {"a": place[key]}

    _changes: tuple[Callable[[Mutator, Any, Any], None], ...] = (
        _replace, _vary, _vary, _vary, _remove, _rename, _add, _repeat, _nest,
    )  # fmt: skip

    def _change_head(self, frame: list[Any]) -> None:
        match self._rng.randrange(5):
            case 0 if frame:
                frame[0] = self._rng.choice(_TYPES)
            case 1 if len(frame) > 1:
                frame[1] = self._rng.choice(_IDS)
            case 2 if len(frame) > 2:
                frame[2] = self._rng.choice((self._value(), "Heartbeat", "StopTransaction", "TransactionEvent", "MeterValues"))
            case 3:
                frame.append(self._value())
            case _:
                del frame[self._rng.randrange(len(frame)) :]

    def _value(self) -> Any:
        match self._rng.randrange(6):
            case 0:
                return self._rng.choice((None, True, False, [], {}, [[]], [None], {"": None}))
            case 1 | 2:
                return self._rng.choice(_NUMBERS)
            case 3:
                return [self._rng.choice(_NUMBERS), self._rng.choice(_TEXTS), {}]
        return self._text()

    def _text(self) -> str:
        if self._rng.random() < 0.6:
            return self._rng.choice(_TEXTS)
        return self._rng.choice(_CHARS) * self._rng.choice(_SIZES)

    # --- text -----------------------------------------------------------------------------------------------------------

    def _with_noise(self, text: str) -> str:
        rng = self._rng
        start = rng.randrange(len(text) + 1)
        stop = min(len(text), start + rng.choice((0, 1, 2, 10, len(text))))
        middle = rng.choice((rng.choice(_NOISE), text[start : start + 500] * 2, "", chr(rng.randrange(1, 0x2FF))))
        return text[:start] + middle + text[stop:]

    def _sized(self, text: str) -> str:
        """About as large or as deep as a frame may be, or far beyond."""
        rng = self._rng
        if rng.random() < 0.5:
            return text + " " * max(0, MAX_FRAME_CHARS + rng.choice((-1, 0, 1)) - len(text))
        depth = rng.choice((MAX_DEPTH, 1_000, 100_000))
        return f'[2,"deep","Heartbeat",{"[" * depth}{"]" * depth}]'
