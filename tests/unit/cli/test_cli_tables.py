"""What the tables of the command line say of one EVSE."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from edgectl.cli import tables


def shown(**of_evse: object) -> str:
    evse = {
        "number": 1,
        "status": "suspended_evse",
        "measured_ma": None,
        "commanded_ma": 0,
        "energy_wh": 1_500,
        "reason": {"cause": "turn"},
        "rung": "tx",
        "rung_since_at": None,
        "queue_number": None,
        "pause_count": 0,
        "owed_wh": 0,
        "turn_since_at": None,
        "target": None,
        **of_evse,
    }
    charger = {"id": "CP-1", "is_connected": True, "is_accepted": True, "evses": [evse]}
    out = StringIO()
    Console(file=out, width=200).print(tables.chargers([charger]))
    return out.getvalue()


def test_who_waits_is_told_his_place_since_when_and_what_he_is_owed() -> None:
    words = shown(queue_number=2, pause_count=3, owed_wh=690, turn_since_at="2026-11-25T02:14:00.000Z")
    assert "turn, place 2 since 02:14Z, 3 pauses, owed 0.69 kWh" in words


def test_who_never_waited_is_told_nothing_of_it() -> None:
    words = shown(turn_since_at="2026-11-25T02:14:00.000Z", commanded_ma=16_000, reason={"cause": "circuit"})
    assert words.rstrip().endswith("circuit")


def test_another_way_of_telling_it_is_named_with_its_start() -> None:
    words = shown(rung="station-max", rung_since_at="2026-11-25T02:14:00.000Z")
    assert "turn, told by station-max since 02:14Z" in words
