"""A simulated charger of any version, and which of a mixed site's chargers speaks what."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

from hwsim.models import personalities
from hwsim.models.ocpp2 import FAULTS_20, Station20
from hwsim.models.station16 import Station16

Station: TypeAlias = Station16 | Station20
VERSIONS = ("1.6", "2.0.1", "2.1")
_MIX = ("1.6", "2.0.1", "1.6", "2.1")


def make_station(version: str, identity: str, rng: random.Random, **options: Any) -> Station:
    """One charger; the options are those of its class."""
    return Station16(identity, rng, **options) if version == "1.6" else Station20(identity, rng, version=version, **options)


def version_at(number: int) -> str:
    """What the charger of this number speaks on a mixed site."""
    return _MIX[number % len(_MIX)]


def fault_list() -> str:
    """Every fault with what it does, for people."""
    lines = ["OCPP 1.6:", *(f"  {name:<28} {words}" for name, words in personalities.FAULTS.items())]
    lines += ["OCPP 1.6, by the number of a quirk:"]
    lines += [f"  {quirk:<28} {', '.join(names)}" for quirk, names in personalities.QUIRKS.items()]
    return "\n".join([*lines, "OCPP 2:", *(f"  {name:<28} {words}" for name, words in FAULTS_20.items())])
