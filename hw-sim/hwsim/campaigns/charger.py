"""A scripted charger: what really happened at its EVSEs, what it still has to tell, and how each version tells it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from edgectl.domain.time import iso
from edgectl.domain.units import Millis, UtcMillis, WattHours

Message: TypeAlias = tuple[str, dict[str, Any]]
"""An action and its payload."""


@dataclass(eq=False)
class Transaction:
    """One that really took place."""

    number: int
    evse_number: int
    token: str
    start_wh: WattHours
    is_clock_true: bool
    """The charger's clock was right as long as it lasted."""
    stop_wh: WattHours | None = None
    note_count: int = 0
    issued: set[str] = field(default_factory=set)
    """Every id the server ever answered a start of it with (1.6)."""

    @property
    def name(self) -> str:
        """The id a 2.0.1 station gives it."""
        return f"tx-{self.number}"

    @property
    def issued_id(self) -> str | None:
        return min(self.issued, default=None)


@dataclass(eq=False)
class Note:
    """A message owed to the server until it is answered. Its content never changes, save that a 1.6 id becomes known."""

    what: str
    """``start``, ``values`` or ``stop``."""
    transaction: Transaction
    sequence: int
    stamp: str
    register_wh: WattHours
    is_offline: bool
    first_id: str = ""
    """The message id it was sent with first."""


@dataclass
class Charger:
    """One charger with its queue. ``speaks`` makes its messages; see ``speak_16`` and ``speak_201``."""

    speaks: Callable[[Note], Message]
    registers: dict[int, WattHours]
    """Where the meter of each EVSE stands."""
    keeps_id: bool = False
    """It tries again with the same message id."""
    offset_ms: Millis = 0
    """Its clock minus the true one."""
    has_jumped: bool = False
    is_online: bool = False
    running: dict[int, Transaction] = field(default_factory=dict)
    """By EVSE."""
    ended: list[Transaction] = field(default_factory=list)
    queue: deque[Note] = field(default_factory=deque)
    _count: int = 0

    @property
    def transactions(self) -> list[Transaction]:
        """All that ever began, in order."""
        return sorted([*self.ended, *self.running.values()], key=lambda transaction: transaction.number)

    # --- what happens at the EVSEs --------------------------------------------------------------------------------------

    def begin(self, evse_number: int, token: str, utc_ms: UtcMillis) -> Note:
        self._count += 1
        one = Transaction(self._count, evse_number, token, self.registers[evse_number], is_clock_true=not self.has_jumped)
        self.running[evse_number] = one
        return self._note("start", one, utc_ms)

    def measure(self, evse_number: int, drawn_wh: WattHours, utc_ms: UtcMillis) -> Note:
        """So much more has flowed."""
        self.registers[evse_number] += drawn_wh
        return self._note("values", self.running[evse_number], utc_ms)

    def end(self, evse_number: int, drawn_wh: WattHours, utc_ms: UtcMillis) -> Note:
        self.registers[evse_number] += drawn_wh
        one = self.running.pop(evse_number)
        one.stop_wh = self.registers[evse_number]
        self.ended.append(one)
        return self._note("stop", one, utc_ms)

    def remember_late(self, one: Transaction, utc_ms: UtcMillis) -> Note:
        """Values of a transaction that has ended, behind its stop."""
        return self._note("values", one, utc_ms)

    def jump_clock(self, by_ms: Millis) -> None:
        """Its clock is wrong from here on, or in another way, or right again."""
        self.offset_ms += by_ms
        self.has_jumped = True
        for one in self.transactions:
            if any(note.transaction is one for note in self.queue) or one.stop_wh is None:
                one.is_clock_true = False

    def _note(self, what: str, one: Transaction, utc_ms: UtcMillis) -> Note:
        register_wh = self.registers[one.evse_number] if one.stop_wh is None else one.stop_wh
        stamp = iso(max(0, utc_ms + self.offset_ms))
        note = Note(what, one, one.note_count, stamp, register_wh, is_offline=not self.is_online)
        one.note_count += 1
        self.queue.append(note)
        return note


def speak_16(note: Note) -> Message:
    one = note.transaction
    if note.what == "start":
        told = {"connectorId": one.evse_number, "idTag": one.token, "meterStart": one.start_wh, "timestamp": note.stamp}
        return "StartTransaction", told
    known: dict[str, Any] = {} if one.issued_id is None else {"transactionId": int(one.issued_id)}
    if note.what == "stop":
        return "StopTransaction", {**known, "meterStop": note.register_wh, "timestamp": note.stamp, "reason": "EVDisconnected"}
    sampled = [{"value": str(note.register_wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"}]
    values = [{"timestamp": note.stamp, "sampledValue": sampled}]
    return "MeterValues", {"connectorId": one.evse_number, **known, "meterValue": values}


def speak_201(note: Note, *, names_evse: bool = False) -> Message:
    """``names_evse``: in every event, and not only in the first."""
    one = note.transaction
    kind, trigger, context = {
        "start": ("Started", "Authorized", "Transaction.Begin"),
        "values": ("Updated", "MeterValuePeriodic", "Sample.Periodic"),
        "stop": ("Ended", "EVDeparted", "Transaction.End"),
    }[note.what]
    info = {"transactionId": one.name, "chargingState": "Idle" if note.what == "stop" else "Charging"}
    sampled = [{"value": note.register_wh, "context": context, "measurand": "Energy.Active.Import.Register"}]
    told: dict[str, Any] = {
        "eventType": kind,
        "timestamp": note.stamp,
        "triggerReason": trigger,
        "seqNo": note.sequence,
        "transactionInfo": info,
        "meterValue": [{"timestamp": note.stamp, "sampledValue": sampled}],
    }
    if note.what == "start" or names_evse:
        told["evse"] = {"id": one.evse_number, "connectorId": 1}
    if note.what == "start":
        told["idToken"] = {"idToken": one.token, "type": "ISO14443"}
    if note.what == "stop":
        info["stoppedReason"] = "EVDisconnected"
    if note.is_offline:
        told["offline"] = True
    return "TransactionEvent", told
