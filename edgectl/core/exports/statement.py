"""A month of each token, account or cost centre, as CSV or as a page to print. No invoice: it has no number and no tax id."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from decimal import Decimal
from enum import StrEnum
from html import escape

from edgectl.core.exports.sheet import kind_of, text_of
from edgectl.core.tariffs.explain import sentence
from edgectl.core.tariffs.match import local_time
from edgectl.core.tariffs.plans import Month, month
from edgectl.domain.records import Session
from edgectl.domain.site import Site


class By(StrEnum):
    ACCOUNT = "account"
    TOKEN = "token"  # noqa: S105 - what is grouped by
    COST_CENTRE = "cost-centre"


def months(sessions: Sequence[Session], site: Site, by: By) -> list[tuple[str, list[Month]]]:
    """Each group with its months, by name. An account owes its fee in a month without a session, too."""
    if by is By.TOKEN:
        tokens: dict[str, list[Session]] = {}
        for session in sessions:
            tokens.setdefault((session.id_token or "").strip(), []).append(session)
        return [(name or "without a token", [month(name, tokens[name], None, site.currency)]) for name in sorted(tokens)]
    accounts: dict[str, list[Session]] = {plan.account: [] for plan in site.pricing.plans}
    for session in sessions:
        accounts.setdefault(session.account or "", []).append(session)
    settled = [month(name, accounts[name], site.pricing.plan(name), site.currency) for name in sorted(accounts)]
    settled = [one for one in settled if one.sessions or one.lines]
    if by is By.ACCOUNT:
        return [(one.account or "without an account", [one]) for one in settled]
    centres: dict[str, list[Month]] = {}
    for one in settled:
        centres.setdefault((one.plan.cost_centre if one.plan else None) or "", []).append(one)
    return [(name or "without a cost centre", centres[name]) for name in sorted(centres)]


COLUMNS = (
    "group",
    "account",
    "kind",
    "id",
    "id_token",
    "from",
    "to",
    "energy_kwh",
    "currency",
    "before_taxes",
    "after_taxes",
    "words",
)


def statement_csv(groups: Sequence[tuple[str, list[Month]]], zone: tzinfo) -> str:
    rows: list[tuple[object, ...]] = [COLUMNS]
    for name, found in groups:
        for one in found:
            rows += [(name, one.account, kind_of(session), *_session(session, zone, one.currency)) for session in one.sessions]
            for line in one.lines:
                words = sentence(line, one.currency)
                rows.append((name, one.account, "plan", "", "", "", "", "", one.currency, line.amount, "", words))
            energy = _kilowatt_hours(one.energy_wh)
            rows.append((name, one.account, "total", "", "", "", "", energy, one.currency, one.before_taxes, one.after_taxes, ""))
    return text_of(rows)


def _session(session: Session, zone: tzinfo, currency: str) -> tuple[object, ...]:
    cost = session.cost if session.cost is not None and session.cost.currency == currency else None
    ended = session.ended_utc_ms if session.ended_utc_ms is not None else session.last_utc_ms
    return (
        session.id,
        session.id_token,
        _local(session.started_utc_ms, zone),
        _local(ended, zone),
        _kilowatt_hours(session.net_energy_wh),
        currency if cost else "",
        cost.before_taxes if cost else "",
        cost.after_taxes if cost else "",
        "; ".join(filter(None, (_reservation(session), _correction(session), " ".join(session.flags)))) if cost else "no price",
    )


def _reservation(session: Session) -> str:
    one = session.reservation
    return "" if one is None else f"reservation {one.reservation_number} {one.end.value}"


def _correction(session: Session) -> str:
    one = session.correction
    return "" if one is None else f"{one.kind.value} of {one.of}: {one.reason}"


def statement_html(groups: Sequence[tuple[str, list[Month]]], site: Site, title: str, zone: tzinfo) -> str:
    """One page a group; prints without anything from elsewhere."""
    pages = "".join(_page(name, found, site, title, zone) for name, found in groups)
    if not pages:
        pages = f"<section><h1>{escape(title)}</h1><p>No sessions.</p></section>"
    return f"{_HEAD.replace('TITLE', escape(title))}{pages}</body></html>\n"


def _page(name: str, found: list[Month], site: Site, title: str, zone: tzinfo) -> str:
    is_indicative = any(one.cost is not None and one.cost.is_indicative for part in found for one in part.sessions)
    notes = ["Indicative: the prices of the backend count."] if is_indicative else []
    unpriced = sum(part.unpriced_count for part in found)
    if unpriced:
        notes.append(f"{unpriced} sessions have no price and are in no sum.")
    place = site.location
    where = f"{site.name or site.id}" + (f", {place.address}, {place.postal_code or ''} {place.city}" if place else "")
    body = "".join(_table(part, zone) for part in found)
    if len(found) > 1:
        before = sum((part.before_taxes for part in found), Decimal(0))
        after = sum((part.after_taxes for part in found), Decimal(0))
        body += f"<p class=sum>Together {before} {found[0].currency} before taxes, {after} {found[0].currency} after</p>"
    said = "".join(f"<p>{escape(note)}</p>" for note in notes)
    # What is to be known stands above the sessions: below them it would now and then be alone on a page.
    return f"<section><h1>{escape(name)}</h1><p>{escape(title)}. {escape(where)}</p>{said}{body}</section>"


def _table(part: Month, zone: tzinfo) -> str:
    rows = []
    for session in part.sessions:
        _, token, begin, end, energy, _, before, after, words = _session(session, zone, part.currency)
        cells = (begin, end, f"{session.charger}/{session.evse_number}", token or "", energy, before, after, words)
        marked = zip(_KINDS, cells, strict=True)
        rows.append("<tr>" + "".join(f"<td{kind}>{escape(str(cell))}</td>" for kind, cell in marked) + "</tr>")
    for line in part.lines:
        words = escape(sentence(line, part.currency))
        rows.append(f"<tr><td colspan=5>{words}</td><td class=n>{line.amount}</td><td></td><td></td></tr>")
    total = (
        f"<tr class=sum><td colspan=4>{escape(part.account)}</td><td class=n>{_kilowatt_hours(part.energy_wh)}</td>"
        f"<td class=n>{part.before_taxes}</td><td class=n>{part.after_taxes}</td><td>{escape(part.currency)}</td></tr>"
    )
    names = ("from", "to", "charger", "token", "kWh", "before taxes", "after taxes", "remarks")
    head = "".join(f"<th{kind}>{name}</th>" for kind, name in zip(_KINDS, names, strict=True))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}{total}</tbody></table>"


def _local(at_utc_ms: int, zone: tzinfo) -> str:
    return local_time(at_utc_ms, zone).strftime("%Y-%m-%d %H:%M %Z")


def _kilowatt_hours(energy_wh: int) -> str:
    whole, part = divmod(abs(energy_wh), 1_000)
    return f"{'-' if energy_wh < 0 else ''}{whole}.{part:03d}"


_KINDS = (" class=d", " class=d", "", "", " class=n", " class=n", " class=n", "")
"""Of the columns: a moment stays in one piece, a number stands on the right, everything else may break anywhere."""

_HEAD = """<!doctype html><html lang=en><head><meta charset=utf-8><title>TITLE</title><style>
body{font:10pt/1.4 sans-serif;margin:2em;color:#000}h1{font-size:14pt;margin:0}section{margin-bottom:3em}
section+section{break-before:page}table{border-collapse:collapse;width:100%;margin:1em 0}
th,td{text-align:left;padding:.2em .6em .2em 0;vertical-align:top;border-bottom:1px solid #ccc;overflow-wrap:anywhere}
.d{white-space:nowrap}.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}th{white-space:nowrap}
.sum td,p.sum{font-weight:bold}.sum{break-before:avoid}h1{overflow-wrap:anywhere}
tr{break-inside:avoid}@media print{body{margin:0;font-size:9pt}}
</style></head><body>"""
