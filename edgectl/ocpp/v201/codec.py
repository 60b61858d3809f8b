"""The entrance of OCPP 2: which actions there are, and who translates them. An edition makes the difference between versions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgectl.domain.decisions import Answer, Ask, InstallFallback, SetLimit
from edgectl.domain.events import Call, Event, FallbackAnswered, LimitAnswered, RequestAnswered
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.frames import Dialect, Fault, Payload
from edgectl.ocpp.rpc import CallEnded, OwnCall
from edgectl.ocpp.schemas import Schemas
from edgectl.ocpp.v201 import answers, profiles, request_answers, requests
from edgectl.ocpp.v201.edition import EDITION_201, Edition

_BILLING_ACTIONS = frozenset({"TransactionEvent", "MeterValues"})
_COMPARED = frozenset(
    {
        "Authorize", "BootNotification", "DataTransfer", "FirmwareStatusNotification", "Heartbeat", "NotifyEvent", "NotifyReport",
        "SecurityEventNotification", "StatusNotification", "TransactionEvent",
    }
)  # fmt: skip
"""Compared with the standard: what every station sends. The schemas of the rest take longer to compile than the loop may stand
still, and too long to compile all of them at the start."""
_OFTEN_ASKED = ("SetChargingProfile", "TriggerMessage", "RequestStartTransaction", "RequestStopTransaction", "GetVariables")
_WARMED = (*sorted(_COMPARED), *_OFTEN_ASKED)


class V201:
    """``ocpp.codec.Codec`` for OCPP 2.0.1. ``accepted_vendors``: vendor ids whose DataTransfer is accepted."""

    subprotocol = "ocpp2.0.1"
    never_refused = _BILLING_ACTIONS
    naming_action: str | None = None
    edition: Edition = EDITION_201

    def __init__(self, accepted_vendors: Iterable[str] = ()) -> None:
        self._accepted_vendors = frozenset(vendor.casefold() for vendor in accepted_vendors)
        self._schemas = Schemas(self.edition.schema_package, "Request")

    @property
    def dialect(self) -> Dialect:
        return self.edition.dialect

    @property
    def is_warm(self) -> bool:
        return self._schemas.is_warm(_WARMED)

    def warm(self) -> None:
        """Compile the schemas of what every station sends and what we send to every station.

        On a desktop core about 180 ms for 2.0.1 and 300 ms for 2.1, once per process.
        """
        self._schemas.warm(_WARMED)

    def decode(self, call: Call, payload: Payload) -> Event | DecodeProblem:
        reader = self.edition.readers.get(call.action)
        if reader is None:
            fault = Fault.UNSUPPORTED_ACTION if self._schemas.has_request(call.action) else Fault.UNKNOWN_ACTION
            return DecodeProblem(fault, f"{call.action[:50]} is not served here")
        return reader(call, payload)

    def encode_answer(self, answer: Answer, call: Call, now: Instant) -> Payload:
        return answers.encode(answer, call, now, self.edition, self._accepted_vendors)

    def deviation(self, action: str, payload: Payload) -> str | None:
        # Updates are nine of ten messages, and their reader already names what it drops.
        if action not in _COMPARED or payload.get("eventType") == "Updated":
            return None
        return self._schemas.request_problem(action, payload)

    def own_call_problem(self, call: OwnCall) -> str | None:
        return self._schemas.request_problem(call.action, call.payload)

    def limit_calls(self, order: SetLimit, now: Instant) -> Sequence[OwnCall]:
        return [profiles.limit_call(order, now, self.edition)]

    def limit_answered(self, order: SetLimit, ended: Sequence[CallEnded]) -> LimitAnswered:
        return profiles.limit_answered(order, ended[0])

    def fallback_calls(self, order: InstallFallback, now: Instant) -> Sequence[OwnCall]:  # noqa: ARG002 - it has no moment
        return profiles.fallback_calls(order, self.edition)

    def fallback_answered(self, order: InstallFallback, ended: Sequence[CallEnded]) -> FallbackAnswered:
        return profiles.fallback_answered(order, ended)

    def request_calls(self, ask: Ask, now: Instant) -> Sequence[OwnCall]:  # noqa: ARG002 - moments come as arguments
        return [requests.request_call(ask, self.edition)]

    def request_answered(self, ask: Ask, ended: Sequence[CallEnded]) -> RequestAnswered:
        return request_answers.request_answered(ask, ended[0])
