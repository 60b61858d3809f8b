"""``python -m benchmarks [NAME ...]``."""

from __future__ import annotations

import sys

from benchmarks import allocation, ocpp

ALL = {"allocation": allocation.run, "ocpp": ocpp.run}


def main() -> int:
    wanted = sys.argv[1:] or list(ALL)
    for name in wanted:
        if name not in ALL:
            print(f"no benchmark is called {name!r}; there are: {', '.join(ALL)}", file=sys.stderr)
            return 2
    for name in wanted:
        ALL[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
