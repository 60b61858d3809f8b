"""What is done now and then, by whichever process gets to it first."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from edgectl_backend.postgres.chains import unwalked, walk_all
from edgectl_backend.postgres.database import Database, DatabaseError
from edgectl_backend.postgres.partitions import tend
from edgectl_backend.service.pump import Pump

log = structlog.get_logger(__name__)

WALK_INTERVAL_S: Final = 1.0
TEND_INTERVAL_S: Final = 3_600.0
TEND_RETRY_S: Final = 10.0
LOOK_ROUND_INTERVAL_S: Final = 60.0
"""Ledgers that nobody walked, because the process that stored something of them has died since."""


async def walk_chains(database: Database, pump: Pump) -> None:
    """Until cancelled."""
    loop = asyncio.get_running_loop()
    look_round_s = loop.time()
    while True:
        try:
            if loop.time() >= look_round_s:
                look_round_s = loop.time() + LOOK_ROUND_INTERVAL_S
                pump.touched |= await unwalked(database)
            ledgers = set(pump.touched)
            pump.touched -= ledgers
            try:
                pump.touched |= await walk_all(database, ledgers)
            except DatabaseError:
                pump.touched |= ledgers
                raise
        except DatabaseError as error:
            log.warning("walk_failed", reason=str(error))
        await asyncio.sleep(WALK_INTERVAL_S)


async def tend_partitions(database: Database, keep_days: int) -> None:
    """Until cancelled."""
    while True:
        try:
            for name in await tend(database, keep_days):
                log.info("partition_tended", name=name)
            pause_s = TEND_INTERVAL_S
        except DatabaseError as error:
            log.warning("partitions_not_tended", reason=str(error))
            pause_s = TEND_RETRY_S
        await asyncio.sleep(pause_s)
