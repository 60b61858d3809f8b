"""Our answers to a 1.6 charger. Absent fields are omitted, never null: some firmware crashes on null."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from edgectl.domain.decisions import Answer, BootAnswer, CertificateAnswer, StartAnswer, StopAnswer, TokenAnswer, TokenVerdict
from edgectl.domain.errors import invariant
from edgectl.domain.events import Call
from edgectl.domain.site import TokenStatus
from edgectl.domain.time import Instant, iso
from edgectl.ocpp.frames import Payload, payload_of

_ID_TAG_MAX_CHARS = 20
_STATUSES = {
    TokenStatus.ACCEPTED: "Accepted",
    TokenStatus.BLOCKED: "Blocked",
    TokenStatus.EXPIRED: "Expired",
    TokenStatus.UNKNOWN: "Invalid",
    TokenStatus.CONCURRENT: "ConcurrentTx",
}
_EXPECTED: dict[str, type] = {
    "Authorize": TokenAnswer,
    "BootNotification": BootAnswer,
    "SignCertificate": CertificateAnswer,
    "StartTransaction": StartAnswer,
    "StopTransaction": StopAnswer,
}


def encode(answer: Answer, call: Call, now: Instant, accepted_vendors: AbstractSet[str]) -> Payload:
    """The payload of the confirmation. ``accepted_vendors`` are the vendor ids whose DataTransfer we take, case-folded."""
    expected = _EXPECTED.get(call.action)
    invariant(expected is None or isinstance(answer, expected), "the answer fits the action", action=call.action, answer=answer)
    match answer:
        case BootAnswer():
            status = "Accepted" if answer.is_accepted else "Pending"
            return {"currentTime": iso(now.utc_ms), "interval": answer.interval_s, "status": status}
        case TokenAnswer():
            return {"idTagInfo": id_tag_info(answer.verdict)}
        case StartAnswer():
            return {"transactionId": int(answer.transaction), "idTagInfo": id_tag_info(answer.verdict)}
        case StopAnswer():
            return {} if answer.verdict is None else {"idTagInfo": id_tag_info(answer.verdict)}
        case CertificateAnswer():
            return {"status": "Accepted" if answer.is_accepted else "Rejected"}
    match call.action:
        case "Heartbeat":
            return {"currentTime": iso(now.utc_ms)}
        case "DataTransfer":
            vendor = payload_of(call.frame).get("vendorId")
            is_known = isinstance(vendor, str) and vendor.casefold() in accepted_vendors
            return {"status": "Accepted" if is_known else "UnknownVendorId"}
    return {}


def id_tag_info(verdict: TokenVerdict) -> Payload:
    info: Payload = {"status": _STATUSES[verdict.status]}
    if verdict.expires_utc_ms is not None:
        info["expiryDate"] = iso(verdict.expires_utc_ms)
    # A group longer than the wire allows is left out: cut short it would name another group.
    if verdict.group is not None and len(verdict.group) <= _ID_TAG_MAX_CHARS:
        info["parentIdTag"] = verdict.group
    return info
