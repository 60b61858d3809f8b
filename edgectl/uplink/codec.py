"""Payloads to our words and back. Pure: what cannot be understood becomes ``InputRefused`` with the reason, no exception."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec

from edgectl.contract import Receipt
from edgectl.contract.channels import STREAMS
from edgectl.contract.status import Status
from edgectl.domain.events import InputRefused, ReceiptReceived, Rejected
from edgectl.domain.time import Instant, iso
from edgectl.domain.units import UtcMillis
from edgectl.ports import OutboxSummary

MAX_PAYLOAD_BYTES: Final = 65_536
"""A receipt for a whole window of records has 10 kB; the largest command, a token list, comes in pieces of 50 kB."""

MAX_SHOWN_CHARS: Final = 200
"""Of a reason we show or keep; the sender's own log has the rest."""


class UnreadableError(ValueError):
    """A payload that cannot be understood; the text says why, for a person."""


_receipts = msgspec.json.Decoder(Receipt)
T = TypeVar("T")


def decode(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """One payload, within its bounds.

    Raises:
        UnreadableError: too large, too deep, not JSON, or not of the expected shape.
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise UnreadableError(f"{len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} are read")
    try:
        return decoder.decode(payload)
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    except ValueError as error:  # msgspec's own errors, and a UnicodeDecodeError
        raise UnreadableError(shown(str(error))) from None


def parse_receipt(stream: str, payload: bytes) -> ReceiptReceived | InputRefused:
    """A receipt of the backend, on ``receipt/{stream}``. One bad entry refuses it whole: what is not acknowledged is sent again,
    while a record let go of by misreading is lost."""
    if stream not in STREAMS:
        return refused(f"receipt/{shown(stream)}: there is no such stream")
    try:
        receipt = decode(_receipts, payload)
    except UnreadableError as error:
        return refused(f"receipt/{stream}: {error}")
    return ReceiptReceived(
        stream=stream,
        epoch=receipt.epoch,
        acked_through=receipt.acked_through,
        acked=tuple((item.record_id, item.rev) for item in receipt.acked),
        rejected=tuple(
            Rejected(item.record_id, item.rev, shown(item.code) or "rejected", shown(item.reason)) for item in receipt.rejected
        ),
    )


def refused(reason: str) -> InputRefused:
    return InputRefused(door="mqtt", reason=reason)


def status_payload(
    *,
    is_online: bool,
    epoch: str,
    boot_id: str,
    version: str,
    since_utc_ms: UtcMillis | None,
    summary: OutboxSummary | None,
    now: Instant | None,
    nonce: str | None = None,
) -> bytes:
    """Birth, death and will. A will is written before its moment, so its ``since`` and its numbers are null: unknown."""
    oldest_s: int | None = None
    if summary is not None and summary.oldest_utc_ms is not None and now is not None:
        oldest_s = max(0, now.utc_ms - summary.oldest_utc_ms) // 1000
    status = Status(
        state="online" if is_online else "offline",
        epoch=epoch,
        boot_id=boot_id,
        version=version,
        since=None if since_utc_ms is None else iso(since_utc_ms),
        backlog=None if summary is None else summary.backlog_count,
        oldest_unacked_s=oldest_s,
        nonce=nonce,
    )
    return encode(status)


def encode(body: dict[str, Any] | msgspec.Struct) -> bytes:
    """Compact JSON.

    Raises:
        TypeError, ValueError: for what JSON cannot carry.
    """
    return msgspec.json.encode(body)


def shown(text: str) -> str:
    """Printable and short."""
    return "".join(char if char.isprintable() else "?" for char in text[:MAX_SHOWN_CHARS])
