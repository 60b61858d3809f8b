"""The keys known of each meter, the pages seen of it, and what follows for a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from edgectl.core.alarms import Alarms
from edgectl.core.signed.check import check, doubts
from edgectl.core.signed.envelope import opened
from edgectl.core.signed.keys import same_key
from edgectl.core.signed.ocmf import NotOcmfError, page_of, parse
from edgectl.domain.decisions import Decision, Remember
from edgectl.domain.records import Session, SessionStatus
from edgectl.domain.remembered import SIGNATURE_KEYS
from edgectl.domain.signed import SignedVerdict, Verdict
from edgectl.domain.site import Site
from edgectl.domain.time import Instant

AT_ONCE: Final = 40
"""Signatures checked in one step, for the loop waits: on a busy PC 0.3 ms each on secp256r1, 2 ms on brainpool384r1."""
METERS_MAX: Final = 5_000
"""A site has at most some hundreds; a charger that makes up serial numbers fills no memory."""
KEY_CHANGED: Final = "meter-key-changed"

_ENDS: Final = frozenset("ELRAP")
_FORGED: Final = frozenset({Verdict.INVALID, Verdict.KEY_DIFFERS})
"""What the meter did not sign says nothing about its pages."""
_FLAGS: Final = {
    Verdict.INVALID: "signed-invalid",
    Verdict.KEY_DIFFERS: "signed-key-differs",
    Verdict.NO_KEY: "signed-no-key",
    Verdict.UNVERIFIABLE: "signed-unverifiable",
    Verdict.UNREADABLE: "signed-unreadable",
    Verdict.NOT_CHECKED: "signed-not-checked",
}
_DOUBT_FLAGS: Final = {"page-gap": "signed-gap", "page-reset": "signed-reset", "page-repeated": "signed-repeated"}


class SignedBook:
    """Judges the signed values of sessions, in the order in which they come."""

    def __init__(
        self, site: Site, alarms: Alarms, remembered: Mapping[str, Mapping[str, object]], sessions: Iterable[Session] = ()
    ) -> None:
        self._alarms = alarms
        self._seen = {meter: str(document["key"]) for meter, document in remembered.items() if document.get("key")}
        self._pages: dict[tuple[str, str], tuple[int, str]] = {}
        """By meter and kind: the last counter, and the value that had it."""
        self.reload(site)
        for session in sessions:
            for text, verdict in zip(session.signed_values, session.signed_verdicts, strict=False):
                page = page_of(verdict.pagination)
                if page is not None and verdict.verdict not in _FORGED:
                    self._turn(verdict.meter, page, text)

    def reload(self, site: Site) -> None:
        self._registered = dict(site.signature_keys)

    def judged(self, session: Session, now: Instant) -> tuple[Session, list[Decision]]:
        """The session with a verdict beside each signed value, and what is to be remembered and told."""
        done = len(session.signed_verdicts)
        if done == len(session.signed_values):
            return self._closed(session), []
        verdicts, decisions = list(session.signed_verdicts), []
        for number, text in enumerate(session.signed_values[done:]):
            if number >= AT_ONCE:
                verdicts.append(SignedVerdict(Verdict.NOT_CHECKED, f"more than {AT_ONCE} came at once"))
                continue
            verdict, more = self._judge(text, session.charger, now)
            verdicts.append(verdict)
            decisions += more
        flags = set(session.flags) | flags_of(verdicts[done:])
        judged = replace(session, signed_verdicts=tuple(verdicts), flags=tuple(sorted(flags)))
        return self._closed(judged), decisions

    def _closed(self, session: Session) -> Session:
        """A session that has ended needs the meter's word for its beginning and its end; the last word may come late."""
        if session.status is not SessionStatus.COMPLETED or not any(one.reads for one in session.signed_verdicts):
            return session
        reads = {letter for one in session.signed_verdicts for letter in one.reads}
        is_whole = "B" in reads and bool(_ENDS & reads)
        flags = set(session.flags) - {"signed-incomplete"} | (set() if is_whole else {"signed-incomplete"})
        return session if flags == set(session.flags) else replace(session, flags=tuple(sorted(flags)))

    def _judge(self, text: str, charger: str, now: Instant) -> tuple[SignedVerdict, list[Decision]]:
        envelope = opened(text)
        try:
            record = parse(envelope.record)
        except NotOcmfError as error:
            is_ocmf = "OCMF" in envelope.encoding.upper() or envelope.record.startswith("OCMF")
            verdict = Verdict.UNREADABLE if is_ocmf else Verdict.UNVERIFIABLE
            what = str(error) if is_ocmf else f"{envelope.encoding[:40] or 'its format'} is not understood here"
            return SignedVerdict(verdict, what, charger), []
        meter = (record.meter or charger)[:64]
        found = set(doubts(record))
        key, is_registered = self._key_of(meter)
        decisions: list[Decision] = []
        differs = envelope.key is not None and key is not None and not same_key(envelope.key, key)
        if key is None and envelope.key is not None and len(self._seen) < METERS_MAX:
            key = self._seen[meter] = envelope.key
            decisions.append(Remember(SIGNATURE_KEYS, meter, {"key": envelope.key, "charger": charger}))
        if key is not None and not is_registered:
            found.add("key-unregistered")
        kind, why = check(record, key or envelope.key)
        if differs and kind is not Verdict.VALID:
            kind, why = Verdict.KEY_DIFFERS, "the charger sends another key than the one known of this meter"
        page = page_of(record.pagination)
        if page is not None and kind not in _FORGED:
            found |= self._turn(meter, page, text)
        if envelope.key is not None:
            words = f"{charger} sends another public key for meter {meter} than the one known"
            decisions += self._alarms.set(KEY_CHANGED, meter, differs, words if differs else "the known key is sent again", now)
        reads = tuple(dict.fromkeys(reading.transaction for reading in record.readings if reading.transaction))
        return SignedVerdict(kind, why, meter, record.pagination, tuple(sorted(found)), reads), decisions

    def _key_of(self, meter: str) -> tuple[str | None, bool]:
        registered = self._registered.get(meter)
        return (registered, True) if registered is not None else (self._seen.get(meter), False)

    def _turn(self, meter: str, page: tuple[str, int], text: str) -> set[str]:
        """Hold the page against the last one of its meter."""
        kind, number = page
        before = self._pages.get((meter, kind))
        if before is None or number > before[0]:
            if before is not None or len(self._pages) < METERS_MAX:
                self._pages[meter, kind] = (number, text)
            return {"page-gap"} if before is not None and number > before[0] + 1 else set()
        if number == before[0]:
            # The very same record again is the charger saying it twice.
            return set() if text == before[1] else {"page-repeated"}
        self._pages[meter, kind] = (number, text)
        return {"page-reset"}


def flags_of(verdicts: Iterable[SignedVerdict]) -> set[str]:
    """What a session is flagged with for its signed values."""
    found: set[str] = set()
    for one in verdicts:
        if one.verdict in _FLAGS:
            found.add(_FLAGS[one.verdict])
        found |= {_DOUBT_FLAGS[doubt] for doubt in one.doubts if doubt in _DOUBT_FLAGS}
        if any(doubt.startswith(("state-", "error-")) for doubt in one.doubts):
            found.add("signed-meter-state")
    return found
