"""``site.yaml`` to frozen ``Settings``, or every mistake at once with file, line, column, key and what is allowed.

- ``loading``      the door: ``load`` and ``check``. Start reading here
- ``keys``         the table of keys; everything the file may say is declared there, once
- ``sections``     how a table is read; required, default, unknown and repeated keys
- ``kinds``, ``electrical``, ``addresses``, ``quantities``  the values, each read and described as JSON Schema by one class
- ``tree``         YAML text to nodes with positions; bounded, whatever the bytes
- ``circuits``, ``chargers``, ``buses``, ``edges``, ``tokens``  checks across keys, and the domain objects
- ``virtual_meters``  meters made of others
- ``bus_budget``, ``p1_ports``  whether a line can carry its meters, and what a P1 port can do
- ``tariffs``      tariffs and plans, from OCPI objects
- ``problems``     what is wrong, where
- ``schema``       JSON Schema 2020-12 for editors
- ``credentials``  secrets by name
- ``changes``      two settings compared, in words
- ``starter``      the commented file that ``edgectl init`` writes

May import ``edgectl.domain`` and ``edgectl.ports``. Reads files once, at start and reload; never in the control loop.
"""

from edgectl.config.changes import describe_changes
from edgectl.config.credentials import credential_reader
from edgectl.config.loading import check, load
from edgectl.config.problems import ConfigError, Problem
from edgectl.config.schema import json_schema, tokens_json_schema
from edgectl.config.starter import starter_file
from edgectl.config.tariffs import TariffsFile, load_tariffs

__all__ = [
    "ConfigError",
    "Problem",
    "TariffsFile",
    "check",
    "credential_reader",
    "describe_changes",
    "json_schema",
    "load",
    "load_tariffs",
    "starter_file",
    "tokens_json_schema",
]
