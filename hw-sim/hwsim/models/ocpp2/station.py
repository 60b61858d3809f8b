"""A charging station of OCPP 2, sans-IO: frames in, frames out, and the current it really draws.

Time comes in with every call: ``now_s`` is monotonic, the wall clock is ``now_s + wall_offset_s``. Whoever carries it calls
``advance`` twice a second or so, hands over what arrives with ``received``, sends ``take_frames`` after each, and closes the link
when ``take_close`` says so.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

from hwsim.models.car import VOLTAGE_V, Car
from hwsim.models.evse import Evse
from hwsim.models.ocpp2 import faults as known_faults
from hwsim.models.ocpp2 import requests, variables
from hwsim.models.ocpp2.charging import ProfileBook
from hwsim.models.ocpp2.current import Current
from hwsim.models.ocpp2.device_model import DeviceModel
from hwsim.models.ocpp2.drivers import Drivers
from hwsim.models.ocpp2.service import Service
from hwsim.models.ocpp2.tokens import Tokens
from hwsim.models.ocpp2.transactions import Events, running_at
from hwsim.models.ocpp2.wire import Kept, Payload, Wire

RESET_S = 1.0
"""From the answer to a Reset until the link closes."""
BOOT_RETRY_S = 10.0
"""When nothing, or nothing sensible, is said about when to boot again."""
_NEVER = float("inf")


class Station20:
    """One charging station. ``version`` is ``2.0.1`` or ``2.1``."""

    def __init__(
        self,
        identity: str,
        rng: random.Random,
        *,
        version: str = "2.0.1",
        evse_count: int = 1,
        wiring: tuple[int, ...] = (0, 1, 2),
        max_a: float = 32.0,
        wall_offset_s: float = 0.0,
        meter_interval_s: float = 10.0,
        faults: frozenset[str] = frozenset(),
        known_tokens: frozenset[str] = frozenset(),
    ) -> None:
        self.identity, self.version, self.subprotocol = identity, version, f"ocpp{version}"
        self.wiring = wiring
        self.max_a = max_a
        """Of each connector."""
        self.faults = known_faults.check(faults)
        self.vendor, self.model, self.firmware = "Simulated", "Box 20", "1.0"
        self.evses = {
            number: Evse(number, wiring, self.faults, register_wh=rng.randrange(1000, 900_000))
            for number in range(1, evse_count + 1)
        }
        self.rng = rng
        self._wall_offset_s = wall_offset_s
        self.device = DeviceModel(is_read_only="rejects-writes" in self.faults)
        self.device.add(variables.controllers(version, max(1, round(meter_interval_s))))
        rating_w = round(max_a * VOLTAGE_V * len(wiring))
        self.device.add(variables.equipment(identity, self.vendor, self.model, self.firmware, evse_count, rating_w))
        self.profiles = ProfileBook()
        self.tokens: Tokens = Tokens(self.device, known_tokens)
        self.wire = Wire(rng, self.faults, attempts=self._attempts, delivered=self._delivered)
        self.events = Events(self.wire, self.device, self.faults, stamp=self.stamp, is_offline=lambda: not self.is_online)
        self.current = Current(self)
        self.drivers = Drivers(self)
        self.service = Service(self)
        self.is_powered = True
        self.is_connected = False
        self.is_accepted = False
        self.is_rejected = False
        """By the last answer to its boot: then it answers nothing (B03)."""
        self.restart_count = self.limits_received = self.rejected_tokens = 0
        self.started_transactions = self.closed_transactions = 0
        self.discarded = self.wire.discarded
        """Transaction events it gave up on."""
        self.certificates: list[Payload] = []
        """Installed roots: type and hash data."""
        self._boot_reason = "PowerUp"
        self._closes_link = False
        self._boot_at_s = self._beat_at_s = self._reset_at_s = _NEVER
        self._is_reset_scheduled = False
        self._offline_since_s = 0.0
        self._advanced_s: float | None = None

    # --- time and what others ask about it ----------------------------------------------------------------------------

    def wall_s(self, now_s: float) -> float:
        return now_s if "clock-1970" in self.faults else now_s + self._wall_offset_s

    def stamp(self, now_s: float) -> str:
        return datetime.fromtimestamp(self.wall_s(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def set_clock(self, by_s: float) -> None:
        """Its clock is put forward, or back."""
        self._wall_offset_s += by_s

    @property
    def is_online(self) -> bool:
        """It has a link, and has been accepted."""
        return self.is_connected and self.is_accepted

    @property
    def is_booted(self) -> bool:
        return self.is_accepted

    @property
    def known_tokens(self) -> frozenset[str]:
        return self.tokens.known

    @property
    def queued_count(self) -> int:
        """Transaction events not yet acknowledged."""
        return len(self.wire.kept)

    # --- the link -----------------------------------------------------------------------------------------------------

    def connected(self, now_s: float) -> None:
        self.is_connected, self._closes_link = True, False
        self.wire.clear()
        self.profiles.offline(0)
        if not self.is_accepted:
            self.boot(now_s)
            return
        if now_s - self._offline_since_s > self.device.number("OCPPCommCtrlr.OfflineThreshold"):  # B04
            self._forget_told()
        self.report_statuses(now_s)
        self.pump(now_s)

    def disconnected(self, now_s: float) -> None:
        if self.is_connected:
            self._offline_since_s = now_s
        self.is_connected = False
        self.wire.clear()
        self.drivers.forget_asking()

    def power_cut(self, now_s: float) -> None:
        """No power from now on: transactions end, their ends are kept with the last register."""
        self.disconnected(now_s)
        for evse in self.evses.values():
            self.stop(evse, "PowerLoss", now_s)
        self._restart("PowerUp")
        self.is_powered = False

    def power_restored(self, now_s: float) -> None:
        self.is_powered = True

    def reset(self, reason: str, now_s: float) -> None:
        """Transactions end, the link closes, it starts again and boots with this reason."""
        for evse in self.evses.values():
            self.stop(evse, "ImmediateReset", now_s)
        self._boot_reason = reason
        self._reset_at_s = now_s + RESET_S

    def reset_when_idle(self) -> None:
        self._is_reset_scheduled = True

    @property
    def is_busy(self) -> bool:
        return any(evse.transaction is not None for evse in self.evses.values())

    def crash(self) -> None:
        """Restart at once, without a word."""
        self._restart("Unknown")
        self._closes_link = self.is_connected

    def _restart(self, reason: str) -> None:
        self.restart_count += 1
        self._boot_reason = reason
        self._is_reset_scheduled = False
        self.is_accepted = self.is_rejected = False
        self._boot_at_s = self._beat_at_s = _NEVER
        self.profiles.forget(keep_persistent="forget-on-reboot" not in self.faults)
        self.drivers.restart()
        self._forget_told()

    def received(self, text: str, now_s: float) -> None:
        frame = json.loads(text)
        if frame[0] == 2:
            self._on_call(frame[1], frame[2], frame[3], now_s)
        elif frame[0] in {3, 4}:
            self.wire.answered(frame[1], frame[2] if frame[0] == 3 else None, now_s)
        self.pump(now_s)

    def _on_call(self, message_id: str, action: str, payload: Payload, now_s: float) -> None:
        if "mute" in self.faults:
            return
        answer = "SecurityError" if self.is_rejected else requests.answer(self, action, payload, now_s)
        if answer is not None:
            self.wire.answer(message_id, answer, now_s)

    def take_frames(self) -> list[str]:
        return self.wire.take_frames()

    def take_close(self) -> bool:
        """Whether the link is to be closed now: it restarts."""
        closes, self._closes_link = self._closes_link, False
        return closes

    def pump(self, now_s: float) -> None:
        if self.is_connected:
            self.wire.pump(now_s, is_accepted=self.is_accepted)

    def _attempts(self) -> tuple[int, int]:
        most = self.device.number("OCPPCommCtrlr.MessageAttempts[TransactionEvent]")
        return most, self.device.number("OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]")

    def _delivered(self, kept: Kept, answer: Payload, now_s: float) -> None:
        self.closed_transactions += kept.payload["eventType"] == "Ended"
        status = answer.get("idTokenInfo", {}).get("status")
        if status is not None and "idToken" in kept.payload:
            self.tokens.note(kept.payload["idToken"]["idToken"], status)
            self.drivers.judged(kept.payload["transactionInfo"]["transactionId"], status, now_s)

    # --- boot, heartbeat and status -----------------------------------------------------------------------------------

    def boot(self, now_s: float, reason: str | None = None) -> None:
        """Say who we are; until that is accepted nothing is said unasked."""
        self._boot_at_s = _NEVER
        self.wire.ask_first("BootNotification", self._boot_payload(reason or self._boot_reason), self._on_boot_answer)
        self.pump(now_s)

    def _boot_payload(self, reason: str) -> Payload:
        if "shaped-like-16" in self.faults:
            return {"chargePointVendor": self.vendor, "chargePointModel": self.model, "firmwareVersion": self.firmware}
        station = {"vendorName": self.vendor, "model": self.model, "firmwareVersion": self.firmware}
        return {"reason": reason, "chargingStation": {**station, "serialNumber": self.identity[:25]}}

    def _on_boot_answer(self, answer: Payload | None, now_s: float) -> None:
        interval_s = float(answer["interval"]) if answer is not None else 0.0
        status = answer["status"] if answer is not None else "Pending"
        self.is_rejected = status == "Rejected"
        self.is_accepted = status == "Accepted" or (status == "Pending" and "ignores-pending" in self.faults)
        if not self.is_accepted:
            self._boot_at_s = now_s + (interval_s or BOOT_RETRY_S)
            return
        if interval_s:
            self.device.put("OCPPCommCtrlr.HeartbeatInterval", str(int(interval_s)))
        self._beat_at_s = now_s + self.device.number("OCPPCommCtrlr.HeartbeatInterval")
        event = "StartupOfTheDevice" if self._boot_reason == "PowerUp" else "ResetOrReboot"
        self.wire.ask("SecurityEventNotification", {"type": event, "timestamp": self.stamp(now_s)})
        self.report_statuses(now_s)

    def beat(self, *, is_solicited: bool = False) -> None:
        self.wire.ask("Heartbeat", {}, is_solicited=is_solicited)

    def status_of(self, evse: Evse, now_s: float) -> Payload:
        """The payload of StatusNotification."""
        place = {"evseId": evse.number, "connectorId": 1}
        return {"timestamp": self.stamp(now_s), "connectorStatus": evse.status, **place}

    def report_statuses(self, now_s: float) -> None:
        """Look at every connector, and tell those that are not as they were told."""
        for evse in self.evses.values():
            evse.status = self._status(evse)
            self.device.put(f"EVSE@{evse.number}.AvailabilityState", evse.status)
            self.device.put(f"Connector@{evse.number}:1.AvailabilityState", evse.status)
            if evse.told_status != evse.status and self.is_online:
                evse.told_status = evse.status
                self.wire.ask("StatusNotification", self.status_of(evse, now_s))

    def _status(self, evse: Evse) -> str:
        if not evse.is_operative and evse.transaction is None:
            return "Unavailable"
        if evse.car is not None:
            return "Occupied"
        return "Reserved" if self.drivers.reservation_at(evse.number) is not None else "Available"

    def _forget_told(self) -> None:
        for evse in self.evses.values():
            evse.told_status = ""

    # --- people and cars ----------------------------------------------------------------------------------------------

    def plug(self, number: int, car: Car, now_s: float) -> None:
        """A car is plugged in and its driver presents a token."""
        evse = self.evses[number]
        if evse.car is not None:
            raise ValueError(f"{self.identity}/{number} is occupied")
        evse.car, evse.is_refused = car, False
        self.report_statuses(now_s)
        self.drivers.came(evse, now_s)

    def unplug(self, number: int, now_s: float) -> Car | None:
        evse = self.evses[number]
        self.stop(evse, "EVDisconnected", now_s)
        evse.open_contactor(now_s)
        car, evse.car = evse.car, None
        self.report_statuses(now_s)
        return car

    def start(self, evse: Evse, token: str, now_s: float) -> None:
        """A transaction begins for somebody who may charge."""
        self.drivers.admit(evse, token, now_s)

    def stop(self, evse: Evse, reason: str, now_s: float) -> None:
        """The transaction ends, if there is one. ``reason`` is a ``stoppedReason``."""
        running = running_at(evse)
        if running is None:
            return
        self.events.ended(evse, running, reason, now_s)
        evse.transaction = None
        self.profiles.end_transaction(evse.number)
        evse.open_contactor(now_s)
        self.report_statuses(now_s)

    # --- physics and timers -------------------------------------------------------------------------------------------

    def advance(self, now_s: float) -> None:
        """Let time pass until now: current flows, timers fire."""
        passed_s = 0.0 if self._advanced_s is None else now_s - self._advanced_s
        self._advanced_s = now_s
        if not self.is_powered:
            return
        is_counted = not self.is_connected and "ignore-offline-duration" not in self.faults
        self.profiles.offline(now_s - self._offline_since_s if is_counted else 0)
        self.drivers.advance(now_s)
        self.current.advance(passed_s, now_s)
        self.service.advance(now_s)
        self._advance_reset(now_s)
        if not self.is_connected:
            return
        self.wire.advance(now_s)
        if now_s >= self._boot_at_s:
            self.boot(now_s)
        if self.is_accepted and now_s >= self._beat_at_s:
            self._beat_at_s = now_s + max(1, self.device.number("OCPPCommCtrlr.HeartbeatInterval"))
            self.beat()
        if self.is_accepted:
            self.current.pull(now_s)
        self.pump(now_s)

    def _advance_reset(self, now_s: float) -> None:
        if self._is_reset_scheduled and not self.is_busy and self._reset_at_s == _NEVER:
            self.reset("ScheduledReset", now_s)
        if now_s >= self._reset_at_s:
            self._reset_at_s = _NEVER
            self._restart(self._boot_reason)
            self._closes_link = self.is_connected

    def limit_a(self, number: int, now_s: float) -> float:
        """The effective limit of an EVSE per phase."""
        return self.current.limit_a(number, now_s)

    def constrain(self, limit_a: float | None, now_s: float) -> None:
        """Somebody else, such as the grid's operator, limits the station, or no longer does (K12, K13)."""
        self.current.constrain(limit_a, now_s)
