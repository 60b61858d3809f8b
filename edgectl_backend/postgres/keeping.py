"""One transaction for one batch: everything in it is kept, or nothing is.

Rows are written in the order of their names, so that two processes with the same records wait for each other in turn and not
crosswise. What stands under a name already is found by the insert itself, which waits for a process that has it in hand.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import UnsetType

from edgectl_backend.judging.bills import Bill, Poison
from edgectl_backend.judging.records import Kept, Link, Meaning, Revision, forks, judge, link, newest, revision, sort
from edgectl_backend.judging.telling import Event, State, Status, Telemetry
from edgectl_backend.postgres.chains import Ledger, note_fault, raise_alarm
from edgectl_backend.postgres.database import Connection, Database, translated

CONFLICT_REASON = "another content was stored under this record and revision before"


@dataclass(slots=True)
class Batch:
    """What is kept together."""

    bills: list[Bill] = field(default_factory=list)
    poisons: list[Poison] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    telemetry: list[Telemetry] = field(default_factory=list)


@dataclass(slots=True)
class Judged:
    """What became of a batch."""

    meanings: list[tuple[Bill, Meaning]] = field(default_factory=list)
    forked: list[Bill] = field(default_factory=list)
    rejected: list[Poison] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    telemetry: list[Telemetry] = field(default_factory=list)


class Keeper:
    """Writes batches. One for a process; ``keep`` may run more than once at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: set[Ledger] = set()
        """Ledgers whose row in ``chain`` is certain to be there."""

    async def keep(self, batch: Batch) -> Judged:
        """Commit ``batch``.

        Raises:
            DatabaseError: nothing was kept, or perhaps all of it; keeping it again does no harm.
            UnstorableError: nothing was kept, for something in it that never can be.
        """
        try:
            async with self._database.connection() as connection, connection.transaction():
                judged = await self._keep(connection, batch)
        except Exception as error:
            raise translated(error) from error
        self._known.update((bill.site, bill.epoch) for bill, meaning in judged.meanings if meaning is not Meaning.CONFLICT)
        return judged

    async def _keep(self, connection: Connection, batch: Batch) -> Judged:
        judged = Judged(events=batch.events, telemetry=batch.telemetry)
        if batch.bills:
            await self._keep_bills(connection, batch.bills, judged)
        judged.rejected = [*batch.poisons, *(_conflict(bill) for bill, meaning in judged.meanings if meaning is Meaning.CONFLICT)]
        await _keep_rejects(connection, judged.rejected)
        await _keep_events(connection, batch.events)
        await _keep_states(connection, batch.states)
        await _keep_statuses(connection, batch.statuses)
        await _keep_telemetry(connection, batch.telemetry)
        return judged

    async def _keep_bills(self, connection: Connection, bills: Sequence[Bill], judged: Judged) -> None:
        batch = sort(bills)
        new = await _insert_records(connection, list(batch.first.values()))
        kept = await _kept(connection, [key for key in batch.first if key not in new])
        for key, bill in batch.first.items():
            judged.meanings.append((bill, judge(bill, kept.get(key))))
        stored = kept | {key: Kept(bill.hash, bill.body) for key, bill in batch.first.items() if key in new}
        judged.meanings += [(bill, judge(bill, stored[revision(bill)])) for bill in batch.others]
        await _upsert_sessions(connection, newest(batch.first[key] for key in new))
        sound = [bill for bill, meaning in judged.meanings if meaning is not Meaning.CONFLICT]
        ledgers = {(bill.site, bill.epoch) for bill in sound} - self._known
        if ledgers:
            await connection.execute(
                "INSERT INTO chain (site, epoch) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING",
                *_columns(sorted(ledgers), 2),
            )
        judged.forked = await _insert_links(connection, sound)


def _columns(rows: Sequence[Sequence[object]], count: int) -> list[list[object]]:
    """Rows as the arrays of their columns."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


async def _insert_records(connection: Connection, bills: Sequence[Bill]) -> set[Revision]:
    """The revisions that were not there before."""
    rows = [(b.site, b.record_id, b.rev, b.epoch, b.seq, bytes.fromhex(b.hash), b.body) for b in bills]
    found = await connection.fetch(
        """
        INSERT INTO record (site, record_id, rev, epoch, seq, hash, body)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bytea[], $7::bytea[])
        ON CONFLICT DO NOTHING RETURNING site, record_id, rev
        """,
        *_columns(rows, 7),
    )
    return {(row["site"], row["record_id"], row["rev"]) for row in found}


async def _kept(connection: Connection, keys: Sequence[Revision]) -> dict[Revision, Kept]:
    if not keys:
        return {}
    found = await connection.fetch(
        """
        SELECT site, record_id, rev, hash, body FROM record
        JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS wanted (site, record_id, rev) USING (site, record_id, rev)
        """,
        *_columns(keys, 3),
    )
    return {(row["site"], row["record_id"], row["rev"]): Kept(row["hash"].hex(), row["body"]) for row in found}


async def _insert_links(connection: Connection, bills: Sequence[Bill]) -> list[Bill]:
    """Returns those whose number belongs to another record."""
    if not bills:
        return []
    first = {link(bill): bill for bill in sorted(bills, key=link, reverse=True)}
    ordered = sorted(first.values(), key=link)
    rows = [(b.site, b.epoch, b.seq, bytes.fromhex(b.prev_hash), bytes.fromhex(b.hash), b.record_id, b.rev) for b in ordered]
    inserted = await connection.fetch(
        """
        INSERT INTO link (site, epoch, seq, prev_hash, hash, record_id, rev)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[], $7::bigint[])
        ON CONFLICT DO NOTHING RETURNING site, epoch, seq
        """,
        *_columns(rows, 7),
    )
    if len(inserted) == len(bills):
        return []
    kept = await connection.fetch(
        """
        SELECT site, epoch, seq, hash FROM link
        JOIN unnest($1::text[], $2::text[], $3::bigint[]) AS wanted (site, epoch, seq) USING (site, epoch, seq)
        """,
        *_columns([link(bill) for bill in ordered], 3),
    )
    hashes: dict[Link, str] = {(row["site"], row["epoch"], row["seq"]): row["hash"].hex() for row in kept}
    forked = forks(bills, hashes)
    for bill in forked:
        words = f"two records have number {bill.seq}: was an older copy of the ledger restored?"
        fault = ("fork", hashes[link(bill)], bill.hash)
        await note_fault(connection, (bill.site, bill.epoch), bill.seq, fault, ("chain-forked", words))
    return forked


async def _upsert_sessions(connection: Connection, bills: Sequence[Bill]) -> None:
    rows = [
        (
            b.site,
            b.record_id,
            b.rev,
            _clean(b.session.charger),
            b.session.evse,
            None if b.session.id_token is None else _clean(b.session.id_token),
            _clean(b.session.status),
            b.started_at,
            b.ended_at,
            b.session.energy_wh,
            None if b.session.cost is None else _clean(b.session.cost.currency),
            None if b.session.cost is None or b.session.cost.after_taxes is None else _clean(b.session.cost.after_taxes),
            _clean(" ".join(b.session.flags)),
            *_correction(b),
            None if isinstance(b.session.reservation, UnsetType) else b.session.reservation.outcome,
        )
        for b in bills
    ]
    if rows:
        await connection.execute(
            """
            INSERT INTO session (site, record_id, rev, charger, evse, id_token, status, started_at, ended_at, energy_wh,
                currency, amount, flags, correction, corrects, reservation)
            SELECT site, record_id, rev, charger, evse, id_token, status, started_at, ended_at, energy_wh, currency, amount,
                string_to_array(flags, ' '), correction, corrects, reservation
            FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[],
                $8::timestamptz[], $9::timestamptz[], $10::bigint[], $11::text[], $12::text[], $13::text[],
                $14::text[], $15::text[], $16::text[])
            AS new (site, record_id, rev, charger, evse, id_token, status, started_at, ended_at, energy_wh, currency, amount,
                flags, correction, corrects, reservation)
            ON CONFLICT (site, record_id) DO UPDATE SET rev = excluded.rev, charger = excluded.charger, evse = excluded.evse,
                id_token = excluded.id_token, status = excluded.status, started_at = excluded.started_at,
                ended_at = excluded.ended_at, energy_wh = excluded.energy_wh, currency = excluded.currency,
                amount = excluded.amount, flags = excluded.flags, correction = excluded.correction,
                corrects = excluded.corrects, reservation = excluded.reservation
            WHERE session.rev < excluded.rev
            """,
            *_columns(rows, 16),
        )


def _correction(bill: Bill) -> tuple[str | None, str | None]:
    found = bill.session.correction
    return (None, None) if isinstance(found, UnsetType) else (found.kind, _clean(found.of))


def _clean(text: str) -> str:
    """PostgreSQL's text holds no NUL; the record itself keeps it."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _conflict(bill: Bill) -> Poison:
    return Poison(
        bill.site, "conflict", CONFLICT_REASON, bill.body, epoch=bill.epoch, record_id=bill.record_id, rev=bill.rev, seq=bill.seq
    )


async def _keep_rejects(connection: Connection, rejects: Sequence[Poison]) -> None:
    for one in sorted(rejects, key=lambda poison: (poison.site, poison.code, poison.body)):
        is_new = await connection.fetchval(
            "INSERT INTO reject (site, code, body_sha256, reason, epoch, seq, record_id, rev, body)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
            " ON CONFLICT (site, code, body_sha256) DO UPDATE SET times = reject.times + 1, last_at = now()"
            " RETURNING times = 1",
            one.site,
            one.code,
            hashlib.sha256(one.body).digest(),
            _clean(one.reason),
            one.epoch,
            one.seq,
            one.record_id,
            one.rev,
            one.body,
        )
        subject = f"{one.record_id or 'unnamed'} rev {one.rev}"
        kind = "record-conflict" if one.code == "conflict" else "record-rejected"
        if is_new:
            await raise_alarm(connection, one.site, kind, subject, f"{one.code}: {_clean(one.reason)}")


async def _keep_events(connection: Connection, events: Sequence[Event]) -> None:
    rows = sorted(
        ((e.site, e.record_id, e.rev, _clean(e.kind), _clean(e.subject), e.at, e.body) for e in events), key=lambda row: row[:3]
    )
    if not rows:
        return
    await connection.execute(
        """
        INSERT INTO event (site, record_id, rev, kind, subject, at, body)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::timestamptz[], $7::bytea[])
        ON CONFLICT DO NOTHING
        """,
        *_columns(rows, 7),
    )
    latest = {
        (e.site, _clean(e.kind), _clean(e.subject)): e for e in sorted(events, key=lambda e: e.at) if e.is_raised is not None
    }
    alarms = [(*key, e.is_raised, _clean(e.detail), e.at) for key, e in sorted(latest.items())]
    if alarms:
        await connection.execute(
            """
            INSERT INTO alarm (site, source, kind, subject, is_active, detail, at)
            SELECT site, 'gateway', kind, subject, is_active, detail, at
            FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::timestamptz[])
                AS new (site, kind, subject, is_active, detail, at)
            ON CONFLICT (site, source, kind, subject) DO UPDATE
                SET is_active = excluded.is_active, detail = excluded.detail, at = excluded.at WHERE alarm.at <= excluded.at
            """,
            *_columns(alarms, 6),
        )


async def _keep_states(connection: Connection, states: Sequence[State]) -> None:
    latest = {(s.site, _clean(s.kind), _clean(s.thing)): s for s in sorted(states, key=lambda s: s.at)}
    rows = [(*key, s.at, _clean(s.quality), _clean(s.reason), s.body) for key, s in sorted(latest.items())]
    if rows:
        await connection.execute(
            """
            INSERT INTO state (site, kind, thing, at, quality, reason, body)
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::bytea[])
            ON CONFLICT (site, kind, thing) DO UPDATE SET at = excluded.at, quality = excluded.quality, reason = excluded.reason,
                body = excluded.body WHERE state.at <= excluded.at
            """,
            *_columns(rows, 7),
        )


async def _keep_statuses(connection: Connection, statuses: Sequence[Status]) -> None:
    latest = {s.site: s for s in statuses}
    for s in (latest[site] for site in sorted(latest)):
        await connection.execute(
            """
            INSERT INTO site (site, state, epoch, version, since, backlog, oldest_unacked_s, body, received_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT (site) DO UPDATE SET state = excluded.state, epoch = excluded.epoch, version = excluded.version,
                since = excluded.since, backlog = COALESCE(excluded.backlog, site.backlog),
                oldest_unacked_s = COALESCE(excluded.oldest_unacked_s, site.oldest_unacked_s), body = excluded.body,
                received_at = excluded.received_at
            WHERE site.received_at <= excluded.received_at
            """,
            s.site,
            _clean(s.state),
            _clean(s.epoch),
            _clean(s.version),
            s.since,
            s.backlog,
            s.oldest_unacked_s,
            s.body,
            s.received_at,
        )


async def _keep_telemetry(connection: Connection, batches: Sequence[Telemetry]) -> None:
    rows = sorted(((t.site, _clean(t.kind), t.record_id, t.at, t.body) for t in batches), key=lambda row: row[:4])
    if rows:
        await connection.execute(
            """
            INSERT INTO telemetry (site, kind, record_id, at, body)
            SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[]) ON CONFLICT DO NOTHING
            """,
            *_columns(rows, 5),
        )
