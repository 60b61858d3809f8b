"""The conformance kit: finds nothing wrong with a right consumer, and each wrong doing of a wrong one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.backend_bench import ROOT, BackendProcess
from support.mosquitto import Mosquitto, free_port
from support.wrong_consumer import FAULTS, WrongConsumer

from edgectl.domain.settings import MqttSettings
from edgectl_backend.conformance.playing import play
from edgectl_backend.conformance.scenarios import NAMES

pytestmark = [pytest.mark.slow, pytest.mark.own_payloads]

FOUND = {
    "acks-everything": ("conflict", "it took another content under a record and revision that is taken"),
    "acks-through-gaps": ("gap", "acked_through goes beyond a number that it cannot have"),
    "forgets-repeats": ("repeats", "no receipt for a sound record"),
    "first-epoch-only": ("epochs", "a receipt acknowledges a record that this site has not sent in this epoch"),
    "stops-at-garbage": ("poison", "no receipt for a sound record"),
    "refuses-after-gaps": ("gap", "it refused a sound record (gap)"),
    "retains-receipts": ("plain", "a receipt is published as retained: an old one would come again at every reconnect"),
    "takes-conflicts": ("conflict", "it took another content under a record and revision that is taken"),
    "refuses-lower-revisions": ("revisions", "it refused revision 1 (old)"),
    "refuses-unknown-members": ("members", "it refused a record with a member of a later version (malformed)"),
    "answers-another-site": ("repeats", "no receipt for a sound record"),
    "speaks-no-json": ("plain", "a receipt that no gateway can read: JSON is malformed: invalid character (byte 0)"),
    "refuses-without-code": ("poison", "it refused a record of another site without a code"),
    "chokes-on-nul": ("texts", "it refused a record with the text '\\x00' (storage)"),
    "refuses-large-ones": ("large", "it refused a record with 300 kB of signed values (too-large)"),
    "one-topic-for-all": ("events", "a receipt for events came on receipt/billing"),
    "loses-every-hundredth": ("burst", "no receipt for a sound record"),
    "invents-records": ("plain", "a receipt acknowledges a record that this site has not sent in this epoch"),
    "refuses-salvaged": ("salvage", "it refused a record that a salvaged ledger names again (conflict)"),
}


def test_every_fault_has_its_finding() -> None:
    assert set(FOUND) == set(FAULTS)


async def test_a_right_consumer_is_blamed_for_nothing(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        with WrongConsumer(broker.port):
            verdicts = await play(MqttSettings("127.0.0.1", broker.port, is_tls=False), "c1")
    assert [verdict.name for verdict in verdicts] == list(NAMES)
    assert {verdict.name: dict(verdict.wrong) for verdict in verdicts if verdict.wrong} == {}


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_wrong_doing_is_reported(tmp_path: Path, fault: str) -> None:
    name, words = FOUND[fault]
    async with Mosquitto(tmp_path) as broker:
        settings = MqttSettings("127.0.0.1", broker.port, is_tls=False)
        with WrongConsumer(broker.port, fault):
            names = list(dict.fromkeys(["plain", name]))
            verdicts = await play(settings, "c1", names=names, patience_s=1.5)
    wrong = {verdict.name: dict(verdict.wrong) for verdict in verdicts}
    assert words in wrong[name], wrong


def conformance(port: int, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgectl_backend", "conformance", "--broker", f"mqtt://127.0.0.1:{port}", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110, check=False)


async def test_the_reference_backend_does_nothing_wrong(tmp_path: Path, database_url: str) -> None:
    async with Mosquitto(tmp_path) as broker, BackendProcess(tmp_path, broker.port, database_url) as _:
        done = conformance(broker.port, "--json")
    assert {v["name"]: v["wrong"] for v in json.loads(done.stdout) if v["wrong"]} == {}
    assert done.returncode == 0


async def test_the_report_names_what_is_wrong_and_fails(tmp_path: Path) -> None:
    async with Mosquitto(tmp_path) as broker:
        with WrongConsumer(broker.port, "takes-conflicts"):
            done = conformance(broker.port, "--only", "plain", "--only", "conflict", "--patience", "1")
    assert done.returncode == 1
    assert "right  plain" in done.stdout
    assert "it took another content" in done.stdout
    assert done.stdout.endswith("1 of 2 scenarios right\n")


def test_a_broker_that_is_away_and_a_scenario_that_is_not_are_said_so() -> None:
    assert "there are: plain" in conformance(1, "--only", "all").stderr
    done = conformance(free_port())
    assert done.returncode == 1
    assert "the broker cannot be reached" in done.stderr
