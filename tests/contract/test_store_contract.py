"""The real ledger keeps the contract of its ports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.store_bench import LedgerBench, ledger_bench

pytest.register_assert_rewrite("contract.store_contract")

from contract.store_contract import LedgerReaderContract, StoreContract  # noqa: E402 - after its asserts are made readable


class TestLedger(StoreContract, LedgerReaderContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Iterator[LedgerBench]:
        with ledger_bench(tmp_path) as bench:
            yield bench
