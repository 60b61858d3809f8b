"""A site's worth of commits to the real ledger, what each caller was told of them, and the judge of what is left on the disk."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from edgectl.domain.ids import ChargerId, EvseId, IdToken, SessionId, SiteId, TransactionRef
from edgectl.domain.reasons import Authority, Cause, Reason
from edgectl.domain.records import (
    Authorisation,
    BillKept,
    Durability,
    EventKept,
    LimitKept,
    MessageKept,
    Period,
    PeriodState,
    ReceiptKept,
    Record,
    Session,
    SessionKept,
    SessionStatus,
)
from edgectl.domain.time import Instant
from edgectl.store import Ledger, LedgerFile
from hwsim.campaigns.promises import promise

NOW = Instant(mono_ms=60_000, utc_ms=1_767_225_600_000)  # 2026-01-01
SITE = SiteId("campaign")
CALLERS = 4
WAIT_S = 30.0
_CHARGER = ChargerId("CP-1")

Tell = Callable[[str], None]


def open_ledger(path: Path, run: str, fault: Callable[[str], None] = lambda _: None) -> Ledger:
    return Ledger(
        path,
        site=SITE,
        new_epoch=lambda: f"epoch-of-{run}",
        now=NOW,
        fault=fault,
        progress_linger_ms=20,
        telemetry_linger_ms=50,
    )


def keep(ledger: Ledger, run: str, count: int, tell: Tell) -> None:
    """``count`` sessions, told of by several callers at once: begun, measured, ended and billed, some receipted."""
    epoch = ledger.opened.epoch

    def call(caller: int) -> None:
        for number in range(caller, count, CALLERS):
            name = f"{run}-{number}"
            begun: list[Record] = [SessionKept(_session(name, SessionStatus.ACTIVE, 0)), _message(name, "StartTransaction")]
            ledger.commit(begun, NOW).result(WAIT_S)
            tell(f"begun {name}")
            ledger.commit([_limit(), SessionKept(_session(name, SessionStatus.ACTIVE, number), Durability.PROGRESS)], NOW)
            ended: list[Record] = [
                SessionKept(_session(name, SessionStatus.COMPLETED, number)),
                BillKept(
                    SessionId(name), 1, {"id": name, "energy_wh": number, "signed_values": ["OCMF|" + "x" * (number % 7 * 400)]}
                ),
                _message(name, "StopTransaction"),
            ]
            ledger.commit(ended, NOW).result(WAIT_S)
            tell(f"kept {name}")
            if number % 3 == 0:
                tell(f"receipting {name}")
                ledger.commit([ReceiptKept("billing", epoch, None, ((name, 1),), (), NOW.utc_ms)], NOW).result(WAIT_S)
                tell(f"receipted {name}")
            if number % 5 == 0:
                ledger.commit([EventKept("meter-lost", "main", NOW.utc_ms, {"state": "raised"})], NOW)

    callers = [threading.Thread(target=call, args=(caller,), daemon=True) for caller in range(CALLERS)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()


class Told:
    """What callers have been told, over all lives of a ledger."""

    def __init__(self, words: Iterable[str] = ()) -> None:
        self.names: dict[str, set[str]] = {"begun": set(), "kept": set(), "receipting": set(), "receipted": set()}
        for word in words:
            self.hear(word)

    def hear(self, word: str) -> None:
        what, name = word.split(" ")
        self.names[what].add(name)


def judge(path: Path, told: Told) -> int:
    """Open the ledger as the daemon would and hold it against what was told; how many billing records there are.

    Raises:
        BrokenPromiseError: something acknowledged is lost, or is there twice, or two things that go together do not.
    """
    has_promised = bool(told.names["begun"])
    with closing(open_ledger(path, "judge")) as ledger:
        promise(not has_promised or ledger.opened.quarantined is None, f"set aside as damaged: {ledger.opened.quarantined}")
        restored = ledger.restore()
        owed = {row.record_id for row in ledger.rows("billing", 0, 1_000_000).result(WAIT_S)}
        report = ledger.verify_chain()
        promise(report.is_intact, f"the chain is broken at {report.first_broken_seq}: {report.why}")
        with LedgerFile(path) as file:
            sessions = {one.id: one for one in file.sessions(None, None, 1_000_000)}
    promise({one.id for one in restored.open_sessions} <= sessions.keys(), "an open session is none")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT record_id, rev, body FROM bill").fetchall()
        messages = [name for (name,) in connection.execute("SELECT session_id FROM message WHERE action = 'StopTransaction'")]
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
    promise(verdict == "ok", f"not sound: {verdict}")
    bills = {record_id: json.loads(body)["session"]["energy_wh"] for record_id, _, body in rows}
    promise(len(bills) == len(rows), "a session is billed twice")
    names = told.names
    promise(names["begun"] <= sessions.keys(), f"begun and lost: {sorted(names['begun'] - sessions.keys())[:5]}")
    promise(names["kept"] <= bills.keys(), f"acknowledged and lost: {sorted(names['kept'] - bills.keys())[:5]}")
    unpaid = names["kept"] - names["receipting"]
    promise(unpaid <= owed, f"acknowledged and no longer owed: {sorted(unpaid - owed)[:5]}")
    promise(not names["receipted"] & owed, f"receipted and owed again: {sorted(names['receipted'] & owed)[:5]}")
    promise(sorted(messages) == sorted(bills), "a message and its billing record went apart")
    ended = {name: one.energy_wh for name, one in sessions.items() if one.status is SessionStatus.COMPLETED}
    promise(ended == bills, "a session and its billing record went apart")
    return len(bills)


def _session(name: str, status: SessionStatus, energy_wh: int) -> Session:
    is_over = status is SessionStatus.COMPLETED
    return Session(
        id=SessionId(name),
        charger=_CHARGER,
        evse_number=1,
        connector_number=1,
        transaction=TransactionRef(name),
        status=status,
        id_token=IdToken("04A1"),
        authorisation=Authorisation("local-list", "edgectl", "Accepted", is_offline=False),
        started_utc_ms=NOW.utc_ms,
        started_reported_utc_ms=NOW.utc_ms,
        meter_start_wh=1_000,
        meter_last_wh=1_000 + energy_wh,
        last_utc_ms=NOW.utc_ms,
        ended_utc_ms=NOW.utc_ms if is_over else None,
        energy_wh=energy_wh,
        periods=(Period(NOW.utc_ms, NOW.utc_ms + 60_000, PeriodState.CHARGING, energy_wh, Cause.CIRCUIT),),
        rev=int(is_over),
    )


def _message(name: str, action: str) -> MessageKept:
    return MessageKept(_CHARGER, SessionId(name), action, f'[2,"{name}","{action}",{{}}]', NOW.utc_ms)


def _limit() -> LimitKept:
    return LimitKept(EvseId(_CHARGER, 1), 9_000, Reason(Cause.CIRCUIT, Authority.CONDUCTOR), NOW.utc_ms)
