"""Reads the site's meters: Modbus TCP, RTU, RTU over TCP, DSMR P1. May import ``edgectl.domain`` and ``edgectl.ports``.

- ``catalogue``     what is known of each model, as data with its sources; ``model_names``, ``model``
- ``plan``          the fewest reads within a model's rules, and other ways to read the same; pure
- ``decode``        registers to a ``MeterReading`` on site phases; "no value" is never 0; pure
- ``plausibility``  watts against volts and amps, jumps, heartbeats; ``energy``: counters that start again; pure
- ``sunspec``       where a SunSpec device keeps its meter; sans-IO
- ``rtu``           Modbus RTU frames: build, find, judge; pure
- ``unit``          one meter: what to ask next, when, and what became of it; sans-IO
- ``contacts``      contacts and registers that limit the site from outside, read on the same buses; sans-IO
- ``waiting``       how long for an answer, and which not to wait for while others may still come; pure
- ``virtual``       sums and differences of meters; pure
- ``buses``         one transaction at a time on TCP (pymodbus), on a serial line, on RTU over TCP
- ``poller``        one scheduler per bus: every meter in its turn, a dead one costs its neighbours little
- ``p1``            DSMR P1 ports, which talk by themselves; ``streams`` opens their lines
- ``readers``       all meters of the site, whatever they speak; start reading here
- ``budget``        what reading costs a line; ``tools`` what an electrician asks: scan, identify, read
"""

from edgectl.domain.settings import P1_MODEL
from edgectl.meters import catalogue
from edgectl.meters.budget import read_plan
from edgectl.meters.catalogue import model
from edgectl.meters.poller import MetersAdapter
from edgectl.meters.readers import SiteMeters


def model_names() -> frozenset[str]:
    """Every name ``meters.*.model`` may have."""
    return catalogue.model_names() | {P1_MODEL}


__all__ = ["MetersAdapter", "SiteMeters", "model", "model_names", "read_plan"]
