"""``python -m hwsim demo [--seconds N]`` and ``python -m hwsim world --seed N``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

import structlog


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hwsim", description="The depot in a box.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="the real daemon with simulated chargers, meters and a real broker, on loopback")
    demo.add_argument("--seconds", type=float, default=None, help="end by itself; the exit code tells whether all went well")
    demo.add_argument("--no-broker", action="store_true", help="as where no mosquitto can be had: records wait on disk")
    demo.add_argument("--seed", type=int, default=1, help="of everything random (default 1)")
    world = commands.add_parser("world", help="the whole daemon in virtual time; replays a seed that failed")
    world.add_argument("--seed", type=int, required=True)
    world.add_argument("--seeds", type=int, default=1, help="how many seeds from there on")
    world.add_argument("--hours", type=float, default=0.75)
    world.add_argument("--faults", action="store_true", help="links, meter, broker, disk, clock and the daemon itself fail")
    arguments = parser.parse_args()
    if arguments.command == "world":
        return simulate(arguments.seed, arguments.seeds, arguments.hours, faults=arguments.faults)
    from hwsim.demo import run_demo

    try:
        return asyncio.run(run_demo(seconds=arguments.seconds, seed=arguments.seed, has_broker=not arguments.no_broker))
    except KeyboardInterrupt:
        return 130


def simulate(first: int, count: int, hours: float, *, faults: bool) -> int:
    """Run seeds one after the other and print what became of each; 1 when a promise was broken."""
    from hwsim.world.site import SiteOptions, run_site

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    has_failed = False
    for seed in range(first, first + count):
        report = run_site(SiteOptions(seed=seed, hours=hours, faults=faults))
        has_failed = has_failed or bool(report.broken)
        print(
            f"seed {seed}: {'BROKEN' if report.broken else 'kept'}  sessions {report.sessions_started} "
            f"billed {report.records_received}  restarts {report.restarts}  longest over a limit {report.longest_over_s:g} s  "
            f"worst {report.worst_ratio:.3f} x  damage {report.worst_damage:.4f}  digest {report.digest[:16]}"
        )
        for broken in report.broken:
            print(f"  {broken}")
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
