"""What follows a sealed record that was wrong: a credit that takes all of it back, and a replacement (OCPI mod_cdrs).

The sealed record stays as it is. Both are records of their own, chained and owed like any other, and are kept in one commit with
the note on the session that they are there. The same wish given again finds them and changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from edgectl.core.sessions import evidence, periods, registers
from edgectl.core.sessions.book import SessionBook
from edgectl.core.sessions.evidence import Source
from edgectl.core.tariffs.book import PriceBook
from edgectl.core.tariffs.credit import negated
from edgectl.domain.bill import session_body
from edgectl.domain.decisions import ActionAnswered, Decision, Keep, WakeUplink
from edgectl.domain.events import CorrectionRequested, Outcome
from edgectl.domain.ids import SessionId
from edgectl.domain.records import BillKept, Correction, CorrectionKind, Session, SessionKept, SessionStatus
from edgectl.domain.tariff import Cost
from edgectl.domain.time import Instant, iso
from edgectl.ports import IdSource

_DOUBTS: Final = frozenset({"energy-unknown", "energy-estimated", "meter-stop-missing"})
"""Flags of an energy that a person has now said."""
REMEMBERED_COUNT: Final = 1_000


class Corrections:
    def __init__(self, book: SessionBook, prices: PriceBook, ids: IdSource) -> None:
        self._book = book
        self._prices = prices
        self._ids = ids
        self._made: dict[SessionId, tuple[Session, Session]] = {}
        """Of this run, by the sealed record: it with its note, and its replacement. Who asks may have read the ledger before."""

    def asked(self, event: CorrectionRequested, source: Source, now: Instant) -> list[Decision]:
        """Credit and replace, or say why not."""
        sealed, replacement = self._made.get(event.session.id, (event.session, event.replacement))
        problem = self._problem(event, sealed, source, now)
        if problem:
            return [ActionAnswered(event.action_id, Outcome.REJECTED, problem=problem)]
        wanted = self._replacement(sealed, event, now)
        if sealed.replaced_by is not None:
            if replacement is not None and _is_same(replacement, wanted):
                return [_answer(event, "there already", sealed, replacement)]
            words = f"{sealed.id} was corrected before; correct its replacement {sealed.replaced_by}"
            return [ActionAnswered(event.action_id, Outcome.REJECTED, problem=words)]
        if (wanted.energy_wh, wanted.tariff) == (sealed.energy_wh, sealed.tariff):
            return [ActionAnswered(event.action_id, Outcome.REJECTED, problem="that is what it says; nothing would change")]
        cost = None if sealed.cost is None else negated(sealed.cost)
        credit = _follower(CorrectionKind.CREDIT, sealed, event, now, self._ids.session_id(now), cost)
        replacement = replace(wanted, id=self._ids.session_id(now))
        noted = replace(sealed, credited_by=credit.id, replaced_by=replacement.id)
        self._note(noted, replacement)
        return [
            _answer(event, "corrected", noted, replacement),
            Keep(SessionKept(noted)),
            Keep(SessionKept(credit)),
            Keep(BillKept(credit.id, credit.rev, session_body(credit))),
            Keep(SessionKept(replacement)),
            Keep(BillKept(replacement.id, replacement.rev, session_body(replacement))),
            WakeUplink(),
        ]

    def _problem(self, event: CorrectionRequested, sealed: Session, source: Source, now: Instant) -> str:
        if sealed.status is not SessionStatus.COMPLETED or sealed.ended_utc_ms is None:
            return f"{sealed.id} is {sealed.status.value}: only what was billed is corrected"
        if sealed.is_credit:
            return f"{sealed.id} is a credit, and a credit is not credited: correct the replacement"
        if sealed.correction is None and self._book.is_settling(sealed, now):
            return f"{sealed.id} has just ended, and its charger may still say more; try again ten minutes after its end"
        if sealed.is_reservation and event.energy_wh is not None:
            return f"{sealed.id} is a reservation that nobody came for, and has no energy; only its tariff is corrected"
        if event.energy_wh is None and event.tariff is None:
            return "say what should stand there: an energy or a tariff"
        elapsed_ms = max(sealed.ended_utc_ms - sealed.started_utc_ms, evidence.told_ms(sealed, sealed.ended_reported_utc_ms))
        most_wh = registers.plausible_wh(source.rated_w, elapsed_ms)
        if event.energy_wh is not None and not 0 <= event.energy_wh <= most_wh:
            return f"{event.energy_wh} Wh cannot be: 0 to {most_wh} Wh can have flowed there in that time"
        return ""

    def _replacement(self, sealed: Session, event: CorrectionRequested, now: Instant) -> Session:
        wanted = _follower(CorrectionKind.REPLACEMENT, sealed, event, now, sealed.id, None)
        if event.energy_wh is not None and event.energy_wh != sealed.energy_wh:
            flags = {"energy-corrected"} | set(sealed.flags) - _DOUBTS
            spans = periods.scaled(sealed.periods, event.energy_wh)
            wanted = replace(wanted, energy_wh=event.energy_wh, periods=spans, flags=tuple(sorted(flags)))
        if event.tariff is not None and event.tariff != sealed.tariff:
            flags = {"tariff-corrected"} | set(wanted.flags)
            wanted = replace(wanted, tariff=event.tariff, flags=tuple(sorted(flags)))
        return self._prices.priced_again(wanted)

    def _note(self, noted: Session, replacement: Session) -> None:
        self._made[noted.id] = (noted, replacement)
        while len(self._made) > REMEMBERED_COUNT:
            del self._made[next(iter(self._made))]
        if noted.id in self._book.recent:
            self._book.close(noted)


def _follower(
    kind: CorrectionKind, sealed: Session, event: CorrectionRequested, now: Instant, id_: SessionId, cost: Cost | None
) -> Session:
    """The same session as a record that is new in the ledger; no message of a charger is about it."""
    session = sealed.id if sealed.correction is None else sealed.correction.session
    return replace(
        sealed,
        id=id_,
        rev=1,
        cost=cost,
        correction=Correction(kind, sealed.id, session, now.utc_ms, event.actor, event.reason),
        start_key="",
        stop_key="",
        credited_by=None,
        replaced_by=None,
    )


def _is_same(kept: Session, wanted: Session) -> bool:
    return (kept.energy_wh, kept.tariff) == (wanted.energy_wh, wanted.tariff)


def _answer(event: CorrectionRequested, status: str, sealed: Session, replacement: Session) -> ActionAnswered:
    detail = [("credit", str(sealed.credited_by)), ("replacement", replacement.id)]
    for name, one in (("credited", sealed), ("billed", replacement)):
        cost = "no price" if one.cost is None else f"{one.cost.after_taxes} {one.cost.currency} after taxes"
        detail.append((name, f"{one.energy_wh} Wh, {cost}"))
    if replacement.cost is not None and replacement.cost.is_indicative:
        detail.append(("price", "indicative: the backend's counts"))
    if replacement.correction is not None:
        detail.append(("at", iso(replacement.correction.at_utc_ms)))
    return ActionAnswered(event.action_id, Outcome.ACCEPTED, status, detail=tuple(detail))
