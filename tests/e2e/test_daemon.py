"""The real daemon as a process: real sockets, real mosquitto, real SQLite; killed, stopped, reloaded, spoken to badly."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from support.daemon import Depot
from support.mosquitto import Mosquitto, free_port
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


async def test_a_session_from_boot_to_receipt(folder: Path) -> None:
    async with Depot(folder) as depot, Mosquitto(folder, more=[]) as broker:
        depot.mqtt_port = broker.port
        depot.write_site()
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        await depot.until(lambda: depot.evse()["commanded_ma"] == 32_000, "all the charger can give")
        depot.building_a = 88.0
        await depot.until(lambda: 6_000 <= depot.evse()["commanded_ma"] < 13_000, "lowered when the building takes more")
        await depot.until(lambda: max(depot.stations[0].evses[1].drawn_a) < 13, "the car follows")
        assert depot.evse()["reason"]["cause"] == "circuit"
        backend = depot.backend()
        backend.backend.sends_receipts = False
        await depot.until(backend.is_listening.is_set, "the backend listens")
        depot.unplug()
        await depot.until(lambda: depot.stations[0].closed_transactions == 1, "the stop is acknowledged")
        await depot.until(lambda: depot.rows("SELECT sent_count FROM outbox WHERE stream = 'billing'") == [(1,)], "sent and kept")
        await depot.until(lambda: backend.backend.records, "the backend has heard it, and says nothing")
        assert depot.rows("SELECT count(*) FROM outbox WHERE stream = 'billing'") == [(1,)], "no receipt, so it stays"
        assert depot.json("uplink", "status")["outbox"]["backlog_count"] >= 1
        backend.backend.sends_receipts = True
        await depot.until(lambda: depot.edgectl("ledger", "verify", "--data-dir", str(depot.data)).returncode == 0, "chain")
        depot.kill(signal.SIGTERM)
        await depot.start()
        await depot.until(lambda: backend.backend.duplicates >= 1, "sent again after a restart", 90)
        await depot.until(lambda: depot.rows("SELECT count(*) FROM outbox WHERE stream = 'billing'") == [(0,)], "gone on receipt")
        (record,) = backend.backend.records.values()
        assert record["session"]["charger"] == "CP-1"
        assert record["session"]["energy_wh"] == record["session"]["meter_stop_wh"] - record["session"]["meter_start_wh"]
        assert set(record) == {"schema", "site", "epoch", "seq", "record_id", "rev", "prev_hash", "hash", "session"}
        assert backend.faults() == []


async def test_without_broker_and_without_meter_limits_are_safe_and_records_wait(folder: Path) -> None:
    async with Depot(folder, has_meter=False) as depot:
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        await depot.until(lambda: depot.evse()["reason"]["cause"] == "meter-lost", "the reason is told")
        assert depot.evse()["commanded_ma"] == 6_000
        depot.unplug()
        await depot.until(lambda: depot.stations[0].closed_transactions == 1, "the stop is acknowledged")
        view = depot.view()
        assert view is not None
        assert view["outbox"]["backlog_count"] >= 1
        assert not view["uplink_connected"]
        assert {alarm["kind"] for alarm in view["alarms"]} >= {"meter-lost"}


@pytest.mark.parametrize("moment", ["at random", "ledger-before-commit", "ledger-after-commit", "reply-after-commit"])
async def test_kill_9_in_a_running_session_loses_nothing_and_makes_no_second_session(folder: Path, moment: str) -> None:
    async with Depot(folder) as depot:
        await depot.start()
        await depot.connected()
        if moment == "at random":
            depot.plug()
            await depot.charging()
            await asyncio.sleep(0.7)
            depot.kill()
        else:
            depot.kill(signal.SIGTERM)
            await depot.start(kill_at="")
            await depot.connected()
            depot.kill()
            # From here on the process dies in the narrow window of its first commit, which is this session's start.
            process_dies = asyncio.create_task(depot_dies(depot, moment))
            await asyncio.sleep(0.5)
            depot.plug()
            await process_dies
        await depot.start()
        await depot.connected()
        await depot.charging()
        energy = depot.stations[0].evses[1]
        await depot.until(lambda: int(energy.register_wh) - depot.rows("SELECT 0")[0][0] > 0, "it goes on")
        depot.unplug()
        await depot.until(lambda: depot.stations[0].queued_count == 0, "all acknowledged", 60)
        started = depot.stations[0].started_transactions
        assert depot.rows("SELECT count(*) FROM session") == [(started,)]
        assert depot.rows("SELECT count(*), count(DISTINCT record_id) FROM bill") == [(started, started)]
        assert depot.edgectl("ledger", "verify", "--data-dir", str(depot.data)).returncode == 0


async def depot_dies(depot: Depot, moment: str) -> None:
    """Start the daemon so that it kills itself at the named window, and wait until it has."""
    try:
        await depot.start(kill_at=moment)
    except AssertionError:
        assert depot.died()  # it may die before it ever answers
    await depot.until(depot.died, f"dies at {moment}", 60)
    assert depot.process is not None
    assert depot.process.wait() == -signal.SIGKILL
    depot.process = None


async def test_sigterm_leaves_sessions_open_and_durable_and_takes_less_than_five_seconds(folder: Path) -> None:
    async with Depot(folder) as depot:
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        before = depot.rows("SELECT id, status FROM session")
        began = time.monotonic()
        assert depot.kill(signal.SIGTERM) == 0
        assert time.monotonic() - began < 5
        assert depot.rows("SELECT id, status FROM session") == before == [(before[0][0], "active")]
        await depot.start()
        await depot.until(lambda: depot.evse()["session"] == before[0][0], "the same session after the restart")
        assert depot.cli.get("chargers", "CP-1")["model"] == "Box 16", "it has not booted again, but who it is is remembered"
        await depot.until(lambda: sum(depot.stations[0].evses[1].drawn_a) > 0, "still charging")
        depot.unplug()
        await depot.until(lambda: depot.rows("SELECT id, status FROM session") == [(before[0][0], "completed")], "one session")


async def test_sighup_applies_a_good_file_and_keeps_the_old_one_for_a_bad_one(folder: Path) -> None:
    async with Depot(folder) as depot:
        await depot.start()
        await depot.connected()
        depot.write_site(limit_a=63)
        assert depot.process is not None
        depot.process.send_signal(signal.SIGHUP)
        await depot.until(lambda: depot.cli.get("circuits")[0]["limit_ma"]["L1"] == 63_000, "the new limit")
        depot.site.write_text(depot.site.read_text().replace("63 A", "63"))
        depot.process.send_signal(signal.SIGHUP)
        await depot.until(lambda: "reload_refused" in depot.log.read_text(), "it says why")
        assert "63" in depot.log.read_text()
        assert depot.cli.get("circuits")[0]["limit_ma"]["L1"] == 63_000
        refused = depot.edgectl("reload")
        assert refused.returncode == 1
        assert "circuits.grid.limit" in refused.stderr
        depot.write_site(limit_a=50)
        unsafe = depot.edgectl("reload")
        assert unsafe.returncode == 1
        assert "CP-1 ignores its limits and takes 32 A, other loads up to 20 A: 52 A of 50 A" in unsafe.stderr
        depot.write_site(limit_a=55)
        assert depot.edgectl("reload").stdout.strip() == "circuit grid: limit 63 A -> 55 A"
        depot.mqtt_port = free_port()
        depot.write_site(limit_a=55)
        assert depot.edgectl("reload").returncode == 0
        assert depot.json("uplink", "status")["transport"]["broker"] == f"mqtt://127.0.0.1:{depot.mqtt_port}"


async def test_the_command_line_tells_what_is(folder: Path) -> None:
    async with Depot(folder) as depot:
        assert depot.edgectl("status").returncode == 1
        assert "not running" in depot.edgectl("status").stderr
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        await depot.until(lambda: depot.evse()["commanded_ma"] == 32_000, "a limit")
        # In a thread, because this loop is the meter's: held up by a slow command it would be lost, and the limit with it.
        assert (await asyncio.to_thread(depot.json, "status"))["site"] == "e2e"
        assert [charger["id"] for charger in await asyncio.to_thread(depot.json, "chargers")] == ["CP-1", "CP-2"]
        await depot.until(lambda: depot.json("meters")[0]["quality"] == "good", "a reading in time, also on a busy machine")
        reason = "CP-1/1 may draw 32.0 A because that is all the charger can give"
        await depot.until(lambda: depot.json("why", "cp-1/1")[0]["why"].startswith(reason), "the reason", seconds=60)
        assert depot.edgectl("why", "CP-1").stdout.startswith("CP-1/1 may draw ")
        assert depot.edgectl("why", "CP-9").returncode == 1
        assert "no charger is called 'CP-9'" in depot.edgectl("why", "CP-9").stderr
        depot.unplug()
        await depot.until(lambda: depot.json("sessions", "list")[0]["status"] == "completed", "a closed session")
        (session,) = depot.json("sessions", "list")
        assert depot.json("sessions", "show", session["id"])["charger"] == "CP-1"
        assert session["id"] in depot.edgectl("sessions", "export", "--format", "csv").stdout
        await depot.until(lambda: depot.edgectl("why", "CP-1", "--at", "2099-01-01T00:00:00Z").returncode == 0, "history")
        for command in ("status", "chargers", "meters", "circuits", "alarms"):
            done = depot.edgectl(command)
            assert (done.returncode, done.stderr) == (0, ""), command
        assert depot.edgectl("uplink", "status").returncode == 0
        near = depot.edgectl("stattus")
        assert near.returncode == 2
        assert "Did you mean 'status'" in near.stderr


async def test_bad_input_at_any_door_is_refused_there_and_ends_nothing(folder: Path) -> None:
    async with Depot(folder) as depot, Mosquitto(folder) as broker:
        depot.mqtt_port = broker.port
        depot.write_site()
        await depot.start()
        await depot.connected()
        url = f"ws://127.0.0.1:{depot.ocpp_port}/ocpp"
        async with connect(f"{url}/CP-9", subprotocols=[Subprotocol("ocpp1.6")]) as stranger:
            for frame in (
                "",
                "no json",
                "[]",
                "[2]",
                '[2,"1","BootNotification",{}]',
                "[" * 500,
                '[3,"x",{}]',
                '[2,"1","Nope",{}]',
            ):
                await stranger.send(frame)
            answer = await asyncio.wait_for(stranger.recv(), 10)
            assert answer
        reader, writer = await asyncio.open_connection("127.0.0.1", depot.ocpp_port)
        writer.write(os.urandom(3000))
        await writer.drain()
        writer.close()
        del reader
        backend = depot.backend()
        await depot.until(lambda: (depot.view() or {})["uplink_connected"], "the broker")
        for topic, payload in [
            ("receipt/billing", b"\xff\xfe"),
            ("receipt/billing", b'{"epoch": 1}'),
            ("receipt/billing", b"[" * 10_000),
            ("cmd/stop", b"{}"),
            ("cmd/..", b"x" * 100_000),
        ]:
            backend._client.publish(f"edgectl/v1/e2e/{topic}", payload, qos=1)
        await depot.until(
            lambda: dict((depot.view() or {})["counters"]).get("input_refused_mqtt", 0) > 0, "refused input is counted"
        )
        for path in (
            "/api/v1/nope",
            "/api/v1/sessions?limit=-1",
            "/api/v1/sessions?since=yesterday",
            "/%00",
            "/api/v1/why/CP-1?at=x",
        ):
            with pytest.raises(urllib.error.HTTPError) as error:
                await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{depot.web_port}{path}", timeout=5)
            assert error.value.code in {400, 404}
            error.value.close()
        view = depot.view()
        assert view is not None
        assert not depot.died()
        assert [refused["charger"] for refused in view["refused"]] == ["CP-9"]
        assert "Traceback" not in depot.log.read_text()


async def test_health_and_metrics_are_served(folder: Path) -> None:
    async with Depot(folder) as depot:
        await depot.start()

        def get(path: str) -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{depot.web_port}{path}", timeout=5) as answer:
                return str(answer.read().decode())

        await depot.until(lambda: '"is_live": true' in get("/healthz"), "control periods complete")
        metrics = await asyncio.to_thread(get, "/metrics")
        assert 'edgectl_circuit_limit_amperes{circuit="grid",phase="L1"} 100.0' in metrics
        assert "edgectl_control_period_age_seconds" in metrics
        assert "<title>edgectl</title>" in await asyncio.to_thread(get, "/")


async def test_an_unsafe_site_does_not_start_unless_the_file_accepts_it(folder: Path) -> None:
    async with Depot(folder, limit_a=30) as depot:
        done = depot.edgectl("check", str(depot.site))
        assert done.returncode == 3
        assert "accept_risk" in done.stderr
        run = depot.edgectl("run", "-c", str(depot.site), "--data-dir", str(depot.data))
        assert run.returncode == 3
        depot.write_site(extra="accept_risk: [fallbacks-grid, leases-grid, meter-main, ignores-CP-1, ignores-CP-2]\n")
        assert depot.edgectl("check", str(depot.site)).returncode == 0
        await depot.start()


async def test_a_damaged_ledger_is_kept_aside_with_an_alarm_and_charging_goes_on(folder: Path) -> None:
    async with Depot(folder) as depot:
        await depot.start()
        await depot.connected()
        depot.kill(signal.SIGTERM)
        ledger = depot.data / "ledger.db"
        content = bytearray(ledger.read_bytes())
        content[:200] = os.urandom(200)
        ledger.write_bytes(content)
        await depot.start()
        await depot.until(lambda: "ledger-replaced" in {a["kind"] for a in depot.cli.get("alarms")}, "the alarm")
        assert [file.name for file in depot.data.glob("ledger.db.damaged-*")]
        await depot.connected()
        depot.plug()
        await depot.charging()


@pytest.mark.parametrize("when", ["while it stands", "while it runs"])
async def test_a_session_in_which_the_ledger_breaks_is_billed_from_its_true_start(folder: Path, when: str) -> None:
    async with Depot(folder) as depot:
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        station = depot.stations[0].evses[1]
        ((name, started_wh),) = depot.rows("SELECT id, json_extract(body, '$.meter_start_wh') FROM session")
        await depot.until(lambda: int(station.register_wh) > started_wh + 20, "energy flows")
        depot.kill(signal.SIGTERM)
        if when == "while it runs":
            await depot.start()
            await depot.connected()
        with (depot.data / "ledger.db").open("r+b") as file:
            file.write(os.urandom(4_096))
        broken_wh = int(station.register_wh)
        if when == "while it runs":
            await depot.until(lambda: int(station.register_wh) > broken_wh + 20, "energy flows on")
            depot.kill()
        await depot.start()
        await depot.until(lambda: "ledger-replaced" in {a["kind"] for a in depot.cli.get("alarms")}, "the alarm")
        await depot.connected()
        await depot.until(lambda: int(station.register_wh) > broken_wh + 40, "energy flows on")
        depot.unplug()
        await depot.until(lambda: depot.stations[0].queued_count == 0, "all acknowledged", 60)
        await depot.until(lambda: depot.rows("SELECT count(*) FROM bill") == [(1,)], "it is billed, once")
        ((billed, body),) = depot.rows("SELECT record_id, body FROM bill")
        session = json.loads(body)["session"]
        assert billed == name
        assert (session["meter_start_wh"], session["id_token"]) == (started_wh, "04A1")
        assert session["energy_wh"] == session["meter_stop_wh"] - started_wh > broken_wh - started_wh
        assert "ledger-replaced" in session["flags"]
        assert depot.edgectl("ledger", "salvage", "--data-dir", str(depot.data)).returncode == 0
        assert depot.rows("SELECT count(*) FROM session") == [(1,)]
        assert depot.edgectl("ledger", "verify", "--data-dir", str(depot.data)).returncode == 0


async def test_what_a_damaged_ledger_owed_reaches_the_backend_after_a_salvage(folder: Path) -> None:
    async with Depot(folder) as depot, Mosquitto(folder, more=[]) as broker:
        depot.mqtt_port = broker.port
        depot.write_site()
        listener = depot.backend()
        backend = listener.backend
        backend.sends_receipts = False
        await depot.until(listener.is_listening.is_set, "the backend listens")
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        depot.unplug()
        await depot.until(lambda: len(backend.records) == 1, "sent, and not receipted")
        (session,) = [record["session"]["id"] for record in backend.records.values()]
        depot.plug(2)
        await depot.charging(2)
        depot.kill(signal.SIGTERM)
        ledger = depot.data / "ledger.db"
        with ledger.open("r+b") as file:
            file.write(os.urandom(200))

        await depot.start()
        await depot.until(lambda: "ledger-replaced" in {a["kind"] for a in depot.cli.get("alarms")}, "the alarm")
        assert depot.rows("SELECT id FROM session WHERE id = " + repr(session)) == []
        backend.sends_receipts = True
        done = depot.edgectl("ledger", "salvage", "--data-dir", str(depot.data))
        assert done.returncode == 0, done.stderr
        assert "billing records 1 to 1: all there" in done.stdout
        assert "taken in: 1 sessions; to be sent: 1 billing records" in done.stdout, "the one that runs is here already"
        assert "was running at CP-2/1" in done.stdout
        await depot.until(lambda: depot.rows("SELECT count(*) FROM outbox WHERE stream = 'billing'") == [(0,)], "receipted")
        assert depot.rows("SELECT receipted_utc_ms > 0 FROM bill WHERE record_id = " + repr(session)) == [(1,)]
        assert (len(backend.records), backend.faults) == (1, [])
        await depot.until(lambda: "ledger-replaced" not in {a["kind"] for a in depot.cli.get("alarms")}, "the alarm ends")
        again = depot.edgectl("ledger", "salvage", "--data-dir", str(depot.data))
        assert "no damaged ledger waits" in again.stderr
        copy = folder / "stick"
        copy.mkdir()
        told = depot.json("ledger", "backup", str(copy), "--data-dir", str(depot.data))
        assert told["session_count"] >= 2
        assert [str(path) for path in copy.iterdir()] == [told["path"]]
        back = depot.json("ledger", "salvage", told["path"], "--data-dir", str(depot.data))
        assert back["taken_in"] == {"sessions": 0, "bills": 0, "rebuilt": 0, "refused": []}, "all of it is here"


async def test_a_site_with_a_key_signs_what_it_bills_and_without_it_does_not_start(folder: Path) -> None:
    async with Depot(folder) as depot:
        depot.write_site(extra="ledger: {signing_key: {credential: ledger-key}}\n")
        run = depot.edgectl("run", "-c", str(depot.site), "--data-dir", str(depot.data))
        assert (run.returncode, "signing_key_unusable" in run.stderr) == (2, True)
        key = folder / "secrets" / "ledger-key"
        key.parent.mkdir()
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)  # noqa: ASYNC221
        await depot.start()
        await depot.connected()
        depot.plug()
        await depot.charging()
        depot.unplug()
        await depot.until(lambda: depot.rows("SELECT count(*) FROM bill") == [(1,)], "billed")
        done = depot.edgectl("ledger", "verify", "--data-dir", str(depot.data), "--public-key", str(key))
        assert (done.returncode, "1 are signed, each by a key given; 0 are not" in done.stdout) == (0, True), done
