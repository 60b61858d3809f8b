"""Every quirk of the research (research/ocpp.md §4) has a test whose name carries its number."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_quirk_is_tried() -> None:
    names = {
        number
        for path in TESTS.rglob("test_*.py")
        for line in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
        for number in re.findall(r"_q(\d+)(?=_)", line)
    }
    assert sorted({str(number) for number in range(1, 55)} - names, key=int) == []
