"""Each benchmark runs at a tiny size, and its checker can fail. No figure is looked at: those depend on the machine."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks import backend, flood, ledger, meters, offline, reaction, replay, report, server, storm, tokens, uplink, wire
from benchmarks.daemon import names, site_text
from edgectl.config.loading import check_text

slow = pytest.mark.slow


def test_the_site_of_a_thousand_chargers_is_a_valid_one() -> None:
    settings, problems = check_text(site_text(names(1_000), 8887), Path("site.yaml"))
    assert settings is not None
    assert [str(problem) for problem in problems if not problem.is_warning] == []


@pytest.mark.parametrize(("size", "head"), [(1, 6), (125, 6), (126, 8), (65_535, 8), (65_536, 14)])
def test_a_client_frame_is_masked_and_as_long_as_it_says(size: int, head: int) -> None:
    frame = wire.frame(b"x" * size)
    assert frame[1] & 0x80
    assert len(frame) == head + size


def test_a_quantile_of_nothing_is_nothing_and_of_all_is_the_largest() -> None:
    assert wire.quantile([], 0.99) == 0
    assert wire.quantile([3.0, 1.0, 2.0], 1.0) == 3.0


def test_a_verdict_looks_in_the_right_direction() -> None:
    assert report.verdict(2, 1) == "MISSED"
    assert report.verdict(2, 1, is_least=True) == "met"


def test_sessions_missing_from_the_ledger_fail_the_server_benchmark(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
        connection.execute("CREATE TABLE session (charger TEXT, rev INTEGER, body TEXT)")
    with pytest.raises(report.CheckFailedError, match="0 sessions in the ledger for 3"):
        server.check_ledger(tmp_path / "ledger.db", 3)


def test_a_session_with_another_energy_fails_the_replay_benchmark(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as connection, connection:
        connection.execute("CREATE TABLE session (ended_utc_ms INTEGER, body TEXT)")
        connection.execute("CREATE TABLE bill (seq INTEGER)")
        connection.execute("INSERT INTO session VALUES (1, '{\"energy_wh\": 299}')")
        connection.execute("INSERT INTO bill VALUES (1)")
    with pytest.raises(report.CheckFailedError, match="0 with their energy"):
        replay.check_ledger(tmp_path / "ledger.db", 1, 300)


async def test_a_server_that_refuses_messages_has_no_figures() -> None:
    station = wire.Station("CP-1")
    station.refused_count = 1
    load = server.Load([station], [server.meter_values(1)])
    with pytest.raises(report.CheckFailedError, match="1 messages were refused"):
        load.check()


async def test_a_limit_that_is_never_lowered_fails_the_reaction_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaction, "LOWERED_TIMEOUT_S", 0.01)
    with pytest.raises(report.CheckFailedError, match="0 of 1 limits were lowered"):
        await reaction.step(reaction.Plant(100.0, drawn_a={"CP-1": 16.0}))


@slow
def test_server_measures_edgectl_and_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SETTLE_S", 0.0)
    monkeypatch.setattr(server, "fetch_node", lambda: "left out: tests fetch nothing")
    results = server.run(2, 0.1, 1)
    assert all(set(found) == {"edgectl", "ocpp", "websockets", "aiohttp"} for found in results["kinds"].values())


@slow
def test_storm_lets_everybody_in() -> None:
    results = storm.run([storm.Storm("3 plain", 3, False, 10.0, None)], rounds=1, rest_s=0.0)
    assert set(results["3 plain"]) == {"edgectl", "ocpp"}


@slow
def test_flood_has_figures_with_and_without(tmp_path: Path) -> None:
    results = asyncio.run(flood.measure(2, 1.0, 1, tmp_path))
    assert all(len(results[name]["with_p99_ms"]) == len(results[name]["without_p99_ms"]) == 1 for name in flood.FLOODS)


@slow
def test_replay_ends_in_a_ledger_that_is_exact() -> None:
    assert replay.run(2, 5, 1)["edgectl"][0]["reconnects"] == 0


@slow
def test_the_ledger_beside_others_writes_less_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    results = ledger.run(events=40, tiny_events=3, before=5)
    assert set(results["stores"]) == {"edgectl, 16 at once", "edgectl, 1 at once", "SQLite, a commit each", "TinyDB"}
    assert results["telemetry_bytes_each"]["edgectl"] < results["telemetry_bytes_each"]["SQLite, a commit each"]
    assert "the loop was blocked for" in capsys.readouterr().out


def test_records_missing_from_the_chain_fail_the_ledger_benchmark(monkeypatch: pytest.MonkeyPatch) -> None:
    end = ledger._end
    monkeypatch.setattr(ledger, "_end", lambda name: end("always the same"))
    with pytest.raises(report.CheckFailedError, match="1 records of 11 are in the chain"):
        ledger.run(events=6, tiny_events=1, before=5)


@slow
def test_meters_on_a_slow_line(capsys: pytest.CaptureFixture[str]) -> None:
    results = meters.run(seconds=3.0)
    assert "a dead unit costs" in capsys.readouterr().out
    assert results["10 at 9600, each second"]["bound_per_s"] == pytest.approx(11.5, abs=0.2)


@slow
async def test_backend_measures_one_and_two_processes(tmp_path: Path) -> None:
    results = await backend.measure(100, [1, 2], 1, tmp_path)
    assert set(results) == {"plain", "1 processes", "2 processes"}
    assert all(one["records_per_s"][0] > 0 for one in results.values())


async def test_records_that_are_not_in_the_database_fail_the_backend_benchmark() -> None:
    class Empty:
        async def rows(self, _question: str, *_values: object) -> list[dict[str, int]]:
            return [{"n": 0}]

    with pytest.raises(report.CheckFailedError, match="0 of 3 receipted records"):
        await backend.check(Empty(), backend.records_of("x", 3), is_plain=False)  # type: ignore[arg-type]


@slow
@pytest.mark.own_payloads
def test_the_benchmark_of_days_without_a_link_runs() -> None:
    found = offline.run(days=0.1)
    assert (found["blocks"], found["bills"]) == (29, 12)
    assert 0 < found["telemetry_bytes"] < found["ledger_bytes"]
    assert found["bills_s"] <= found["all_s"]
    assert found["state_age_p99_s"] > 0


@slow
def test_the_uplink_benchmark_runs() -> None:
    found = uplink.run(records=40, rounds=1)
    assert len(found["records_per_s"]) == 1
    assert found["session_bytes"]["signed"]["plain"] > found["session_bytes"]["unsigned"]["plain"] > 1_000
    assert found["telemetry_row_bytes"]["packed"] < found["telemetry_row_bytes"]["plain"]


@slow
def test_tokens_measures_every_kind_alone_and_beside_others() -> None:
    results = tokens.run(few=2, many=4, chargers=1, count=6, settle_s=0.0)
    assert set(results) == {f"{count} tokens, {others} others" for count in (2, 4) for others in (0, 1)}
    assert all(set(found["median_ms"]) == {"known", "blocked", "unknown"} for found in results.values())
