"""Mutated frames: a slice of the campaign, and some over a real WebSocket against the real daemon."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.peer import peer
from support.small_site import CHARGER, TAG, SmallSite, small_site
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from edgectl.domain.records import SessionStatus
from hwsim.campaigns import fuzz
from hwsim.campaigns.corpus import Speech, speeches, transaction_message
from hwsim.campaigns.fuzz import Fuzzer, run_fuzz
from hwsim.campaigns.mutations import Mutator
from hwsim.campaigns.promises import BrokenPromiseError, quiet_logs
from hwsim.world.clock import START_UTC_MS

SEED = 3


@pytest.fixture(autouse=True)
def _quiet() -> object:
    with quiet_logs():
        yield


def test_five_thousand_mutated_frames_break_no_promise() -> None:
    fuzzer = Fuzzer(SEED)
    for _ in range(5_000):
        fuzzer.step()
    assert fuzzer.answered_count > 2_000
    assert fuzzer.refused_count > 500
    assert fuzzer.link_count > 3


def test_the_same_seed_makes_the_same_frames() -> None:
    first, second = Fuzzer(7), Fuzzer(7)
    for _ in range(300):
        first.step()
        second.step()
        assert first.frame == second.frame
    assert first.answered_count == second.answered_count


def test_an_answer_that_is_not_given_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The campaign itself: it fails with the frame and the seed, and says how to see it again."""
    monkeypatch.setattr("hwsim.campaigns.line.Line.said", lambda _line: [])
    assert run_fuzz(10, SEED) == 1
    said = capsys.readouterr().err
    assert "answers are owed and 0 given" in said
    assert f"python -m hwsim fuzz --seed {SEED} --frames" in said


def test_something_that_grows_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    sizes_mb = iter([100.0] * 4 + [100.0 + 2 * fuzz.GROWTH_MB_MAX])
    monkeypatch.setattr(fuzz, "memory_mb", lambda: next(sizes_mb))
    monkeypatch.setattr(fuzz, "_FLAT_FROM", 5)
    assert run_fuzz(5, SEED) == 1
    assert "GROWS" in capsys.readouterr().out


def test_a_pending_call_too_many_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "PENDING_MAX", -1)
    with pytest.raises(BrokenPromiseError, match="wait in one link"):
        Fuzzer(SEED).step()


# --- over a real WebSocket ------------------------------------------------------------------------------------------------

FRAMES_PER_LINK = 170
"""Within the burst that a link takes without pausing, so that a thousand frames take seconds."""


@pytest.mark.slow
async def test_a_daemon_that_was_told_nonsense_still_serves_a_well_behaved_charger(tmp_path: Path) -> None:
    source = random.Random(SEED)
    with capture_logs() as lines:
        async with small_site(tmp_path) as site:
            for number in range(6):
                await talk_nonsense(site, speeches()[number % 3], source)
            await asyncio.sleep(0.2)
            before = len(site.sessions)
            assert before > 0, "the nonsense was not all refused: some of it was transactions"
            await charge(site)
            charged = [session for session in site.sessions if session.transaction == "a-good-one"]
            assert [(session.status, session.energy_wh) for session in charged] == [(SessionStatus.COMPLETED, 150)]
            assert "link_failed" not in site.daemon.ocpp.counters()
    events = Counter(line["event"] for line in lines)
    assert not {"event_failed", "link_failed", "record_refused", "task_failed"} & set(events), events


async def talk_nonsense(site: SmallSite, speech: Speech, source: random.Random) -> None:
    mutator = Mutator(source)
    sent = 0
    while sent < FRAMES_PER_LINK:
        subprotocol = Subprotocol(speech.codec.subprotocol)
        async with connect(f"{site.url()}/{CHARGER}", subprotocols=[subprotocol], proxy=None) as socket:
            listening = asyncio.create_task(listen(socket))
            with suppress(ConnectionClosed):
                while sent < FRAMES_PER_LINK:
                    sent += 1
                    await socket.send(mutator.mutated(message(speech, source, sent)))
                await asyncio.sleep(0.1)
            listening.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await listening


def message(speech: Speech, source: random.Random, number: int) -> list[object]:
    if source.random() < 0.5:
        action, payload = transaction_message(source, speech, START_UTC_MS, issued=1)
    else:
        action, payload = source.choice(speech.messages)
        payload = dict(payload)
    return [2, f"n{number}", action, payload]


async def listen(socket: ClientConnection) -> None:
    async for _text in socket:
        pass


async def charge(site: SmallSite) -> None:
    """One transaction as it should be, by an independent station that checks every answer against the standard."""
    async with peer(site.url(), "2.0.1", CHARGER) as station:
        assert (await station.boot()).status == "Accepted"
        common = {"transaction_info": {"transaction_id": "a-good-one"}, "trigger_reason": "CablePluggedIn"}
        for number, (kind, register_wh) in enumerate((("Started", 5_000), ("Updated", 5_100), ("Ended", 5_150))):
            at = f"2026-06-01T10:{number}0:00Z"
            values = [{"timestamp": at, "sampled_value": [{"value": register_wh}]}]
            started = (
                {"evse": {"id": 1, "connector_id": 1}, "id_token": {"id_token": TAG, "type": "ISO14443"}} if not number else {}
            )
            await station.call(
                "TransactionEvent", event_type=kind, timestamp=at, seq_no=number, meter_value=values, **common, **started
            )
