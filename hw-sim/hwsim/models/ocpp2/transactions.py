"""TransactionEvent (2.0.1 Part 2, block E): what a station tells of a transaction, each event with the next number."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hwsim.models.car import VOLTAGE_V
from hwsim.models.evse import Evse, Transaction
from hwsim.models.ocpp2.device_model import DeviceModel
from hwsim.models.ocpp2.wire import Wire

KEPT_UPDATES_MAX = 1_000
"""Events that may wait when a periodic one would join them: it is dropped (E04.FR.07), Started and Ended never are."""
_ENDS = {
    "DeAuthorized": "Deauthorized",
    "EVDisconnected": "EVDeparted",
    "ImmediateReset": "ResetCommand",
    "Local": "StopAuthorized",
    "PowerLoss": "AbnormalCondition",
    "Reboot": "AbnormalCondition",
    "Remote": "RemoteStop",
}
"""What triggers the end, by the reason it is given."""


@dataclass
class Running(Transaction):
    """A transaction; the station has named it itself."""

    token_type: str = "ISO14443"
    state: str = "EVConnected"
    """``chargingState``."""
    is_authorised: bool = False
    is_token_told: bool = False
    charged_s: float = 0.0
    reservation: int | None = None
    """Whose place it took; told once."""
    is_reservation_told: bool = False


def running_at(evse: Evse) -> Running | None:
    return evse.transaction if isinstance(evse.transaction, Running) else None


class Events:
    """Makes the events of a station and puts them into its queue."""

    def __init__(
        self,
        wire: Wire,
        device: DeviceModel,
        faults: frozenset[str],
        *,
        stamp: Callable[[float], str],
        is_offline: Callable[[], bool],
    ) -> None:
        self._wire = wire
        self._device = device
        self._faults = faults
        self._stamp = stamp
        self._is_offline = is_offline

    def new_id(self, rng: random.Random) -> str:
        """36 characters, as a UUID is written."""
        name = self._wire.new_id()
        return f"{name}-{rng.getrandbits(32):08x}" if "long-transaction-id" in self._faults else name

    def started(self, evse: Evse, running: Running, trigger: str, now_s: float) -> None:
        payload = self._event(evse, running, "Started", trigger, now_s)
        payload["evse"] = {"id": evse.number, "connectorId": 1}
        self._add_values(payload, evse, "SampledDataCtrlr.TxStartedMeasurands", "Transaction.Begin", now_s)
        if "lose-started" not in self._faults:
            self._wire.keep(payload)

    def updated(self, evse: Evse, running: Running, trigger: str, now_s: float, *, values: str = "", context: str = "") -> None:
        """``values`` names the variable with the measurands; without it there are none."""
        if values and len(self._wire.kept) >= KEPT_UPDATES_MAX:
            return
        payload = self._event(evse, running, "Updated", trigger, now_s)
        if values:
            self._add_values(payload, evse, values, context, now_s)
        if "sequence-gap" not in self._faults or running.sequence % 5:
            self._wire.keep(payload)

    def ended(self, evse: Evse, running: Running, reason: str, now_s: float) -> None:
        running.state = "Idle" if reason == "EVDisconnected" else "EVConnected"
        payload = self._event(evse, running, "Ended", _ENDS[reason], now_s, is_last=True)
        payload["transactionInfo"] |= {"stoppedReason": reason, "timeSpentCharging": int(running.charged_s)}
        self._add_values(payload, evse, "SampledDataCtrlr.TxEndedMeasurands", "Transaction.End", now_s)
        if "same-last-number" in self._faults:
            payload["seqNo"] -= 1
        if "lose-ended" not in self._faults:
            self._wire.keep(payload)
        if "ended-then-updated" in self._faults:
            values = "SampledDataCtrlr.TxUpdatedMeasurands"
            self.updated(evse, running, "MeterValuePeriodic", now_s, values=values, context="Sample.Periodic")

    def _event(
        self, evse: Evse, running: Running, kind: str, trigger: str, now_s: float, *, is_last: bool = False
    ) -> dict[str, Any]:
        info: dict[str, Any] = {"transactionId": running.id, "chargingState": running.state}
        payload: dict[str, Any] = {
            "eventType": kind,
            "timestamp": self._stamp(now_s),
            "triggerReason": trigger,
            "seqNo": 0 if "same-sequence" in self._faults else running.sequence,
            "transactionInfo": info,
        }
        running.sequence += 1
        if self._is_offline():
            payload["offline"] = True
        if running.reservation is not None and not running.is_reservation_told:
            running.is_reservation_told = True
            payload["reservationId"] = running.reservation
        if running.remote_start is not None and trigger == "RemoteStart":
            info["remoteStartId"] = running.remote_start
        is_withheld = "no-token-in-started" in self._faults and not is_last
        if running.is_authorised and not running.is_token_told and not is_withheld:
            running.is_token_told = True
            payload["idToken"] = {"idToken": running.token, "type": running.token_type}
        return payload

    def _add_values(self, payload: dict[str, Any], evse: Evse, variable: str, context: str, now_s: float) -> None:
        found = self.values(evse, variable, context)
        if found:
            payload["meterValue"] = [{"timestamp": self._stamp(now_s), "sampledValue": found}]

    def values(self, evse: Evse, variable: str, context: str) -> list[dict[str, Any]]:
        """``sampledValue`` of the measurands that a variable lists."""
        return samples(evse, self._device.members(variable), context)


def samples(evse: Evse, measurands: Sequence[str], context: str) -> list[dict[str, Any]]:
    """What an EVSE measures now."""
    car = evse.car
    drawn_a = car.drawn_a if car is not None else 0.0
    used = min(car.phase_count, len(evse.wiring)) if car is not None else 0
    told_count = 1 if "one-phase-values" in evse.faults else len(evse.wiring)
    phases = [(f"L{own + 1}", drawn_a if own < used else 0.0) for own in range(told_count)]
    found: list[dict[str, Any]] = []
    for measurand in measurands:
        match measurand:
            case "Energy.Active.Import.Register":
                found.append(_sample(measurand, int(evse.register_wh), "Wh"))
            case "Power.Active.Import":
                found.append(_sample(measurand, round(drawn_a * VOLTAGE_V * used), "W"))
            case "Current.Offered" | "Current.Import.Offered":
                found.append(_sample(measurand, round(evse.offered_a, 1), "A"))
            case "Current.Import":
                found += [_sample(measurand, round(current_a, 2), "A", phase=phase) for phase, current_a in phases]
            case "Voltage":
                found += [_sample(measurand, VOLTAGE_V, "V", phase=f"{phase}-N") for phase, _ in phases]
            case "SoC" if car is not None:
                found.append(_sample(measurand, car.soc_percent, "Percent", location="EV"))
    return [{**sample, "context": context} for sample in found]


def _sample(measurand: str, value: float, unit: str, **more: str) -> dict[str, Any]:
    return {"value": value, "measurand": measurand, "unitOfMeasure": {"unit": unit}, **more}
