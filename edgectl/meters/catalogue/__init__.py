"""What is known of each meter model: registers, block rules, no-value patterns, and where that knowledge comes from.

One file per entry in ``models/``; entries that share a register layout name one in ``layouts/``; ``names.yaml`` maps what is
printed on a meter to its entry. ``entry.schema.json`` is the format, of a user's own file (``file:``) as well; ``sheets`` is what
people and tools want to know of an entry. Addresses are those of the request on the wire, counted from 0 (SunSpec layouts: from
the id word); ``scale`` leads to volts, amps, watts, hertz and watt-hours.
"""

from edgectl.meters.catalogue.building import entry_names, entry_of, load_model_file, model, model_names
from edgectl.meters.catalogue.model import (
    WIDTHS,
    Area,
    Block,
    CatalogueError,
    Chain,
    Heartbeat,
    MeterModel,
    Point,
    Probe,
    Rules,
)

__all__ = [
    "WIDTHS",
    "Area",
    "Block",
    "CatalogueError",
    "Chain",
    "Heartbeat",
    "MeterModel",
    "Point",
    "Probe",
    "Rules",
    "entry_names",
    "entry_of",
    "load_model_file",
    "model",
    "model_names",
]
