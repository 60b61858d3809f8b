"""Mutated frames by the million: ``python -m hwsim fuzz --frames 1000000 --seed 1``."""

from __future__ import annotations

import copy
import gc
import json
import math
import os
import random
import sys
import time
import traceback
from pathlib import Path
from statistics import median
from typing import Any

from edgectl.domain.ids import ChargerId, CircuitId, IdToken, SiteId
from edgectl.domain.phases import Phases
from edgectl.domain.site import Charger, Circuit, Site, Token
from edgectl.ocpp.frames import MAX_DEPTH, MAX_FRAME_CHARS, MAX_MESSAGE_ID_CHARS
from edgectl.ocpp.rpc import HELD_MAX, QUEUED_LIMITS_MAX, QUEUED_REQUESTS_MAX
from hwsim.campaigns.corpus import Speech, speeches, transaction_message
from hwsim.campaigns.ledger import ThoroughLedger
from hwsim.campaigns.line import HandClock, Line
from hwsim.campaigns.mutations import Mutator
from hwsim.campaigns.promises import promise, quiet_logs
from hwsim.campaigns.server import Server
from hwsim.world.clock import SeededIds

_PROGRESS_COUNT = 100_000
_FLAT_FROM = 500_000
"""Shorter runs end before everything that is bounded has come to its bound; their memory is printed and not judged."""
SAMPLE_COUNT = 50
"""How often memory is looked at; the second fifth of the run is compared with the last."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
GROWTH_MB_MAX = 24.0
PENDING_MAX = HELD_MAX + QUEUED_LIMITS_MAX + QUEUED_REQUESTS_MAX + 8
_PAUSES_MS = (0, 5, 20, 40, 100, 1_000)
_decoder = json.JSONDecoder(strict=False, parse_int=lambda digits: int(digits) if len(digits) <= 32 else math.inf)


def run_fuzz(count: int, seed: int) -> int:
    """Feed them and print what became of them; 1 with the first that breaks a promise."""
    began_s = time.perf_counter()
    samples_mb: list[float] = []
    with quiet_logs():
        fuzzer = Fuzzer(seed)
        for number in range(1, count + 1):
            try:
                fuzzer.step()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what this looks for
                traceback.print_exc()
                print(f"seed {seed} frame {number} FAILED: {error}\n{fuzzer.frame[:4_000]}", file=sys.stderr)
                print(f"again with: python -m hwsim fuzz --seed {seed} --frames {number}", file=sys.stderr)
                return 1
            if number % max(1, count // SAMPLE_COUNT) == 0:
                samples_mb.append(memory_mb())
            if number % _PROGRESS_COUNT == 0 and number < count:
                print(f"{number} of {count} frames, {samples_mb[-1]:.1f} MB, {_rate(number, began_s)}", flush=True)
    fifth = max(1, len(samples_mb) // 5)
    early_mb, late_mb = median(samples_mb[fifth : 2 * fifth] or samples_mb), median(samples_mb[-fifth:])
    is_flat = count < _FLAT_FROM or late_mb - early_mb <= GROWTH_MB_MAX
    print(
        f"frames {count}  seed {seed}  calls answered {fuzzer.answered_count}  refused {fuzzer.refused_count}  "
        f"links {fuzzer.link_count}  pending at most {fuzzer.pending_peak}  sessions open {fuzzer.open_session_count}  "
        f"memory {early_mb:.1f} MB after a fifth, {late_mb:.1f} MB at the end  "
        f"{'broken 0' if is_flat else 'MEMORY GROWS'}  {_rate(count, began_s)}"
    )
    return 0 if is_flat else 1


def memory_mb() -> float:
    """Resident now, after what can be let go is gone. It comes and goes with the largest frames kept, so medians are compared."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * _PAGE_BYTES / 1e6


class Fuzzer:
    """Three chargers that talk nonsense to one server, each in one version until it comes back with another."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._mutator = Mutator(self._rng)
        self._clock = HandClock()
        self._server = Server(_site(), ThoroughLedger(), SeededIds(random.Random(seed)), self._clock)
        self._stations = [_Station(speech) for speech in speeches()]
        self._count = 0
        self.frame = ""
        """The frame that is being looked at."""
        self.answered_count = self.refused_count = self.link_count = self.pending_peak = 0

    @property
    def open_session_count(self) -> int:
        return self._server.controller.picture(self._clock.now()).open_session_count

    def step(self) -> None:
        """One frame from one of the chargers, and everything that follows from it."""
        self._count += 1
        station = self._rng.choice(self._stations)
        line = self._line(station)
        self._clock.move(self._rng.choice(_PAUSES_MS) + line.read_pause_ms())
        if self._count % 50 == 0:
            self._server.pass_time(with_tick=True)
        self.frame = self._next_frame(station)
        self._server.hear(line, self.frame)
        self._server.sync()
        self._judge(station, line, line.said())
        promise(self._server.waiting_count == 0, "something is left to be done")
        self.pending_peak = max(self.pending_peak, line.pending_count)
        promise(line.pending_count <= PENDING_MAX, f"{line.pending_count} things wait in one link")

    def _line(self, station: _Station) -> Line:
        if station.line is None or station.line.is_over() or self._rng.random() < 0.002:
            if self._rng.random() < 0.3:
                station.speech = self._rng.choice(speeches())  # new firmware, an old habit
            station.line = self._server.connect(station.charger, station.speech.codec)
            station.own_calls.clear()
            self.link_count += 1
        return station.line

    def _next_frame(self, station: _Station) -> str:
        rng = self._rng
        if station.recent and rng.random() < 0.05:
            return rng.choice(station.recent)
        parts = self._valid(station)
        text = self._mutator.mutated(parts)
        station.recent = [*station.recent[-7:], text]
        return text

    def _valid(self, station: _Station) -> list[Any]:
        """A frame that is right in itself: an answer to a call of ours, or a call."""
        rng, speech = self._rng, station.speech
        if station.own_calls and rng.random() < 0.5:
            message_id = station.own_calls.pop(0)
            if rng.random() < 0.2:
                return [4, message_id, "NotSupported", "", {}]
            return [
                3,
                message_id,
                {"status": rng.choice(("Accepted", "Rejected", "Unknown")), "configurationKey": [], "data": "x"},
            ]
        message_id = f"c{self._count if rng.random() < 0.97 else rng.randrange(50)}"
        if rng.random() < 0.5:
            action, payload = transaction_message(rng, speech, self._clock.now().utc_ms, station.issued)
        else:
            action, payload = rng.choice(speech.messages)
        kind = 6 if speech.version == "2.1" and rng.random() < 0.02 else 2
        return [kind, message_id, action, copy.deepcopy(payload)]

    def _judge(self, station: _Station, line: Line, texts: list[str]) -> None:
        """Exactly one answer where one is owed, with the id that was asked with; nothing else that could be taken for one."""
        answers: list[list[Any]] = []
        complaints: list[list[Any]] = []
        for text in texts:
            text.encode()
            frame = json.loads(text)
            if frame[0] == 2:
                station.own_calls.append(frame[1])
            elif frame[0] == 5:  # about an answer of the station's own, which was none
                complaints.append(frame)
            else:
                answers.append(frame)
        del station.own_calls[:-4]
        if line.is_over():
            return
        parts = _parsed(self.frame)
        is_frame = isinstance(parts, list) and bool(parts) and _is_bounded(parts, self.frame)
        owed = int(bool(self.frame.strip()) and (not is_frame or parts[0] == 2))
        is_answer = is_frame and parts[0] == 3
        promise(
            len(complaints) <= is_answer and all(one[1] == parts[1] for one in complaints),
            f"said of no answer that it was none: {complaints}",
        )
        promise(len(answers) == owed, f"{owed} answers are owed and {len(answers)} given: {answers}")
        for answer in answers:
            self._judge_answer(station, parts, answer)

    def _judge_answer(self, station: _Station, parts: Any, answer: list[Any]) -> None:
        if _is_readable(parts, self.frame):
            promise(answer[1] == parts[1], f"{answer} does not answer {parts[1]!r}")
        if answer[0] == 3:
            self.answered_count += 1
            issued = answer[2].get("transactionId")
            if issued is not None:
                promise(isinstance(issued, int) and 0 < issued < 2**31, f"{issued} is no transaction id")
                station.issued = issued
        else:
            self.refused_count += 1
            is_billing = _is_readable(parts, self.frame) and parts[2] in station.speech.codec.never_refused
            promise(not is_billing, f"a message with billing data was refused: {answer}")


class _Station:
    """One of the three."""

    def __init__(self, speech: Speech) -> None:
        self.speech = speech
        self.charger = ChargerId(f"CP-{speech.version}")
        self.line: Line | None = None
        self.issued = 1
        self.own_calls: list[str] = []
        """Calls of the server that were not answered yet, the oldest first."""
        self.recent: list[str] = []


def _parsed(text: str) -> Any:
    try:
        return _decoder.decode(text)
    except (ValueError, RecursionError):
        return None


def _is_readable(parts: Any, text: str) -> bool:
    """A call whose array, id and action nobody could mistake."""
    if not isinstance(parts, list) or len(parts) < 3 or not _is_bounded(parts, text):
        return False
    message_id, action = parts[1], parts[2]
    is_id = (
        isinstance(message_id, int | str)
        and not isinstance(message_id, bool)
        and 0 < len(str(message_id)) <= MAX_MESSAGE_ID_CHARS
    )
    is_encodable = not any("\ud800" <= char <= "\udfff" for char in str(message_id))
    return is_id and is_encodable and isinstance(action, str) and bool(action)


def _is_bounded(parts: object, text: str) -> bool:
    return len(text) <= MAX_FRAME_CHARS and _depth(parts) <= MAX_DEPTH


def _depth(value: object) -> int:
    """Levels of brackets, without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, level = waiting.pop()
        if isinstance(one, dict | list):
            deepest = max(deepest, level)
            waiting += [(item, level + 1) for item in (one.values() if isinstance(one, dict) else one)]
    return deepest


def _site() -> Site:
    own = (("settle_ms", 0),)
    grid = CircuitId("grid")
    chargers = tuple(Charger(ChargerId(f"CP-{s.version}"), grid, evse_count=2, own_quirks=own) for s in speeches())
    return Site(SiteId("fuzz"), (Circuit(grid, Phases.uniform(63_000)),), chargers, tokens=(Token(IdToken("04AABBCC")),))


def _rate(count: int, began_s: float) -> str:
    return f"{count / max(1e-9, time.perf_counter() - began_s):.0f}/s"
