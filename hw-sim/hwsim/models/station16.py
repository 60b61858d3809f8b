"""An OCPP 1.6 charge point, sans-IO: frames in, frames out, and the current it really draws.

It behaves as the better units do (ordered offline queue that survives a power cut, profiles by the book); ``faults`` switches on,
by name, what the others do (``personalities``). Time comes in with every call: ``now_s`` is monotonic, the wall clock is
``now_s + wall_offset_s``. Whoever carries it calls ``advance`` twice a second or so, hands over what arrives with ``received``,
sends ``take_frames`` after each, and closes the link when ``take_close`` says so.
"""

from __future__ import annotations

import json
import random
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hwsim.models import personalities, station16_requests
from hwsim.models.car import Car
from hwsim.models.configuration import Configuration
from hwsim.models.evse import Evse, Transaction
from hwsim.models.profiles import ProfileStore
from hwsim.models.reservations16 import Reservations

ANSWER_TIMEOUT_S = 30.0
RESET_S = 1.0
"""From the answer to a Reset until the link closes."""
EARLY_S = 1.0
"""After a boot a unit with ``restart-on-early-call`` cannot be asked anything for so long."""
QUEUED_VALUES_MAX = 100
"""Messages that may wait when another MeterValues would join them: it is dropped, transaction messages never are."""


@dataclass
class _Message:
    """A transaction message in the persistent queue. The transaction's id goes in when it is sent: it may come meanwhile."""

    action: str
    payload: dict[str, Any]
    transaction: Transaction | None = None
    begins: Transaction | None = None
    """The transaction a StartTransaction opens; its answer brings the id."""
    attempts: int = 0
    not_before_s: float = 0.0
    message_id: str = ""
    """Of the first attempt."""


@dataclass
class _Pending:
    """The call that waits for its answer: one at a time."""

    message_id: str
    action: str
    context: Any
    until_s: float


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
        self.identity = identity
        self.wiring = wiring
        self.max_a = max_a
        """Of each connector."""
        self.faults = personalities.check(faults)
        self.evses = {
            number: Evse(number, wiring, self.faults, register_wh=rng.randrange(1000, 900_000))
            for number in range(1, evse_count + 1)
        }
        self.profiles = ProfileStore(capacity=2 if "profile-table-full" in self.faults else 32)
        self.configuration = Configuration(
            self.faults, NumberOfConnectors=str(evse_count), MeterValueSampleInterval=str(max(1, round(meter_interval_s)))
        )
        self.reservations = Reservations()
        self.known_tokens = known_tokens
        """Whom it lets charge while it cannot ask."""
        self.list_version: int = 0
        self.list_messages: list[str] = []
        self.cache_cleared_count = 0
        """How each local list came: ``Full`` or ``Differential``."""
        self.vendor, self.model, self.firmware = "Simulated", "Box 16", "1.0"
        self.restart_count = 0
        self.is_connected = False
        self.is_booted = False
        self.is_powered = True
        self.sent_count = 0
        self.limits_received = 0
        self.closed_transactions = 0
        self.started_transactions = 0
        self.rejected_tokens = 0
        self.profile_writes_s: deque[float] = deque()
        """When it has written a profile to its flash lately."""
        self.discarded: list[str] = []
        """Transaction messages it gave up on."""
        self._rng = rng
        self._wall_offset_s = wall_offset_s
        self._queue: deque[_Message] = deque()
        self._urgent: deque[tuple[str, dict[str, Any], Any]] = deque()
        self._outgoing: list[str] = []
        self._pending: _Pending | None = None
        self._late: list[tuple[float, str]] = []
        self._message_number = rng.randrange(1, 1_000_000)
        self._has_booted_before = False
        self._closes_link = False
        self._has_sent_orphan = "orphan-stop" not in self.faults
        self._boot_at_s = float("inf")
        self._beat_at_s = float("inf")
        self._reset_at_s = float("inf")
        self._meter_at_s: dict[int, float] = {}
        self._advanced_s: float | None = None
        self._linked_at_s = 0.0
        self._booted_at_s = 0.0
        self._flap_at_s = 0.0

    # --- time ---------------------------------------------------------------------------------------------------------

    def stamp(self, now_s: float) -> str:
        return datetime.fromtimestamp(self.wall_s(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def wall_s(self, now_s: float) -> float:
        return now_s if "clock-1970" in self.faults else now_s + self._wall_offset_s

    def set_clock(self, by_s: float) -> None:
        """Its clock is put forward, or back."""
        self._wall_offset_s += by_s

    # --- the link -----------------------------------------------------------------------------------------------------

    def connected(self, now_s: float) -> None:
        self.is_connected = True
        self._linked_at_s = now_s
        self._closes_link = False
        self._pending = None
        self._outgoing.clear()
        self._urgent.clear()
        for evse in self.evses.values():
            if "silent-after-reconnect" not in self.faults:
                evse.told_status = ""
        if self._has_booted_before:
            self.is_booted = True
            if "newest-first" in self.faults:
                for evse in self.evses.values():
                    if evse.transaction is not None:
                        self._measure(evse, now_s)
                        self._queue.rotate(1)
            self.report_statuses(now_s)
        else:
            self.boot(now_s)

    def boot(self, now_s: float) -> None:
        """Say who we are; until that is accepted nothing else is said."""
        self.is_booted = False
        self._boot_at_s = float("inf")
        payload = {
            "chargePointVendor": self.vendor,
            "chargePointModel": self.model,
            "firmwareVersion": self.firmware,
            "chargePointSerialNumber": self.identity.ljust(60, "X") if "long-fields" in self.faults else self.identity,
        }
        self._urgent.appendleft(("BootNotification", payload, None))
        self._pump(now_s)
        if "two-at-once" in self.faults and self.is_connected:
            status = {"connectorId": 0, "errorCode": "NoError", "status": "Available", "timestamp": self.stamp(now_s)}
            self._emit([2, self._new_id(), "StatusNotification", status])  # its answer is for nobody

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
        """No power from now on: the transactions end, their stops are queued with the last register."""
        self.disconnected(now_s)
        for evse in self.evses.values():
            if "register-backwards" in self.faults:
                evse.register_wh = max(0.0, evse.register_wh - self._rng.uniform(60, 70))
            self.stop(evse, "PowerLoss", now_s)
        self._restart()
        self.is_powered = False

    def power_restored(self, now_s: float) -> None:
        self.is_powered = True
        for evse in self.evses.values():
            if evse.car is not None and evse.status == "Available":
                self._set_status(evse, "Preparing", now_s)

    def reset(self, kind: str, now_s: float) -> None:
        """``Soft`` or ``Hard``: transactions end, the link closes, it starts again and boots."""
        for evse in self.evses.values():
            self.stop(evse, f"{kind}Reset", now_s)
        self._reset_at_s = now_s + RESET_S

    def crash(self) -> None:
        """Restart at once, without a word."""
        self._restart()
        self._closes_link = self.is_connected

    def _restart(self) -> None:
        self.restart_count += 1
        self.profiles.forget(keep_persistent="forget-on-reboot" not in self.faults)
        self._has_booted_before = self._has_booted_before and "no-boot" in self.faults

    def received(self, text: str, now_s: float) -> None:
        frame = json.loads(text)
        pending = self._pending
        if "crashes-on-null" in self.faults and ("null" in text.replace('"null"', "")):
            self.crash()
            return
        if frame[0] == 2:
            self._on_call(frame[1], frame[2], frame[3], now_s)
        elif pending is not None and frame[1] == pending.message_id:
            self._pending = None
            if frame[0] == 3:
                self._on_answer(pending.action, pending.context, frame[2], now_s)
            else:
                self._on_error(pending.action, pending.context, now_s)
        self._pump(now_s)

    def take_frames(self) -> list[str]:
        frames, self._outgoing = self._outgoing, []
        self.sent_count += len(frames)
        return frames

    def take_close(self) -> bool:
        """Whether the link is to be closed now: it restarts."""
        closes, self._closes_link = self._closes_link, False
        return closes

    def _pump(self, now_s: float) -> None:
        """Send the next call, if none is under way: the urgent ones, then the queue in order."""
        if not self.is_connected or self._pending is not None:
            return
        if self._urgent:
            action, payload, context = self._urgent.popleft()
            if action != "BootNotification" and not self.is_booted:
                self._urgent.append((action, payload, context))
                return
            self._call(self._new_id(), action, payload, context, now_s)
        elif self.is_booted and self._queue and self._queue[0].not_before_s <= now_s:
            message = self._queue[0]
            payload = dict(message.payload)
            transaction = message.transaction
            if transaction is not None and (message.action == "StopTransaction" or "no-transaction-id" not in self.faults):
                payload["transactionId"] = -1 if transaction.id is None else transaction.id
                if "wrong-stop-id" in self.faults and message.action == "StopTransaction":
                    payload["transactionId"] += 1_000_000
            message.attempts += 1
            is_repeat = message.attempts > 1 and "same-id-retry" in self.faults
            message_id = message.message_id if is_repeat else self._new_id()
            message.message_id = message.message_id or message_id
            self._call(message_id, message.action, payload, message, now_s)

    def _call(self, message_id: str, action: str, payload: dict[str, Any], context: Any, now_s: float) -> None:
        self._pending = _Pending(message_id, action, context, now_s + ANSWER_TIMEOUT_S)
        self._emit([2, message_id, action, payload])

    def _new_id(self) -> str:
        self._message_number += 1
        return f"{self._message_number:x}"

    def _emit(self, frame: list[Any]) -> None:
        text = json.dumps(frame, separators=(",", ":"))
        if "broken-frames" in self.faults and self._rng.random() < 0.1:
            self._outgoing.append(text[: len(text) // 2])
        self._outgoing.append(text)

    # --- answers to our calls -----------------------------------------------------------------------------------------

    def _on_answer(self, action: str, context: Any, payload: dict[str, Any], now_s: float) -> None:
        if action == "BootNotification":
            self._on_boot_answer(payload, now_s)
        elif action == "Authorize":
            evse, token = context
            evse.is_authorising = False
            info = payload["idTagInfo"]
            if info["status"] == "Accepted" and self.reservations.admits(evse.number, token, info.get("parentIdTag")):
                self.start(evse, token, now_s)
            else:
                self._refuse(evse)
        elif isinstance(context, _Message):
            self._done(context)
            transaction = context.begins
            if transaction is None:
                return
            if "lose-start-answer" not in self.faults:
                transaction.id = payload["transactionId"]
            if payload["idTagInfo"]["status"] != "Accepted":
                for evse in self.evses.values():
                    if evse.transaction is transaction:
                        self.stop(evse, "DeAuthorized", now_s)

    def _on_boot_answer(self, payload: dict[str, Any], now_s: float) -> None:
        if payload["status"] != "Accepted":
            self._boot_at_s = now_s + float(payload["interval"])
            return
        is_first = not self._has_booted_before
        self.is_booted = self._has_booted_before = True
        self._booted_at_s = now_s
        if "endless-boots" in self.faults and now_s - self._linked_at_s < 600:
            self._boot_at_s = now_s + 5
        if "dumps-history" in self.faults and is_first:
            self._dump_history(now_s)
        self.configuration.values["HeartbeatInterval"] = str(max(10, payload["interval"]))
        self._beat_at_s = now_s + self.configuration.number("HeartbeatInterval")
        self.report_statuses(now_s)
        if not self._has_sent_orphan:
            self._has_sent_orphan = True
            unknown = Transaction("04FF", now_s, self.wall_s(now_s), 0, id=self._rng.randrange(10**8, 10**9))
            stop = {"meterStop": 4_200, "timestamp": self.stamp(now_s), "reason": "Local"}
            self._queue.append(_Message("StopTransaction", stop, unknown))

    def _dump_history(self, now_s: float) -> None:
        for number in range(20):
            began_s = now_s - (400 - number) * 86_400
            old = Transaction("04OLD", began_s, self.wall_s(began_s), 1_000 * number)
            payload = {"connectorId": 1, "idTag": old.token, "meterStart": old.meter_start_wh, "timestamp": self.stamp(began_s)}
            self._queue.append(_Message("StartTransaction", payload, begins=old))
            stop = {"idTag": old.token, "meterStop": old.meter_start_wh + 900, "timestamp": self.stamp(began_s + 3_600)}
            self._queue.append(_Message("StopTransaction", stop, old))

    def _done(self, message: _Message) -> None:
        if not self._queue or self._queue[0] is not message:
            return
        repeats = {"StartTransaction": "repeat-start", "StopTransaction": "repeat-stop"}
        if repeats.get(message.action) in self.faults and message.attempts == 1:
            return  # the same content goes out once more, under a new message id
        self._queue.popleft()
        if message.action == "StopTransaction" and message.payload.get("idTag"):
            self.closed_transactions += 1

    def _on_error(self, action: str, context: Any, now_s: float) -> None:
        if isinstance(context, _Message):
            context.not_before_s = now_s + self.configuration.number("TransactionMessageRetryInterval") * context.attempts
            gives_up = context.attempts >= self.configuration.number("TransactionMessageAttempts")
            if gives_up and self._queue and self._queue[0] is context:
                self._queue.popleft()  # OCPP 1.6 3.7.1
                self.discarded.append(action)
        elif action == "Authorize":
            context[0].is_authorising = False
        elif action == "BootNotification":
            self._boot_at_s = now_s + 10

    # --- calls of the server ------------------------------------------------------------------------------------------

    def _on_call(self, message_id: str, action: str, payload: dict[str, Any], now_s: float) -> None:
        if "restart-on-early-call" in self.faults and (not self.is_booted or now_s - self._booted_at_s < EARLY_S):
            self.crash()
            return
        answer = station16_requests.answer(self, action, payload, now_s)
        if answer is None:
            return
        frame = [4, message_id, answer, "", {}] if isinstance(answer, str) else [3, message_id, answer]
        if "slow" in self.faults:
            self._late.append((now_s + 8, json.dumps(frame, separators=(",", ":"))))
        else:
            self._emit(frame)

    def beat(self) -> None:
        if "never-beats" in self.faults:
            return
        self._urgent.append(("Heartbeat", {}, None))

    def measure_soon(self, number: int, now_s: float) -> None:
        if number in self._meter_at_s:
            self._meter_at_s[number] = now_s

    # --- people and cars ----------------------------------------------------------------------------------------------

    def plug(self, number: int, car: Car, now_s: float) -> None:
        """A car is plugged in and its driver presents a token."""
        evse = self.evses[number]
        if evse.car is not None:
            raise ValueError(f"{self.identity}/{number} is occupied")
        evse.car = car
        evse.is_refused = False
        if self.is_powered and evse.is_operative:
            self._set_status(evse, "Preparing", now_s)
            self._authorise(evse, now_s)

    def _authorise(self, evse: Evse, now_s: float) -> None:
        car = evse.car
        if car is None or evse.is_authorising or evse.is_refused or evse.transaction is not None:
            return
        if not self.reservations.admits(evse.number, car.token) and not self.reservations.needs_group(evse.number, car.token):
            self._refuse(evse)
        elif self.is_connected and self.is_booted:
            evse.is_authorising = True
            self._urgent.append(("Authorize", {"idTag": self.read(car.token)}, (evse, car.token)))
            self._pump(now_s)
        elif car.token in self.known_tokens and self.reservations.admits(evse.number, car.token):
            self.start(evse, car.token, now_s)

    def _refuse(self, evse: Evse) -> None:
        evse.is_refused = True
        self.rejected_tokens += 1

    def read(self, token: str) -> str:
        """What its reader makes of a card, as it says it this time."""
        if "reversed-tokens" in self.faults:
            return "".join(reversed([token[place : place + 2] for place in range(0, len(token), 2)]))
        if "upper-case-tokens" in self.faults:
            return token.upper() if self._rng.random() < 0.5 else token.lower()
        return token.ljust(40, "0") if "long-fields" in self.faults else token

    def unplug(self, number: int, now_s: float) -> Car | None:
        evse = self.evses[number]
        self.stop(evse, "EVDisconnected", now_s)
        evse.open_contactor(now_s)
        car, evse.car = evse.car, None
        if "stuck-finishing" not in self.faults:
            self._set_status(evse, self._idle_status(evse), now_s)
        return car

    def _idle_status(self, evse: Evse) -> str:
        if not evse.is_operative:
            return "Unavailable"
        return "Available" if self.reservations.at(evse.number) is None else "Reserved"

    def settle_reservations(self, now_s: float) -> None:
        """Free connectors say whether they are kept for somebody."""
        for evse in self.evses.values():
            if evse.status in {"Available", "Reserved"}:
                self._set_status(evse, self._idle_status(evse), now_s)

    def start(self, evse: Evse, token: str, now_s: float) -> None:
        """A transaction begins, unless the car has left meanwhile."""
        if evse.car is None or evse.transaction is not None or not evse.is_operative:
            return
        if "register-resets" in self.faults:
            evse.register_wh = 0.0
        transaction = Transaction(token, now_s, self.wall_s(now_s), int(evse.register_wh))
        evse.transaction = transaction
        self.started_transactions += 1
        if "lose-start" in self.faults:
            transaction.id = self._rng.randrange(10**5, 10**6)
        payload = {
            "connectorId": evse.number,
            "idTag": self.read(token),
            "meterStart": transaction.meter_start_wh,
            "timestamp": self.stamp(now_s),
        }
        reservation = self.reservations.use(evse.number)
        if reservation is not None:
            payload["reservationId"] = reservation
        if "lose-start" not in self.faults:
            self._queue.append(_Message("StartTransaction", payload, begins=transaction))
        self._meter_at_s[evse.number] = now_s + self.configuration.number("MeterValueSampleInterval")
        self._set_status(evse, "Charging", now_s)
        self._pump(now_s)

    def stop(self, evse: Evse, reason: str, now_s: float) -> None:
        """The transaction ends, if there is one."""
        transaction = evse.transaction
        if transaction is None:
            return
        evse.transaction = None
        self.profiles.end_transaction(evse.number)
        self._meter_at_s.pop(evse.number, None)
        payload = {
            "idTag": self.read(transaction.token),
            "meterStop": int(evse.register_wh),
            "timestamp": self.stamp(now_s),
            "reason": reason,
        }
        if "lose-stop" not in self.faults:
            self._queue.append(_Message("StopTransaction", payload, transaction))
        if "values-after-stop" in self.faults:
            values = {"timestamp": self.stamp(now_s), "sampledValue": evse.samples()}
            self._queue.append(_Message("MeterValues", {"connectorId": evse.number, "meterValue": [values]}, transaction))
        evse.open_contactor(now_s)
        self._set_status(evse, "Finishing", now_s)
        self._pump(now_s)

    def settle_availability(self, now_s: float) -> None:
        """Connectors without a transaction follow what ChangeAvailability said; the others when theirs has ended."""
        for evse in self.evses.values():
            if not evse.is_operative and evse.transaction is None:
                self.reservations.lose(evse.number)
                self._set_status(evse, "Unavailable", now_s)
            elif evse.is_operative and evse.status == "Unavailable":
                self._set_status(evse, "Available" if evse.car is None else "Preparing", now_s)

    # --- physics and timers -------------------------------------------------------------------------------------------

    def advance(self, now_s: float) -> None:
        """Let time pass until now: current flows, timers fire."""
        passed_s = 0.0 if self._advanced_s is None else now_s - self._advanced_s
        self._advanced_s = now_s
        if not self.is_powered:
            return
        if self.reservations.expire(self.wall_s(now_s)):
            self.settle_reservations(now_s)
        for evse in self.evses.values():
            if evse.car is not None:
                self._charge(evse, passed_s, now_s)
        if self._late:
            self._outgoing += [text for due_s, text in self._late if due_s <= now_s]
            self._late = [(due_s, text) for due_s, text in self._late if due_s > now_s]
        if now_s >= self._reset_at_s:
            self._reset_at_s = float("inf")
            self._restart()
            self._closes_link = self.is_connected
        if not self.is_connected:
            return
        pending = self._pending
        if pending is not None and now_s >= pending.until_s:
            self._pending = None
            self._on_error(pending.action, pending.context, now_s)
        if "drops-every-40-s" in self.faults and now_s - self._linked_at_s >= 40:
            self._closes_link = True
        if now_s >= self._boot_at_s:
            self.boot(now_s)
        self._flap(now_s)
        if self.is_booted and now_s >= self._beat_at_s:
            self._beat_at_s = now_s + self.configuration.number("HeartbeatInterval")
            self.beat()
        self._pump(now_s)

    def _flap(self, now_s: float) -> None:
        """States that come and go and mean nothing."""
        odd = "Faulted" if "flapping-fault" in self.faults else "Available" if "phantom-plugs" in self.faults else ""
        if not odd or not self.is_booted or now_s < self._flap_at_s:
            return
        for evse in self.evses.values():
            is_odd = evse.told_status == odd
            self._flap_at_s = now_s + (2 if is_odd else 1)
            if evse.transaction is None and odd == "Available":
                continue
            evse.told_status = evse.status if is_odd else odd
            code = "GroundFailure" if evse.told_status == "Faulted" else "NoError"
            told = {"connectorId": evse.number, "errorCode": code, "status": evse.told_status, "timestamp": self.stamp(now_s)}
            self._urgent.append(("StatusNotification", told, None))

    def limit_a(self, number: int, now_s: float) -> float:
        """The effective limit of a connector per phase. The station's maximum is shared by those that charge."""
        evse = self.evses.get(number)
        transaction = evse.transaction if evse is not None else None
        wall_s, phase_count = self.wall_s(now_s), len(self.wiring)
        began_s = transaction.began_wall_s if transaction is not None else None
        limit_a = min(self.max_a, self.profiles.limit_a(number, wall_s, began_s, phase_count))
        if len(self.evses) > 1:
            charging_count = sum(1 for other in self.evses.values() if other.transaction is not None)
            limit_a = min(limit_a, self.profiles.station_limit_a(wall_s, phase_count) / max(1, charging_count))
        return limit_a if evse is None else evse.rounded_a(limit_a)

    def _charge(self, evse: Evse, passed_s: float, now_s: float) -> None:
        if evse.transaction is None:
            if evse.status == "Preparing":
                self._authorise(evse, now_s)
            return
        evse.flow(self.limit_a(evse.number, now_s), passed_s, now_s)
        status = evse.charging_status()
        if status is not None:
            self._set_status(evse, status, now_s)
        if now_s >= self._meter_at_s[evse.number]:
            self._meter_at_s[evse.number] = now_s + self.configuration.number("MeterValueSampleInterval")
            self._measure(evse, now_s)

    def _measure(self, evse: Evse, now_s: float) -> None:
        values = {"timestamp": self.stamp(now_s), "sampledValue": evse.samples()}
        if len(self._queue) < (12 if "small-queue" in self.faults else QUEUED_VALUES_MAX):
            payload = {"connectorId": evse.number, "meterValue": [values]}
            self._queue.append(_Message("MeterValues", payload, evse.transaction))

    def _set_status(self, evse: Evse, status: str, now_s: float) -> None:
        evse.status = status
        if evse.told_status != status and self.is_connected and self.is_booted:
            evse.told_status = status
            number = 0 if "connector-zero-only" in self.faults else evse.number
            payload = {"connectorId": number, "errorCode": "NoError", "status": status, "timestamp": self.stamp(now_s)}
            self._urgent.append(("StatusNotification", payload, None))
            self._pump(now_s)

    def report_statuses(self, now_s: float) -> None:
        """Tell the status of every connector that has not been told on this connection."""
        for evse in self.evses.values():
            self._set_status(evse, evse.status, now_s)

    @property
    def queued_count(self) -> int:
        """Transaction messages not yet acknowledged."""
        return len(self._queue)
