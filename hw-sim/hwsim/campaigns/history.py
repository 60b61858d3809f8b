"""One charging history: a scripted charger, the real server, and between them whoever repeats, delays, drops and crashes.

Every method is one move and may be made at any time; ``finish`` heals everything and ``check`` asks what became of it. Moves say
what they do to ``say``, so a history that failed can be read.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edgectl.domain.ids import ChargerId, CircuitId, IdToken, SiteId
from edgectl.domain.phases import Phases
from edgectl.domain.site import Charger as ConfiguredCharger
from edgectl.domain.site import Circuit, Site, Token
from edgectl.domain.units import Millis
from edgectl.ocpp.codec import Codec
from edgectl.ocpp.v16 import V16
from edgectl.ocpp.v201 import V201
from hwsim.campaigns.charger import Charger, Note, speak_16, speak_201
from hwsim.campaigns.ledger import QuickLedger
from hwsim.campaigns.line import HandClock, Line
from hwsim.campaigns.promises import promise
from hwsim.campaigns.server import Server
from hwsim.world.clock import SeededIds

CHARGER = ChargerId("CP-1")
TOKENS = ("04AABBCC", "04DDEEFF", "stranger")
POWER_W = 11_000
"""What a vehicle draws; the EVSE could give twice as much."""
_CODECS: dict[str, Codec] = {"1.6": V16(), "2.0.1": V201()}
_ANSWERS = {"GetCompositeSchedule": {"status": "Rejected"}, "GetTransactionStatus": {"messagesInQueue": False}}
BILLING = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
_json = json.JSONEncoder(separators=(",", ":")).encode
_DELIVERIES_MAX = 2_000
_HEALING_MS = 60_000


@dataclass
class Sent:
    """A call on one link, and what it was answered with."""

    text: str
    action: str
    note: Note | None
    line: Line
    count: int = 1
    answers: list[str] = field(default_factory=list)


class History:
    """A charger, a server, and the moves between them.

    Args:
        rng: for ids only; who makes the moves decides everything else.
        version: ``1.6`` or ``2.0.1``.
        say: is told every move and every frame, in words.
    """

    def __init__(
        self,
        rng: random.Random,
        version: str,
        evse_count: int,
        *,
        register_wh: int = 1_000,
        keeps_id: bool = False,
        answers_calls: bool = True,
        names_evse: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._say = say
        self._codec = _CODECS[version]
        self._answers_calls = answers_calls
        self.clock = HandClock()
        self.ledger = QuickLedger()
        self.server = Server(_site(evse_count), self.ledger, SeededIds(rng), self.clock)
        speaks = speak_16 if version == "1.6" else partial(speak_201, names_evse=names_evse)
        registers = dict.fromkeys(range(1, evse_count + 1), register_wh)
        self.charger = Charger(speaks, registers, keeps_id)
        self.line: Line | None = None
        self.awaited: tuple[str, Note | None] | None = None
        """The message id of the charger's call in flight, and what it tells."""
        self.sent: list[Sent] = []
        self._by_id: dict[tuple[int, str], Sent] = {}
        self._message_count = 0
        self.is_disk_stalled = False

    # --- the charger ----------------------------------------------------------------------------------------------------

    def begin(self, evse_number: int, token: str) -> None:
        self._tell("begins", self.charger.begin(evse_number, token, self.clock.now().utc_ms))

    def measure(self, evse_number: int, passed_ms: Millis) -> None:
        self.wait(passed_ms)
        self._tell("measures", self.charger.measure(evse_number, _drawn_wh(passed_ms), self.clock.now().utc_ms))

    def end(self, evse_number: int, passed_ms: Millis) -> None:
        self.wait(passed_ms)
        self._tell("ends", self.charger.end(evse_number, _drawn_wh(passed_ms), self.clock.now().utc_ms))

    def remember_late(self, index: int) -> None:
        one = self.charger.ended[index % len(self.charger.ended)]
        self._tell("tells late values of", self.charger.remember_late(one, self.clock.now().utc_ms))

    def jump_clock(self, by_ms: Millis) -> None:
        self._write(f"the charger's clock jumps by {by_ms / 1000:g} s")
        self.charger.jump_clock(by_ms)

    def _tell(self, verb: str, note: Note) -> None:
        one = note.transaction
        self._write(f"EVSE {one.evse_number} {verb} transaction {one.number}: {note.register_wh} Wh at {note.stamp}")

    # --- the link -------------------------------------------------------------------------------------------------------

    def connect(self, *, boots: bool) -> None:
        self._write("the charger connects" + (" and boots" if boots else ""))
        self.line = self.server.connect(CHARGER, self._codec)
        self.charger.is_online = True
        self.awaited = None
        if boots:
            station = {"chargePointVendor": "Scripted", "chargePointModel": "One"}
            station_2 = {"chargingStation": {"vendorName": "Scripted", "model": "One"}, "reason": "PowerUp"}
            self._call("BootNotification", station if self._codec.subprotocol == "ocpp1.6" else station_2, None)
        self._settle()

    def drop(self) -> None:
        self._write("the link drops")
        self.server.disconnect(CHARGER, "connection lost")
        self._lose_line()

    def deliver(self, index: int = 0) -> None:
        """Send the next message of the queue, or one that overtakes it. Does nothing while an answer is awaited."""
        if self.line is None or self.awaited is not None or not self.charger.queue or not self.line.is_reading:
            return
        note = self.charger.queue[index if self.charger.queue[index].what == "values" else 0]
        action, payload = self.charger.speaks(note)
        self._call(action, payload, note)
        self._settle()

    def repeat(self, index: int, *, with_new_id: bool) -> None:
        """Somebody on the way sends once more what was sent before, perhaps on another link."""
        if self.line is None or not self.line.is_reading or not self.sent:
            return
        before = self.sent[-1 - index % len(self.sent)]
        self._write("again" + (" with a new id" if with_new_id else ""))
        kind, message_id, action, payload = json.loads(before.text)
        message_id = self._new_id() if with_new_id else message_id
        self._send(message_id, _json([kind, message_id, action, payload]), action, before.note)
        self._settle()

    def _call(self, action: str, payload: dict[str, Any], note: Note | None) -> None:
        message_id = note.first_id if note is not None and note.first_id and self.charger.keeps_id else self._new_id()
        if note is not None:
            note.first_id = message_id
        self.awaited = (message_id, note)
        self._send(message_id, _json([2, message_id, action, payload]), action, note)

    def _send(self, message_id: str, text: str, action: str, note: Note | None) -> None:
        if self.line is None:
            return
        self._write(f"  > {text}")
        known = self._by_id.get((self.line.number, message_id))
        if known is not None and known.text == text:
            known.count += 1
        else:
            known = Sent(text, action, note, self.line)
            self._by_id[self.line.number, message_id] = known
            self.sent.append(known)
        self.server.hear(self.line, text)

    def _new_id(self) -> str:
        self._message_count += 1
        return f"m{self._message_count}"

    # --- the server -----------------------------------------------------------------------------------------------------

    def stall_disk(self) -> None:
        """Nothing is synced, and so no start or stop answered, until ``sync_disk``; after 8 s the server closes the link."""
        self._write("the disk stalls")
        self.is_disk_stalled = True

    def sync_disk(self) -> None:
        self.is_disk_stalled = False
        self._settle()

    def crash(self, synced_count: int = 0) -> None:
        self._write(f"the server crashes with {self.server.waiting_count} commits waiting, {synced_count} of them are synced")
        self.server.crash(synced_count)
        self.is_disk_stalled = False
        self._lose_line()

    def wait(self, passed_ms: Millis, *, with_tick: bool = False) -> None:
        self.clock.move(passed_ms)
        self.server.pass_time(with_tick=with_tick)
        self._settle()

    # --- what comes of it -------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Everything the server can do and say now."""
        for _ in range(100):
            if not self.is_disk_stalled:
                self.server.sync()
            if self.line is None:
                return
            if self.line.is_over():
                self._write("the server closes the link")
                self._lose_line()
                return
            texts = self.line.said()
            if not texts:
                return
            for text in texts:
                self._write(f"  < {text}")
                self._listen(text)
        promise(False, "the server never stops talking")

    def _lose_line(self) -> None:
        self.line = None
        self.awaited = None
        self.charger.is_online = False

    def _listen(self, text: str) -> None:
        frame = json.loads(text)
        kind, message_id = frame[0], frame[1]
        if self.line is None:
            return
        if kind == 2:
            if self._answers_calls:
                answer = _ANSWERS.get(frame[2], {"status": "Accepted"})
                self.server.hear(self.line, _json([3, message_id, answer]))
            return
        sent = self._by_id.get((self.line.number, message_id))
        if sent is None:
            promise(False, f"an answer to {message_id}, which was never sent on this link")
            return
        sent.answers.append(text)
        promise(kind == 3 or sent.action not in BILLING, f"{sent.action} {message_id} was answered with an error: {frame}")
        promise(len(sent.answers) <= sent.count, f"{message_id} was sent {sent.count} times and answered {len(sent.answers)}")
        if kind == 3 and sent.action == "StartTransaction" and sent.note is not None:
            self._note_issued(sent.note, frame[2].get("transactionId"))
        if self.awaited is not None and self.awaited[0] == message_id:
            note = self.awaited[1]
            self.awaited = None
            if note is not None:
                self.charger.queue.remove(note)

    def _note_issued(self, note: Note, issued: object) -> None:
        one = note.transaction
        promise(isinstance(issued, int) and issued > 0, f"transaction {one.number} got the id {issued}")
        one.issued.add(str(issued))
        promise(len(one.issued) == 1, f"transaction {one.number} got the ids {sorted(one.issued)}")
        owners = [other.number for other in self.charger.transactions if str(issued) in other.issued]
        promise(len(owners) == 1, f"transactions {owners} all got the id {issued}")

    def _write(self, words: str) -> None:
        if self._say is not None:
            self._say(f"{self.clock.now().mono_ms / 1000:>10.3f}  {words}")

    # --- the end --------------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """All vehicles leave, everything works again, and the charger delivers all it owes."""
        self._write("everything heals")
        self.sync_disk()
        for number in list(self.charger.running):
            self.end(number, _HEALING_MS)
        for _ in range(_DELIVERIES_MAX):
            if not self.charger.queue:
                break
            if self.line is None:
                self.connect(boots=False)
            self.wait(200)
            self.deliver()
        promise(not self.charger.queue, f"{len(self.charger.queue)} messages are never answered")
        self.wait(1_000)


def _drawn_wh(passed_ms: Millis) -> int:
    return POWER_W * passed_ms // 3_600_000


def _site(evse_count: int) -> Site:
    site = _SITES.get(evse_count)
    if site is None:
        own = (("settle_ms", 0), ("is_configured", False))
        charger = ConfiguredCharger(CHARGER, CircuitId("grid"), evse_count=evse_count, own_quirks=own)
        grid = Circuit(CircuitId("grid"), Phases.uniform(63_000))
        tokens = tuple(Token(IdToken(token)) for token in TOKENS[:2])
        site = _SITES[evse_count] = Site(SiteId("campaign"), (grid,), (charger,), tokens=tokens)
    return site


_SITES: dict[int, Site] = {}
