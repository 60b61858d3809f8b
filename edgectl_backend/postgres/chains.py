"""The walk along each ledger, in the database's state: whichever process has stored something of a ledger walks it afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from edgectl_backend.judging.chain import WALK_LIMIT, Break, ChainLink, walk
from edgectl_backend.postgres.database import Connection, Database, translated

Ledger: TypeAlias = tuple[str, str]
"""Site and epoch."""

_UNWALKED = """
SELECT chain.site, chain.epoch FROM chain
WHERE chain.walked_at IS NULL OR chain.missing_count > 0
   OR EXISTS (SELECT FROM link WHERE link.site = chain.site AND link.epoch = chain.epoch AND link.seq > chain.highest_seq)
"""


async def unwalked(database: Database) -> set[Ledger]:
    """Ledgers with something new, or with a gap. Raises ``DatabaseError``."""
    return {(row["site"], row["epoch"]) for row in await database.rows(_UNWALKED)}


async def walk_all(database: Database, ledgers: Iterable[Ledger]) -> set[Ledger]:
    """Walk each; those that another process had in hand, to be tried again. Raises ``DatabaseError``."""
    left: set[Ledger] = set()
    try:
        async with database.connection() as connection:
            for ledger in sorted(ledgers):
                while (more := await _walk(connection, ledger)) is True:
                    continue
                if more is None:
                    left.add(ledger)
    except Exception as error:
        raise translated(error) from error
    return left


async def _walk(connection: Connection, ledger: Ledger) -> bool | None:
    """Whether there is more to walk at once; None when the ledger is in another's hands."""
    site, epoch = ledger
    async with connection.transaction():
        chain = await connection.fetchrow(
            "SELECT through_seq, through_hash FROM chain WHERE site = $1 AND epoch = $2 FOR UPDATE SKIP LOCKED", site, epoch
        )
        if chain is None:
            return None
        rows = await connection.fetch(
            "SELECT seq, prev_hash, hash FROM link WHERE site = $1 AND epoch = $2 AND seq > $3 ORDER BY seq LIMIT $4",
            site,
            epoch,
            chain["through_seq"],
            WALK_LIMIT,
        )
        links = [ChainLink(row["seq"], row["prev_hash"].hex(), row["hash"].hex()) for row in rows]
        found = walk(chain["through_seq"], chain["through_hash"].hex(), links)
        await _note_breaks(connection, ledger, found.breaks)
        await connection.execute(
            """
            UPDATE chain SET through_seq = $3, through_hash = $4, walked_at = now(),
                highest_seq = GREATEST($3, (SELECT max(seq) FROM link WHERE site = $1 AND epoch = $2)),
                missing_count = $5::bigint, gap_since = CASE WHEN $5::bigint > 0 THEN COALESCE(gap_since, now()) END
            WHERE site = $1 AND epoch = $2
            """,
            site,
            epoch,
            found.through_seq,
            bytes.fromhex(found.through_hash),
            sum(last - first + 1 for first, last in found.gaps),
        )
    return len(rows) >= WALK_LIMIT and not found.gaps


async def _note_breaks(connection: Connection, ledger: Ledger, breaks: Iterable[Break]) -> None:
    for one in breaks:
        words = f"record {one.seq} does not follow the one before it"
        await note_fault(connection, ledger, one.seq, ("broken", one.expected, one.found), ("chain-broken", words))


async def note_fault(
    connection: Connection, ledger: Ledger, seq: int, fault: tuple[str, str, str], alarm: tuple[str, str]
) -> None:
    """A fault of a chain, once: its kind, the hash that was expected, the one that was found; and the alarm for it."""
    kind, expected, found = fault
    new = await connection.fetchval(
        "INSERT INTO chain_fault (site, epoch, seq, kind, expected, found) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT DO NOTHING RETURNING true",
        *(*ledger, seq, kind, bytes.fromhex(expected), bytes.fromhex(found)),
    )
    if new:
        await raise_alarm(connection, ledger[0], alarm[0], f"{ledger[1]}/{seq}", alarm[1])


async def raise_alarm(connection: Connection, site: str, kind: str, subject: str, detail: str) -> None:
    """An alarm of the backend's own; it stands until a person clears it."""
    await connection.execute(
        "INSERT INTO alarm (site, source, kind, subject, is_active, detail, at) VALUES ($1, 'backend', $2, $3, true, $4, now())"
        " ON CONFLICT (site, source, kind, subject) DO UPDATE SET is_active = true, detail = excluded.detail, at = excluded.at"
        " WHERE NOT alarm.is_active",
        site,
        kind,
        subject,
        detail,
    )
