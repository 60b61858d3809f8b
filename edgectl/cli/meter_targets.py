"""What a meter tool is pointed at: an address, or the name of a meter in the site's file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from edgectl.domain.ids import MeterId
from edgectl.domain.settings import P1_MODEL, Connection, MeterConnection, Settings, Transport
from edgectl.domain.units import Millis

BAD_INPUT = 2
DEFAULT_MAX_AGE_MS: Millis = 3_000


@dataclass(frozen=True)
class Target:
    """One meter and how old its readings may be."""

    meter: MeterConnection
    max_age_ms: Millis = DEFAULT_MAX_AGE_MS


def connection_of(text: str) -> Connection:
    """An address as in the site's file. Raises click.BadParameter with what is allowed."""
    from edgectl.config.addresses import parse_connect
    from edgectl.config.problems import Refused

    try:
        return parse_connect(text)
    except Refused as refused:
        raise click.BadParameter(f"{text!r} {refused.message}; {refused.allowed}", param_hint="TARGET") from refused


def is_every_setting(text: str) -> bool:
    """A serial line without its speed: every one is to be tried."""
    return text.startswith("serial://") and "baud=" not in text and "parity=" not in text


def address_of(connection: Connection) -> str:
    """The address as the site's file has it."""
    if connection.transport is not Transport.SERIAL:
        host = f"[{connection.host}]" if ":" in connection.host else connection.host
        return f"{connection.transport.value}://{host}:{connection.port}"
    parity = {"N": "none", "E": "even", "O": "odd"}[connection.parity]
    stop_bits = "" if connection.stop_bits == 1 else f"&stop_bits={connection.stop_bits}"
    return f"serial://{connection.device}?baud={connection.baud}&parity={parity}{stop_bits}"


def line_of(connection: Connection) -> str:
    """The same for people."""
    if connection.transport is not Transport.SERIAL:
        return f"{connection.host}:{connection.port}" + (" (RTU)" if connection.transport is Transport.RTU_OVER_TCP else "")
    return f"{connection.device} {connection.baud} 8{connection.parity}{connection.stop_bits}"


def settings_of(file: Path, *, with_plan: bool = True) -> Settings:
    """The site's file. Its mistakes are printed, and are the end."""
    from edgectl import config
    from edgectl.meters import model_names, read_plan

    settings, problems = config.check(file, known_models=model_names(), planner=read_plan if with_plan else None)
    if settings is None:
        for problem in problems:
            if not problem.is_warning:
                click.echo(str(problem), err=True)
        raise click.exceptions.Exit(BAD_INPUT)
    return settings


def targets_of(names: tuple[str, ...], file: Path, unit: int, model: str | None) -> list[Target]:
    """The meters meant by addresses or names; all of the file when none is named."""
    if len(names) == 1 and "://" in names[0]:
        return [Target(_addressed(names[0], unit, model))]
    settings = settings_of(file)
    ages = {meter.id: meter.max_age_ms for meter in settings.site.meters}
    known = {meter.meter: meter for meter in settings.meters}
    for name in names:
        if name not in known:
            raise click.BadParameter(f"no meter is called {name!r}; {file} has {', '.join(known) or 'none'}", param_hint="NAME")
    return [Target(known[MeterId(name)], ages[MeterId(name)]) for name in names or known]


def _addressed(text: str, unit: int, model: str | None) -> MeterConnection:
    from edgectl.config.problems import one_of
    from edgectl.meters import model_names

    connection = connection_of(text)
    if model is None:
        raise click.UsageError(f"which model is it? `edgectl meters identify '{text}' --unit {unit}` finds out; then add --model")
    if model not in model_names():
        raise click.BadParameter(
            f"{model!r} is not in the catalogue; {one_of(model, sorted(model_names()), 'models')}", param_hint="--model"
        )
    is_slow_port = model == P1_MODEL and connection.transport is Transport.SERIAL and connection.baud == 9_600
    return MeterConnection(MeterId(model), connection, unit, model, interval_ms=10_000 if is_slow_port else 1_000)
