"""What a receipt may say, beside what was sent. Pure.

``acked_through`` is judged by the strictest reading: it settles every number up to it, so each of them must have been sent, and
none of them may be one that had to be refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from edgectl.contract.receipts import Receipt
from edgectl_backend.conformance.scenarios import Due, Sent

PAYLOAD_MAX_BYTES: Final = 65_536
"""A gateway reads no larger receipt."""


@dataclass(slots=True)
class Verdict:
    """Of one scenario."""

    name: str
    words: str
    wrong: Counter[str] = field(default_factory=Counter)
    """What the consumer did wrong, in words, and how often."""
    answered_count: int = 0


class Judge:
    """One site. ``begin`` and ``received`` in the order in which it happens; ``waiting`` is what has no answer yet."""

    def __init__(self, verdict: Verdict, stream: str) -> None:
        self._verdict = verdict
        self._stream = stream
        self._sent: dict[str, dict[tuple[str, int], Sent]] = {}
        """By epoch: the last content under each revision."""
        self._numbers: dict[str, set[int]] = {}
        """By epoch: numbers that were sent and are to be taken."""
        self._waiting: dict[tuple[str, str, int, Due], Sent] = {}

    def begin(self, part: Iterable[Sent]) -> None:
        """These are sent now: each owes an answer from here on."""
        for sent in part:
            if sent.due is Due.NOTHING:
                continue
            self._sent.setdefault(sent.epoch, {})[sent.record_id, sent.rev] = sent
            self._waiting[sent.epoch, sent.record_id, sent.rev, sent.due] = sent
            if sent.due is Due.TAKEN:
                self._numbers.setdefault(sent.epoch, set()).add(sent.seq)

    @property
    def waiting(self) -> list[Sent]:
        return list(self._waiting.values())

    def give_up(self) -> None:
        """What still waits will never have its answer."""
        for sent in self._waiting.values():
            self._blame(f"no {'receipt for' if sent.due is Due.TAKEN else 'refusal of'} {sent.what}")
        self._waiting.clear()

    def received(self, stream: str, payload: bytes, *, is_retained: bool) -> None:
        if is_retained:
            self._blame("a receipt is published as retained: an old one would come again at every reconnect")
        if stream != self._stream:
            self._blame(f"a receipt for {self._stream} came on receipt/{stream}")
            return
        try:
            if len(payload) > PAYLOAD_MAX_BYTES:
                raise ValueError(f"it has {len(payload)} bytes, a gateway reads {PAYLOAD_MAX_BYTES}")
            receipt = msgspec.json.decode(payload, type=Receipt)
        except (ValueError, RecursionError) as error:
            self._blame(f"a receipt that no gateway can read: {error}")
            return
        known = self._sent.get(receipt.epoch)
        if known is None:
            self._blame("a receipt names an epoch that this site has not")
            return
        for item in receipt.rejected:
            self._refused(receipt.epoch, known.get((item.record_id, item.rev)), item.code)
        for acked in receipt.acked:
            self._taken(receipt.epoch, known.get((acked.record_id, acked.rev)))
        if receipt.acked_through is not None:
            self._taken_through(receipt.epoch, receipt.acked_through, known)

    def _taken(self, epoch: str, sent: Sent | None) -> None:
        if sent is None:
            self._blame("a receipt acknowledges a record that this site has not sent in this epoch")
        elif sent.due is Due.REFUSED:
            self._blame(f"it took {sent.what}")
            self._waiting.pop((epoch, sent.record_id, sent.rev, Due.REFUSED), None)
        else:
            self._settle(epoch, sent)

    def _taken_through(self, epoch: str, number: int, known: dict[tuple[str, int], Sent]) -> None:
        numbers = self._numbers.get(epoch, set())
        missing = next((seq for seq in range(1, min(number, max(numbers, default=0) + 1) + 1) if seq not in numbers), None)
        if missing is not None:
            self._blame("acked_through goes beyond a number that it cannot have")
            return
        for sent in known.values():
            if sent.seq <= number and sent.due is Due.TAKEN:
                self._settle(epoch, sent)

    def _refused(self, epoch: str, sent: Sent | None, code: str) -> None:
        if sent is None:
            self._blame("a receipt refuses a record that this site has not sent in this epoch")
            return
        if sent.due is Due.TAKEN:
            self._blame(f"it refused {sent.what} ({code or 'without a code'})")
        elif not code:
            self._blame(f"it refused {sent.what} without a code")
        if self._waiting.pop((epoch, sent.record_id, sent.rev, sent.due), None) is not None:
            self._verdict.answered_count += 1

    def _settle(self, epoch: str, sent: Sent) -> None:
        if self._waiting.pop((epoch, sent.record_id, sent.rev, Due.TAKEN), None) is not None:
            self._verdict.answered_count += 1

    def _blame(self, words: str) -> None:
        self._verdict.wrong[words] += 1
