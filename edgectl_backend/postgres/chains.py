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
        await connection.execute(
            "INSERT INTO chain_fault (site, epoch, seq, kind, expected, found) VALUES ($1, $2, $3, 'broken', $4, $5)"
            " ON CONFLICT DO NOTHING",
            *ledger,
            one.seq,
            bytes.fromhex(one.expected),
            bytes.fromhex(one.found),
        )
        await raise_alarm(
            connection, ledger[0], "chain-broken", f"{ledger[1]}/{one.seq}", f"record {one.seq} does not follow the one before it"
        )


async def raise_alarm(connection: Connection, site: str, kind: str, subject: str, detail: str) -> None:
    """An alarm of the backend's own."""
    await connection.execute(
        "INSERT INTO alarm (site, source, kind, subject, is_active, detail, at) VALUES ($1, 'backend', $2, $3, true, $4, now())"
        " ON CONFLICT (site, source, kind, subject) DO NOTHING",
        site,
        kind,
        subject,
        detail,
    )
