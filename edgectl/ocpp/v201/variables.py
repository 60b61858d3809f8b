"""Names of the device model as one text: ``Component[instance]@evse:connector.Variable[instance]``.

Only component and variable must be there: ``OCPPCommCtrlr.MessageAttempts[TransactionEvent]``, ``EVSE@2.Power``.
"""

from __future__ import annotations

import re
from typing import Any

from edgectl.ocpp.fields import text_of, whole_of
from edgectl.ocpp.frames import Payload

FORM = "Component.Variable, such as OCPPCommCtrlr.HeartbeatInterval or EVSE@2.Power"

_NAME = re.compile(
    r"(?P<component>[^.\[\]@:]+)(?:\[(?P<component_instance>[^\[\]]+)\])?(?:@(?P<evse>\d{1,4})(?::(?P<connector>\d{1,4}))?)?"
    r"\.(?P<variable>[^.\[\]@:]+)(?:\[(?P<variable_instance>[^\[\]]+)\])?"
)


def read_name(text: str) -> Payload | None:
    """``component`` and ``variable`` as the standard writes them; None when the text is no such name."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    component: Payload = {"name": found["component"]}
    variable: Payload = {"name": found["variable"]}
    if found["component_instance"]:
        component["instance"] = found["component_instance"]
    if found["variable_instance"]:
        variable["instance"] = found["variable_instance"]
    if found["evse"]:
        component["evse"] = {"id": int(found["evse"])}
        if found["connector"]:
            component["evse"]["connectorId"] = int(found["connector"])
    return {"component": component, "variable": variable}


def name_of(entry: dict[str, Any]) -> str | None:
    """The name of what a station reports; None when it names nothing."""
    component, variable = _part(entry.get("component")), _part(entry.get("variable"))
    if component is None or variable is None:
        return None
    return f"{component}{_place(entry['component'].get('evse'))}.{variable}"


def _part(part: object) -> str | None:
    name = text_of(part.get("name"), 50) if isinstance(part, dict) else None
    if name is None or not isinstance(part, dict):
        return None
    instance = text_of(part.get("instance"), 50)
    return name if instance is None else f"{name}[{instance}]"


def _place(evse: object) -> str:
    number = whole_of(evse.get("id")) if isinstance(evse, dict) else None
    if number is None or not isinstance(evse, dict):
        return ""
    connector_number = whole_of(evse.get("connectorId"))
    return f"@{number}" if connector_number is None else f"@{number}:{connector_number}"
