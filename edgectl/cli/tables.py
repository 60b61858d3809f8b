"""What people see: tables that fit a phone's terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def table(headings: Iterable[str], rows: Iterable[Iterable[object]], empty: str) -> RenderableType:
    body = list(rows)
    if not body:
        return Text(empty, style="dim")
    names = list(headings)
    found = Table(box=None, pad_edge=False, header_style="dim", show_header=any(names))
    for heading in names:
        found.add_column(heading, overflow="fold")
    for row in body:
        # Text, not markup: a vendor's name is foreign input.
        found.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    return found


def amps(value_ma: int | None) -> str:
    return "-" if value_ma is None else f"{value_ma / 1000:.1f} A"


def phases(value: dict[str, int] | None) -> str:
    if value is None:
        return "-"
    amounts = [f"{ma / 1000:.1f}" for ma in value.values()]
    return f"3 x {amounts[0]} A" if len(amounts) == 3 and len(set(amounts)) == 1 else f"{' / '.join(amounts)} A"


def kilowatt_hours(value_wh: int | None) -> str:
    return "-" if value_wh is None else f"{value_wh / 1000:.2f} kWh"


def seconds(value_ms: int | None) -> str:
    if value_ms is None:
        return "-"
    value = value_ms / 1000
    return f"{value:.1f} s" if value < 60 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def moment(text: str | None) -> str:
    return "-" if text is None else text[:19].replace("T", " ") + "Z"


_ROOM = {"ledger": "the ledger's budget", "disk": "the room on the disk"}


def status(view: dict[str, Any]) -> RenderableType:
    outbox = view.get("outbox") or {}
    uplink = "connected" if view["uplink_connected"] else f"not connected ({view['uplink_detail']})"
    head = [
        Text(f"{view['name'] or view['site']}", style="bold"),
        Text(f"up {seconds(view['uptime_ms'])}, {view['open_session_count']} sessions running"),
        Text(f"backend {uplink}, {outbox.get('backlog_count', '?')} records wait for a receipt"),
    ]
    head += [Text(f"{_ROOM[one['name']]} lasts {one['left_days']} days") for one in view["room"] if one["left_days"] is not None]
    if not view["store_healthy"]:
        head.append(Text("the disk does not take records", style="bold red"))
    return Group(
        *head, Text(""), alarms(view["alarms"]), Text(""), circuits(view["circuits"]), Text(""), chargers(view["chargers"])
    )


def alarms(found: list[dict[str, Any]]) -> RenderableType:
    rows = [(Text(a["kind"], style="bold red"), a["subject"], moment(a["since_at"]), a["detail"]) for a in found]
    return table(("alarm", "of", "since", "detail"), rows, "No alarms.")


def inputs(found: list[dict[str, Any]]) -> RenderableType:
    """What a limit rests on."""
    rows = [
        (
            item["name"],
            amps(item["value"]) if item["unit"] == "mA" else f"{item['value']} {item['unit']}".replace(" count", ""),
            "configured" if item["age_ms"] is None else f"{seconds(item['age_ms'])} old",
        )
        for item in found
    ]
    return table(("from", "value", "age then"), rows, "")


def circuits(found: list[dict[str, Any]]) -> RenderableType:
    """A line for each conductor, as wide as a phone's terminal."""
    rows = [
        (
            *((c["id"], c["mode"]) if is_first else ("", "")),
            phase,
            amps(c["measured_ma"] and c["measured_ma"][phase]),
            amps(c["background_ma"] and c["background_ma"][phase]),
            amps(c["commanded_ma"][phase]),
            amps(c["allowed_ma"][phase]),
        )
        for c in found
        for is_first, phase in zip((True, False, False), c["limit_ma"], strict=False)
    ]
    listed = table(("circuit", "mode", "", "measured", "others", "chargers told", "limit"), rows, "No circuits.")
    return Group(listed, *(Text(_less(c)) for c in found if c["limited_by"]))


def _less(circuit: dict[str, Any]) -> str:
    power = f" and {circuit['allowed_w'] / 1000:g} kW" if circuit["allowed_w"] is not None else ""
    return (
        f"{circuit['id']}: at most {phases(circuit['allowed_ma'])}{power} by {circuit['limited_by']};"
        f" the file allows {phases(circuit['limit_ma'])}"
    )


def chargers(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (
            f"{charger['id']}/{evse['number']}",
            _link(charger),
            evse["status"],
            phases(evse["measured_ma"]),
            amps(evse["commanded_ma"]),
            kilowatt_hours(evse["energy_wh"]),
            _why(evse),
        )
        for charger in found
        for evse in charger["evses"]
    ]
    return table(("charger", "link", "status", "draws L1/L2/L3", "limit", "session", "why"), rows, "No chargers.")


def _why(evse: dict[str, Any]) -> str:
    words = str(evse["reason"]["cause"])
    if evse["rung_since_at"]:
        words += f", told by {evse['rung']} since {moment(evse['rung_since_at'])[11:16]}Z"
    words += _turn(evse)
    target = evse["target"]
    if target and target["energy_wh"]:
        left = "" if target["laxity_ms"] is None else f", {seconds(abs(target['laxity_ms']))} {_slack(target['laxity_ms'])}"
        words += f"; {kilowatt_hours(target['energy_wh'])} by {moment(target['depart_at'])[11:16]}Z{left}"
    return words


def _turn(evse: dict[str, Any]) -> str:
    """How it stands in the queue, where it waits or has waited."""
    words = ""
    if evse["queue_number"]:
        words += f", place {evse['queue_number']} since {moment(evse['turn_since_at'])[11:16]}Z"
    if evse["pause_count"]:
        words += f", {evse['pause_count']} pauses"
    if evse["owed_wh"]:
        words += f", owed {kilowatt_hours(evse['owed_wh'])}"
    return words


def _slack(laxity_ms: int) -> str:
    return "to spare" if laxity_ms >= 0 else "short"


def _link(charger: dict[str, Any]) -> str:
    if not charger["is_connected"]:
        return "away"
    return "connected" if charger["is_accepted"] else "waiting"


def chargers_and_strangers(found: dict[str, Any]) -> RenderableType:
    """All chargers, and below them who knocked and was not let in."""
    if not found["refused"]:
        return chargers(found["chargers"])
    rows = [(r["charger"], r["peer"], moment(r["at"]), r["attempt_count"], r["reason"]) for r in found["refused"]]
    strangers = table(("not let in", "from", "last", "times", "why"), rows, "")
    return Group(chargers(found["chargers"]), Text(""), strangers)


def charger(found: dict[str, Any]) -> RenderableType:
    names = (
        "circuit", "protocol", "peer", "security_profile", "vendor", "model", "serial", "firmware", "fallback", "register",
        "link_count", "clock_offset_ms", "local_list", "limited_by", "detail",
    )  # fmt: skip
    rows = [(name.replace("_", " "), "-" if found[name] in {None, ""} else found[name]) for name in names]
    rows += [("without us", f"{m['name']}: {m['state']} ({m['evidence']})") for m in found["mechanisms"]]
    rows.append(("limits sent", f"{found['writes_per_hour_count']} in the last hour"))
    rows += [("quirk", f"{name}: {why}") for name, why in found["quirks"]]
    rows += [("on the device", words) for words in found["checklist"]]
    for one in found["reservations"]:
        place = f"EVSE {one['evse_number']}" if one["evse_number"] else "any EVSE"
        rows.append(("reservation", f"{one['reservation_number']}: {place} until {moment(one['until_at'])}"))
    rows += [("commissioning", _state(found["commissioning"])), ("drill", _state(found["drill"]))]
    why = [Text(evse["why"]) for evse in found["evses"]]
    return Group(chargers([found]), Text(""), table(("", ""), rows, ""), Text(""), *why)


def _state(part: dict[str, Any]) -> str:
    return f"{part['state']}: {part['detail']}" if part["detail"] else str(part["state"])


def commissioning(found: dict[str, Any], *, is_all: bool) -> RenderableType:
    """What was, what should be, what became of it."""
    keys = [key for key in found["keys"] if is_all or key["outcome"] not in {"unchanged", "skipped"}]
    rows = [(k["key"], _shown(k["before"]), k["wanted"], _shown(k["after"]), k["outcome"]) for k in keys]
    return Group(table(("key", "before", "wanted", "after", "outcome"), rows, "Nothing had to be changed."), Text(_state(found)))


def drill(found: dict[str, Any]) -> RenderableType:
    """The fingerprint."""
    rows = [(probe["name"], probe["value"], probe["evidence"]) for probe in found["probes"]]
    return Group(table(("", "found", "evidence"), rows, "Nothing was found."), Text(_state(found)))


def _shown(value: str | None) -> str:
    return "-" if value is None else value


def meters(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (m["id"], m["role"], m["quality"], m["reason"] or "-", seconds(m["age_ms"]), phases(m["current_ma"]), m["power_total_w"])
        for m in found
    ]
    return table(("meter", "role", "quality", "reason", "age", "L1/L2/L3", "W"), rows, "No meters.")


def excursions(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (
            f"{e['circuit']} {e['phase']}",
            moment(e["from_at"]),
            seconds(e["over_ms"]),
            amps(e["peak_ma"]),
            amps(e["limit_ma"]),
            f"{e['excess_mas'] / 1000:.0f} As",
            f"{e['damage_permille'] / 10:.1f} % of {e['protection']}",
        )
        for e in found
    ]
    headings = ("conductor", "from", "above for", "peak", "limit", "above by", "toward opening")
    return table(headings, rows, "No conductor was above its limit.")


def curtailment(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (c["day"], c["circuit"], c["cause"], f"{c['energy_wh'] / 1000:.1f} kWh", f"{c['held_ms'] / 60_000:.0f} min")
        for c in found
    ]
    listed = table(("day", "circuit", "cause", "held back", "vehicle time"), rows, "No vehicle was held back.")
    return Group(listed, Text("An estimate: what vehicles drew when they had room, or else their charger's rating.", style="dim"))


def sessions(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (
            s["id"],
            f"{s['charger']}/{s['evse']}",
            moment(s["started_at"]),
            moment(s["ended_at"]),
            kilowatt_hours(s["energy_wh"]),
            _standing(s),
            ", ".join(s["flags"]) or "-",
        )
        for s in found
    ]
    return table(("session", "charger", "from", "to", "energy", "status", "flags"), rows, "No sessions.")


def _standing(one: dict[str, Any]) -> str:
    correction, reservation = one.get("correction"), one.get("reservation")
    if correction is not None:
        return f"{correction['kind']} of {correction['of']}"
    if reservation is not None and reservation["outcome"] != "used":
        return f"reservation {reservation['outcome']}"
    return "completed, corrected" if one.get("replaced_by") else str(one["status"])


def session(found: dict[str, Any]) -> RenderableType:
    plain = {
        name: value for name, value in found.items() if not isinstance(value, list | dict) and name not in {"tariff", "cost"}
    }
    facts = [(name, "-" if value is None else value) for name, value in plain.items()]
    facts += [("tariff", json.loads(found["tariff"])["id"] if found.get("tariff") else "-"), ("cost", cost(found.get("cost")))]
    for part, moments in (("reservation", {"from", "until", "ended_at"}), ("correction", {"at"})):
        pairs = found.get(part, {}).items()
        facts += [(f"{part}: {name}", moment(value) if name in moments else value) for name, value in pairs]
    facts += [("auth", ", ".join(f"{k} {v}" for k, v in found["auth"].items())), ("flags", ", ".join(found["flags"]) or "-")]
    spans = [
        (moment(p["from"]), moment(p["to"]), p["state"], kilowatt_hours(p["energy_wh"]), p["limit_reason"])
        for p in found["periods"]
    ]
    shown: list[RenderableType] = [
        table(("", ""), facts, ""),
        Text(""),
        table(("from", "to", "state", "energy", "limit reason"), spans, "No periods."),
    ]
    if found.get("signed_verdicts"):
        shown += [Text(""), signed_verdicts(found["signed_verdicts"])]
    return Group(*shown)


def cost(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    standing = "indicative" if found["is_indicative"] else "binding"
    return f"{found['before_taxes']} {found['currency']} before taxes, {found['after_taxes']} after ({standing})"


def signed_verdicts(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (one["meter"], one["pagination"] or "-", one["verdict"], ", ".join(one["doubts"]) or "-", one["why"] or "-")
        for one in found
    ]
    return table(("meter", "page", "signature", "doubts", "why"), rows, "No signed values.")
