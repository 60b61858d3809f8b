"""The device model of a simulated OCPP 2 station: GetVariables, SetVariables, NotifyReport and monitors (blocks B and N)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from hwsim.models.ocpp2.variables import READ_ONLY, WRITE_ONLY, Variable

_NAME = re.compile(
    r"(?P<component>[^.\[@]+)(?:\[(?P<component_instance>[^\]]+)\])?(?:@(?P<evse>\d+)(?::(?P<connector>\d+))?)?"
    r"\.(?P<variable>[^.\[]+)(?:\[(?P<variable_instance>[^\]]+)\])?"
)
_VALUE_MAX_CHARS = 1_000
_SUMMARY = ("AvailabilityState", "Available", "Problem")
"""What the summary of a station is about (B08)."""
_NUMERIC_MONITORS = frozenset({"UpperThreshold", "LowerThreshold", "Delta"})

Result = dict[str, Any]


@dataclass
class DeviceModel:
    """All variables by folded name: names are not case-sensitive in OCPP 2."""

    is_read_only: bool = False
    """A station that rejects every write."""
    variables: dict[str, Variable] = field(default_factory=dict)
    monitors: dict[int, Result] = field(default_factory=dict)

    def add(self, variables: Iterable[Variable]) -> None:
        self.variables |= {variable.name.casefold(): variable for variable in variables}

    # --- for the station itself

    def text(self, name: str) -> str:
        return self.variables[name.casefold()].value

    def number(self, name: str) -> int:
        return int(self.text(name))

    def flag(self, name: str) -> bool:
        return self.text(name) == "true"

    def members(self, name: str) -> list[str]:
        return [member for member in self.text(name).split(",") if member]

    def put(self, name: str, value: str) -> None:
        """The station's own word: no rule applies."""
        self.variables[name.casefold()].value = value

    # --- for its server

    def get(self, asked: Result) -> Result:
        """One result of GetVariables."""
        kind = asked.get("attributeType", "Actual")
        result = {"attributeType": kind, "component": asked["component"], "variable": asked["variable"]}
        variable, status = self._find(asked)
        if variable is None:
            return result | {"attributeStatus": status}
        if kind != "Actual":
            return result | {"attributeStatus": "NotSupportedAttributeType"}
        if variable.mutability == WRITE_ONLY:
            return result | _refused("WriteOnly")
        return result | {"attributeStatus": "Accepted", "attributeValue": variable.value}

    def set(self, asked: Result) -> Result:
        """One result of SetVariables."""
        kind = asked.get("attributeType", "Actual")
        result = {"attributeType": kind, "component": asked["component"], "variable": asked["variable"]}
        variable, status = self._find(asked)
        if variable is None:
            return result | {"attributeStatus": status}
        if kind != "Actual":
            return result | {"attributeStatus": "NotSupportedAttributeType"}
        if variable.mutability == READ_ONLY or self.is_read_only:
            return result | _refused("ReadOnly")
        problem = _problem(variable, asked["attributeValue"])
        if problem:
            return result | _refused(problem)
        variable.value = asked["attributeValue"]
        return result | {"attributeStatus": "RebootRequired" if variable.needs_reboot else "Accepted"}

    def report(self, base: str) -> list[Result]:
        """``reportData`` of a FullInventory, ConfigurationInventory or SummaryInventory."""
        wanted = self.variables.values()
        if base == "ConfigurationInventory":
            return [_entry(variable) for variable in wanted if variable.mutability != READ_ONLY]
        if base == "SummaryInventory":
            return [_entry(variable) for variable in wanted if variable.name.partition(".")[2] in _SUMMARY]
        return [_entry(variable) for variable in wanted]

    def monitor(self, asked: Result) -> Result:
        """One result of SetVariableMonitoring."""
        named = {key: asked[key] for key in ("type", "severity", "component", "variable")}
        variable, status = self._find(asked)
        if variable is None:
            return named | {"status": status}
        if asked["type"] in _NUMERIC_MONITORS and variable.kind not in {"integer", "decimal"}:
            return named | {"status": "UnsupportedMonitorType"}
        known = asked.get("id")
        if known is not None and known not in self.monitors:
            return named | {"status": "Rejected", "statusInfo": {"reasonCode": "UnknownMonitor"}}
        same = [number for number, one in self.monitors.items() if _is_same(one, asked) and number != known]
        if same:
            return named | {"status": "Duplicate"}
        number = known if known is not None else max(self.monitors, default=0) + 1
        self.monitors[number] = asked
        return named | {"id": number, "status": "Accepted"}

    def unmonitor(self, number: int) -> Result:
        """One result of ClearVariableMonitoring."""
        is_known = self.monitors.pop(number, None) is not None
        return {"id": number, "status": "Accepted" if is_known else "NotFound"}

    def monitored(self, asked: list[Result]) -> list[Result]:
        """What NotifyMonitoringReport tells of the variables asked about, or of all."""
        wanted = {name_of(one).casefold() for one in asked}
        found: dict[str, Result] = {}
        for number, one in self.monitors.items():
            name = name_of(one).casefold()
            if not wanted or name in wanted:
                entry = found.setdefault(
                    name, {"component": one["component"], "variable": one["variable"], "variableMonitoring": []}
                )
                told = {key: one[key] for key in ("type", "value", "severity")}
                entry["variableMonitoring"].append({"id": number, "transaction": False, **told})
        return list(found.values())

    def _find(self, asked: Result) -> tuple[Variable | None, str]:
        name = name_of(asked).casefold()
        component = name.partition(".")[0]
        if name in self.variables:
            return self.variables[name], "Accepted"
        is_known = any(other.partition(".")[0] == component for other in self.variables)
        return None, "UnknownVariable" if is_known else "UnknownComponent"


def name_of(asked: Result) -> str:
    """A component and a variable as one text."""
    component, variable = asked["component"], asked["variable"]
    evse = component.get("evse")
    place = "" if evse is None else f"@{evse['id']}" + (f":{evse['connectorId']}" if "connectorId" in evse else "")
    return f"{_named(component)}{place}.{_named(variable)}"


def _named(part: Result) -> str:
    return f"{part['name']}[{part['instance']}]" if "instance" in part else str(part["name"])


def _entry(variable: Variable) -> Result:
    found = _NAME.fullmatch(variable.name)
    if found is None:
        raise ValueError(f"{variable.name!r} is no name of a variable")
    component: Result = {"name": found["component"]}
    if found["component_instance"]:
        component["instance"] = found["component_instance"]
    if found["evse"]:
        connector = {"connectorId": int(found["connector"])} if found["connector"] else {}
        component["evse"] = {"id": int(found["evse"]), **connector}
    named: Result = {"name": found["variable"]}
    if found["variable_instance"]:
        named["instance"] = found["variable_instance"]
    attribute: Result = {"type": "Actual", "mutability": variable.mutability}
    if variable.mutability != WRITE_ONLY:
        attribute["value"] = variable.value
    return {
        "component": component,
        "variable": named,
        "variableAttribute": [attribute],
        "variableCharacteristics": _characteristics(variable),
    }


def _characteristics(variable: Variable) -> Result:
    found: Result = {"dataType": variable.kind, "supportsMonitoring": True}
    if variable.unit:
        found["unit"] = variable.unit
    if variable.least is not None:
        found["minLimit"] = variable.least
    if variable.most is not None:
        found["maxLimit"] = variable.most
    if variable.choices:
        found["valuesList"] = ",".join(variable.choices)
    return found


def _problem(variable: Variable, value: str) -> str:
    """Why a value cannot be taken; empty when it can."""
    if len(value) > _VALUE_MAX_CHARS:
        return "TooLargeElement"
    if variable.kind in {"integer", "decimal"}:
        try:
            number = int(value) if variable.kind == "integer" else float(value)
        except ValueError:
            return "InvalidValue"
        is_inside = (variable.least is None or number >= variable.least) and (variable.most is None or number <= variable.most)
        return "" if is_inside else "ValueOutOfRange"
    if variable.kind == "boolean":
        return "" if value in {"true", "false"} else "InvalidValue"
    members = [member for member in value.split(",") if member]
    is_known = not variable.choices or set(members) <= set(variable.choices)
    return "" if is_known else "InvalidValue"


def _refused(why: str) -> Result:
    return {"attributeStatus": "Rejected", "attributeStatusInfo": {"reasonCode": why}}


def _is_same(one: Result, other: Result) -> bool:
    return name_of(one) == name_of(other) and (one["type"], one["severity"]) == (other["type"], other["severity"])
