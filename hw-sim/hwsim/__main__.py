"""``python -m hwsim demo [--seconds N]``."""

from __future__ import annotations

import argparse
import asyncio
import sys

from hwsim.demo import run_demo


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hwsim", description="The depot in a box.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="the real daemon with simulated chargers, meters and a real broker, on loopback")
    demo.add_argument("--seconds", type=float, default=None, help="end by itself; the exit code tells whether all went well")
    demo.add_argument("--seed", type=int, default=1, help="of everything random (default 1)")
    arguments = parser.parse_args()
    try:
        return asyncio.run(run_demo(seconds=arguments.seconds, seed=arguments.seed))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
