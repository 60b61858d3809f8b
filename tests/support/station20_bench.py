"""A simulated station of OCPP 2 on a bench: a server that answers by the book, the time moved by hand, every frame checked."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from support.station_bench import TAG, StationBench, schema_problems

from hwsim.models.ocpp2 import Station20

NOW = "2027-01-15T08:00:00Z"
"""What the wall clock says at zero."""


@dataclass
class Station20Bench(StationBench):
    """``problems`` has what the standard's schemas say of the frames it has sent."""

    boot_status: str = "Accepted"
    boot_interval_s: int = 300
    asked: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    @classmethod
    def of(cls, *faults: str, **options: Any) -> Station20Bench:
        options.setdefault("known_tokens", frozenset({TAG}))
        return cls(Station20("CP-1", random.Random(7), faults=frozenset(faults), wall_offset_s=1_800_000_000, **options))

    # --- doing

    def connect(self) -> Station20Bench:
        self.station.connected(self.now_s)
        self.run(1)
        return self

    def ask(self, action: str, **payload: Any) -> Any:
        assert schema_problems(action, payload, self.station.version) == [], "what the server asks is valid"
        self.asked[f"server-{self._asked + 1}"] = (action, payload)
        return super().ask(action, **payload)

    def limit(self, limit: float, purpose: str = "TxDefaultProfile", *, evse: int = 1, number: int = 1, **more: Any) -> str:
        """SetChargingProfile; the status, empty when there is no answer yet."""
        answer = self.ask("SetChargingProfile", evseId=evse, chargingProfile=profile_20(number, purpose, limit, **more))
        return "" if answer is None else str(answer["status"])

    def put(self, name: str, value: str) -> str:
        """SetVariables of one variable, by its name as ``TxCtrlr.TxStartPoint``; the status."""
        component, _, variable = name.partition(".")
        data = {"attributeValue": value, "component": {"name": component}, "variable": {"name": variable}}
        (result,) = self.ask("SetVariables", setVariableData=[data])["setVariableResult"]
        return str(result["attributeStatus"])

    # --- looking

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every TransactionEvent, in order."""
        return [said.payload for said in self.said("TransactionEvent")]

    @property
    def transaction(self) -> str:
        """The id of the last transaction."""
        return str(self.events[-1]["transactionInfo"]["transactionId"])

    @property
    def told_statuses(self) -> list[str]:
        return [said.payload["connectorStatus"] for said in self.said("StatusNotification")]

    @property
    def problems(self) -> list[str]:
        version = self.station.version
        found = [problem for said in self.calls for problem in schema_problems(said.action, said.payload, version)]
        for message_id, answer in self._answers.items():
            if isinstance(answer, dict):
                found += schema_problems(self.asked[message_id][0], answer, version, is_answer=True)
        return found

    # --- the server

    def _answer(self, action: str) -> dict[str, Any]:
        match action:
            case "BootNotification":
                return {"status": self.boot_status, "interval": self.boot_interval_s, "currentTime": NOW}
            case "Authorize":
                return {"idTokenInfo": {"status": self.token_status}}
            case "TransactionEvent":
                has_token = "idToken" in self.calls[-1].payload
                return {"idTokenInfo": {"status": self.token_status}} if has_token else {}
            case "Heartbeat":
                return {"currentTime": NOW}
            case "PullDynamicScheduleUpdate":
                return {"status": "Accepted", "scheduleUpdate": {"limit": 9.0}}
        return {}


def profile_20(number: int, purpose: str, limit: float, **more: Any) -> dict[str, Any]:
    """An absolute profile in amps from 1970 on, unless ``more`` says otherwise (fields of the profile and of its schedule)."""
    kind = more.get("chargingProfileKind", "Absolute")
    schedule: dict[str, Any] = {
        "id": number,
        "chargingRateUnit": more.pop("chargingRateUnit", "A"),
        "chargingSchedulePeriod": more.pop("chargingSchedulePeriod", [{"startPeriod": 0, "limit": limit}]),
    }
    if kind == "Absolute":
        schedule["startSchedule"] = "1970-01-01T00:00:00Z"
    schedule |= {name: more.pop(name) for name in ("duration", "startSchedule") if name in more}
    return {
        "id": number,
        "stackLevel": more.pop("level", 0),
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": [schedule],
        **more,
    }
