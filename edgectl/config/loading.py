"""A path in, ``Settings`` or every problem out. Nothing a file contains raises anything but ``ConfigError``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from edgectl.config import tree
from edgectl.config.bus_budget import Planner
from edgectl.config.buses import compose_meters
from edgectl.config.chargers import compose_chargers
from edgectl.config.circuits import compose_circuits
from edgectl.config.credentials import credential_paths
from edgectl.config.edges import check_addresses, compose_mqtt, compose_ocpp, compose_web
from edgectl.config.inputs import compose_inputs
from edgectl.config.keys import SiteFile
from edgectl.config.problems import ConfigError, Place, Problem, Report
from edgectl.config.quirk_table import site_quirks
from edgectl.config.sections import SectionOf
from edgectl.config.tariff_keys import LocationKeys
from edgectl.config.tariffs import check_token_tariffs, compose_pricing, read_tariffs
from edgectl.config.tokens import read_tokens
from edgectl.domain.ids import IdToken, SiteId
from edgectl.domain.settings import LedgerSettings, Settings
from edgectl.domain.site import Balancing, Location, Site, Token
from edgectl.domain.tariff import Pricing

_MeterFacts: TypeAlias = tuple[frozenset[str] | None, Planner | None]
"""The names of the catalogue, and how its models are read."""


def load(
    path: Path,
    *,
    known_models: frozenset[str] | None = None,
    planner: Planner | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a file without mistakes; warnings are in ``Settings.warnings``.

    Raises:
        ConfigError: with every problem of the file.
    """
    settings, problems = check(path, known_models=known_models, planner=planner, environ=environ)
    if settings is None:
        raise ConfigError(problems)
    return settings


def check(
    path: Path,
    *,
    known_models: frozenset[str] | None = None,
    planner: Planner | None = None,
    environ: Mapping[str, str] | None = None,
) -> tuple[Settings | None, tuple[Problem, ...]]:
    """Every mistake and warning at once, in the order of the file. Settings are None when there is a mistake.

    ``known_models`` are the names of the meter catalogue; without them any name passes. ``planner`` says how a model is read;
    with it the time on each bus is reckoned. ``environ`` says where credentials lie; the process's own by default.
    """
    report = Report()
    data = _read(path, report.place(str(path)))
    if data is None:
        return None, report.sorted()
    return _check(data, path, report, (known_models, planner), os.environ if environ is None else environ)


def check_text(text: str, path: Path) -> tuple[Settings | None, tuple[Problem, ...]]:
    """The same for a text that is not yet on disk; ``path`` is where it will be."""
    return _check(text.encode(), path, Report(), (None, None), {})


def _check(
    data: bytes, path: Path, report: Report, meters: _MeterFacts, environ: Mapping[str, str]
) -> tuple[Settings | None, tuple[Problem, ...]]:
    start = report.place(str(path))
    root = tree.parse(data, start)
    if root is None:
        return None, report.sorted()
    if isinstance(root, tree.Scalar) and root.is_null:
        start.wrong("the file is empty", "`edgectl init` writes a starter file")
        return None, report.sorted()
    file = SectionOf(SiteFile).read(root, start)
    settings = _compose(file, path, meters)
    _check_credentials(file, path.parent, environ)
    problems = report.sorted()
    if report.has_errors:
        return None, problems
    return _with_warnings(settings, problems), problems


def _compose(file: SiteFile, path: Path, facts: _MeterFacts) -> Settings:
    """Compose what can be, so that every check across keys runs; of use only when nothing was reported."""
    directory = path.parent
    inputs, input_connections = compose_inputs(file.inputs, file.circuits, file.chargers, file.meters)
    meters, connections, virtual = compose_meters(file.meters, file.circuits, directory, *facts, input_connections)
    circuits = compose_circuits(file.circuits, file.meters, file.site)
    chargers = compose_chargers(file.chargers, file.charger_defaults, file.circuits, file.site)
    check_addresses(file.ocpp, file.web)
    balancing = file.balancing
    tokens = _tokens(file, directory)
    pricing = _pricing(file, directory)
    check_token_tariffs(tokens, pricing, file.authorization.at("tokens"))
    site = Site(
        id=SiteId(file.site.id or ""),
        circuits=circuits,
        chargers=chargers,
        meters=meters,
        inputs=inputs,
        tokens=tokens,
        name=file.site.name or "",
        location=_location(file.site.location),
        timezone=file.site.timezone,
        voltage_mv=file.site.phase_mv,
        wiring=file.site.wiring,
        currency=file.site.currency,
        pricing=pricing,
        signature_keys=tuple((serial, keys.key or "") for serial, keys in file.signature_keys),
        offline_policy=file.authorization.offline,
        is_reversed_known=file.authorization.reversed_uids,
        tokens_max_age_ms=file.authorization.tokens_max_age,
        master_group=None if file.authorization.master_group is None else IdToken(file.authorization.master_group.strip()),
        balancing=Balancing(
            strategy=balancing.strategy,
            priorities=balancing.priorities,
            rotate_ms=balancing.rotate_every,
            lease_ms=balancing.lease,
            raise_after_ms=balancing.raise_after,
        ),
    )
    return Settings(
        site=site,
        ocpp=compose_ocpp(file.ocpp, file.chargers, file.charger_defaults),
        meters=connections,
        virtual_meters=virtual,
        inputs=input_connections,
        mqtt=compose_mqtt(file.mqtt),
        web=compose_web(file.web),
        ledger=LedgerSettings(file.ledger.retention, file.ledger.budget, file.ledger.signing_key),
        quirks=site_quirks(file.ocpp.quirks, directory, file.ocpp.at("quirks")),
        accept_risk=file.accept_risk or (),
        source=str(path),
    )


def _with_warnings(settings: Settings, problems: tuple[Problem, ...]) -> Settings:
    return replace(settings, warnings=tuple(str(problem) for problem in problems))


def _tokens(file: SiteFile, directory: Path) -> tuple[Token, ...]:
    name = file.authorization.tokens
    if name is None:
        return ()
    place = file.authorization.at("tokens")
    path = directory / name
    data = _read(path, place)
    if data is None:
        return ()
    return read_tokens(data, place.report.place(str(path)), file.site.timezone)


def _location(keys: LocationKeys) -> Location | None:
    if not (keys.address and keys.city and keys.country and keys.latitude and keys.longitude):
        return None
    return Location(keys.address, keys.city, keys.country, keys.latitude, keys.longitude, keys.postal_code)


def _pricing(file: SiteFile, directory: Path) -> Pricing:
    keys = file.tariffs
    if keys.file is None:
        return Pricing()
    path = directory / keys.file
    data = _read(path, keys.at("file"))
    if data is None:
        return Pricing()
    return compose_pricing(keys, read_tariffs(data, keys.place.report.place(str(path))), file.site.currency)


def _read(path: Path, place: Place) -> bytes | None:
    """The bytes of a file, one more than allowed at most: the parser reports the excess."""
    try:
        with path.open("rb") as opened:
            return opened.read(tree.MAX_BYTES + 1)
    except OSError as error:
        place.wrong(f"cannot be read: {error.strerror}", f"a readable file {path}")
    except ValueError:
        place.wrong("cannot be read: not a possible file name", "a path without null characters")
    return None


def _check_credentials(file: SiteFile, directory: Path, environ: Mapping[str, str]) -> None:
    for name, place in _credentials(file):
        paths = credential_paths(name, directory, environ)
        if any(_is_there(path) for path in paths):
            continue
        unset = "" if environ.get("CREDENTIALS_DIRECTORY") else f"$CREDENTIALS_DIRECTORY/{name} (not set here), "
        place.warn(f"there is no credential {name}", f"looked for {unset}{', '.join(str(path) for path in paths)}", found="")


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _credentials(file: SiteFile) -> Iterator[tuple[str, Place]]:
    named = [(keys.password, keys.at("password")) for _, keys in file.chargers]
    for keys in file.ocpp.listeners or ():
        named += [(name, keys.at("certificate")) for name in keys.certificate or ()]
        named += [(name, keys.at("client_authorities")) for name in keys.client_authorities or ()]
    named.append((file.web.token, file.web.at("token")))
    named.append((file.ledger.signing_key, file.ledger.at("signing_key")))
    named += [(getattr(file.mqtt, key), file.mqtt.at(key)) for key in ("client_certificate", "ca_certificate", "password")]
    return ((name, place) for name, place in named if name is not None)
