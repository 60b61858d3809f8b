"""Records to keep, and how a billing record is checked by somebody who only has its bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import rfc8785

from edgectl.domain.ids import ChargerId, CircuitId, EvseId, IdToken, SessionId, TransactionRef
from edgectl.domain.phases import Phase
from edgectl.domain.reasons import Authority, Cause, Input, Reason
from edgectl.domain.records import (
    Authorisation,
    BillKept,
    EventKept,
    LimitKept,
    MessageKept,
    Period,
    PeriodState,
    ReceiptKept,
    Session,
    SessionStatus,
    TelemetryKept,
)
from edgectl.domain.time import Instant

DAY_MS = 86_400_000
NOW = Instant(mono_ms=60_000, utc_ms=1_767_225_600_000)  # 2026-01-01T00:00:00Z
EVSE = EvseId(ChargerId("CP-1"), 1)


def later(ms: int) -> Instant:
    return Instant(NOW.mono_ms + ms, NOW.utc_ms + ms)


def session(
    name: str = "s-1",
    *,
    status: SessionStatus = SessionStatus.ACTIVE,
    transaction: str = "7",
    started_utc_ms: int = NOW.utc_ms,
    ended_utc_ms: int | None = None,
    energy_wh: int = 0,
) -> Session:
    return Session(
        id=SessionId(name),
        charger=EVSE.charger,
        evse_number=EVSE.number,
        connector_number=1,
        transaction=TransactionRef(transaction),
        status=status,
        id_token=IdToken("04A2B3C4"),
        authorisation=Authorisation("local-list", "edgectl", "Accepted", is_offline=False),
        started_utc_ms=started_utc_ms,
        started_reported_utc_ms=started_utc_ms - 1_500,
        meter_start_wh=1_000,
        meter_last_wh=1_000 + energy_wh,
        last_utc_ms=started_utc_ms,
        ended_utc_ms=ended_utc_ms,
        energy_wh=energy_wh,
        periods=(Period(started_utc_ms, started_utc_ms + 60_000, PeriodState.SUSPENDED_EVSE, energy_wh, Cause.TURN),),
        signed_values=("OCMF|{}|{}",),
        flags=("energy-estimated",),
    )


def ended(name: str, ended_utc_ms: int, **known: Any) -> Session:
    return session(
        name, status=SessionStatus.COMPLETED, started_utc_ms=ended_utc_ms - 3_600_000, ended_utc_ms=ended_utc_ms, **known
    )


def bill(name: str = "s-1", rev: int = 1, **body: Any) -> BillKept:
    return BillKept(SessionId(name), rev, {"id": name, "energy_wh": 12_400, "driver": "Jürgen", "cost": 4.5, **body})


def unkeepable(name: str = "s-bad") -> BillKept:
    """A billing record whose body is not JSON: our own bug, and the plainest way for one record of a list to fail."""
    return BillKept(SessionId(name), 1, {"id": object()})


def alarm(kind: str = "meter-lost", /, **body: Any) -> EventKept:
    return EventKept(kind, "main", NOW.utc_ms, {"severity": "high", **body})


def block(number: int = 1) -> TelemetryKept:
    columns = {"current_l1_ma": [number, None]}
    body: dict[str, object] = {"things": ["CP-1/1"], "thing": [0, 0], "offset_ms": [0, 10_000], "columns": columns}
    return TelemetryKept("evse", NOW.utc_ms, NOW.utc_ms + 10_000, body)


def message(name: str = "s-1") -> MessageKept:
    return MessageKept(EVSE.charger, SessionId(name), "StopTransaction", '[2,"1","StopTransaction",{}]', NOW.utc_ms)


def limit(at_utc_ms: int = NOW.utc_ms, limit_ma: int = 9_000, evse: EvseId = EVSE) -> LimitKept:
    inputs = (Input("headroom", 9_000, "mA", age_ms=400), Input("limit", 125_000, "mA"))
    return LimitKept(evse, limit_ma, Reason(Cause.CIRCUIT, Authority.CONDUCTOR, CircuitId("hall-a"), Phase.L2, inputs), at_utc_ms)


def receipt(
    epoch: str,
    *acked: tuple[str, int],
    through: int | None = None,
    rejected: tuple[tuple[str, int, str], ...] = (),
    stream: str = "billing",
) -> ReceiptKept:
    return ReceiptKept(stream, epoch, through, tuple(acked), rejected, NOW.utc_ms + 5_000)


def assert_chain(bodies: list[bytes], epoch: str) -> None:
    """What a backend can check: numbered from 1 without a gap, each hash right and named by the next record."""
    prev_hash = "0" * 64
    for number, body in enumerate(bodies, start=1):
        envelope = json.loads(body)
        assert rfc8785.dumps(envelope) == body
        assert (envelope["schema"], envelope["epoch"]) == ("edgectl/billing-session/1", epoch)
        assert (envelope["seq"], envelope["prev_hash"]) == (number, prev_hash)
        prev_hash = envelope.pop("hash")
        assert hashlib.sha256(rfc8785.dumps(envelope)).hexdigest() == prev_hash
