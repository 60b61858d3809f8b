"""A peer with a configuration: what it holds is read, written and reported, in all versions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from support.peer import Peer

READ_ONLY = {"SupportedFeatureProfiles", "NumberOfConnectors"}


class Configured:
    """The configuration of a ``Peer``: ``values`` by name, as edgectl writes the names."""

    def __init__(
        self, peer: Peer, values: dict[str, str], refuses: Callable[[str, str], str | None] = lambda _k, _v: None
    ) -> None:
        self.peer, self.values, self.refuses = peer, values, refuses
        self.writes: list[tuple[str, str]] = []
        station = peer.station
        if peer.version == "1.6":
            self._replace("GetConfiguration", self._get_16)
            self._replace("ChangeConfiguration", self._change_16)
        else:
            self._replace("GetVariables", self._get_2)
            self._replace("SetVariables", self._set_2)
            station.route_map["GetBaseReport"]["_after_action"] = self._report

    def _replace(self, action: str, answer: Callable[..., dict[str, Any]]) -> None:
        result = getattr(self.peer.results, action)

        def handle(**request: Any) -> Any:
            self.peer.heard.append((action, request))
            return result(**answer(**request))

        self.peer.station.route_map[action]["_on_action"] = handle

    def _find(self, name: str) -> str | None:
        return next((key for key in self.values if key.casefold() == name.casefold()), None)

    def _write(self, name: str, value: str) -> str:
        self.writes.append((name, value))
        status = "NotSupported" if self._find(name) is None else self.refuses(name, value)
        if status is None or status == "RebootRequired":
            self.values[name] = value
        return status or "Accepted"

    # --- 1.6

    def _get_16(self, key: list[str] | None = None) -> dict[str, Any]:
        wanted = key or list(self.values)
        known = [name for name in map(self._find, wanted) if name is not None]
        return {
            "configuration_key": [{"key": k, "readonly": k in READ_ONLY, "value": self.values[k]} for k in known],
            "unknown_key": [k for k in wanted if self._find(k) is None],
        }

    def _change_16(self, key: str, value: str) -> dict[str, Any]:
        return {"status": self._write(key, value)}

    # --- 2.x

    def _get_2(self, get_variable_data: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        results = []
        for entry in get_variable_data:
            name = self._find(_name(entry))
            known = {"attribute_status": "UnknownVariable"}
            if name is not None:
                known = {"attribute_status": "Accepted", "attribute_value": self.values[name]}
            results.append({"component": entry["component"], "variable": entry["variable"], **known})
        return {"get_variable_result": results}

    def _set_2(self, set_variable_data: list[dict[str, Any]], **_: Any) -> dict[str, Any]:
        results = []
        for entry in set_variable_data:
            status = self._write(_name(entry), entry["attribute_value"])
            status = {"NotSupported": "UnknownVariable"}.get(status, status)
            results.append({"component": entry["component"], "variable": entry["variable"], "attribute_status": status})
        return {"set_variable_result": results}

    async def _report(self, request_id: int, **_: Any) -> None:
        entries = [_entry(name, value) for name, value in self.values.items()]
        parts = [entries[start : start + 5] for start in range(0, len(entries), 5)] or [[]]
        for number, part in enumerate(parts):
            await self.peer.call(
                "NotifyReport",
                request_id=request_id,
                generated_at="2027-06-01T10:00:00Z",
                seq_no=number,
                tbc=number + 1 < len(parts),
                report_data=part,
            )
            await asyncio.sleep(0)


def _name(entry: dict[str, Any]) -> str:
    variable = entry["variable"]
    instance = f"[{variable['instance']}]" if "instance" in variable else ""
    return f"{entry['component']['name']}.{variable['name']}{instance}"


def _entry(name: str, value: str) -> dict[str, Any]:
    component, _, variable = name.partition(".")
    variable, _, instance = variable.partition("[")
    named = {"name": variable} | ({"instance": instance.rstrip("]")} if instance else {})
    return {
        "component": {"name": component},
        "variable": named,
        "variable_attribute": [{"type": "Actual", "value": value, "mutability": "ReadWrite"}],
    }
