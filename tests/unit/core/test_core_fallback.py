"""The persistent fallback is read back after every boot; one that is known not to hold counts as none."""

from __future__ import annotations

import pytest
from support.plant import Bench, of, plant

from edgectl.domain.decisions import Ask, Decision, InstallFallback
from edgectl.domain.events import ChargerBooted, ChargerConnected, FallbackAnswered, Outcome, RequestAnswered
from edgectl.domain.ids import ChargerId
from edgectl.domain.phases import Phases

A = ChargerId("A")


def connect(bench: Bench) -> list[Decision]:
    bench._link += 1
    bench.put(ChargerConnected(A, bench._link, "ocpp1.6", "127.0.0.1", 1))
    return bench.put(ChargerBooted(bench.call("A"), "Vendor", "Model"))


def accepted(bench: Bench) -> Ask:
    (ask,) = of(Ask, bench.put(FallbackAnswered(A, Outcome.ACCEPTED)))
    assert ask.request == "get-composite-schedule"
    return ask


def read_back(bench: Bench, ask: Ask, limit: str | None, unit: str = "A", outcome: Outcome = Outcome.ACCEPTED) -> None:
    detail = () if limit is None else (("last-limit", limit), ("rate-unit", unit))
    bench.put(RequestAnswered(A, ask.ask_id, outcome, detail=detail))


def state(bench: Bench) -> str:
    return bench.controller.picture(bench.now).chargers[0].fallback


def silent_a(bench: Bench) -> int:
    """What is kept free for the charger once its link is gone."""
    bench.drop("A")
    bench.run(2, building_a=10)
    (circuit,) = bench.controller.picture(bench.now).circuits
    assert circuit.silent_ma == Phases.uniform(circuit.silent_ma.l1)
    return circuit.silent_ma.l1 // 1000


@pytest.mark.parametrize(
    ("limit", "unit", "outcome", "verdict", "kept_a"),
    [
        ("6", "A", Outcome.ACCEPTED, "verified", 6),
        ("6.0", "A", Outcome.ACCEPTED, "verified", 6),
        ("4140", "W", Outcome.ACCEPTED, "verified", 6),
        ("0", "A", Outcome.ACCEPTED, "verified", 6),
        ("32", "A", Outcome.ACCEPTED, "differs", 32),
        ("22080", "W", Outcome.ACCEPTED, "differs", 32),
        ("-1", "A", Outcome.ACCEPTED, "installed", 6),
        ("many", "A", Outcome.ACCEPTED, "installed", 6),
        (None, "A", Outcome.ACCEPTED, "installed", 6),
        (None, "A", Outcome.REJECTED, "installed", 6),
        (None, "A", Outcome.TIMEOUT, "installed", 6),
    ],
)
def test_what_the_charger_tells_of_its_own_schedule_decides(
    limit: str | None, unit: str, outcome: Outcome, verdict: str, kept_a: int
) -> None:
    bench = Bench(plant("A"))
    connect(bench)
    read_back(bench, accepted(bench), limit, unit, outcome)
    assert state(bench) == verdict
    alarms = {alarm.kind for alarm in bench.controller.picture(bench.now).alarms}
    assert ("fallback-differs" in alarms) == (verdict == "differs")
    assert silent_a(bench) == kept_a


def test_it_is_written_and_read_back_again_after_every_boot() -> None:
    bench = Bench(plant("A"))
    for _ in range(2):
        assert of(InstallFallback, connect(bench))
        read_back(bench, accepted(bench), "6")
        assert state(bench) == "verified"


def test_one_that_differs_is_written_again_after_a_minute() -> None:
    bench = Bench(plant("A"))
    connect(bench)
    read_back(bench, accepted(bench), "32")
    assert not of(InstallFallback, bench.run(50, building_a=10))
    assert of(InstallFallback, bench.run(15, building_a=10))


def test_a_refused_one_counts_as_none() -> None:
    bench = Bench(plant("A"))
    connect(bench)
    bench.put(FallbackAnswered(A, Outcome.REJECTED, "no"))
    assert state(bench) == "refused"
    assert silent_a(bench) == 32


def test_the_answer_to_an_older_question_proves_nothing() -> None:
    bench = Bench(plant("A"))
    connect(bench)
    ask = accepted(bench)
    connect(bench)
    read_back(bench, ask, "6")
    assert state(bench) == "asked"
