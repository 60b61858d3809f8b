"""Reservations that chargers have accepted, until a session uses them or they end without one.

A session that uses one carries it in its record. One that ends without a session is a record of its own, with no energy; how it
ended is its ``stop_reason``. What OCPI charges for it (2.2.1 mod_tariffs, TariffRestrictions and ReservationRestrictionType):

- It "starts when the reservation is made, and ends when the driver starts charging ..., or when the reservation expires".
- ``RESERVATION`` elements "describe costs for a reservation", any: also for one that was cancelled, up to then.
- ``RESERVATION_EXPIRES`` elements are for one "that expires (i.e. driver does not start a charging session before expiry_date)".
  One that was cancelled has not lived to its expiry date, so they do not hold for it.

One that the charger gave up (faulted, unavailable, or it knows nothing of it) was not kept for anybody: it has no price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from edgectl.core.authorization import Authorization
from edgectl.core.sessions.book import SEALED_MS, SessionBook
from edgectl.core.tariffs.book import PriceBook
from edgectl.domain.bill import session_body
from edgectl.domain.decisions import Decision, Keep, WakeUplink
from edgectl.domain.events import ConnectorStatus
from edgectl.domain.ids import ChargerId, IdToken, TransactionRef, same_token
from edgectl.domain.records import BillKept, ReservationKept, Session, SessionKept, SessionStatus
from edgectl.domain.reservations import Reservation, ReservationEnd, Reserved
from edgectl.domain.time import Instant
from edgectl.domain.units import Millis, UtcMillis
from edgectl.ports import IdSource

GRACE_MS: Millis = 120_000
"""For so long after its time a charger must have been connected: a start of its last second may wait behind other messages."""
SLACK_MS: Millis = 60_000
"""A start this long before the reservation may still be its: the charger's clock is another one."""
HELD_COUNT: Final = 1_000
"""At once; beyond that the oldest is given up, as if the charger had."""
UNKNOWN: Final = "reservation-unknown"
"""The flag of a session that names a reservation nobody here knows of, or one that has ended."""

_ENDS: Final = {
    "expired": ReservationEnd.EXPIRED,
    "notransaction": ReservationEnd.EXPIRED,
    "removed": ReservationEnd.REMOVED,
}
"""What a station says of a reservation (``ReservationUpdateStatusEnumType``; ``NoTransaction`` is of 2.1), case-folded."""
_LOST: Final = frozenset({ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE})
"""States that end a reservation (OCPP 1.6 5.13; 2.x also says ``Removed``)."""


class Reservations:
    """Those that are held. Every change is kept in the same commit as what it means for a record."""

    def __init__(
        self, held: Sequence[Reservation], book: SessionBook, authorization: Authorization, ids: IdSource, prices: PriceBook
    ) -> None:
        self._held = {(one.charger, one.reservation_number): one for one in held}
        self._book = book
        self._authorization = authorization
        self._ids = ids
        self._prices = prices
        self._overdue_mono_ms: dict[tuple[ChargerId, int], Millis] = {}
        """Since when one whose time is over could have been told otherwise."""

    @property
    def held(self) -> Sequence[Reservation]:
        return list(self._held.values())

    # --- made ---------------------------------------------------------------------------------------------------------

    def made(self, charger: ChargerId, arguments: Mapping[str, str], until_utc_ms: UtcMillis, now: Instant) -> list[Decision]:
        """A charger has accepted it. The same number replaces what it named before (OCPP 1.6 5.13, 2.x H01); for the same driver
        it goes on."""
        number, token = int(arguments["reservation"]), IdToken(arguments["token"])
        before = self._held.get((charger, number))
        goes_on = before is not None and same_token(before.token, token)
        decisions = [] if before is None or goes_on else self._unused(before, ReservationEnd.CANCELLED, now.utc_ms, now)
        made = Reservation(
            charger=charger,
            reservation_number=number,
            evse_number=int(arguments.get("evse") or 0),
            token=token,
            group=IdToken(arguments["group"]) if arguments.get("group") else None,
            from_utc_ms=before.from_utc_ms if before is not None and goes_on else now.utc_ms,
            until_utc_ms=until_utc_ms,
            tariff=before.tariff if before is not None and goes_on else self._prices.tariff_of(token),
        )
        self._held[charger, number] = made
        while len(self._held) > HELD_COUNT:
            oldest = next(iter(self._held.values()))
            decisions += self._unused(oldest, ReservationEnd.REMOVED, now.utc_ms, now)
        return [*decisions, Keep(ReservationKept(made))]

    # --- used ---------------------------------------------------------------------------------------------------------

    def use(self, session: Session, number: int | None) -> tuple[Session, list[Decision]]:
        """The session with the reservation that it uses, which ends when the session begins, as far as that is known by now.

        ``number``: as the charger names it with the transaction.
        """
        known = session.reservation
        if known is not None:
            began_utc_ms = _used_utc_ms(session, known.from_utc_ms, known.until_utc_ms)
            return replace(session, reservation=replace(known, ended_utc_ms=began_utc_ms)), []
        named = None if number is None else self._held.get((session.charger, number))
        used = named or self._kept_for(session)
        if used is None:
            is_flagged = number is not None and UNKNOWN not in session.flags
            return (replace(session, flags=tuple(sorted({*session.flags, UNKNOWN}))) if is_flagged else session), []
        self._forget(used)
        reserved = _reserved(used, ReservationEnd.USED, _used_utc_ms(session, used.from_utc_ms, used.until_utc_ms))
        flags = tuple(flag for flag in session.flags if flag != UNKNOWN)
        return replace(session, reservation=reserved, flags=flags), [Keep(ReservationKept(used, is_over=True))]

    def _kept_for(self, session: Session) -> Reservation | None:
        """What the session's driver has reserved there and then."""
        if session.id_token is None:
            return None
        group = self._authorization.verdict(session.id_token, session.started_utc_ms).group
        for one in self._held.values():
            is_there = one.evse_number == session.evse_number or 0 in {one.evse_number, session.evse_number}  # 0: any, not said
            is_then = one.from_utc_ms - SLACK_MS <= session.started_utc_ms < one.until_utc_ms
            is_theirs = same_token(one.token, session.id_token) or (
                one.group is not None and group is not None and same_token(one.group, group)
            )
            if one.charger == session.charger and is_there and is_then and is_theirs:
                return one
        return None

    # --- not used -----------------------------------------------------------------------------------------------------

    def cancelled(self, charger: ChargerId, number: int, now: Instant, *, was_known: bool) -> list[Decision]:
        """The charger has cancelled it, or says that it has none of that name."""
        found = self._held.get((charger, number))
        end = ReservationEnd.CANCELLED if was_known else ReservationEnd.REMOVED
        return [] if found is None else self._unused(found, end, now.utc_ms, now)

    def told(self, charger: ChargerId, detail: Mapping[str, str], now: Instant) -> list[Decision]:
        """A station says what became of one (ReservationStatusUpdate)."""
        name = detail.get("reservation", "")
        number = int(name) if name.isascii() and name.isdecimal() and len(name) <= 10 else -1
        end = _ENDS.get(detail.get("status", "").casefold())
        found = self._held.get((charger, number))
        return [] if found is None or end is None else self._unused(found, end, now.utc_ms, now)

    def reported(self, charger: ChargerId, evse_number: int, status: ConnectorStatus, now: Instant) -> list[Decision]:
        """A place that nobody can use is kept for nobody."""
        if status not in _LOST:
            return []
        gone = [one for one in self.held if one.charger == charger and evse_number in {0, one.evse_number}]
        return [decision for one in gone for decision in self._unused(one, ReservationEnd.REMOVED, now.utc_ms, now)]

    def tick(self, is_connected: Callable[[ChargerId], bool], now: Instant) -> list[Decision]:
        """Those whose time is over, and of which nothing else can still be told, have expired."""
        decisions: list[Decision] = []
        for key, one in list(self._held.items()):
            if now.utc_ms < one.until_utc_ms:
                continue
            if not is_connected(one.charger) and now.utc_ms - one.until_utc_ms < SEALED_MS:
                self._overdue_mono_ms.pop(key, None)  # it may have been used, and its charger cannot say so
                continue
            since_mono_ms = self._overdue_mono_ms.setdefault(key, now.mono_ms)
            if now.mono_ms - since_mono_ms >= GRACE_MS:
                decisions += self._unused(one, ReservationEnd.EXPIRED, one.until_utc_ms, now)
        return decisions

    def _unused(self, one: Reservation, end: ReservationEnd, ended_utc_ms: UtcMillis, now: Instant) -> list[Decision]:
        """It becomes a record of its own. What is told of one after its time finds it expired."""
        self._forget(one)
        end = ReservationEnd.EXPIRED if ended_utc_ms >= one.until_utc_ms else end
        ended_utc_ms = max(one.from_utc_ms, min(ended_utc_ms, one.until_utc_ms))
        session = Session(
            id=self._ids.session_id(now),
            charger=one.charger,
            evse_number=one.evse_number,
            connector_number=1 if one.evse_number else 0,
            transaction=TransactionRef(""),
            status=SessionStatus.COMPLETED,
            id_token=one.token,
            authorisation=self._authorization.account_of(one.token, one.from_utc_ms, is_offline=False),
            started_utc_ms=one.from_utc_ms,
            started_reported_utc_ms=None,
            meter_start_wh=None,
            meter_last_wh=None,
            last_utc_ms=ended_utc_ms,
            ended_utc_ms=ended_utc_ms,
            stop_reason=f"reservation-{end.value}",
            tariff=one.tariff,
            reservation=_reserved(one, end, ended_utc_ms),
            rev=1,
        )
        is_priced = end is not ReservationEnd.REMOVED
        session = self._prices.priced(session) if is_priced else replace(session, tariff=None)
        self._book.close(session)
        return [
            Keep(ReservationKept(one, is_over=True)),
            Keep(SessionKept(session)),
            Keep(BillKept(session.id, session.rev, session_body(session))),
            WakeUplink(),
        ]

    def _forget(self, one: Reservation) -> None:
        key = (one.charger, one.reservation_number)
        self._held.pop(key, None)
        self._overdue_mono_ms.pop(key, None)


def _used_utc_ms(session: Session, from_utc_ms: UtcMillis, until_utc_ms: UtcMillis) -> UtcMillis:
    return max(from_utc_ms, min(session.started_utc_ms, until_utc_ms))


def _reserved(one: Reservation, end: ReservationEnd, ended_utc_ms: UtcMillis) -> Reserved:
    return Reserved(one.reservation_number, one.from_utc_ms, one.until_utc_ms, ended_utc_ms, end)
