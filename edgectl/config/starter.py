"""The commented file that ``edgectl init`` writes: it loads as it is, and says what to fill in next."""

from __future__ import annotations

import json
from pathlib import Path

from edgectl.config.loading import check_text
from edgectl.config.problems import ConfigError, Report

MAX_CHARGERS = 1_000
"""What one gateway is built for; a typing slip should not fill the disk."""

_WIDTH = 32
"""Column of the comments, less the indentation."""

_TEMPLATE = """\
# The site as edgectl runs it. Amps, watts and times carry their unit. `edgectl check` lists every mistake at once.
# yaml-language-server: $schema=site.schema.json
# (`edgectl schema > site.schema.json` beside this file lets an editor complete and explain every key.)

site:
  id: {site_id} # a-z, 0-9 and -; part of MQTT topics and session numbers, so never change it later
  name: {name}
  timezone: {timezone}
  voltage: 230 V                   # phase to neutral
  currency: EUR

# meters:                          # with a meter on the grid connection, chargers get what the building leaves
#   main:
#     model: eastron-sdm630        # `edgectl meters identify` tells the model
#     connect: tcp://192.168.10.20:502   # or serial:///dev/ttyUSB0?baud=9600; `edgectl meters scan` finds it
#     unit: 1

circuits:                          # the conductors, from the grid connection down
  grid:
    limit: {grid_limit} # the fuse of the connection, per phase
    # meter: main                  # the meter above
    other_loads: 0 A               # without a meter: the most that everything else here may draw
    # margin: 2 A
  # hall: {{fed_by: grid, limit: 32 A}}

charger_defaults:
  current: 6 A .. 32 A             # the least and the most per phase
  fallback: 6 A                    # what a charger falls to when it does not hear from us
  phases: [L1, L2, L3]             # the site phases on which the charger's L1, L2, L3 are wired
chargers:{chargers}

ocpp:
  listeners:                       # give each charger the address ws://<this gateway>:8887/ and its password
    - {{address: 0.0.0.0:8887, security_profile: 1}}
    # - {{address: 0.0.0.0:8888, security_profile: 2, certificate: {{credential: ocpp-tls}}}}
  unknown_chargers: quarantine     # quarantine: list it for `edgectl adopt` | refuse

authorization:
  offline: known-tokens            # known-tokens | anyone
  # tokens: tokens.yaml

balancing:
  strategy: fair                   # fair | priority

mqtt:                              # empty: the site runs, records and waits
  # broker: mqtts://broker.example.com:8883
  # client_certificate: {{credential: mqtt-client}}

web:
  listen: 127.0.0.1:8080           # the status page; 0.0.0.0:8080 shows it to the local network
"""


def starter_file(
    site_id: str = "my-site",
    grid_limit: str = "63 A",
    charger_count: int = 2,
    *,
    name: str = "My site",
    timezone: str = "Europe/Berlin",
) -> str:
    """The text of a first ``site.yaml``. The arguments are written into it as they are.

    Raises:
        ConfigError: an argument does not make a valid file; the problems point into the text it would have been.
    """
    if not 0 <= charger_count <= MAX_CHARGERS:
        report = Report()
        report.place("site.yaml").inside("chargers").wrong(
            "too many or too few", f"0 to {MAX_CHARGERS}", found=str(charger_count)
        )
        raise ConfigError(report.sorted())
    width = max(2, len(str(charger_count)))
    chargers = "".join(f"\n  CP-{number:0{width}}: {{circuit: grid}}" for number in range(1, charger_count + 1)) or " {}"
    text = _TEMPLATE.format(
        site_id=site_id.ljust(_WIDTH - 4),
        name=json.dumps(name, ensure_ascii=False),  # JSON text is YAML text, whatever the name contains
        timezone=timezone,
        grid_limit=grid_limit.ljust(_WIDTH - 9),
        chargers=chargers,
    )
    settings, problems = check_text(text, Path("site.yaml"))
    if settings is None:
        raise ConfigError(problems)
    return text
