"""CSV: one session a line (RFC 4180), for spreadsheets and for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from edgectl.domain.records import Session
from edgectl.domain.tariff_objects import tariff_of_text
from edgectl.domain.time import iso

COLUMNS = (
    "id", "charger", "evse", "connector", "id_token", "account", "started_at", "ended_at", "meter_start_wh", "meter_stop_wh",
    "energy_wh", "status", "tariff", "currency", "before_taxes", "after_taxes", "is_indicative", "flags", "kind", "corrects",
)  # fmt: skip


def sessions_csv(sessions: Iterable[Session]) -> str:
    return text_of([COLUMNS, *(_row(session) for session in sessions)])


def text_of(rows: Iterable[Sequence[object]]) -> str:
    """Cells that a spreadsheet would take for a formula are made text: some of them were typed by a stranger."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerows([_safe(cell) for cell in row] for row in rows)
    return out.getvalue()


def _safe(cell: object) -> object:
    if isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"} and not _is_number(cell):
        return f"'{cell}"
    return "" if cell is None else cell


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()


def kind_of(session: Session) -> str:
    """A session, a reservation that nobody came for, or what corrects one of them."""
    if session.correction is not None:
        return session.correction.kind.value
    return "reservation" if session.is_reservation else "session"


def _row(session: Session) -> tuple[object, ...]:
    cost = session.cost
    return (
        session.id,
        session.charger,
        session.evse_number,
        session.connector_number,
        session.id_token,
        session.account,
        iso(session.started_utc_ms),
        None if session.ended_utc_ms is None else iso(session.ended_utc_ms),
        session.meter_start_wh,
        session.meter_stop_wh,
        session.net_energy_wh,
        session.status.value,
        None if session.tariff is None else tariff_of_text(session.tariff).id,
        None if cost is None else cost.currency,
        None if cost is None else cost.before_taxes,
        None if cost is None else cost.after_taxes,
        None if cost is None else str(cost.is_indicative).lower(),
        " ".join(session.flags),
        kind_of(session),
        None if session.correction is None else session.correction.of,
    )
