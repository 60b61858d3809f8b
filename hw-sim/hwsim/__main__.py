"""``python -m hwsim COMMAND``: ``demo``, ``world``, ``fault``, ``station``, and the campaigns; see ``-h``."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from dataclasses import replace

import structlog

from edgectl.domain.lines import Wiring

BETWEEN_LINES = "chargers are between lines, and meters show what the lines carry"


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
    world.add_argument("--delta", action="store_true", help=BETWEEN_LINES)
    single = commands.add_parser("fault", help="one fault alone on a busy site, in virtual time; without a name all of them")
    single.add_argument("name", nargs="*")
    single.add_argument("--seed", type=int, default=1)
    single.add_argument("--list", action="store_true", help="what there is, and end")
    single.add_argument("--delta", action="store_true", help=BETWEEN_LINES)
    histories = commands.add_parser(
        "histories", help="randomised charging histories against the core; replays a seed that failed"
    )
    histories.add_argument("--count", type=int, default=100_000)
    histories.add_argument("--seed", type=int, default=1, help="of the first history; the next has the next")
    fuzz = commands.add_parser("fuzz", help="mutated frames of all versions against link and core")
    fuzz.add_argument("--frames", type=int, default=1_000_000)
    fuzz.add_argument("--seed", type=int, default=1)
    meters = commands.add_parser("meters", help="reads on a fault-injecting bus, and the bare client of pymodbus on the same")
    meters.add_argument("--transactions", type=int, default=1_000_000)
    meters.add_argument("--seed", type=int, default=1)
    meters.add_argument("--fault-share", type=float, default=0.1, help="of the answers (default 0.1)")
    meters.add_argument("--comparison", type=int, default=50_000, help="transactions for pymodbus; 0 for none")
    hostile = commands.add_parser("commands", help="hostile commands over MQTT; none may be carried out")
    hostile.add_argument("--count", type=int, default=10_000)
    hostile.add_argument("--seed", type=int, default=1)
    uplink = commands.add_parser(
        "uplink-faults", help="real gateway, broker, backend and database under kills, cuts and full disks"
    )
    uplink.add_argument("--faults", type=int, default=2_000)
    uplink.add_argument("--records", type=int, default=100_000)
    uplink.add_argument("--seed", type=int, default=1)
    uplink.add_argument("--daemon", action="store_true", help="the whole daemon and its chargers; they make the records")
    crashes = commands.add_parser("crashes", help="the real daemon killed (-9) over real sockets while chargers do sessions")
    crashes.add_argument("--count", type=int, default=2_000)
    crashes.add_argument("--seed", type=int, default=1)
    crashes.add_argument("--store", action="store_true", help="the ledger's process alone, without sockets")
    crashes.add_argument("--sites", type=int, default=1, metavar="N", help="as many daemons beside each other; one for each core")
    cuts = commands.add_parser("cuts", help="the real ledger after power cuts at recorded moments, un-synced sectors lost")
    cuts.add_argument("--count", type=int, default=1_000)
    cuts.add_argument("--seed", type=int, default=1)
    station = commands.add_parser(
        "station", help="one charger against any OCPP server", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    station.add_argument("--url", help="ws://HOST:PORT")
    station.add_argument("--id", default="CP-1")
    station.add_argument("--version", choices=["1.6", "2.0.1", "2.1"], default="1.6")
    station.add_argument("--fault", action="append", default=[], help="by name, or a quirk's number such as Q14; may be repeated")
    station.add_argument("--password")
    station.add_argument("--token", default="04A1", help="what its driver presents")
    station.add_argument("--seconds", type=float, default=None)
    station.add_argument("--faults", action="store_true", help="list the faults and end")
    arguments = parser.parse_args()
    if arguments.command == "station":
        return play_station(arguments)
    if arguments.command == "histories":
        from hwsim.campaigns.histories import run_histories

        return run_histories(arguments.count, arguments.seed)
    if arguments.command == "commands":
        from hwsim.campaigns.commands import run_commands

        return run_commands(arguments.count, arguments.seed)
    if arguments.command == "fuzz":
        from hwsim.campaigns.fuzz import run_fuzz

        return run_fuzz(arguments.frames, arguments.seed)
    if arguments.command == "crashes":
        from hwsim.campaigns.crashes import run_crashes, run_store_crashes

        if arguments.store:
            return run_store_crashes(arguments.count, arguments.seed)
        return run_crashes(arguments.count, arguments.seed, max(1, arguments.sites))
    if arguments.command == "cuts":
        from hwsim.campaigns.power_cuts import run_cuts

        return run_cuts(arguments.count, arguments.seed)
    if arguments.command == "fault":
        return play_faults(arguments.name, arguments.seed, is_list=arguments.list, is_delta=arguments.delta)
    if arguments.command == "meters":
        from hwsim.campaigns.meter_bus import play_meters

        return play_meters(arguments.transactions, arguments.seed, arguments.fault_share, arguments.comparison)
    if arguments.command == "uplink-faults":
        from hwsim.campaigns.uplink.campaign import play_uplink_faults

        return play_uplink_faults(arguments.faults, arguments.records, arguments.seed, with_daemon=arguments.daemon)
    if arguments.command == "world":
        return simulate(arguments.seed, arguments.seeds, arguments.hours, faults=arguments.faults, is_delta=arguments.delta)
    from hwsim.demo import run_demo

    try:
        return asyncio.run(run_demo(seconds=arguments.seconds, seed=arguments.seed, has_broker=not arguments.no_broker))
    except KeyboardInterrupt:
        return 130


def play_station(arguments: argparse.Namespace) -> int:
    """One charger until Ctrl-C, or the list of what it can do wrong."""
    from hwsim.models.stations import fault_list
    from hwsim.station.command import run_station

    if arguments.faults or arguments.url is None:
        print(fault_list())
        return 0 if arguments.faults else 2
    try:
        asyncio.run(
            run_station(
                arguments.url,
                arguments.id,
                version=arguments.version,
                faults=frozenset(arguments.fault),
                password=arguments.password,
                token=arguments.token,
                seconds=arguments.seconds,
            )
        )
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    return 0


def play_faults(names: list[str], seed: int, *, is_list: bool, is_delta: bool) -> int:
    """Each fault alone; 1 when one of them broke a bound."""
    from hwsim.world.faults import CATALOGUE
    from hwsim.world.single import SITE, run_single

    unknown = sorted(set(names) - CATALOGUE.keys())
    if is_list or unknown:
        for kind in CATALOGUE.values():
            print(f"{kind.name:<28} {kind.words} (research/style.md §6: {', '.join(map(str, kind.items))})")
        print(*(f"there is no fault {name}" for name in unknown), sep="\n", file=sys.stderr)
        return 2 if unknown else 0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    has_failed = False
    for name in names or CATALOGUE:
        outcome = run_single(name, seed=seed, site=replace(SITE, wiring=Wiring.DELTA) if is_delta else SITE)
        has_failed = has_failed or bool(outcome.broken)
        print(outcome.line, flush=True)
        for broken in outcome.broken:
            print(f"  {broken}")
    return 1 if has_failed else 0


def simulate(first: int, count: int, hours: float, *, faults: bool, is_delta: bool) -> int:
    """Run seeds one after the other and print what became of each; 1 when a promise was broken."""
    from hwsim.world.site import SiteOptions, run_site

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    has_failed = False
    for seed in range(first, first + count):
        options = SiteOptions(seed=seed, hours=hours, faults=faults)
        if is_delta:  # each line is loaded less, so the connection is smaller, and no less busy
            options = replace(options, wiring=Wiring.DELTA, grid_a=65.0, hall_a=33.0)
        report = run_site(options)
        has_failed = has_failed or bool(report.broken)
        for line in report.lines(is_long=faults):
            print(line, flush=True)
    return 1 if has_failed else 0


if __name__ == "__main__":
    sys.exit(main())
