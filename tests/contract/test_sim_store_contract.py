"""The simulated store keeps the same contract as the real ledger, so that what holds in simulation holds on disk."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import pytest
from support.store_records import NOW

from hwsim.world.disk import Disk, SimStore
from hwsim.world.loop import VirtualLoop
from hwsim.world.network import Network

pytest.register_assert_rewrite("contract.store_contract")

from contract.store_contract import LedgerReaderContract, StoreContract  # noqa: E402 - after its asserts are made readable

T = TypeVar("T")


class SimBench:
    def __init__(self, path: Path) -> None:
        self.disk = Disk(path)
        self.loop = VirtualLoop(Network(random.Random(1)))
        self.opened: list[SimStore] = []

    def open(self) -> SimStore:
        from edgectl.domain.ids import SiteId

        for store in self.opened:
            store.close()
        store = SimStore(self.disk, self.loop, SiteId("depot-north"), f"epoch-{len(self.opened)}-0123456789", NOW)
        self.opened.append(store)
        return store

    def wait(self, future: Future[T]) -> T:
        async def until_done() -> None:
            import asyncio

            while not future.done():
                await asyncio.sleep(0.01)

        self.loop.run_until_complete(until_done())
        return future.result(0)


class TestSimStore(StoreContract, LedgerReaderContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[Any]:
        bench = SimBench(tmp_path / "ledger.db")
        yield bench
        for store in bench.opened:
            store.close()
        bench.loop.close()
