"""A charger on a real WebSocket that has a session as soon as the last is told, as fast as it is answered.

What was not answered it tells again, over as many connections as it takes, and in the end it judges what became of it.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from hwsim.campaigns.charger import Charger, Note, speak_16
from hwsim.campaigns.promises import promise

ANSWER_S = 15.0


_ANSWERS: dict[str, dict[str, Any]] = {
    "GetConfiguration": {"configurationKey": [], "unknownKey": []},
    "GetLocalListVersion": {"listVersion": 0},
    "GetCompositeSchedule": {"status": "Rejected"},
    "DataTransfer": {"status": "UnknownVendorId"},
}


class Driver:
    """One charger that has a session as soon as the last is told."""

    def __init__(self, name: str, port: int, rng: random.Random, *, pause_s: float = 0.0) -> None:
        self.name = name
        self._port = port
        self._rng = rng
        self._pause_s = pause_s
        """Before each thing it tells."""
        self.charger = Charger(speak_16, {1: 1_000, 2: 50_000})
        self.begins_new = True
        self.answered_count = self.repeat_count = 0
        self.broken = ""
        self._stopped: set[int] = set()
        """Numbers of transactions whose stop was acknowledged."""
        self._has_booted = False
        self._sent_count = 0

    @property
    def is_done(self) -> bool:
        return not self.charger.queue and not self.charger.running and not self.begins_new

    async def run(self) -> None:
        while True:
            with suppress(OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
                url = f"ws://127.0.0.1:{self._port}/{self.name}"
                async with connect(url, subprotocols=[Subprotocol("ocpp1.6")], proxy=None, close_timeout=0.2) as link:
                    await self._talk(link)
            await asyncio.sleep(0.03)

    async def _talk(self, link: ClientConnection) -> None:
        if not self._has_booted:
            await self._call(link, "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
            self._has_booted = True
        while True:
            if not self.charger.queue:
                self._go_on()
            if self.charger.queue:
                await asyncio.sleep(self._pause_s)
                await self._deliver(link, self.charger.queue[0])
            else:
                await self._call(link, "Heartbeat", {})
                await asyncio.sleep(0.05)

    def _go_on(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        charger = self.charger
        for evse_number in charger.registers:
            running = charger.running.get(evse_number)
            if running is None:
                if self.begins_new:
                    charger.begin(evse_number, "04A1", now_ms)
            elif running.note_count < 3:
                charger.measure(evse_number, self._rng.randrange(20), now_ms)
            else:
                charger.end(evse_number, self._rng.randrange(20), now_ms)

    async def _deliver(self, link: ClientConnection, note: Note) -> None:
        action, payload = speak_16(note)
        self.repeat_count += bool(note.first_id)
        note.first_id = note.first_id or f"m{self._sent_count}"
        answer = await self._call(link, action, payload)
        if note.what == "start":
            note.transaction.issued.add(str(answer["transactionId"]))
            if len(note.transaction.issued) > 1:
                self.broken = f"{self.name}: one start is two transactions: {note.transaction.issued}"
        elif note.what == "stop":
            self._stopped.add(note.transaction.number)
        self.answered_count += note.what != "values"
        self.charger.queue.popleft()

    async def _call(self, link: ClientConnection, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        self._sent_count += 1
        message_id = f"m{self._sent_count}"
        await link.send(json.dumps([2, message_id, action, payload]))
        async with asyncio.timeout(ANSWER_S):
            while True:
                frame = json.loads(await link.recv())
                if frame[0] == 2:
                    await link.send(json.dumps([3, frame[1], _ANSWERS.get(frame[2], {"status": "Accepted"})]))
                elif frame[0] == 3 and frame[1] == message_id:
                    return dict(frame[2])
                elif frame[0] == 4 and frame[1] == message_id:
                    self.broken = f"{self.name}: {action} was refused: {frame}"
                    raise TimeoutError

    def judge(self, sessions: Mapping[tuple[str, str], str], bills: Mapping[str, Mapping[str, Any]]) -> None:
        for one in self.charger.transactions:
            if one.issued_id is None:
                continue
            session = sessions.get((self.name, one.issued_id))
            promise(session is not None, f"{self.name}: transaction {one.issued_id} was acknowledged and is lost")
            if one.number in self._stopped:
                bill = bills.get(str(session))
                promise(bill is not None, f"{self.name}: the end of {one.issued_id} was acknowledged and is not billed")
                told = (bill or {}).get("meter_start_wh"), (bill or {}).get("meter_stop_wh"), (bill or {}).get("energy_wh")
                stop_wh = one.stop_wh or 0
                wanted = (one.start_wh, stop_wh, stop_wh - one.start_wh)
                promise(told == wanted, f"{self.name}: {one.issued_id} is billed as {told} and was {wanted}")
