"""``python -m benchmarks [NAME ...] [--json FILE]``."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from benchmarks.report import CheckFailedError, describe_machine, machine

ALL = (
    "allocation",
    "quality",
    "ocpp",
    "server",
    "storm",
    "flood",
    "replay",
    "reaction",
    "meters",
    "backend",
    "ledger",
    "tokens",
    "uplink",
    "offline",
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="What edgectl costs, beside a baseline in the same run."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(ALL)}; all without any")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in ALL:
            parser.error(f"no benchmark is called {name!r}; there are: {', '.join(ALL)}")
    found = machine()
    print(describe_machine(found))
    results = {}
    failed = False
    for name in arguments.names or ALL:
        try:
            results[name] = importlib.import_module(f"benchmarks.{name}").run()
        except CheckFailedError as problem:
            print(f"  {name}: no figures: {problem}", file=sys.stderr)
            failed = True
    if arguments.json is not None:
        arguments.json.write_text(json.dumps({"machine": found, "results": results}, indent=2) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
