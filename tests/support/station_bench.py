"""A simulated charge point on a bench: a server that answers by the book, the time moved by hand, everything said kept."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import jsonschema
from support.ocpp_examples import schema

from hwsim.models.car import Car
from hwsim.models.station16 import Station16

STEP_S = 0.5
TAG = "04A1"


@dataclass(frozen=True)
class Said:
    """A call of the charge point."""

    at_s: float
    message_id: str
    action: str
    payload: dict[str, Any]


@dataclass
class StationBench:
    station: Station16
    now_s: float = 0.0
    calls: list[Said] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    """Everything it sent, as text."""
    is_answering: bool = True
    refuses: frozenset[str] = frozenset()
    """Actions answered with a CALLERROR."""
    token_status: str = "Accepted"
    closes: int = 0
    _last_transaction: int = 100
    _asked: int = 0
    _answers: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, *faults: str, **options: Any) -> StationBench:
        options.setdefault("known_tokens", frozenset({TAG}))
        return cls(Station16("CP-1", random.Random(7), faults=frozenset(faults), wall_offset_s=1_800_000_000, **options))

    # --- doing

    def connect(self) -> StationBench:
        self.station.connected(self.now_s)
        return self.run(1)

    def disconnect(self) -> None:
        self.station.disconnected(self.now_s)

    def run(self, seconds: float) -> StationBench:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += STEP_S
            self.station.advance(self.now_s)
            self._exchange()
            if self.station.take_close():
                self.closes += 1
                self.station.disconnected(self.now_s)
        return self

    def plug(self, number: int = 1, **car: Any) -> Car:
        one = Car(**{"battery_wh": 60_000, "energy_wh": 10_000, "max_a": 32.0, "token": TAG, **car})
        self.station.plug(number, one, self.now_s)
        return one

    def ask(self, action: str, **payload: Any) -> Any:
        """The answer to a call of the server; the code of a CALLERROR as text; None when there is none."""
        self._asked += 1
        message_id = f"server-{self._asked}"
        self.station.received(json.dumps([2, message_id, action, payload]), self.now_s)
        self._exchange()
        return self._answers.get(message_id)

    def limit(self, limit: float, purpose: str = "TxDefaultProfile", *, connector: int = 1, number: int = 1, **more: Any) -> Any:
        profile = charging_profile(number, purpose, more.pop("level", 0), limit, **more)
        return self.ask("SetChargingProfile", connectorId=connector, csChargingProfiles=profile)

    # --- looking

    def said(self, action: str) -> list[Said]:
        return [call for call in self.calls if call.action == action]

    @property
    def actions(self) -> list[str]:
        return [call.action for call in self.calls]

    @property
    def drawn_a(self) -> float:
        return max(max(evse.drawn_a) for evse in self.station.evses.values())

    # --- the server

    def _exchange(self) -> None:
        for _ in range(200):
            frames = self.station.take_frames()
            if not frames:
                return
            for text in frames:
                self._on_frame(text)
        raise AssertionError("the charge point does not stop talking")

    def _on_frame(self, text: str) -> None:
        self.frames.append(text)
        try:
            frame = json.loads(text)
        except ValueError:
            return
        if frame[0] != 2:
            self._answers[frame[1]] = frame[2]
            return
        _, message_id, action, payload = frame
        self.calls.append(Said(self.now_s, message_id, action, payload))
        if not self.is_answering:
            return
        if action in self.refuses:
            self.station.received(json.dumps([4, message_id, "InternalError", "", {}]), self.now_s)
        else:
            self.station.received(json.dumps([3, message_id, self._answer(action)]), self.now_s)

    def _answer(self, action: str) -> dict[str, Any]:
        match action:
            case "BootNotification":
                return {"status": "Accepted", "interval": 300, "currentTime": "2027-01-15T08:00:00Z"}
            case "Authorize":
                return {"idTagInfo": {"status": self.token_status}}
            case "StartTransaction":
                self._last_transaction += 1
                return {"transactionId": self._last_transaction, "idTagInfo": {"status": self.token_status}}
            case "Heartbeat":
                return {"currentTime": "2027-01-15T08:00:00Z"}
        return {}


def charging_profile(number: int, purpose: str, level: int, limit: float, **more: Any) -> dict[str, Any]:
    """An absolute profile in amps from 1970 on, unless ``more`` says otherwise (fields of the profile and of its schedule)."""
    schedule: dict[str, Any] = {
        "chargingRateUnit": more.pop("chargingRateUnit", "A"),
        "chargingSchedulePeriod": more.pop("chargingSchedulePeriod", [{"startPeriod": 0, "limit": limit}]),
        "startSchedule": "1970-01-01T00:00:00Z",
    }
    schedule |= {name: more.pop(name) for name in ("duration", "startSchedule") if name in more}
    return {
        "chargingProfileId": number,
        "chargingProfilePurpose": purpose,
        "stackLevel": level,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": schedule,
        **more,
    }


@cache
def _validator(version: str, name: str) -> Any:
    package = {"1.6": "ocpp.v16.schemas", "2.0.1": "ocpp.v201.schemas", "2.1": "ocpp.v21.schemas"}[version]
    # 2.x: draft 6; what the two drafts differ in is not used
    return jsonschema.Draft4Validator(json.loads(json.dumps(schema(package, name)), parse_float=Decimal))


def schema_problems(action: str, payload: object, version: str = "1.6", *, is_answer: bool = False) -> list[str]:
    """What the JSON schemas of the ``ocpp`` package, which is nobody of ours, have against a payload."""
    exact = json.loads(json.dumps(payload), parse_float=Decimal)  # binary floats are no multiples of 0.1
    name = action + ("Response" if is_answer else "" if version == "1.6" else "Request")
    return [f"{action}: {error.message}" for error in _validator(version, name).iter_errors(exact)]
