"""The drill against the whole daemon: what a simulated charger does is what is found, remembered and acted upon."""

from __future__ import annotations

import pytest

from edgectl.domain.events import Outcome
from hwsim.world.yard import GRID, Yard, play, station16


async def drill(yard: Yard) -> dict[str, str]:
    yard.plug()
    await yard.until(lambda: yard.charger.evses[0].session is not None, "a session")
    await yard.seconds(60)
    answer = await yard.act("drill")
    assert answer.outcome is Outcome.ACCEPTED, answer.problem
    await yard.until(lambda: yard.charger.drill.state != "running", "the drill to end", 1_500)
    assert yard.depot.circuits[GRID].breaker.longest_over_s <= 15
    return {probe.name: probe.value for probe in yard.charger.drill.probes}


def test_q37_a_charger_by_the_book_shows_no_quirk() -> None:
    async def script(yard: Yard) -> None:
        began_s = yard.loop.time()
        found = await drill(yard)
        assert yard.charger.drill.state == "done", yard.charger.drill
        assert found["TxProfile"] == "obeyed"
        assert found["pause"] == "wakes at 6 A"
        assert found["reconnect"] == "keeps its limit"
        assert found["lease"] == "ends by itself"
        assert "measured" not in dict(yard.charger.quirks)
        assert yard.loop.time() - began_s < 720

    play(script, station16())


@pytest.mark.parametrize(
    ("fault", "probe", "value"),
    [
        ("whole-amps", "rounding", "down to whole amps"),
        ("zero-is-six", "pause", "not possible"),
        ("forget-on-disconnect", "reconnect", "forgets its limit"),
    ],
)
def test_q37_what_it_does_differently_is_found(fault: str, probe: str, value: str) -> None:
    async def script(yard: Yard) -> None:
        found = await drill(yard)
        assert found[probe] == value

    play(script, station16(fault))


def test_q40_a_forgetful_charger_counts_at_its_rating_once_the_drill_has_shown_it() -> None:
    async def script(yard: Yard) -> None:
        await drill(yard)
        assert "measured" in dict(yard.charger.quirks)
        await yard.kill_daemon()
        await yard.start_daemon()  # and it is known again after a restart
        assert "measured" in dict(yard.charger.quirks)
        await yard.seconds(1)
        assert yard.daemon is not None
        (circuit,) = yard.daemon.view().circuits
        assert circuit.silent_ma.l1 == 32_000

    play(script, station16("forget-on-disconnect"))


def test_q37_nobody_is_drilled_without_a_vehicle() -> None:
    async def script(yard: Yard) -> None:
        await yard.seconds(20)
        answer = await yard.act("drill")
        assert (answer.outcome, "must be charging" in answer.problem) == (Outcome.REJECTED, True)

    play(script, station16())
