"""Our answers to a station. Absent fields are omitted, never null: some firmware crashes on null."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from edgectl.domain.decisions import (
    Acknowledge,
    Answer,
    BootAnswer,
    CertificateAnswer,
    ScheduleAnswer,
    StartAnswer,
    StopAnswer,
    TokenAnswer,
    TokenVerdict,
)
from edgectl.domain.errors import invariant
from edgectl.domain.events import Call
from edgectl.domain.site import TokenStatus
from edgectl.domain.time import Instant, iso
from edgectl.ocpp.frames import CallFrame, Payload, parse, payload_of
from edgectl.ocpp.v201.edition import Edition
from edgectl.ocpp.v201.inbound import NO_AUTHORIZATION

_STATUSES = {
    TokenStatus.ACCEPTED: "Accepted",
    TokenStatus.BLOCKED: "Blocked",
    TokenStatus.EXPIRED: "Expired",
    TokenStatus.UNKNOWN: "Unknown",
    TokenStatus.CONCURRENT: "ConcurrentTx",
}
_EXPECTED: dict[str, type | tuple[type, ...]] = {
    "Authorize": TokenAnswer,
    "BootNotification": BootAnswer,
    "SignCertificate": CertificateAnswer,
    "PullDynamicScheduleUpdate": ScheduleAnswer,
    "TransactionEvent": (StartAnswer, StopAnswer, TokenAnswer, Acknowledge),
}
_GROUP_TYPE = "Central"
"""The type of a token that was made by a server, as groups are."""


def encode(answer: Answer, call: Call, now: Instant, edition: Edition, accepted_vendors: AbstractSet[str]) -> Payload:
    """The payload of the response. ``accepted_vendors`` are the vendor ids whose DataTransfer we take, case-folded."""
    expected = _EXPECTED.get(call.action, Acknowledge)
    invariant(isinstance(answer, expected), "the answer fits the action", action=call.action, answer=answer)
    match answer:
        case BootAnswer():
            status = "Accepted" if answer.is_accepted else "Pending"
            return {"currentTime": iso(now.utc_ms), "interval": answer.interval_s, "status": status}
        case TokenAnswer() if call.action == "Authorize":
            return {"idTokenInfo": id_token_info(answer.verdict, edition)}
        case TokenAnswer() | StartAnswer() | StopAnswer():
            return _transaction_event(answer.verdict, call, edition)
        case Acknowledge() if call.action == "TransactionEvent":
            return _transaction_event(None, call, edition)
        case CertificateAnswer():
            return {"status": "Accepted" if answer.is_accepted else "Rejected"}
        case ScheduleAnswer() if answer.limit_ma is None:
            return {"status": "Rejected"}
        case ScheduleAnswer():
            limit = answer.limit_w if answer.is_power else (answer.limit_ma or 0) // 100 / 10
            return {"status": "Accepted", "scheduleUpdate": {"limit": limit}}
    match call.action:
        case "Heartbeat":
            return {"currentTime": iso(now.utc_ms)}
        case "DataTransfer":
            vendor = payload_of(call.frame).get("vendorId")
            is_known = isinstance(vendor, str) and vendor.casefold() in accepted_vendors
            return {"status": "Accepted" if is_known else "UnknownVendorId"}
    return dict(edition.fixed_answers.get(call.action, {}))


def id_token_info(verdict: TokenVerdict, edition: Edition) -> Payload:
    info: Payload = {"status": _STATUSES[verdict.status]}
    if verdict.expires_utc_ms is not None:
        info["cacheExpiryDateTime"] = iso(verdict.expires_utc_ms)
    # A group longer than the wire allows is left out: cut short it would name another group.
    if verdict.group is not None and len(verdict.group) <= edition.id_token_max_chars:
        info["groupIdToken"] = {"idToken": verdict.group, "type": _GROUP_TYPE}
    return info


def _transaction_event(verdict: TokenVerdict | None, call: Call, edition: Edition) -> Payload:
    """``idTokenInfo`` is for the token in the request: required with it, meaningless without it."""
    if '"idToken"' not in call.frame:
        return {}  # most events; saves reading them again
    frame = parse(call.frame, edition.dialect, frozenset({call.action}))
    token = frame.payload.get("idToken") if isinstance(frame, CallFrame) else None
    if token is None:
        return {}
    if isinstance(token, dict) and token.get("type") == NO_AUTHORIZATION:
        # The station asks nobody who is there; there is no token to judge, and anything but this would stop its transaction.
        return {"idTokenInfo": {"status": "Accepted"}}
    return {} if verdict is None else {"idTokenInfo": id_token_info(verdict, edition)}
