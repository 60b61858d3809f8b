"""What the meter tools show: narrow enough for a phone's terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from edgectl.cli.meter_targets import Target, line_of
from edgectl.cli.tables import kilowatt_hours, seconds, table
from edgectl.domain.bus_plan import LineLoad
from edgectl.domain.events import MeterReading, Quality
from edgectl.domain.phases import ALL_PHASES, Phases
from edgectl.domain.units import Millis
from edgectl.meters.catalogue.sheets import Sheet
from edgectl.meters.rtu import Answer, Request
from edgectl.meters.tools.identify import Candidate, Identity
from edgectl.meters.tools.remarks import remarks
from edgectl.meters.tools.scan import Finding, ScanReport

_FINDINGS = {
    Finding.ANSWERS: "answers",
    Finding.SHARED: "answers are damaged or double each time: two units with this number",
}


def models(found: Sequence[Sheet]) -> RenderableType:
    """Two lines each: columns would leave a phone no room for names."""
    if not found:
        return Text("No model has a name like that.", style="dim")
    lines: list[RenderableType] = []
    for one in found:
        bus = "/".join(one.bus.get("kinds", ()))
        lines += [
            Text.assemble((f"{one.name:<24}", "bold"), f"{one.phases}-phase, {bus}, {one.confidence}"),
            Padding(Text(_names(one), style="dim"), (0, 0, 0, 2)),
        ]
    return Group(*lines)


def _names(one: Sheet) -> str:
    names = [*one.models, *one.also_sold_as]
    return f"{one.brand} " + ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def model(one: Sheet) -> RenderableType:
    raw = one.raw
    facts = [("brand", one.brand), ("printed on it", ", ".join(one.models))]
    facts += [("sold as", ", ".join(one.also_sold_as))] if one.also_sold_as else []
    facts += [("other names", ", ".join(one.aliases))] if one.aliases else []
    facts += [("phases", str(one.phases)), ("layout", one.layout or "its own"), ("confidence", one.confidence)]
    facts += [("bus", _pairs(one.bus)), ("limits", _pairs(raw.get("limits", {})))]
    facts += [("function", ", ".join(map(str, raw["fc"])))] if "fc" in raw else []
    facts += [("sign", _pairs(raw["sign"]))] if "sign" in raw else []
    facts += [("no value", ", ".join(raw["invalid"]))] if "invalid" in raw else []
    facts += [("note", one.note)] if one.note else []
    parts: list[RenderableType] = [Text(one.name, style="bold"), table(("", ""), [fact for fact in facts if fact[1]], "")]
    points = [_point(name, point, raw) for name, point in raw.get("points", {}).items()]
    parts += (
        [Text("\nRegisters, counted from 0", style="bold"), table(("value", "at", "type", "scale"), points, "")] if points else []
    )
    for heading, lines in (
        ("Tells who it is", [_probe(entry) for entry in raw.get("detect", ())]),
        ("Worth a look at commissioning", [_probe(entry) for entry in raw.get("checks", ())]),
        ("Where sources disagree", one.conflicts),
        ("Sources", one.sources),
    ):
        if lines:
            parts += [Text(f"\n{heading}", style="bold"), *(Text(f"- {line}") for line in lines)]
    return Group(*parts)


def _pairs(found: dict[str, Any]) -> str:
    return "; ".join(f"{key} {_listed(value)}" for key, value in found.items())


def _listed(value: Any) -> str:
    return ", ".join(map(_listed, value)) if isinstance(value, list) else str(value)


def _point(name: str, point: dict[str, Any], raw: dict[str, Any]) -> tuple[str, str, str, str]:
    at = point.get("at", point.get("off"))
    kind = str(point.get("type", raw.get("type", "")))
    order = point.get("words", raw.get("words", "be"))
    where = ", ".join(_address(one) for one in (at if isinstance(at, list) else [at]))
    factor = point.get("factor_at", point.get("sf"))
    scale = str(point.get("scale", 1)) if factor is None else f"10^[{factor}]"
    return name, where, kind if order == "be" or kind in {"u16", "s16"} else f"{kind} low word first", scale


def _address(value: Any) -> str:
    return f"{value} (0x{value:X})" if isinstance(value, int) and value > 9 else str(value)


def _probe(entry: dict[str, Any]) -> str:
    name = str(entry.get("name", "") or f"{entry.get('unique', '')} number")
    if "at" not in entry:
        return name
    wanted = entry.get("is")
    shown = "" if wanted is None else f" is {_listed(wanted)}"
    if wanted is not None and entry.get("range"):
        shown = f" is {wanted[0]} to {wanted[-1]}"
    return f"function {entry['fc']}, {_address(entry['at'])}{shown}: {name}"


def scan(report: ScanReport) -> RenderableType:
    where = line_of(report.connection)
    if report.talks_by_itself:
        return Text(
            f"{where}: somebody talks here without being asked, so nothing was sent: a P1 port (model dsmr-p1), or another master"
        )
    if report.ignores_unit:
        return Text(f"{where}: one device, which answers whatever unit is asked; unit {report.found[0].unit} will do")
    if not report.found:
        noise = (
            f"; {report.stray_count} bytes that are no answer: a wrong speed or parity, or noise" if report.stray_count else ""
        )
        return Text(f"{where}: nobody among {report.asked_count} units{noise}")
    rows = [(found.unit, _FINDINGS[found.finding]) for found in report.found]
    return Group(Text(f"{where}: {len(rows)} of {report.asked_count}"), table(("unit", ""), rows, ""))


def identity(found: Identity) -> RenderableType:
    best, second = found.best, found.runner_up
    if not found.is_answering:
        return Text(f"unit {found.unit} does not answer")
    if best is None:
        return Text(f"unit {found.unit} answers and is none of the models known; `file:` takes a register map of your own")
    head = f"unit {found.unit}: {' or '.join(found.alike)}, {found.confidence_percent} % sure"
    parts: list[RenderableType] = [Text(head, style="bold")]
    if len(found.alike) > 1:
        parts.append(Text("(these read the same registers in the same way; any of them will do)"))
    parts += [Text(f"serial number {found.serial}")] if found.serial else []
    parts += [Text(f"- {line}") for line in best.evidence]
    parts += [Text(_values(best))] if best.reading is not None else []
    if second is not None:
        parts.append(Text(f"next best: {second.model} ({'; '.join(second.evidence[-2:])})", style="dim"))
    return Group(*parts)


def _values(one: Candidate) -> str:
    reading = one.reading
    if reading is None or reading.current_ma is None:
        return ""
    volts = "" if reading.voltage_mv is None else f" at {_slashed(reading.voltage_mv, 1000, 0)} V"
    return f"- it says {_slashed(reading.current_ma, 1000, 2)} A{volts}"


def _slashed(values: Phases, factor: int, digits: int) -> str:
    return " / ".join(f"{value / factor:.{digits}f}" for value in values)


def reading(target: Target, found: MeterReading | None, now_ms: Millis) -> RenderableType:
    meter = target.meter
    head = Text(f"{meter.meter}  {line_of(meter.connection)}", style="bold")
    if found is None:
        return Group(head, Text("no value: nothing came", style="red"))
    if found.quality is not Quality.GOOD:
        return Group(head, Text(f"no value: {_reason(found)}", style="red"))
    rows: list[tuple[str, ...]] = []
    for name, values, factor, digits in (
        ("volts", found.voltage_mv, 1000, 1),
        ("amps", found.current_ma, 1000, 3),
        ("watts", found.power_w, 1, 0),
    ):
        if values is not None:
            total = str(found.power_total_w) if name == "watts" and found.power_total_w is not None else ""
            rows.append(
                (name, *(f"{values[phase] / factor:.{digits}f}" if phase in meter.phases else "-" for phase in ALL_PHASES), total)
            )
    facts = [("import", kilowatt_hours(found.energy_import_wh)), ("export", kilowatt_hours(found.energy_export_wh))]
    if found.frequency_mhz is not None:
        facts.insert(0, ("frequency", f"{found.frequency_mhz / 1000:.2f} Hz"))
    odd = remarks(found, now_ms - found.completed_mono_ms, target.max_age_ms, meter.phases)
    return Group(head, _numbers(("", "L1", "L2", "L3", "all"), rows), Text(""), table(("", ""), facts, ""), *_odd(odd))


def _reason(found: MeterReading) -> str:
    words = found.reason.replace("-", " ")
    return f"{words} (by the daemon? `edgectl meters` shows what it reads)" if found.reason == "serial-line-in-use" else words


def _odd(found: Iterable[str]) -> list[Text]:
    return [Text(f"! {remark}", style="yellow") for remark in found] or [Text("good", style="green")]


def _numbers(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    found = Table(box=None, pad_edge=False, header_style="dim")
    for number, heading in enumerate(headings):
        found.add_column(heading, justify="right" if number else "left")
    for row in rows:
        found.add_row(*(Text(cell) for cell in row))
    return found


def exchanges(found: Iterable[tuple[Request, Answer]]) -> RenderableType:
    rows = [
        (
            f"{request.function}",
            f"{request.address} (0x{request.address:X})",
            request.count,
            answer.reason if answer.words is None else " ".join(f"{word:04X}" for word in answer.words),
        )
        for request, answer in found
    ]
    return table(("fn", "from", "regs", "contents"), rows, "Nothing went over the line.")


def watch(
    targets: Sequence[Target], latest: dict[str, MeterReading], good: dict[str, MeterReading], now_ms: Millis
) -> RenderableType:
    """Every meter with its phases, its age, and all that looks odd."""
    found = Table(box=None, pad_edge=False, header_style="dim")
    for heading, justify in (
        ("meter", "left"),
        ("age", "right"),
        ("", "left"),
        ("L1", "right"),
        ("L2", "right"),
        ("L3", "right"),
        ("all", "right"),
    ):
        found.add_column(heading, justify=justify, no_wrap=heading != "meter", overflow="fold")  # type: ignore[arg-type]
    odd: list[Text] = []
    for target in targets:
        name = target.meter.meter
        last, shown = latest.get(name), good.get(name)
        age_ms = None if shown is None else now_ms - shown.completed_mono_ms
        style = "red" if age_ms is None or age_ms > target.max_age_ms else ""
        for row in _watched(target, shown, seconds(age_ms)):
            found.add_row(*(Text(cell, style=style) for cell in row))
        odd += [Text(f"! {name}: {remark}", style="yellow") for remark in _watch_remarks(target, last, shown, now_ms)]
    return Group(found, Text(""), *(odd or [Text("all checks pass", style="green")]))


def _watched(target: Target, shown: MeterReading | None, age: str) -> Iterable[tuple[str, ...]]:
    name = str(target.meter.meter)
    if shown is None:
        yield (name, age, "A", "-", "-", "-", "-")
        return
    first = (name, age)
    for unit, values, factor, digits, total in (
        ("A", shown.current_ma, 1000, 2, ""),
        ("V", shown.voltage_mv, 1000, 1, ""),
        ("W", shown.power_w, 1, 0, "" if shown.power_total_w is None else str(shown.power_total_w)),
    ):
        if values is not None:
            cells = (f"{values[phase] / factor:.{digits}f}" if phase in target.meter.phases else "-" for phase in ALL_PHASES)
            yield (*first, unit, *cells, total)
            first = ("", "")


def _watch_remarks(target: Target, last: MeterReading | None, shown: MeterReading | None, now_ms: Millis) -> Iterable[str]:
    if last is None:
        yield "nothing yet"
        return
    if last.quality is not Quality.GOOD:
        yield f"no value: {_reason(last)}"
    if shown is not None:
        yield from remarks(shown, now_ms - shown.completed_mono_ms, target.max_age_ms, target.meter.phases)


def budget(lines: Sequence[LineLoad], listened: Sequence[str]) -> RenderableType:
    parts: list[RenderableType] = []
    for line in lines:
        rows = [
            (
                str(unit.meter),
                str(unit.unit_number),
                seconds(unit.interval_ms),
                f"{unit.control_ms} ms",
                f"{unit.slow_ms} ms" if unit.slow_ms else "-",
                f"{unit.load_permille / 10:.1f} %",
            )
            for unit in line.units
        ]
        assumed = ", 9600 baud assumed behind the gateway" if line.is_assumed else ""
        parts += [
            Text(line_of(line.connection) + assumed, style="bold"),
            _numbers(("meter", "unit", "every", "a reading", "energy", "of the line"), rows),
            _sum(line),
            Text(""),
        ]
    parts += [Text(f"{name}: a P1 port talks by itself and costs nothing") for name in listened]
    return Group(*parts) if parts else Text("No meters.", style="dim")


def _sum(line: LineLoad) -> Text:
    words = f"together {line.load_permille / 10:.1f} %"
    if line.headroom_permille < 0:
        return Text(f"{words}: more than the line can carry", style="red")
    largest = max(unit.load_permille for unit in line.units)
    room = f", room for {line.headroom_permille // largest} more like these" if largest else ""
    return Text(f"{words}; {line.headroom_permille / 10:.1f} % left{room}", style="green")
