"""Blocks of telemetry: rows of everything every ten seconds, given away when five minutes old."""

from __future__ import annotations

from typing import Any

from support.plant import Bench, of, plant

from edgectl.domain.decisions import Keep, WakeUplink
from edgectl.domain.records import TelemetryKept


def kept(decisions: list[Any]) -> dict[str, TelemetryKept]:
    return {keep.record.kind: keep.record for keep in of(Keep, decisions) if isinstance(keep.record, TelemetryKept)}


def test_a_block_of_each_kind_has_a_row_for_every_ten_seconds() -> None:
    bench = Bench(plant("A", "B"))
    bench.boot("A", "B")
    bench.start("A")
    decisions = bench.run(320, building_a=10)
    assert of(WakeUplink, decisions)
    blocks = kept(decisions)
    assert blocks.keys() == {"evse", "meter", "circuit"}
    evse: Any = blocks["evse"].body
    assert evse["things"] == ["A/1"], "where nobody is plugged in nothing is measured"
    assert 29 <= len(evse["thing"]) <= 32
    assert evse["offset_ms"] == [10_000 * number for number in range(len(evse["thing"]))]
    assert blocks["evse"].to_utc_ms - blocks["evse"].from_utc_ms == evse["offset_ms"][-1]
    for block in blocks.values():
        body: Any = block.body
        assert {len(column) for column in body["columns"].values()} == {len(body["thing"])} == {len(body["offset_ms"])}
    assert max(evse["columns"]["current_l1_ma"], key=lambda ma: ma or 0) > 6_000
    meter: Any = blocks["meter"].body
    assert any(ma >= 10_000 for ma in meter["columns"]["current_l1_ma"])


def test_what_is_not_known_is_null() -> None:
    bench = Bench(plant("A"))
    bench.boot("A")
    blocks = kept(bench.run(320, building_a=None))
    meter: Any = blocks["meter"].body
    assert set(meter["columns"]["current_l2_ma"]) == {None}
