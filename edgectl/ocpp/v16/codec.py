"""The entrance of OCPP 1.6: which actions there are, and who translates them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgectl.domain.decisions import Answer, Ask, InstallFallback, SetLimit
from edgectl.domain.events import Call, Event, FallbackAnswered, LimitAnswered, RequestAnswered
from edgectl.domain.time import Instant
from edgectl.ocpp.codec import DecodeProblem
from edgectl.ocpp.frames import DIALECT_16, Dialect, Fault, Payload
from edgectl.ocpp.rpc import CallEnded, OwnCall
from edgectl.ocpp.schemas import Schemas
from edgectl.ocpp.v16 import answers, inbound, profiles, request_answers, requests

_BILLING_ACTIONS = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})
# Actions of the standard that only a server sends: known, and not for us.
_OURS = frozenset(
    {
        "CancelReservation", "CertificateSigned", "ChangeAvailability", "ChangeConfiguration", "ClearCache",
        "ClearChargingProfile", "DeleteCertificate", "ExtendedTriggerMessage", "GetCompositeSchedule", "GetConfiguration",
        "GetDiagnostics", "GetInstalledCertificateIds", "GetLocalListVersion", "GetLog", "InstallCertificate",
        "RemoteStartTransaction", "RemoteStopTransaction", "ReserveNow", "Reset", "SendLocalList", "SetChargingProfile",
        "SignedUpdateFirmware", "TriggerMessage", "UnlockConnector", "UpdateFirmware",
    }
)  # fmt: skip

_WARMED = (*inbound.READERS, "SetChargingProfile", "TriggerMessage", "RemoteStopTransaction")


class V16:
    """``ocpp.codec.Codec`` for OCPP 1.6J. ``accepted_vendors``: vendor ids whose DataTransfer is accepted."""

    subprotocol = "ocpp1.6"
    dialect: Dialect = DIALECT_16
    never_refused = _BILLING_ACTIONS
    naming_action = "StartTransaction"

    def __init__(self, accepted_vendors: Iterable[str] = ()) -> None:
        self._accepted_vendors = frozenset(vendor.casefold() for vendor in accepted_vendors)
        self._schemas = Schemas("ocpp.v16.schemas")

    @property
    def is_warm(self) -> bool:
        return self._schemas.is_warm(_WARMED)

    def warm(self) -> None:
        """Compile the schemas of what every charger sends and what we send to every charger (about 50 ms on a desktop core)."""
        self._schemas.warm(_WARMED)

    def decode(self, call: Call, payload: Payload) -> Event | DecodeProblem:
        reader = inbound.READERS.get(call.action)
        if reader is None:
            fault = Fault.UNSUPPORTED_ACTION if call.action in _OURS else Fault.UNKNOWN_ACTION
            return DecodeProblem(fault, f"a charger cannot send {call.action[:50]}")
        return reader(call, payload)

    def encode_answer(self, answer: Answer, call: Call, now: Instant) -> Payload:
        return answers.encode(answer, call, now, self._accepted_vendors)

    def deviation(self, action: str, payload: Payload) -> str | None:
        # Meter values are nine of ten messages, and their reader already names what it drops.
        return None if action == "MeterValues" else self._schemas.request_problem(action, payload)

    def own_call_problem(self, call: OwnCall) -> str | None:
        return self._schemas.request_problem(call.action, call.payload)

    def limit_calls(self, order: SetLimit, now: Instant) -> Sequence[OwnCall]:
        return [profiles.limit_call(order, now)]

    def limit_answered(self, order: SetLimit, ended: Sequence[CallEnded]) -> LimitAnswered:
        return profiles.limit_answered(order, ended[0])

    def fallback_calls(self, order: InstallFallback, now: Instant) -> Sequence[OwnCall]:  # noqa: ARG002 - 2.x needs the moment
        return profiles.fallback_calls(order)

    def fallback_answered(self, order: InstallFallback, ended: Sequence[CallEnded]) -> FallbackAnswered:
        return profiles.fallback_answered(order, ended)

    def request_calls(self, ask: Ask, now: Instant) -> Sequence[OwnCall]:  # noqa: ARG002 - other requests will need the moment
        return [requests.request_call(ask)]

    def request_answered(self, ask: Ask, ended: Sequence[CallEnded]) -> RequestAnswered:
        return request_answers.request_answered(ask, ended[0])
