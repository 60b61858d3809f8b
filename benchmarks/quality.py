"""How well vehicles are served: whole days of a workplace and a depot, by our share-out and by others, at eight connections.

Energy is shown as a part of the optimum: what a linear program gives that knows the whole day in advance. *Blind* is our
share-out as on most OCPP 1.6 sites, where nobody says how much is wanted or until when; *blind, 2 h* the same
with turns of two hours instead of 15 minutes, *leaving* is told both and plans with HiGHS. Every rule sees
the same: who is plugged in, his phases, what he draws; those that sort by departure or laxity know departures and energies.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.charging.days import DELTA, STAR, Visit, Wiring, depot, workplace
from benchmarks.charging.plot import draw
from benchmarks.charging.rules import (
    earliest_departure,
    equal_share,
    least_laxity,
    optimum_wh,
    ours,
    round_robin,
    uncontrolled,
)
from benchmarks.charging.yard import Result, Rule, Yard, run_day
from benchmarks.report import Results, verdict

EVSES = 24
SEEDS = (1, 2)
PLOT = Path(".cache/quality.svg")
OTHERS = ("edf", "llf", "round robin")


@dataclass(frozen=True, slots=True)
class Scene:
    name: str
    day: Callable[[int, int, Wiring], list[Visit]]
    wiring: Wiring
    grid_a: tuple[int, ...]
    """Eight sizes of the connection, per phase."""


SCENES = (
    Scene("workplace, star", workplace, STAR, (20, 26, 32, 40, 50, 63, 80, 100)),
    Scene("workplace, delta", workplace, DELTA, (40, 50, 63, 80, 100, 125, 160, 200)),
    Scene("depot, star", depot, STAR, (50, 63, 70, 80, 90, 100, 125, 160)),
)
RULES: dict[str, Callable[[], Rule]] = {
    "equal share": lambda: equal_share,
    "round robin": lambda: round_robin,
    "edf": lambda: earliest_departure,
    "llf": lambda: least_laxity,
    "blind": lambda: ours(knows_departures=False),
    "blind, 2 h": lambda: ours(knows_departures=False, turn_min=120),
    "leaving": lambda: ours(knows_departures=True),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One rule at one size, over all seeds."""

    energy: float
    """Of the optimum."""
    met: float
    worst: float
    jain: float
    pauses: float
    """For each 100 visits."""
    cpu_ms: float
    """For each decision with somebody to decide about, roughly."""


def measure(
    rule: Callable[[], Rule], yard: Yard, days: Sequence[Sequence[Visit]], best_wh: Sequence[float], *, may_exceed: bool = False
) -> tuple[Row, list[Result]]:
    began = time.process_time()
    results = [run_day(yard, visits, rule(), may_exceed=may_exceed) for visits in days]
    spent_ms = (time.process_time() - began) * 1_000
    pairs = list(zip(results, days, strict=True))
    count = sum(map(len, days))
    row = Row(
        energy=sum(sum(r.given_wh.values()) for r in results) / sum(best_wh),
        met=sum(r.met_part(v) * len(v) for r, v in pairs) / count,
        worst=sum(r.worst_tenth(v) for r, v in pairs) / len(pairs),
        jain=sum(r.jain(v) for r, v in pairs) / len(pairs),
        pauses=100 * sum(r.pause_count for r in results) / count,
        cpu_ms=spent_ms / (len(days) * 250),
    )
    return row, results


def run(scenes: Sequence[Scene] = SCENES, seeds: Sequence[int] = SEEDS, evses: int = EVSES) -> Results:
    print("quality: energy as a part of the optimum with full knowledge, and who was served how")
    found: Results = {}
    panels = []
    for scene in scenes:
        days = [scene.day(seed, evses, scene.wiring) for seed in seeds]
        asked_wh = sum(visit.asked_wh for visits in days for visit in visits)
        for is_real in (False, True):
            kind = "real hardware" if is_real else "ideal hardware"
            print(f"\n{scene.name}, {kind}: {sum(map(len, days))} visits, {asked_wh / 1_000:.0f} kWh")
            print(f"{'A':>5} {'optimum':>8} " + " ".join(f"{name:>12}" for name in RULES) + f" {'uncontrolled':>13}")
            table: dict[int, dict[str, Row]] = {}
            for grid_a in scene.grid_a:
                yard = Yard(scene.wiring, evses, grid_a * 1_000, is_real)
                best_wh = [optimum_wh(yard, visits) for visits in days]
                table[grid_a] = {name: measure(rule, yard, days, best_wh)[0] for name, rule in RULES.items()}
                _, free = measure(lambda: uncontrolled, yard, days, best_wh, may_exceed=True)
                over = max(result.worst_part for result in free)
                cells = " ".join(f"{table[grid_a][name].energy:>12.1%}" for name in RULES)
                print(f"{grid_a:>5} {sum(best_wh) / asked_wh:>8.1%} {cells} {over:>9.2f} x In")
                found[f"{scene.name}, {kind}, {grid_a} A"] = {
                    "optimum": sum(best_wh) / asked_wh,
                    "uncontrolled_overload": over,
                    **{name: _as_json(row) for name, row in table[grid_a].items()},
                }
            _print_service(table)
            _print_goals(table, is_real=is_real)
            panels.append((f"{scene.name}, {kind}", {n: [(a, table[a][n].energy) for a in table] for n in RULES}))
    PLOT.parent.mkdir(exist_ok=True)
    PLOT.write_text(draw(panels), encoding="utf-8")
    print(f"\nplot: {PLOT}")
    return found


def _as_json(row: Row) -> dict[str, float]:
    return {name: round(getattr(row, name), 4) for name in Row.__slots__}


def _print_service(table: dict[int, dict[str, Row]]) -> None:
    """The tightest and the middle size in detail."""
    sizes = list(table)
    for grid_a in (sizes[0], sizes[len(sizes) // 2]):
        print(f"  at {grid_a} A  " + " ".join(f"{name:>12}" for name in RULES))
        for words, of, form in (
            ("target met", "met", "{:.0%}"),
            ("worst tenth", "worst", "{:.0%}"),
            ("Jain index", "jain", "{:.3f}"),
            ("pauses/100", "pauses", "{:.0f}"),
        ):
            print(f"  {words:<11} " + " ".join(f"{form.format(getattr(table[grid_a][name], of)):>12}" for name in RULES))


def _print_goals(table: dict[int, dict[str, Row]], *, is_real: bool) -> None:
    leaving = min(rows["leaving"].energy for rows in table.values())
    blind_gap = min(rows["blind"].energy - rows["round robin"].energy for rows in table.values())
    print(f"  departures known, least part of the optimum: {leaving:.1%}", end="")
    print("" if is_real else f", goal 98 %: {verdict(leaving, 0.98, is_least=True)}")
    print(f"  blind beside round robin, least: {100 * blind_gap:+.1f} points: {verdict(blind_gap, -0.001, is_least=True)}")
    if is_real:
        best_gap = min(rows["leaving"].energy - max(rows[name].energy for name in OTHERS) for rows in table.values())
        print(f"  leaving beside the best of {', '.join(OTHERS)}, least: {100 * best_gap:+.1f} points: ", end="")
        print(verdict(best_gap, 0, is_least=True))
        for name in ("blind", "blind, 2 h", "leaving"):
            pauses = max(rows[name].pauses for rows in table.values())
            print(f"  {name}: pauses per 100 visits, most: {pauses:.0f}, goal 20: {verdict(pauses, 20)}")
        worst_gap = min(rows["leaving"].worst - rows["llf"].worst for rows in table.values())
        print(f"  worst-served tenth beside LLF, least: {100 * worst_gap:+.1f} points: {verdict(worst_gap, 0, is_least=True)}")
