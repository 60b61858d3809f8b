"""An OCPP 1.6 charge point, sans-IO: frames in, frames out, and the current it really draws.

It behaves as the better units do (ordered offline queue that survives a power cut, profiles by the book); ``faults`` switches on,
by name, what the others do. Time comes in with every call: ``now_s`` is monotonic, the wall clock is ``now_s + wall_offset_s``.
"""

from __future__ import annotations

import json
import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hwsim.models.car import MIN_A, VOLTAGE_V, Car
from hwsim.models.profiles import ProfileStore

ANSWER_TIMEOUT_S = 30.0
RETRY_S = 20.0
FAULTS = frozenset(
    {
        "ignore-profiles",  # Accepted, but nothing changes
        "reject-profiles",  # Rejected
        "mute-profiles",  # never answers SetChargingProfile
        "obey-late",  # follows a new limit after 30 s
        "overdraw",  # draws 10 % more than allowed
        "whole-amps",  # rounds limits down to whole amps
        "forget-on-disconnect",  # loses all profiles with the socket, then full power
        "clock-1970",  # its clock starts in 1970 and is never set
        "repeat-start",  # sends StartTransaction again with a new message id
        "repeat-stop",  # sends StopTransaction again with a new message id
        "lose-start-answer",  # forgets the transaction id it was given, and stops with -1
        "register-resets",  # its energy register restarts at 0 with each session
        "no-transaction-id",  # MeterValues without transactionId
        "no-boot",  # sends no BootNotification when it reconnects
        "slow",  # answers after 8 s
    }
)


@dataclass
class Transaction:
    token: str
    began_s: float
    began_wall_s: float
    meter_start_wh: int
    id: int | None = None
    key: str = ""


@dataclass
class Evse:
    number: int
    car: Car | None = None
    status: str = "Available"
    transaction: Transaction | None = None
    register_wh: float = 0.0
    is_authorising: bool = False
    is_allowed: bool = False
    offered_a: float = 0.0
    offered_since_s: float = 0.0
    pending_offer_a: float | None = None
    drawn_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """On the site's phases."""
    told_status: str = ""


@dataclass
class _Message:
    """A transaction message in the persistent queue. ``fill`` names the transaction whose id goes in when it is sent."""

    action: str
    payload: dict[str, Any]
    transaction: Transaction | None = None
    begins: Transaction | None = None
    """The transaction a StartTransaction opens; its answer brings the id."""
    attempts: int = 0
    not_before_s: float = 0.0


class Station16:
    """One charge point."""

    def __init__(
        self,
        identity: str,
        rng: random.Random,
        *,
        evse_count: int = 1,
        wiring: tuple[int, ...] = (0, 1, 2),
        max_a: float = 32.0,
        wall_offset_s: float = 0.0,
        meter_interval_s: float = 10.0,
        faults: frozenset[str] = frozenset(),
        known_tokens: frozenset[str] = frozenset(),
    ) -> None:
        unknown = faults - FAULTS
        if unknown:
            raise ValueError(f"no such fault: {sorted(unknown)}")
        self.identity = identity
        self.wiring = wiring
        self.max_a = max_a
        self.faults = faults
        self.evses = {number: Evse(number, register_wh=rng.randrange(1000, 900_000)) for number in range(1, evse_count + 1)}
        self.profiles = ProfileStore()
        self.is_connected = False
        self.is_booted = False
        self.heartbeat_s = 300.0
        self.meter_interval_s = meter_interval_s
        self.sent_count = 0
        self.limits_received = 0
        self.closed_transactions = 0
        self.started_transactions = 0
        self.rejected_tokens = 0
        self.discarded: list[str] = []
        self._rng = rng
        self._wall_offset_s = wall_offset_s
        self._known_tokens = known_tokens
        self._queue: deque[_Message] = deque()
        self._urgent: deque[tuple[str, dict[str, Any], Any]] = deque()
        self._outgoing: list[str] = []
        self._pending: tuple[str, str, Any, float] | None = None
        self._late: list[tuple[float, str]] = []
        self._message_number = rng.randrange(1, 1_000_000)
        self._has_booted_before = False
        self._boot_at_s = 0.0
        self._beat_at_s = float("inf")
        self._meter_at_s: dict[int, float] = {}
        self._advanced_s: float | None = None

    # --- time ---------------------------------------------------------------------------------------------------------

    def _stamp(self, now_s: float) -> str:
        return datetime.fromtimestamp(self.wall_s(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def wall_s(self, now_s: float) -> float:
        return now_s if "clock-1970" in self.faults else now_s + self._wall_offset_s

    # --- the link -----------------------------------------------------------------------------------------------------

    def connected(self, now_s: float) -> None:
        self.is_connected = True
        self._pending = None
        self._outgoing.clear()
        self._urgent.clear()
        if self._has_booted_before:
            self.is_booted = True
            for evse in self.evses.values():
                evse.told_status = ""
            self._report_statuses(now_s)
        else:
            self._boot(now_s)

    def _boot(self, now_s: float) -> None:
        self.is_booted = False
        self._boot_at_s = float("inf")
        payload = {
            "chargePointVendor": "Simulated",
            "chargePointModel": "Box 16",
            "firmwareVersion": "1.0",
            "chargePointSerialNumber": self.identity,
        }
        self._urgent.appendleft(("BootNotification", payload, "boot"))
        self._pump(now_s)

    def disconnected(self, now_s: float) -> None:
        self.is_connected = False
        self._pending = None
        self._outgoing.clear()
        self._late.clear()
        if "forget-on-disconnect" in self.faults:
            self.profiles.forget(keep_persistent=False)
        for evse in self.evses.values():
            evse.is_authorising = False
        for message in self._queue:
            message.not_before_s = 0.0

    def power_cut(self, now_s: float) -> None:
        """Off and on again: the transaction ends, its stop is queued with the last register."""
        self.disconnected(now_s)
        for evse in self.evses.values():
            if evse.transaction is not None:
                self._stop(evse, "PowerLoss", now_s)
            evse.is_allowed = False
        self.profiles.forget(keep_persistent=True)
        self._has_booted_before = False

    def received(self, text: str, now_s: float) -> None:
        frame = json.loads(text)
        if frame[0] == 2:
            self._on_call(frame[1], frame[2], frame[3], now_s)
        elif self._pending is not None and frame[1] == self._pending[0]:
            _, action, context, _ = self._pending
            self._pending = None
            if frame[0] == 3:
                self._on_answer(action, context, frame[2], now_s)
            else:
                self._on_error(action, context, now_s)
        self._pump(now_s)

    def take_frames(self) -> list[str]:
        frames, self._outgoing = self._outgoing, []
        self.sent_count += len(frames)
        return frames

    def _pump(self, now_s: float) -> None:
        """Send the next call, if none is under way: the urgent ones, then the queue in order."""
        if not self.is_connected or self._pending is not None:
            return
        if self._urgent:
            action, payload, context = self._urgent.popleft()
            if action != "BootNotification" and not self.is_booted:
                self._urgent.append((action, payload, context))
                return
            self._call(action, payload, context, now_s)
        elif self.is_booted and self._queue and self._queue[0].not_before_s <= now_s:
            message = self._queue[0]
            payload = dict(message.payload)
            transaction = message.transaction
            if transaction is not None:
                number = -1 if transaction.id is None or "lose-start-answer" in self.faults else transaction.id
                if message.action == "StopTransaction" or "no-transaction-id" not in self.faults:
                    payload["transactionId"] = number
            message.attempts += 1
            self._call(message.action, payload, message, now_s)

    def _call(self, action: str, payload: dict[str, Any], context: Any, now_s: float) -> None:
        self._message_number += 1
        message_id = f"{self._message_number:x}"
        self._pending = (message_id, action, context, now_s + ANSWER_TIMEOUT_S)
        self._outgoing.append(json.dumps([2, message_id, action, payload], separators=(",", ":")))

    # --- answers to our calls -----------------------------------------------------------------------------------------

    def _on_answer(self, action: str, context: Any, payload: dict[str, Any], now_s: float) -> None:
        if action == "BootNotification":
            if payload["status"] == "Accepted":
                self.is_booted = self._has_booted_before = True
                self.heartbeat_s = max(10.0, float(payload["interval"]))
                self._beat_at_s = now_s + self.heartbeat_s
                self._report_statuses(now_s)
            else:
                self._boot_at_s = now_s + float(payload["interval"])
        elif action == "Authorize":
            evse, token = context
            evse.is_authorising = False
            if payload["idTagInfo"]["status"] == "Accepted":
                self._start(evse, token, now_s)
            else:
                self.rejected_tokens += 1
        elif isinstance(context, _Message):
            self._done(context, now_s)
            if action == "StartTransaction":
                transaction = context.begins
                if transaction is None:
                    return
                transaction.id = payload["transactionId"]
                if payload["idTagInfo"]["status"] != "Accepted":
                    for evse in self.evses.values():
                        if evse.transaction is transaction:
                            self._stop(evse, "DeAuthorized", now_s)

    def _done(self, message: _Message, now_s: float) -> None:
        if not self._queue or self._queue[0] is not message:
            return
        repeats = {"StartTransaction": "repeat-start", "StopTransaction": "repeat-stop"}
        fault = repeats.get(message.action)
        if fault in self.faults and message.attempts == 1:
            return  # the same content goes out once more, under a new message id
        self._queue.popleft()
        if message.action == "StopTransaction":
            self.closed_transactions += 1

    def _on_error(self, action: str, context: Any, now_s: float) -> None:
        if isinstance(context, _Message):
            context.not_before_s = now_s + RETRY_S * context.attempts
            if context.attempts >= 10 and self._queue and self._queue[0] is context:
                self._queue.popleft()  # OCPP 1.6 3.7.1: given up
                self.discarded.append(action)
        elif action == "Authorize":
            context[0].is_authorising = False
        elif action == "BootNotification":
            self._boot_at_s = now_s + 10

    # --- calls of the server ------------------------------------------------------------------------------------------

    def _on_call(self, message_id: str, action: str, payload: dict[str, Any], now_s: float) -> None:
        answer = self._answer(action, payload, now_s)
        if answer is None:
            return
        if isinstance(answer, str):
            text = json.dumps([4, message_id, answer, "", {}])
        else:
            text = json.dumps([3, message_id, answer], separators=(",", ":"))
        if "slow" in self.faults:
            self._late.append((now_s + 8, text))
        else:
            self._outgoing.append(text)

    def _answer(self, action: str, payload: dict[str, Any], now_s: float) -> dict[str, Any] | str | None:
        match action:
            case "SetChargingProfile":
                return self._set_profile(payload, now_s)
            case "ClearChargingProfile":
                criteria = {name: value for name, value in payload.items() if value is not None}
                return {"status": "Accepted" if self.profiles.clear(**criteria) else "Unknown"}
            case "GetCompositeSchedule":
                return self._composite(payload, now_s)
            case "TriggerMessage":
                return self._trigger(payload, now_s)
            case "RemoteStartTransaction":
                return self._remote_start(payload, now_s)
            case "RemoteStopTransaction":
                for evse in self.evses.values():
                    if evse.transaction is not None and evse.transaction.id == payload["transactionId"]:
                        self._stop(evse, "Remote", now_s)
                        return {"status": "Accepted"}
                return {"status": "Rejected"}
            case "GetConfiguration":
                keys = [
                    {"key": "HeartbeatInterval", "readonly": False, "value": str(int(self.heartbeat_s))},
                    {"key": "MeterValueSampleInterval", "readonly": False, "value": str(int(self.meter_interval_s))},
                    {"key": "NumberOfConnectors", "readonly": True, "value": str(len(self.evses))},
                ]
                wanted = set(payload.get("key", []))
                known = [key for key in keys if not wanted or key["key"] in wanted]
                missing = sorted(wanted - {str(key["key"]) for key in keys})
                return {"configurationKey": known, **({"unknownKey": missing} if missing else {})}
            case "ChangeConfiguration":
                if payload["key"] == "MeterValueSampleInterval":
                    self.meter_interval_s = float(payload["value"])
                    return {"status": "Accepted"}
                return {"status": "NotSupported"}
            case "Reset":
                for evse in self.evses.values():
                    if evse.transaction is not None:
                        self._stop(evse, "SoftReset" if payload["type"] == "Soft" else "HardReset", now_s)
                self.profiles.forget(keep_persistent=True)
                self._boot_at_s = now_s + 5
                return {"status": "Accepted"}
            case "UnlockConnector":
                evse_ = self.evses.get(payload["connectorId"])
                return {"status": "Unlocked" if evse_ is not None else "NotSupported"}
            case "ChangeAvailability" | "ClearCache":
                return {"status": "Accepted"}
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
        return "NotImplemented"

    def _set_profile(self, payload: dict[str, Any], now_s: float) -> dict[str, Any] | None:
        self.limits_received += 1
        if "mute-profiles" in self.faults:
            return None
        if "reject-profiles" in self.faults:
            return {"status": "Rejected"}
        if "ignore-profiles" in self.faults:
            return {"status": "Accepted"}
        connector = payload["connectorId"]
        evse = self.evses.get(connector)
        transaction = evse.transaction.id if evse is not None and evse.transaction is not None else None
        return {"status": self.profiles.install(connector, payload["csChargingProfiles"], transaction)}

    def _composite(self, payload: dict[str, Any], now_s: float) -> dict[str, Any]:
        limit_a = self.limit_a(payload["connectorId"], now_s)
        return {
            "status": "Accepted",
            "connectorId": payload["connectorId"],
            "scheduleStart": self._stamp(now_s),
            "chargingSchedule": {
                "duration": payload["duration"],
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [{"startPeriod": 0, "limit": round(limit_a, 1)}],
            },
        }

    def _trigger(self, payload: dict[str, Any], now_s: float) -> dict[str, Any]:
        match payload["requestedMessage"]:
            case "BootNotification":
                self._boot(now_s)
            case "Heartbeat":
                self._beat_at_s = now_s
            case "MeterValues":
                for number in self._meter_at_s:
                    self._meter_at_s[number] = now_s
            case "StatusNotification":
                for evse in self.evses.values():
                    evse.told_status = ""
                self._report_statuses(now_s)
            case _:
                return {"status": "NotImplemented"}
        return {"status": "Accepted"}

    def _remote_start(self, payload: dict[str, Any], now_s: float) -> dict[str, Any]:
        evse = self.evses.get(payload.get("connectorId", 1))
        if evse is None or evse.transaction is not None or evse.car is None:
            return {"status": "Rejected"}
        self._start(evse, payload["idTag"], now_s)
        return {"status": "Accepted"}

    # --- people and cars ----------------------------------------------------------------------------------------------

    def plug(self, number: int, car: Car, now_s: float) -> None:
        """A car is plugged in and its driver presents a token."""
        evse = self.evses[number]
        if evse.car is not None:
            raise ValueError(f"{self.identity}/{number} is occupied")
        evse.car = car
        self._set_status(evse, "Preparing", now_s)
        self._authorise(evse, now_s)

    def _authorise(self, evse: Evse, now_s: float) -> None:
        car = evse.car
        if car is None or evse.is_authorising or evse.transaction is not None:
            return
        if self.is_connected and self.is_booted:
            evse.is_authorising = True
            self._urgent.append(("Authorize", {"idTag": car.token}, (evse, car.token)))
            self._pump(now_s)
        elif car.token in self._known_tokens:
            self._start(evse, car.token, now_s)

    def unplug(self, number: int, now_s: float) -> Car | None:
        evse = self.evses[number]
        car, evse.car = evse.car, None
        if evse.transaction is not None:
            self._stop(evse, "EVDisconnected", now_s)
        evse.drawn_a = (0.0, 0.0, 0.0)
        self._set_status(evse, "Available", now_s)
        return car

    def _start(self, evse: Evse, token: str, now_s: float) -> None:
        if evse.car is None or evse.transaction is not None:
            return
        if "register-resets" in self.faults:
            evse.register_wh = 0.0
        transaction = Transaction(token, now_s, self.wall_s(now_s), int(evse.register_wh))
        evse.transaction = transaction
        self.started_transactions += 1
        payload = {
            "connectorId": evse.number,
            "idTag": token,
            "meterStart": transaction.meter_start_wh,
            "timestamp": self._stamp(now_s),
        }
        self._queue.append(_Message("StartTransaction", payload, begins=transaction))
        self._meter_at_s[evse.number] = now_s + self.meter_interval_s
        self._set_status(evse, "Charging", now_s)
        self._pump(now_s)

    def _stop(self, evse: Evse, reason: str, now_s: float) -> None:
        transaction = evse.transaction
        if transaction is None:
            return
        evse.transaction = None
        self.profiles.end_transaction(evse.number)
        self._meter_at_s.pop(evse.number, None)
        payload = {
            "idTag": transaction.token,
            "meterStop": int(evse.register_wh),
            "timestamp": self._stamp(now_s),
            "reason": reason,
        }
        self._queue.append(_Message("StopTransaction", payload, transaction))
        evse.drawn_a = (0.0, 0.0, 0.0)
        if evse.car is not None:
            evse.car.follow(0.0, now_s)
            evse.car.drawn_a = 0.0
        self._set_status(evse, "Finishing", now_s)
        self._pump(now_s)

    # --- physics and timers -------------------------------------------------------------------------------------------

    def advance(self, now_s: float) -> None:
        """Let time pass until now: current flows, timers fire."""
        passed_s = 0.0 if self._advanced_s is None else now_s - self._advanced_s
        self._advanced_s = now_s
        for evse in self.evses.values():
            self._charge(evse, passed_s, now_s)
        if self._late:
            self._outgoing += [text for due_s, text in self._late if due_s <= now_s]
            self._late = [(due_s, text) for due_s, text in self._late if due_s > now_s]
        if not self.is_connected:
            return
        if self._pending is not None and now_s >= self._pending[3]:
            _, action, context, _ = self._pending
            self._pending = None
            self._on_error(action, context, now_s)
        if now_s >= self._boot_at_s:
            self._boot(now_s)
        if self.is_booted and now_s >= self._beat_at_s:
            self._beat_at_s = now_s + self.heartbeat_s
            self._urgent.append(("Heartbeat", {}, None))
        self._pump(now_s)

    def limit_a(self, number: int, now_s: float) -> float:
        """The effective limit of an EVSE per phase."""
        evse = self.evses.get(number)
        began_s = evse.transaction.began_wall_s if evse is not None and evse.transaction is not None else None
        limit_a = min(self.max_a, self.profiles.limit_a(number, self.wall_s(now_s), began_s, len(self.wiring)))
        if "whole-amps" in self.faults:
            limit_a = float(int(limit_a))
        return limit_a * 1.1 if "overdraw" in self.faults else limit_a

    def _charge(self, evse: Evse, passed_s: float, now_s: float) -> None:
        car = evse.car
        if car is None:
            return
        if evse.transaction is None:
            if evse.status == "Preparing":
                self._authorise(evse, now_s)
            return
        limit_a = self.limit_a(evse.number, now_s)
        if "obey-late" in self.faults and limit_a != evse.offered_a:
            if evse.pending_offer_a != limit_a:
                evse.pending_offer_a, evse.offered_since_s = limit_a, now_s
            if now_s - evse.offered_since_s < 30:
                limit_a = evse.offered_a
        evse.offered_a = limit_a
        car.follow(limit_a, now_s)
        evse.register_wh += car.charge(passed_s)
        values = [0.0, 0.0, 0.0]
        for own in range(min(car.phase_count, len(self.wiring))):
            values[self.wiring[own]] = car.drawn_a
        evse.drawn_a = (values[0], values[1], values[2])
        if car.drawn_a > 0:
            self._set_status(evse, "Charging", now_s)
        elif limit_a < MIN_A:
            self._set_status(evse, "SuspendedEVSE", now_s)
        elif car.is_full:
            self._set_status(evse, "SuspendedEV", now_s)
        if now_s >= self._meter_at_s.get(evse.number, float("inf")):
            self._meter_at_s[evse.number] = now_s + self.meter_interval_s
            self._measure(evse, now_s)

    def _measure(self, evse: Evse, now_s: float) -> None:
        car = evse.car
        if car is None or evse.transaction is None:
            return
        samples = [
            {"value": str(int(evse.register_wh)), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": f"{car.drawn_a * VOLTAGE_V * car.phase_count:.0f}", "measurand": "Power.Active.Import", "unit": "W"},
            {"value": str(car.soc_percent), "measurand": "SoC", "unit": "Percent"},
        ]
        for own in range(len(self.wiring)):
            current_a = car.drawn_a if own < car.phase_count else 0.0
            samples.append({"value": f"{current_a:.2f}", "measurand": "Current.Import", "unit": "A", "phase": f"L{own + 1}"})
        payload = {"connectorId": evse.number, "meterValue": [{"timestamp": self._stamp(now_s), "sampledValue": samples}]}
        if len(self._queue) < 100:
            self._queue.append(_Message("MeterValues", payload, evse.transaction))

    def _set_status(self, evse: Evse, status: str, now_s: float) -> None:
        evse.status = status
        if evse.told_status != status and self.is_connected and self.is_booted:
            evse.told_status = status
            payload = {"connectorId": evse.number, "errorCode": "NoError", "status": status, "timestamp": self._stamp(now_s)}
            self._urgent.append(("StatusNotification", payload, None))
            self._pump(now_s)

    def _report_statuses(self, now_s: float) -> None:
        for evse in self.evses.values():
            self._set_status(evse, evse.status, now_s)

    @property
    def queued_count(self) -> int:
        """Transaction messages not yet acknowledged."""
        return len(self._queue)
