"""What must have become of a history, once everything was delivered."""

from __future__ import annotations

from edgectl.domain.records import Session, SessionStatus
from hwsim.campaigns.charger import Transaction
from hwsim.campaigns.history import BILLING, History, Sent
from hwsim.campaigns.promises import promise


def check(history: History) -> None:
    """Every transaction is one closed session with its energy, every call was answered once.

    Raises:
        BrokenPromiseError: with the first that is not so.
    """
    for sent in history.sent:
        _check_answered(sent, history)
    sessions = list(history.ledger.sessions.values())
    by_reference: dict[str, list[Session]] = {}
    for session in sessions:
        by_reference.setdefault(session.transaction, []).append(session)
    for one in history.charger.transactions:
        reference = one.issued_id or one.name
        found = by_reference.pop(reference, [])
        promise(len(found) == 1, f"transaction {one.number} ({reference}) has {len(found)} sessions: {_words(found)}")
        _check_session(one, found[0], history)
    strangers = [session for left in by_reference.values() for session in left]
    promise(not strangers, f"sessions of no transaction: {_words(strangers)}")


def _check_answered(sent: Sent, history: History) -> None:
    words = f"sent {sent.count} times, answered {len(sent.answers)} times: {sent.text}"
    if sent.line is history.line:
        promise(bool(sent.answers), words)
        promise(len(sent.answers) == 1 or sent.count > 1, words)
    is_same = sent.action not in BILLING or len(set(sent.answers)) <= 1
    promise(is_same, f"different answers {sent.answers} to {sent.text}")


def _check_session(one: Transaction, session: Session, history: History) -> None:
    promise(session.status is SessionStatus.COMPLETED, f"transaction {one.number} ends as {session.status}")
    bills = sorted(rev for session_id, rev in history.ledger.bills if session_id == session.id)
    promise(bills == list(range(1, session.rev + 1)), f"revisions {bills} of a session at revision {session.rev}")
    billed_wh = history.ledger.bills[session.id, session.rev]["energy_wh"]
    promise(billed_wh == session.energy_wh, f"transaction {one.number}: {session.energy_wh} Wh kept, {billed_wh} Wh billed")
    promise(session.evse_number == one.evse_number, f"transaction {one.number} is at EVSE {session.evse_number}")
    energy_wh = (one.stop_wh or 0) - one.start_wh
    words = f"transaction {one.number} drew {energy_wh} Wh, its session says {session.energy_wh} Wh {session.flags}"
    promise(0 <= session.energy_wh <= energy_wh, words)
    promise(session.energy_wh == energy_wh or not one.is_clock_true, words)


def _words(sessions: list[Session]) -> str:
    return "; ".join(f"{s.id} {s.transaction!r} {s.status} {s.energy_wh} Wh {s.flags}" for s in sessions) or "none"
