"""What was asked for, by its name: the one door of the exports, for the API and for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from edgectl.core.exports import cdr, cdr_rules, select, sheet, statement
from edgectl.domain.site import Site
from edgectl.domain.tariff_objects import json_text
from edgectl.domain.time import utc_ms

FORMATS: Final = ("csv", "ocpi", "statement", "statement-html")
PARAMETERS: Final = ("format", "since", "until", "month", "by")


class BadRequestError(ValueError):
    """The text says what is wrong with what was asked."""


@dataclass(frozen=True, slots=True)
class Export:
    media_type: str
    text: str


def render(ask: select.Ask, site: Site, wanted: Mapping[str, str]) -> Export:
    """An export. ``wanted``: of ``PARAMETERS``, as texts.

    Raises:
        BadRequestError: for what cannot be understood, is missing in the site's file, or is too much.
    """
    form = wanted.get("format", "csv")
    if form not in FORMATS:
        raise BadRequestError(f"format is {form[:40]!r}; {', '.join(FORMATS)} are allowed")
    zone = ZoneInfo(site.timezone)
    since, until = _span(wanted, zone)
    try:
        if form == "csv":
            sessions = select.oldest_first(ask, since, until, most=select.SESSIONS_MAX)
            return Export("text/csv", sheet.sessions_csv(sessions))
        if form == "ocpi":
            return _ocpi(ask, cdr.seller(site, zone), since, until)
        by = _by(wanted.get("by"))
        groups = statement.months(select.ended_between(ask, since, until), site, by)
    except (select.TooManyError, cdr.NoCdrError) as error:
        raise BadRequestError(str(error)) from error
    if form == "statement":
        return Export("text/csv", statement.statement_csv(groups, zone))
    title = wanted.get("month") or " to ".join(filter(None, (wanted.get("since"), wanted.get("until")))) or "all sessions"
    return Export("text/html", statement.statement_html(groups, site, f"Charging, {title}", zone))


def _ocpi(ask: select.Ask, by: cdr.Seller, since: int | None, until: int | None) -> Export:
    found, _unpriced = cdr.cdrs_of(select.ended_between(ask, since, until), by)
    for one in found:
        wrong = cdr_rules.problems(one)
        if wrong:
            raise BadRequestError(f"session {one['id']} makes no OCPI record: {'; '.join(wrong[:5])}")
    return Export("application/json", json_text(found))


def _by(text: str | None) -> statement.By:
    words = [one.value for one in statement.By]
    if text is not None and text not in words:
        raise BadRequestError(f"by is {text[:40]!r}; {', '.join(words)} are allowed")
    return statement.By(text or "account")


def _span(wanted: Mapping[str, str], zone: ZoneInfo) -> tuple[int | None, int | None]:
    month = wanted.get("month")
    if month is None:
        return _moment(wanted, "since"), _moment(wanted, "until")
    if "since" in wanted or "until" in wanted:
        raise BadRequestError("give a month, or since and until")
    try:
        return select.month_span(month, zone)
    except ValueError:
        raise BadRequestError(f"month is {month[:40]!r}; a month like 2026-11 is allowed") from None


def _moment(wanted: Mapping[str, str], name: str) -> int | None:
    text = wanted.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequestError(f"{name} is {text[:40]!r}; a moment like 2026-03-01T02:14:00Z is allowed") from None
    return utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
