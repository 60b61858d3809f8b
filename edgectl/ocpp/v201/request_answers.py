"""What a station answers to requests beside limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from edgectl.domain.decisions import Ask
from edgectl.domain.events import Outcome, RequestAnswered
from edgectl.ocpp import codec
from edgectl.ocpp.asks import STATUSES, answered, last_limit
from edgectl.ocpp.fields import pairs_of, text_of
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import CallEnded, Ending
from edgectl.ocpp.v201 import variables

_RESULTS_MAX = 500
"""Results read from one answer; ItemsPerMessageGetVariables is at most some tens."""


def outcome_of(ended: CallEnded, statuses: dict[str, Outcome]) -> tuple[Outcome, str]:
    """As ``codec.outcome_of``, with the reason that OCPP 2 has beside a status."""
    outcome, words = codec.outcome_of(ended, statuses)
    info = ended.payload.get("statusInfo")
    if outcome is Outcome.ACCEPTED or not isinstance(info, dict):
        return outcome, words
    reasons = (text_of(info.get(key), 100) for key in ("reasonCode", "additionalInfo"))
    return outcome, ": ".join(word for word in (words, *reasons) if word)


def request_answered(ask: Ask, ended: CallEnded) -> RequestAnswered:
    read = _READERS.get(ended.call.action)
    if ended.ending is Ending.ANSWERED and read is not None:
        return read(ask, ended)
    outcome, words = outcome_of(ended, STATUSES)
    return answered(ask, ended, outcome, words, _detail(ended))


def _detail(ended: CallEnded) -> tuple[tuple[str, str], ...]:
    sent = tuple((name, str(ended.call.payload[name])) for name in ("requestId", "remoteStartId") if name in ended.call.payload)
    last = last_limit(ended.payload.get("schedule")) if ended.call.action == "GetCompositeSchedule" else ()
    return (
        tuple(("request", number) for _, number in sent)
        + last
        + pairs_of(
            ended.payload,
            data="data",
            transaction="transactionId",
            log="filename",
            schedule="schedule",
            certificates="certificateHashDataChain",
        )
    )


def _without_status(**fields: str) -> Callable[[Ask, CallEnded], RequestAnswered]:
    """The answer has no status: being answered is being accepted."""

    def read(ask: Ask, ended: CallEnded) -> RequestAnswered:
        return answered(ask, ended, Outcome.ACCEPTED, "", pairs_of(ended.payload, **fields))

    return read


def _variables_read(ask: Ask, ended: CallEnded) -> RequestAnswered:
    """Names with their values, then ``unknown-key`` for those the station does not have or does not tell."""
    values: list[tuple[str, str]] = []
    unknown: list[tuple[str, str]] = []
    for result in _results(ended.payload, "getVariableResult"):
        name = variables.name_of(result)
        if name is None:
            continue
        if text_of(result.get("attributeStatus")) == "Accepted":
            values.append((name, text_of(result.get("attributeValue")) or ""))
        else:
            unknown.append(("unknown-key", name))
    return answered(ask, ended, Outcome.ACCEPTED, "", tuple(values + unknown))


def _first_result(list_key: str, status_key: str, info_key: str) -> Callable[[Ask, CallEnded], RequestAnswered]:
    """We ask for one thing, and the answer is a list with one result."""

    def read(ask: Ask, ended: CallEnded) -> RequestAnswered:
        result = next(iter(_results(ended.payload, list_key)), {})
        flat = replace(ended, payload={"status": result.get(status_key), "statusInfo": result.get(info_key)})
        outcome, words = outcome_of(flat, STATUSES)
        return answered(ask, flat, outcome, words, pairs_of(result, monitor="id"))

    return read


_READERS: dict[str, Callable[[Ask, CallEnded], RequestAnswered]] = {
    "ClearVariableMonitoring": _first_result("clearMonitoringResult", "status", "statusInfo"),
    "GetLocalListVersion": _without_status(version="versionNumber"),
    "GetTransactionStatus": _without_status(**{"ongoing": "ongoingIndicator", "messages-in-queue": "messagesInQueue"}),
    "GetVariables": _variables_read,
    "SetVariableMonitoring": _first_result("setMonitoringResult", "status", "statusInfo"),
    "SetVariables": _first_result("setVariableResult", "attributeStatus", "attributeStatusInfo"),
}


def _results(payload: Payload, key: str) -> list[dict[str, Any]]:
    results = payload.get(key)
    return [result for result in results[:_RESULTS_MAX] if isinstance(result, dict)] if isinstance(results, list) else []
