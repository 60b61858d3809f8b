"""The disk: what was billed, what is owed to the backend, what a restart needs to know.

- ``sqlite``   the ``Ledger``: implements the ports ``Store``, ``Outbox`` and ``LedgerReader``. Start reading here
- ``writer``   the one writing thread and its group commit; knows no table
- ``records``  each kind of record into its tables; the only SQL that writes
- ``reader``   ``LedgerFile``: every question, on a read-only connection; also what the CLI opens beside a running daemon
- ``billing``  the billing record: its envelope, its hash and the check of the chain; pure
- ``pages``    a damaged file page by page, without SQLite; ``salvage`` what it holds into a new file, and what is lost
- ``copies``   the backup; ``taking_in`` what a backup or a salvaged file holds and the ledger in use does not
- ``keeping``  retention and the disk budget: what goes, a little at a time
- ``anchor``   where the chain begins, after retention
- ``signing``  the gateway's own key under the billing records
- ``opening``  open, check, set a damaged file aside, migrate (``schema/*.sql``, frozen once released)
- ``state``    the small state file a person can read (TinyDB over a storage that replaces atomically); ``memory`` writes it for
  the daemon
- ``errors``   SQLite's codes as ``StoreError``

May import ``edgectl.domain`` and ``edgectl.ports``. Threads live here and nowhere else: one writer, one reader, one for
the state file. Futures are
``concurrent.futures``; the loop bridges with ``asyncio.wrap_future``.
"""

from edgectl.store.billing import ChainReport
from edgectl.store.copies import BackupReport, backup
from edgectl.store.memory import StateMemory
from edgectl.store.opening import SALVAGED, StoreOpened, unsalvaged
from edgectl.store.reader import LedgerFile
from edgectl.store.salvage import SalvageReport, salvage
from edgectl.store.signing import Signer, read_public_key
from edgectl.store.sqlite import Ledger
from edgectl.store.state import StateFile
from edgectl.store.taking_in import TakenIn

__all__ = [
    "SALVAGED",
    "BackupReport",
    "ChainReport",
    "Ledger",
    "LedgerFile",
    "SalvageReport",
    "Signer",
    "StateFile",
    "StateMemory",
    "StoreOpened",
    "TakenIn",
    "backup",
    "read_public_key",
    "salvage",
    "unsalvaged",
]
