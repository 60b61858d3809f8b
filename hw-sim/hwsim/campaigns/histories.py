"""Randomised charging histories by the hundred thousand: ``python -m hwsim histories --count 100000 --seed 1``."""

from __future__ import annotations

import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from hwsim.campaigns.checks import check
from hwsim.campaigns.history import TOKENS, History
from hwsim.campaigns.promises import BrokenPromiseError, quiet_logs

_PROGRESS_COUNT = 10_000
_SECOND_MS, _MINUTE_MS, _HOUR_MS, _DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
JUMPS_MS = (-40 * _DAY_MS, -_DAY_MS, -_HOUR_MS, -7 * _MINUTE_MS, -3_000, 3_000, 7 * _MINUTE_MS, _HOUR_MS, _DAY_MS, 365 * _DAY_MS)
"""How far a charger's clock is set wrong, or right again; the first ones reach back before the site was there."""


@dataclass(frozen=True)
class Manner:
    """How often the adversary does what, as weights beside those of the charger going on (10) and delivering (12)."""

    repeats: int = 0
    overtakes: int = 0
    drops: int = 0
    crashes: int = 0
    stalls: int = 0
    jumps: int = 0
    trickles: int = 0
    waits: int = 1


MANNERS = (
    Manner(),
    Manner(repeats=10),
    Manner(drops=4, overtakes=4),
    Manner(drops=3, trickles=4),
    Manner(crashes=3, stalls=3, repeats=2),
    Manner(jumps=2, repeats=4),
    Manner(repeats=6, overtakes=3, drops=3, crashes=2, stalls=2),
    Manner(repeats=5, overtakes=3, drops=3, crashes=2, stalls=2, jumps=1, trickles=1, waits=2),
)


def run_histories(count: int, seed: int) -> int:
    """Run them and print what became of them; 1 with the first that fails."""
    began_s = time.perf_counter()
    transactions = frames = 0
    with quiet_logs():
        for number in range(count):
            try:
                history = run_history(seed + number)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what this looks for
                print(f"seed {seed + number} FAILED: {error}", file=sys.stderr)
                _print_trace(seed + number)
                return 1
            transactions += len(history.charger.transactions)
            frames += sum(sent.count for sent in history.sent)
            if (number + 1) % _PROGRESS_COUNT == 0 and number + 1 < count:
                print(f"{number + 1} of {count} histories, {_rate(number + 1, began_s)}", flush=True)
    print(
        f"histories {count}  seeds {seed}..{seed + count - 1}  transactions {transactions}  frames {frames}  "
        f"broken 0  {_rate(count, began_s)}"
    )
    return 0


def run_history(seed: int, say: Callable[[str], None] | None = None) -> History:
    """One whole history; everything in it comes from the seed.

    Raises:
        BrokenPromiseError: a promise did not hold.
    """
    rng = random.Random(seed)
    history = History(
        random.Random(rng.random()),
        rng.choice(("1.6", "2.0.1")),
        rng.choice((1, 1, 2)),
        register_wh=rng.choice((0, 1_000, 123_456)),
        keeps_id=rng.random() < 0.5,
        answers_calls=rng.random() < 0.3,
        names_evse=rng.random() < 0.3,
        say=say,
    )
    Adversary(rng, history, rng.choice(MANNERS)).play()
    history.finish()
    check(history)
    return history


class Adversary:
    """Makes the moves of one history."""

    def __init__(self, rng: random.Random, history: History, manner: Manner) -> None:
        self._rng = rng
        self._history = history
        self._left = rng.choice((1, 1, 1, 2, 2, 3))
        """Transactions that have not begun yet."""
        moves = {
            self._go_on: 10,
            self._deliver: 12,
            self._repeat: manner.repeats,
            self._overtake: manner.overtakes,
            self._drop: manner.drops,
            self._crash: manner.crashes,
            self._stall: manner.stalls,
            self._jump: manner.jumps,
            self._trickle: manner.trickles,
            self._wait: manner.waits,
        }
        self._moves = [move for move, weight in moves.items() for _ in range(weight)]
        self._size = rng.choice((5, 6, 7, 8, 10, 16))

    def play(self) -> None:
        self._history.connect(boots=True)
        for _ in range(self._size * min(3, self._left + 1)):
            self._history.wait(self._rng.choice((60, 200, 1_000, 4_000)))
            self._rng.choice(self._moves)()
            if self._history.line is None and self._rng.random() < 0.5:
                self._history.connect(boots=self._rng.random() < 0.25)

    def _go_on(self) -> None:
        """What happens next at an EVSE."""
        history, rng = self._history, self._rng
        running = list(history.charger.running)
        free = [number for number in history.charger.registers if number not in running]
        if free and self._left and (not running or rng.random() < 0.3):
            self._left -= 1
            history.begin(rng.choice(free), rng.choice(TOKENS))
        elif running and rng.random() < 0.65:
            history.measure(rng.choice(running), rng.choice((0, 10_000, _MINUTE_MS, 15 * _MINUTE_MS)))
        elif running:
            history.end(rng.choice(running), rng.choice((0, 30_000, 10 * _MINUTE_MS, 2 * _HOUR_MS)))
        elif history.charger.ended and rng.random() < 0.3:
            history.remember_late(rng.randrange(8))

    def _deliver(self) -> None:
        for _ in range(self._rng.choice((1, 1, 3))):
            self._history.deliver()

    def _trickle(self) -> None:
        """The queue empties at the pace at which it was filled, as some chargers do it."""
        for _ in range(self._rng.randint(2, 5)):
            self._history.deliver()
            self._history.wait(_MINUTE_MS)

    def _overtake(self) -> None:
        if self._history.charger.queue:
            self._history.deliver(len(self._history.charger.queue) - 1)

    def _repeat(self) -> None:
        index = self._rng.choice((0, 0, 1, 2, self._rng.randrange(100)))
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            self._history.repeat(index, with_new_id=self._rng.random() < 0.5)

    def _drop(self) -> None:
        if self._history.line is not None:
            self._history.drop()

    def _crash(self) -> None:
        self._history.crash(self._rng.choice((0, 0, 1, 2)))

    def _stall(self) -> None:
        if self._history.is_disk_stalled:
            self._history.sync_disk()
        else:
            self._history.stall_disk()

    def _jump(self) -> None:
        if self._history.charger.offset_ms and self._rng.random() < 0.5:
            self._history.jump_clock(-self._history.charger.offset_ms)
        else:
            self._history.jump_clock(self._rng.choice(JUMPS_MS))

    def _wait(self) -> None:
        passed_ms = self._rng.choice((_SECOND_MS, _MINUTE_MS, 20 * _MINUTE_MS, 20 * _HOUR_MS))
        self._history.wait(passed_ms, with_tick=self._rng.random() < 0.4)


def _print_trace(seed: int) -> None:
    """Again, and this time in words."""
    try:
        run_history(seed, say=print)
    except BrokenPromiseError:
        pass  # said already
    except Exception:  # noqa: BLE001 - an error of the server: where it came from is worth more than its words
        traceback.print_exc()
    print(f"again with: python -m hwsim histories --seed {seed} --count 1", file=sys.stderr)


def _rate(count: int, began_s: float) -> str:
    return f"{count / max(1e-9, time.perf_counter() - began_s):.0f}/s"
