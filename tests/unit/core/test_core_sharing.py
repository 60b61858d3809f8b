"""``edgectl.allocate``: the share-out as one pure call."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgectl
from edgectl.core.room import Leftover, capacities_of
from edgectl.domain.ids import ChargerId, CircuitId, SiteId
from edgectl.domain.phases import ALL_PHASES, ZERO, Phase, Phases
from edgectl.domain.reasons import Cause
from edgectl.domain.site import Balancing, Charger, Circuit, PowerKind, Site, Strategy

G, H = CircuitId("grid"), CircuitId("hall")
MINUTE = 60_000
DEPOT = Path(__file__).parents[3] / "config" / "depot.yaml"


def site(count: int = 4, limit_a: int = 60, hall_a: int = 40, **circuit: object) -> Site:
    grid = replace(Circuit(G, Phases.uniform(limit_a * 1_000)), **circuit)  # type: ignore[arg-type]
    chargers = [Charger(ChargerId(f"C{n}"), H if n % 2 else G) for n in range(count)]
    chargers.append(Charger(ChargerId("D"), G, kind=PowerKind.DC, min_ma=0, max_ma=100_000, fallback_ma=0))
    return Site(SiteId("test"), (grid, Circuit(H, Phases.uniform(hall_a * 1_000), fed_by=G)), tuple(chargers))


def amps(allocation: edgectl.Allocation) -> dict[str, float]:
    return {name: limit.current_ma / 1_000 for name, limit in allocation.limits.items()}


def test_a_site_from_its_file_and_two_vehicles_are_all_it_takes() -> None:
    found = edgectl.allocate(edgectl.load_site(DEPOT), [edgectl.PluggedIn("CP-A-01"), edgectl.PluggedIn("CP-B-01/2")], 0)
    assert amps(found)["CP-A-01"] == 32
    assert found.limits["CP-A-01"].cause is Cause.FULL
    assert found.limits["CP-A-01"].power_w == 22_080
    assert found.limits["CP-B-01/2"].circuit in {"grid", "hall-b", None}


def test_a_file_with_mistakes_is_refused_with_every_line(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("site: {id: x}\ncircuits: {}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"site\.yaml:2"):
        edgectl.load_site(path)


def test_importing_the_package_imports_no_room_of_it() -> None:
    code = "import edgectl, sys; print([m for m in sys.modules if m.startswith('edgectl.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("names", "words"),
    [(["C9"], "is no EVSE"), (["C1/2"], "is no EVSE"), (["C1/x"], "is no EVSE"), (["C1", "C1/1"], "named twice")],
)
def test_a_vehicle_where_none_can_be_is_refused(names: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        edgectl.allocate(site(), [edgectl.PluggedIn(name) for name in names], 0)


def test_the_binding_conductor_is_named() -> None:
    found = edgectl.allocate(site(hall_a=20), [edgectl.PluggedIn("C1"), edgectl.PluggedIn("C3"), edgectl.PluggedIn("C0")], 0)
    assert amps(found) == {"C1": 10, "C3": 10, "C0": 32}
    assert (found.limits["C1"].cause, found.limits["C1"].circuit) == (Cause.CIRCUIT, "hall")


def test_turns_go_on_from_the_answer_before() -> None:
    vehicles = [edgectl.PluggedIn(name) for name in ("C0", "C1", "C2", "C3")]
    before = None
    served: dict[str, int] = dict.fromkeys(("C0", "C1", "C2", "C3"), 0)
    for minute in range(8 * 60):
        before = edgectl.allocate(site(limit_a=13), vehicles, minute * MINUTE, before)
        for name, limit in before.limits.items():
            served[name] += limit.current_ma > 0
    assert max(served.values()) - min(served.values()) <= 60
    assert before is not None
    assert 0 < before.pause_count <= 2 * 8 * 60 // 15


def test_what_a_vehicle_leaves_unused_goes_to_the_other_until_it_takes_up_its_reserve() -> None:
    small, large = edgectl.PluggedIn("C0"), edgectl.PluggedIn("C2")
    before = edgectl.allocate(site(limit_a=40), [small, large], 0)
    assert amps(before) == {"C0": 20, "C2": 20}
    before = edgectl.allocate(site(limit_a=40), [replace(small, drawn_ma=9_000), large], MINUTE, before)
    assert amps(before) == {"C0": 11, "C2": 29}
    before = edgectl.allocate(site(limit_a=40), [replace(small, drawn_ma=9_000), large], 2 * MINUTE, before)
    assert amps(before) == {"C0": 11, "C2": 29}  # it does not ask by drawing on as it did
    before = edgectl.allocate(site(limit_a=40), [replace(small, drawn_ma=10_500), large], 3 * MINUTE, before)
    assert amps(before) == {"C0": 20, "C2": 20}


def test_who_must_leave_comes_first_and_is_told_how_he_stands() -> None:
    departure = replace(site(limit_a=40), balancing=Balancing(strategy=Strategy.DEPARTURE))
    leaving = edgectl.PluggedIn("C0", energy_wh=16_000, depart_ms=60 * MINUTE)
    found = edgectl.allocate(departure, [leaving, edgectl.PluggedIn("C2"), edgectl.PluggedIn("C1")], 0)
    assert found.limits["C0"].current_ma > 25_000
    assert found.limits["C0"].laxity_ms is not None
    assert found.limits["C2"].current_ma == found.limits["C1"].current_ma


@st.composite
def days(draw: st.DrawFn) -> tuple[Site, list[list[edgectl.PluggedIn]]]:
    limit_a = draw(st.integers(6, 120))
    soft = draw(st.sampled_from([None, Phases.uniform(limit_a * 500)]))
    made = site(6, limit_a, draw(st.integers(6, 80)), soft_limit_ma=soft, imbalance_ma=draw(st.sampled_from([None, 20_000])))
    made = replace(made, balancing=Balancing(strategy=draw(st.sampled_from(list(Strategy)))))
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        names = draw(st.lists(st.sampled_from([*(f"C{n}" for n in range(6)), "D"]), unique=True, max_size=7))
        steps.append(
            [
                edgectl.PluggedIn(
                    name,
                    phases=draw(st.sampled_from([None, (Phase.L1,), (Phase.L2, Phase.L3)])) if name != "D" else None,
                    max_ma=draw(st.sampled_from([None, 9_000, 20_000])),
                    drawn_ma=draw(st.sampled_from([None, 0, 7_000, 32_000])),
                    energy_wh=draw(st.sampled_from([None, 3_000, 50_000])),
                    depart_ms=draw(st.sampled_from([None, 30 * MINUTE, 600 * MINUTE])),
                    priority=draw(st.integers(0, 2)),
                )
                for name in names
            ]
        )
    return made, steps


@settings(max_examples=80, deadline=None)
@given(days())
def test_no_conductor_is_exceeded_whatever_is_known_and_wanted(day: tuple[Site, list[list[edgectl.PluggedIn]]]) -> None:
    made, steps = day
    before = None
    for number, vehicles in enumerate(steps):
        before = edgectl.allocate(made, vehicles, number * 7 * MINUTE, before)
        for circuit in made.circuits:
            load_ma = ZERO
            for vehicle in vehicles:
                charger = made.charger(ChargerId(vehicle.evse))
                assert charger is not None
                current_ma = before.limits[vehicle.evse].current_ma
                assert current_ma == 0 or current_ma >= charger.min_ma
                if circuit in made.path(charger.circuit):
                    load_ma += Phases.on(vehicle.phases or ALL_PHASES, current_ma)
            room = capacities_of(circuit, Leftover(), made.voltage_mv)
            hard = [c for c in room if not c.is_soft and c.phase is not None and c.against is None]
            assert all(load_ma[c.phase] <= c.available_ma for c in hard if c.phase is not None)
            assert circuit.imbalance_ma is None or max(load_ma) - min(load_ma) <= circuit.imbalance_ma
