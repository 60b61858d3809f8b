"""An OCPP 2.0.1 or 2.1 charging station: the link, the queue and the physics of ``Station16``, the words of OCPP 2.

Faults that concern the words of 1.6 alone have no meaning here; ``FAULTS_20`` adds those that only OCPP 2 has.
"""

from __future__ import annotations

import random
from typing import Any

from hwsim.models import station20_requests
from hwsim.models.device_model import DeviceModel
from hwsim.models.evse import Evse, Transaction
from hwsim.models.profiles import Installed
from hwsim.models.station16 import Message, Station16

FAULTS_20 = {
    "repeat-events": "sends each TransactionEvent twice, the second with a new message id",
    "same-sequence": "seqNo is always 0",
    "sequence-gap": "every fifth event of a transaction is lost for ever",
    "lose-started": "never sends Started",
    "ended-then-updated": "sends an Updated after Ended",
    "no-token-in-started": "tells the token in Authorize alone",
    "shaped-like-16": "boots with the message of OCPP 1.6 at first",
    "ignores-pending": "goes on as if it had been accepted",
    "no-base-report": "GetBaseReport NotSupported",
}
VERSIONS = {1: "2.0.1", 3: "2.1"}
"""Which of every four chargers of a mixed site speak which version of OCPP 2; the others speak 1.6."""
_STATES = {"Charging": "Charging", "SuspendedEV": "SuspendedEV", "SuspendedEVSE": "SuspendedEVSE"}
_PLAIN = {"Available": "Available", "Unavailable": "Unavailable", "Faulted": "Faulted"}
# How a transaction ends: the reason, and what triggered it.
_ENDS = {
    "EVDisconnected": ("EVDisconnected", "EVCommunicationLost"),
    "Remote": ("Remote", "RemoteStop"),
    "PowerLoss": ("PowerLoss", "AbnormalCondition"),
    "DeAuthorized": ("DeAuthorized", "Deauthorized"),
    "UnlockCommand": ("Other", "UnlockCommand"),
}


class Station20(Station16):
    """One station. ``version`` is ``2.0.1`` or ``2.1``."""

    def __init__(self, identity: str, rng: random.Random, *, version: str = "2.0.1", **options: Any) -> None:
        faults: frozenset[str] = frozenset(options.pop("faults", frozenset()))
        super().__init__(identity, rng, faults=faults - FAULTS_20.keys(), **options)
        self.faults |= faults & FAULTS_20.keys()
        self.version = version
        self.subprotocol = f"ocpp{version}"
        self.model = "Box 20"
        self.device: DeviceModel = DeviceModel(self.faults, sample_s=max(1, round(options.get("meter_interval_s", 10.0))))
        self.configuration = self.device  # type: ignore[assignment]  # what the station asks it, it answers by the same names
        self.solicited: list[tuple[str, dict[str, Any]]] = []
        """What it was asked to tell; goes out even before it is accepted."""
        self.max_offline_s: dict[int, tuple[float, bool]] = {}
        """By profile id: how long it holds without a link, and whether it is gone for good afterwards (2.1)."""
        self._asleep: list[Installed] = []
        self._offline_since_s: float | None = None
        self._boots = 0
        self._restart_reason = "PowerUp"

    # --- the link -----------------------------------------------------------------------------------------------------

    def connected(self, now_s: float) -> None:
        self._offline_since_s = None
        self.profiles.installed += self._asleep
        self._asleep = []
        super().connected(now_s)

    def disconnected(self, now_s: float) -> None:
        self._offline_since_s = now_s if self._offline_since_s is None else self._offline_since_s
        self.solicited.clear()
        super().disconnected(now_s)

    def advance(self, now_s: float) -> None:
        if self._offline_since_s is not None and self.max_offline_s:
            self._expire(now_s - self._offline_since_s)
        super().advance(now_s)

    def _expire(self, offline_s: float) -> None:
        due = {id_: is_gone for id_, (most_s, is_gone) in self.max_offline_s.items() if offline_s >= most_s}
        self._asleep += [p for p in self.profiles.installed if due.get(p.id) is False]
        self.profiles.installed = [p for p in self.profiles.installed if p.id not in due]

    def reset(self, kind: str, now_s: float) -> None:
        self._restart_reason = "RemoteReset"
        super().reset(kind, now_s)

    def _pump(self, now_s: float) -> None:
        if self.solicited and self.is_connected and self._pending is None:
            action, payload = self.solicited.pop(0)
            self._call(self._new_id(), action, payload, None, now_s)
            return
        super()._pump(now_s)

    # --- boot and status ----------------------------------------------------------------------------------------------

    def _boot_payload(self) -> dict[str, Any]:
        self._boots += 1
        if "shaped-like-16" in self.faults and self._boots == 1:
            return super()._boot_payload()
        station = {
            "vendorName": self.vendor,
            "model": self.model,
            "firmwareVersion": self.firmware,
            "serialNumber": self.identity[:25],
        }
        return {"reason": self._restart_reason, "chargingStation": station}

    def _on_boot_answer(self, payload: dict[str, Any], now_s: float) -> None:
        if payload["status"] != "Accepted" and "ignores-pending" in self.faults:
            payload |= {"status": "Accepted"}
        super()._on_boot_answer(payload, now_s)
        if self.is_booted:
            self.device.set_heartbeat(int(self.device.values.pop("HeartbeatInterval")))

    def _status_payload(self, number: int, status: str, now_s: float) -> dict[str, Any]:
        told = _PLAIN.get(status, "Occupied")
        return {"evseId": number, "connectorId": 1 if number else 0, "connectorStatus": told, "timestamp": self.stamp(now_s)}

    def _set_status(self, evse: Evse, status: str, now_s: float) -> None:
        before = evse.status
        if evse.transaction is not None and status in _STATES and before in _STATES and before != status:
            self._event(evse, evse.transaction, "Updated", "ChargingStateChanged", now_s, state=status)
        evse.status = status
        told = _PLAIN.get(status, "Occupied")
        if evse.told_status != told and self.is_connected and self.is_booted:
            evse.told_status = told
            self._urgent.append(("StatusNotification", self._status_payload(evse.number, status, now_s), None))
            self._pump(now_s)

    def status_of(self, number: int, now_s: float) -> dict[str, Any]:
        """What StatusNotification says of an EVSE now."""
        return self._status_payload(number, self.evses[number].status, now_s)

    # --- tokens and transactions --------------------------------------------------------------------------------------

    def _token_payload(self, token: str) -> dict[str, Any]:
        return {"idToken": _id_token(self.read(token))}

    @staticmethod
    def _is_accepted(payload: dict[str, Any]) -> bool:
        return bool(payload.get("idTokenInfo", {"status": "Accepted"}).get("status") == "Accepted")

    def _name(self, transaction: Transaction, payload: dict[str, Any]) -> None:
        """It has named its transaction itself."""

    @staticmethod
    def _is_end(message: Message) -> bool:
        return bool(message.payload.get("eventType") == "Ended")

    def _filled(self, message: Message) -> dict[str, Any]:
        payload = dict(message.payload)
        payload["offline"] = payload.pop("_made_offline") or None
        return {key: value for key, value in payload.items() if value is not None}

    def _tell_start(self, evse: Evse, transaction: Transaction, now_s: float) -> None:
        transaction.id = "".join(self._rng.choice("0123456789abcdef") for _ in range(32))
        token = None if "no-token-in-started" in self.faults else _id_token(self.read(transaction.token))
        trigger = "Authorized" if transaction.remote_start is None else "RemoteStart"
        self._event(evse, transaction, "Started", trigger, now_s, state="Charging", idToken=token)

    def _tell_stop(self, evse: Evse, transaction: Transaction, reason: str, now_s: float) -> None:
        other = ("ImmediateReset", "ResetCommand") if "Reset" in reason else ("Local", "StopAuthorized")
        stopped, trigger = _ENDS.get(reason, other)
        token = _id_token(self.read(transaction.token))
        self._event(evse, transaction, "Ended", trigger, now_s, state="Idle", stopped=stopped, idToken=token)
        if "ended-then-updated" in self.faults:
            self._event(evse, transaction, "Updated", "MeterValuePeriodic", now_s, state="Idle")

    def _measure(self, evse: Evse, now_s: float) -> None:
        if evse.transaction is not None and len(self._queue) < 100:
            self._event(evse, evse.transaction, "Updated", "MeterValuePeriodic", now_s)

    def _event(
        self,
        evse: Evse,
        transaction: Transaction,
        kind: str,
        trigger: str,
        now_s: float,
        *,
        state: str | None = None,
        stopped: str | None = None,
        **more: Any,
    ) -> None:
        number = 0 if "same-sequence" in self.faults else transaction.sequence
        transaction.sequence += 1
        is_lost = (kind == "Started" and "lose-started" in self.faults) or (
            kind == "Updated" and "sequence-gap" in self.faults and transaction.sequence % 5 == 0
        )
        if is_lost:
            return
        context = {"Started": "Transaction.Begin", "Ended": "Transaction.End"}.get(kind, "Sample.Periodic")
        info = {
            "transactionId": transaction.id,
            "chargingState": state or _STATES.get(evse.status),
            "stoppedReason": stopped,
            "remoteStartId": transaction.remote_start if kind == "Started" else None,
        }
        payload = {
            "eventType": kind,
            "timestamp": self.stamp(now_s),
            "triggerReason": trigger,
            "seqNo": number,
            "transactionInfo": {key: value for key, value in info.items() if value is not None},
            "evse": {"id": evse.number, "connectorId": 1},
            "meterValue": [
                {"timestamp": self.stamp(now_s), "sampledValue": self._samples(evse, context, is_all=kind == "Updated")}
            ],
            "_made_offline": not self.is_connected,
            **more,
        }
        begins = transaction if kind == "Started" else None
        self._queue.append(Message("TransactionEvent", payload, None, begins))
        if "repeat-events" in self.faults:
            self._queue.append(Message("TransactionEvent", dict(payload), None, begins))

    def _samples(self, evse: Evse, context: str, *, is_all: bool) -> list[dict[str, Any]]:
        """As OCPP 2 writes them: numbers, and the unit in an object of its own."""
        register = {"value": str(int(evse.register_wh)), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
        found = evse.samples() if is_all and evse.car is not None else [register]
        offered = "Current.Import.Offered" if self.version == "2.1" else "Current.Offered"
        converted = []
        for sample in found:
            measurand = offered if sample["measurand"] == "Current.Offered" else sample["measurand"]
            entry: dict[str, Any] = {"value": float(sample["value"] or 0), "measurand": measurand, "context": context}
            if "unit" in sample:
                entry["unitOfMeasure"] = {"unit": sample["unit"]}
            if "phase" in sample:
                entry["phase"] = sample["phase"]
            converted.append(entry)
        return converted

    # --- calls of the server ------------------------------------------------------------------------------------------

    def _answer(self, action: str, payload: dict[str, Any], now_s: float) -> dict[str, Any] | str | None:
        return station20_requests.answer(self, action, payload, now_s)


def _id_token(token: str) -> dict[str, Any]:
    return {"idToken": token[:36], "type": "ISO14443"}
