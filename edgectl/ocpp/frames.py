"""OCPP-J frames: text to a typed frame and back (OCPP-J 1.6 §4, OCPP 2.0.1 Part 4 §4).

Reading is lenient where a strict answer would cost billing data, and bounded everywhere. Nothing here raises: what cannot be
read is itself a frame (``Malformed`` is owed an error, ``Ignored`` is only counted).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias

Payload: TypeAlias = dict[str, Any]
"""A JSON object. ``Any`` stops at the codecs, which make domain values of it."""

MAX_FRAME_CHARS = 256 * 1024
"""A StopTransaction with a night of 10 s samples is about 100 KB; nothing legitimate is larger than twice that."""
MAX_DEPTH = 32
"""The deepest OCPP 2.1 message nests about ten levels."""
MAX_INTEGER_DIGITS = 32
"""Longer integers become infinity and are dropped by whoever reads them: one absurd number must not refuse a billing message."""
MAX_MESSAGE_ID_CHARS = 36
MAX_TOLERATED_MESSAGE_ID_CHARS = 255
"""For messages that are never refused; still a bound, as the id is echoed and kept."""
UNKNOWN_MESSAGE_ID = "-1"
"""The id of an error about a frame whose own id could not be read."""


class Fault(StrEnum):
    """Why a call is refused, before it gets the protocol version's own spelling."""

    UNREADABLE = "unreadable"
    """Not JSON, not an array, or no usable message id."""
    FORMAT = "format"
    """An array, but not the shape of this action's message."""
    MISSING = "missing"
    TYPE = "type"
    VALUE = "value"
    UNKNOWN_ACTION = "unknown-action"
    UNSUPPORTED_ACTION = "unsupported-action"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the OCPP-J framings of the versions."""

    codes: dict[Fault, str]
    has_send: bool = False
    """Message types 5 (CALLRESULTERROR) and 6 (SEND) exist."""


_CODES_16 = {
    Fault.UNREADABLE: "FormationViolation",
    Fault.FORMAT: "FormationViolation",
    Fault.MISSING: "OccurenceConstraintViolation",  # spelled so in OCPP 1.6
    Fault.TYPE: "TypeConstraintViolation",
    Fault.VALUE: "PropertyConstraintViolation",
    Fault.UNKNOWN_ACTION: "NotImplemented",
    Fault.UNSUPPORTED_ACTION: "NotSupported",
    Fault.BUSY: "GenericError",
}
_CODES_2 = _CODES_16 | {
    Fault.UNREADABLE: "RpcFrameworkError",
    Fault.FORMAT: "FormatViolation",
    Fault.MISSING: "OccurrenceConstraintViolation",
}
DIALECT_16 = Dialect(_CODES_16)
DIALECT_20 = Dialect(_CODES_2)
DIALECT_21 = Dialect(_CODES_2, has_send=True)


@dataclass(frozen=True, slots=True)
class CallFrame:
    message_id: str
    echo_id: str | int
    """The id as it was sent: a charger that counts with numbers gets its number back."""
    action: str
    payload: Payload
    repairs: tuple[str, ...] = ()
    """What was wrong with the frame and tolerated."""


@dataclass(frozen=True, slots=True)
class ResultFrame:
    message_id: str
    payload: Payload
    is_usable: bool = True
    """Its payload was an object; if not, it reads as an empty one."""


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    message_id: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class ResultErrorFrame:
    """OCPP 2.1: the charger could not use our answer."""

    message_id: str
    code: str
    description: str


@dataclass(frozen=True, slots=True)
class SendFrame:
    """OCPP 2.1: a message nobody answers."""

    message_id: str
    action: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class Malformed:
    """Owed a CALLERROR."""

    fault: Fault
    reason: str
    echo_id: str | int = UNKNOWN_MESSAGE_ID


@dataclass(frozen=True, slots=True)
class Ignored:
    """Counted under ``kind``, not answered."""

    kind: str
    reason: str = field(default="", compare=False)


Frame: TypeAlias = CallFrame | ResultFrame | ErrorFrame | ResultErrorFrame | SendFrame | Malformed | Ignored


def parse(text: str, dialect: Dialect, never_refused: frozenset[str] = frozenset()) -> Frame:
    """One received text as one frame.

    A call whose action is in ``never_refused`` is repaired rather than refused, as long as its array, id and action can be read:
    an error would use up one of the charger's delivery attempts, and after the last it discards the message (OCPP 1.6 §4.5,
    key TransactionMessageAttempts).
    """
    if not text.strip():
        return Ignored("empty")
    if len(text) > MAX_FRAME_CHARS:
        return Malformed(Fault.UNREADABLE, "longer than 256 KB")
    try:
        parts = _decoder.decode(text)
    except (ValueError, RecursionError):
        return Malformed(Fault.UNREADABLE, "not JSON")
    if not isinstance(parts, list) or not parts:
        return Malformed(Fault.UNREADABLE, "not a JSON array")
    # Fewer brackets than the limit cannot nest deeper than the limit, and most frames have fewer.
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper_than(parts, MAX_DEPTH):
        return Malformed(Fault.UNREADABLE, "nested deeper than 32")
    if "\\u" in text:
        parts = _without_lone_surrogates(parts)
    match parts[0]:
        case 2:
            return _call(parts, never_refused)
        case 3:
            return _result(parts)
        case 4:
            return _error(parts, ErrorFrame)
        case 5 if dialect.has_send:
            return _error(parts, ResultErrorFrame)
        case 6 if dialect.has_send:
            return _send(parts)
    return Ignored("unknown_type", "message type is not one of this version")


def call_text(message_id: str, action: str, payload: Payload) -> str:
    return _encode([2, message_id, action, payload])


def result_text(echo_id: str | int, payload: Payload) -> str:
    return _encode([3, echo_id, payload])


def error_text(echo_id: str | int, code: str, description: str) -> str:
    """OCPP-J limits the description to 255 characters."""
    return _encode([4, echo_id, code, description[:255], {}])


def result_error_text(message_id: str, code: str, description: str) -> str:
    """OCPP 2.1: we could not use the charger's answer to our call."""
    return _encode([5, message_id, code, description[:255], {}])


def payload_of(text: str) -> Payload:
    """The payload of a call we have parsed before, from its kept text."""
    frame = parse(text, DIALECT_21)
    return frame.payload if isinstance(frame, CallFrame) else {}


def _bounded_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else math.inf


# Control characters inside strings are tolerated: some firmware forgets to escape them.
_decoder = json.JSONDecoder(parse_int=_bounded_integer, strict=False)
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _is_deeper_than(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_is_deeper_than(item, levels - 1) for item in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_is_deeper_than(item, levels - 1) for item in value)
    return False


def _without_lone_surrogates(value: Any) -> Any:
    """Half a surrogate pair is legal in JSON escapes, but no UTF-8 encoder behind us could write it."""
    if isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            return value.encode("utf-8", "replace").decode()
        return value
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_lone_surrogates(key): _without_lone_surrogates(item) for key, item in value.items()}
    return value


def _id_of(parts: list[Any]) -> str | int | None:
    """The message id, or None. Some firmware counts with JSON numbers; null, true, lists and "" identify nothing."""
    raw = parts[1] if len(parts) > 1 else None
    if isinstance(raw, str):
        return raw or None
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def _call(parts: list[Any], never_refused: frozenset[str]) -> CallFrame | Malformed:
    echo_id = _id_of(parts)
    action = parts[2] if len(parts) > 2 else None
    is_lenient = isinstance(action, str) and action in never_refused
    if echo_id is None:
        return Malformed(Fault.UNREADABLE, "message id is missing or not a text")
    message_id = str(echo_id)
    if len(message_id) > (MAX_TOLERATED_MESSAGE_ID_CHARS if is_lenient else MAX_MESSAGE_ID_CHARS):
        return Malformed(Fault.UNREADABLE, "message id is longer than 36 characters")
    if not isinstance(action, str) or not action:
        return Malformed(Fault.FORMAT, "action is missing or not a text", echo_id)
    payload = parts[3] if len(parts) > 3 else None
    repairs = []
    if len(parts) != 4:
        repairs.append(f"{len(parts)} elements instead of 4")
    if payload is None:
        payload = {}
    elif not isinstance(payload, dict):
        repairs.append("payload is not an object")
        payload = {}
    if repairs and not is_lenient:
        return Malformed(Fault.FORMAT, repairs[0], echo_id)
    if len(message_id) > MAX_MESSAGE_ID_CHARS:
        repairs.append("message id is longer than 36 characters")
    return CallFrame(message_id, echo_id, action, payload, tuple(repairs))


def _result(parts: list[Any]) -> ResultFrame | Ignored:
    message_id = _id_of(parts)
    if message_id is None:
        return Ignored("answer_without_id")
    payload = parts[2] if len(parts) > 2 else None
    return (
        ResultFrame(str(message_id), payload) if isinstance(payload, dict) else ResultFrame(str(message_id), {}, is_usable=False)
    )


def _error(parts: list[Any], kind: type[ErrorFrame] | type[ResultErrorFrame]) -> ErrorFrame | ResultErrorFrame | Ignored:
    message_id = _id_of(parts)
    if message_id is None:
        return Ignored("answer_without_id")
    code, description = (part if isinstance(part, str) else "" for part in [*parts[2:4], "", ""][:2])
    return kind(str(message_id), code[:64], description[:255])


def _send(parts: list[Any]) -> SendFrame | Ignored:
    message_id = _id_of(parts)
    action = parts[2] if len(parts) > 2 else None
    payload = parts[3] if len(parts) > 3 else None
    if message_id is None or not isinstance(action, str) or not isinstance(payload, dict):
        return Ignored("send_unreadable")
    return SendFrame(str(message_id), action, payload)
