"""Reads the site's meters: Modbus TCP, RTU on a serial line, RTU over TCP. May import ``edgectl.domain`` and ``edgectl.ports``.

- ``catalogue``   what is known of each model, as data with its sources; ``model_names``, ``model``
- ``decode``      registers to a ``MeterReading`` on site phases; "no value" is never 0; pure
- ``plan``        the fewest reads within a model's rules; pure
- ``rtu``         Modbus RTU frames: build, find, judge; pure
- ``buses``       one transaction at a time on TCP (pymodbus), on a serial line, on RTU over TCP
- ``poller``      one scheduler per bus: every meter in its turn, a dead one costs its neighbours little; start reading here
"""

from edgectl.meters.catalogue import model, model_names
from edgectl.meters.poller import MetersAdapter

__all__ = ["MetersAdapter", "model", "model_names"]
