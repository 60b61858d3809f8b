"""A site made up at random, written as YAML in one of the ways a person might, is the site that is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from edgectl.config import check, json_schema
from edgectl.domain.ids import ChargerId, CircuitId, MeterId
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.protection import Curve, Protection
from edgectl.domain.site import Charger, Circuit, Meter, MeterLoss, MeterRole, PowerKind, Site

SCHEMA = jsonschema.Draft202012Validator(json_schema())


@st.composite
def sites(draw: st.DrawFn) -> Site:
    circuits: list[Circuit] = []
    meters: list[Meter] = []
    for number in range(draw(st.integers(1, 6))):
        parent = None if number == 0 else draw(st.sampled_from(circuits)).id
        each_ma = st.integers(80_000, 9_000_000)
        limit_ma = draw(st.builds(Phases.uniform, each_ma) | st.builds(Phases, each_ma, each_ma, each_ma))
        meter = None
        if draw(st.booleans()):
            meter = MeterId(f"m{number}")
            meters.append(Meter(meter, draw(st.sampled_from(MeterRole)), draw(st.integers(1_100, 10_000))))
        circuits.append(
            Circuit(
                CircuitId(f"c{number}"),
                limit_ma,
                parent,
                limit_w=draw(st.none() | st.integers(60_000, 5_000_000)),
                meter=meter,
                margin_ma=draw(st.integers(0, 10_000)),
                other_loads_ma=draw(st.builds(Phases, *[st.integers(0, 50_000)] * 3)),
                generation_ma=draw(st.sampled_from([ZERO, Phases(1_000, 20_000, 300)])),
                protection=draw(st.sampled_from([None, Protection(Curve.C, 63_000), Protection(Curve.GG, 160_000)])),
                on_meter_loss=draw(st.sampled_from(MeterLoss)) if meter else MeterLoss.SAFE,
            )
        )
    return Site(
        id="n",
        circuits=tuple(sorted(circuits, key=lambda circuit: circuit.fed_by is not None)),
        chargers=tuple(draw(chargers(number, circuits)) for number in range(draw(st.integers(0, 8)))),
        meters=tuple(meters),
    )


@st.composite
def chargers(draw: st.DrawFn, number: int, circuits: list[Circuit]) -> Charger:
    min_ma = draw(st.integers(6_000, 40_000))
    max_ma = draw(st.integers(min_ma, 80_000))
    return Charger(
        ChargerId(f"CP-{number}"),
        draw(st.sampled_from(circuits)).id,
        PowerKind.AC,
        draw(st.integers(1, 32)),
        min_ma,
        max_ma,
        draw(st.just(0) | st.integers(min_ma, max_ma)),
        draw(st.permutations(ALL_PHASES).map(tuple) | st.sampled_from([(phase,) for phase in Phase])),
    )


def amps(value_ma: int, draw: st.DataObject) -> str:
    """One of the ways to write the same current."""
    return draw.draw(st.sampled_from([f"{value_ma / 1000:g} A" if value_ma % 10 == 0 else f"{value_ma} mA", f"{value_ma}mA"]))


def per_phase(value_ma: Phases, draw: st.DataObject) -> str:
    if len(set(value_ma)) == 1 and draw.draw(st.booleans()):
        return amps(value_ma.l1, draw)
    return (
        "{" + ", ".join(f"{phase.name}: {amps(value_ma[phase], draw)}" for phase in draw.draw(st.permutations(ALL_PHASES))) + "}"
    )


def written(site: Site, draw: st.DataObject) -> str:
    lines = ["site: {id: n}", "meters:"]
    for number, meter in enumerate(site.meters):
        timing = f"every: 1 s, timeout: 1 s, max_age: {meter.max_age_ms} ms"
        lines.append(f"  {meter.id}: {{model: x, connect: tcp://h, unit: {number}, role: {meter.role.value}, {timing}}}")
    lines.append("circuits:")
    for circuit in site.circuits:
        limit = per_phase(circuit.limit_ma, draw)
        keys = [f"margin: {amps(circuit.margin_ma, draw)}", f"other_loads: {per_phase(circuit.other_loads_ma, draw)}"]
        generation = ", ".join(f"{phase.name}: {circuit.generation_ma[phase]} mA" for phase in ALL_PHASES)
        keys.append(f"generation: {{{generation}}}")
        if circuit.protection is not None:
            keys.append(f"protection: {circuit.protection}")
        if circuit.limit_w is not None and draw.draw(st.booleans()):
            limit = f"[{limit}, {circuit.limit_w} W]"
        elif circuit.limit_w is not None:
            keys.append(f"power: {circuit.limit_w / 1000} kW")
        keys.append(f"limit: {limit}")
        keys += [f"fed_by: {circuit.fed_by}"] if circuit.fed_by else []
        keys += [f"meter: {circuit.meter}", f"on_meter_loss: {circuit.on_meter_loss.value}"] if circuit.meter else []
        lines.append(f"  {circuit.id}: {{{', '.join(draw.draw(st.permutations(keys)))}}}")
    lines.append("chargers:")
    for charger in site.chargers:
        phases = ", ".join(phase.name for phase in charger.phases)
        keys = [
            f"circuit: {charger.circuit}",
            f"evses: {charger.evse_count}",
            f"current: {amps(charger.min_ma, draw)} .. {amps(charger.max_ma, draw)}",
            f"fallback: {amps(charger.fallback_ma, draw)}",
            f"phases: [{phases}]",
        ]
        if draw.draw(st.booleans()):
            lines.append(f"  {charger.id}: {{{', '.join(keys)}}}")
        else:
            lines += [f"  {charger.id}:", *(f"    {key}" for key in keys)]
    lines.append("ocpp: {listeners: [{address: 0.0.0.0:8887, security_profile: 1}]}\n")
    return "\n".join(lines)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(site=sites(), data=st.data())
def test_what_is_written_is_what_is_loaded(tmp_path: Path, site: Site, data: st.DataObject) -> None:
    text = written(site, data)
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")

    loaded, problems = check(path, environ={})

    assert loaded is not None, (text, [str(problem) for problem in problems])
    # Siblings may come in any order as long as parents come first: the loader's is by the way down, the model's by number.
    assert {circuit.id: circuit for circuit in loaded.site.circuits} == {circuit.id: circuit for circuit in site.circuits}
    seen = [circuit.id for circuit in loaded.site.circuits]
    assert all(circuit.fed_by is None or circuit.fed_by in seen[: seen.index(circuit.id)] for circuit in loaded.site.circuits)
    assert seen[0] == "c0"
    assert loaded.site.chargers == site.chargers
    assert loaded.site.meters == site.meters
    SCHEMA.validate(json.loads(json.dumps(YAML(typ="safe", pure=True).load(text))))
