"""Every kept record once more, a thousand at a time, so that it can run beside everything else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from edgectl.store.signing import PublicKey
from edgectl_backend.judging.rechecking import KeptLink, Recheck
from edgectl_backend.postgres.chains import Ledger
from edgectl_backend.postgres.database import Database

STEP_COUNT: Final = 1_000

_LINKS = """
SELECT link.seq, link.prev_hash, link.hash, link.record_id, link.rev, record.body
FROM link LEFT JOIN record ON record.site = link.site AND record.record_id = link.record_id AND record.rev = link.rev
    AND record.epoch = link.epoch AND record.seq = link.seq
WHERE link.site = $1 AND link.epoch = $2 AND link.seq > $3 ORDER BY link.seq LIMIT $4
"""


async def recheck_all(
    database: Database, site: str | None, keys: Sequence[PublicKey], on_ledger: Callable[[Ledger, Recheck], None]
) -> bool:
    """Tell of each ledger; whether all are whole. Raises ``DatabaseError``."""
    rows = await database.rows("SELECT site, epoch FROM chain WHERE $1::text IS NULL OR site = $1 ORDER BY site, epoch", site)
    is_whole = True
    for ledger in ((row["site"], row["epoch"]) for row in rows):
        found = Recheck()
        while links := await database.rows(_LINKS, *ledger, found.last_seq, STEP_COUNT):
            kept = [
                KeptLink(row["seq"], row["prev_hash"].hex(), row["hash"].hex(), row["record_id"], row["rev"], row["body"])
                for row in links
            ]
            found.go_on(kept, keys)
        is_whole = is_whole and found.is_whole
        on_ledger(ledger, found)
    return is_whole
