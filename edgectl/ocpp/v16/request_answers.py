"""What a 1.6 charger answers to requests beside limits."""

from __future__ import annotations

from edgectl.domain.decisions import Ask
from edgectl.domain.events import Outcome, RequestAnswered
from edgectl.ocpp.asks import STATUSES, answered, last_limit
from edgectl.ocpp.codec import outcome_of
from edgectl.ocpp.fields import pairs_of, text_of, whole_of
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import CallEnded, Ending

_CONFIGURATION_KEYS_MAX = 500
"""Keys reported from one answer; the fullest known charger has some 300."""
# Their answers have no status: being answered is being accepted.
_WITHOUT_STATUS = frozenset({"GetConfiguration", "GetDiagnostics", "GetLocalListVersion", "UpdateFirmware"})


def request_answered(ask: Ask, ended: CallEnded) -> RequestAnswered:
    if ended.ending is not Ending.ANSWERED or ended.call.action not in _WITHOUT_STATUS:
        outcome, words = outcome_of(ended, STATUSES)
        return answered(ask, ended, outcome, words, _detail(ended))
    if ended.call.action == "GetConfiguration":
        return RequestAnswered(ask.charger, ask.ask_id, Outcome.ACCEPTED, detail=_configuration(ended.payload))
    # -1 is the standard's way to say that there is no local list (§5.10).
    is_unsupported = ended.call.action == "GetLocalListVersion" and whole_of(ended.payload.get("listVersion")) == -1
    return answered(ask, ended, Outcome.NOT_SUPPORTED if is_unsupported else Outcome.ACCEPTED, "", _detail(ended))


def _detail(ended: CallEnded) -> tuple[tuple[str, str], ...]:
    request = (("request", str(ended.call.payload["requestId"])),) if "requestId" in ended.call.payload else ()
    last = last_limit(ended.payload.get("chargingSchedule")) if ended.call.action == "GetCompositeSchedule" else ()
    return (
        request
        + last
        + pairs_of(
            ended.payload,
            data="data",
            version="listVersion",
            file="fileName",
            log="filename",
            start="scheduleStart",
            schedule="chargingSchedule",
            certificates="certificateHashData",
        )
    )


def _configuration(payload: Payload) -> tuple[tuple[str, str], ...]:
    """Keys as the charger spells them with their values, then ``read-only`` and ``unknown-key`` for those it marks so."""
    values: list[tuple[str, str]] = []
    marks: list[tuple[str, str]] = []
    entries = payload.get("configurationKey")
    for entry in entries[:_CONFIGURATION_KEYS_MAX] if isinstance(entries, list) else []:
        key = text_of(entry.get("key")) if isinstance(entry, dict) else None
        if key is None:
            continue
        values.append((key, text_of(entry.get("value")) or ""))
        if entry.get("readonly") is True:
            marks.append(("read-only", key))
    unknown = payload.get("unknownKey")
    for raw_key in unknown[:_CONFIGURATION_KEYS_MAX] if isinstance(unknown, list) else []:
        key = text_of(raw_key)
        if key is not None:
            marks.append(("unknown-key", key))
    return tuple(values + marks)
