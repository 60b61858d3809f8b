"""One file per mistake. The mark ‸ stands where the problem must point; it is taken out before the file is read."""

# One case a line: the tables are read by their columns.
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path

import pytest

from edgectl.config import Problem, check

HEAD = """\
site: {id: north}
"""
OCPP = """\
ocpp: {listeners: [{address: 0.0.0.0:8887, security_profile: 1}]}
"""
GRID = """\
circuits:
  grid: {limit: 63 A}
"""


def problems_of(tmp_path: Path, text: str, *, known_models: frozenset[str] | None = None) -> tuple[Problem, ...]:
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return check(path, known_models=known_models, environ={})[1]


def split_mark(text: str) -> tuple[str, int, int]:
    before, _, after = text.partition("‸")
    assert "‸" not in after
    return before + after, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def site(body: str) -> str:
    return HEAD + body + OCPP


def charger(keys: str, defaults: str = "") -> str:
    return site(f"{GRID}{defaults}chargers:\n  CP-1: {keys}\n")


def meter(keys: str) -> str:
    return site(f"meters:\n  main: {keys}\ncircuits:\n  grid: {{limit: 63 A, meter: main}}\n")


TCP = "connect: tcp://10.0.0.9:502, model: m"


# (name, text with mark, key, beginning of the message, part of what is allowed)
ERRORS = [
    ("missing section", "‸circuits: {grid: {limit: 63 A}}\n" + OCPP, "site", "is missing", "write `site:`"),
    ("missing key", site("circuits:\n  ‸grid: {margin: 2 A}\n"), "circuits.grid.limit", "is missing", "`250 A`"),
    ("missing id", "‸site: {name: x}\n" + GRID + OCPP, "site.id", "is missing", "a-z, 0-9"),
    ("empty value", site("circuits:\n  grid:\n    ‸limit:\n    margin: 1 A\n"), "circuits.grid.limit", "the value is missing", "250 A"),
    ("no unit", site("circuits:\n  grid: {limit: ‸32}\n"), "circuits.grid.limit", "the unit is missing", "write `32 A`"),
    ("wrong unit", site("circuits:\n  grid: {limit: ‸32 V}\n"), "circuits.grid.limit", "V is not a unit of current", "write `32 A`"),
    ("lower case unit", site("circuits:\n  grid: {limit: ‸32 a}\n"), "circuits.grid.limit", "a is not a unit", "write `32 A`"),
    ("unit of nothing", site("circuits:\n  grid: {limit: 9 A, power: ‸5 mw}\n"), "circuits.grid.power", "mw is not", "write `5 kW`"),
    ("decimal comma", site("circuits:\n  grid: {limit: ‸'16,5 A'}\n"), "circuits.grid.limit", "a decimal comma", "write `16.5 A`"),
    ("not a quantity", site("circuits:\n  grid: {limit: ‸much}\n"), "circuits.grid.limit", "is not a current", "`16 A`"),
    ("too fine", site("circuits:\n  grid: {limit: ‸1.0005 A}\n"), "circuits.grid.limit", "is written too finely", "whole mA"),
    ("negative", site("circuits:\n  grid: {limit: ‸-5 A}\n"), "circuits.grid.limit", "is out of range", "0 A to 10000 A"),
    ("no current", site("circuits:\n  grid: {limit: ‸0 A}\n"), "circuits.grid.limit", "leaves no current", "more than 0 A"),
    ("unknown key", site("circuits:\n  grid: {limit: 9 A, ‸limt: 9 A}\n"), "circuits.grid.limt", "is not a known key", "did you mean limit?"),
    ("unknown section", site(GRID + "‸charger: {}\n"), "charger", "is not a known key", "did you mean chargers?"),
    ("merge key", site("circuits:\n  grid: {limit: 9 A, ‸<<: {}}\n"), "circuits.grid.<<", "merge keys", "charger_defaults"),
    ("no mapping", site("circuits: ‸63 A\n"), "circuits", "a mapping of names is needed", "one circuit a line"),
    ("no keys", site("circuits:\n  grid: ‸63 A\n"), "circuits.grid", "keys are needed here", "fed_by, limit"),
    ("no circuits", site("‸circuits: {}\n"), "circuits", "is empty", "at least one circuit"),
    ("a phase is missing", site("circuits:\n  grid: {‸limit: {L1: 9 A, L2: 9 A}}\n"), "circuits.grid.limit", "L3 is missing", "name all three"),
    ("a fourth phase", site("circuits:\n  grid: {limit: {L1: 9 A, L2: 9 A, L3: 9 A, ‸N: 9 A}}\n"), "circuits.grid.limit.N", "is no phase", "L1, L2 or L3"),
    ("a phase without unit", site("circuits:\n  grid: {limit: {L1: 9 A, L2: ‸9, L3: 9 A}}\n"), "circuits.grid.limit.L2", "the unit is missing", "write `9 A`"),
    ("two currents", site("circuits:\n  grid: {limit: ‸[9 A, 8 A]}\n"), "circuits.grid.limit", "the list needs one current", "150 kW"),
    ("two powers", site("circuits:\n  grid: {limit: [9 A, 5 kW], power: ‸6 kW}\n"), "circuits.grid.power", "stands beside a power in `limit`", "keep one"),
    ("margin", site("circuits:\n  grid: {limit: 9 A, margin: ‸10 A}\n"), "circuits.grid.margin", "is above the limit", "less than 9 A"),
    # the tree
    ("fed by itself", site(GRID + "  hall: {fed_by: ‸hall, limit: 9 A}\n"), "circuits.hall.fed_by", "the circuit is fed by itself", "another circuit"),
    ("a circle", site(GRID + "  a: {fed_by: ‸c, limit: 9 A}\n  b: {fed_by: a, limit: 9 A}\n  c: {fed_by: b, limit: 9 A}\n"), "circuits.a.fed_by", "is a circle: a is fed by c, fed by b, fed by a", "grid connection"),
    ("a circle entered from a branch", site(GRID + "  z: {fed_by: b, limit: 9 A}\n  a: {fed_by: ‸b, limit: 9 A}\n  b: {fed_by: a, limit: 9 A}\n"), "circuits.a.fed_by", "is a circle: a is fed by b, fed by a", "grid connection"),
    ("nobody feeds", site(GRID + "  hall: {fed_by: ‸gird, limit: 9 A}\n"), "circuits.hall.fed_by", "is defined nowhere", "did you mean grid?"),
    ("two roots", site(GRID + "  ‸hall: {limit: 9 A}\n"), "circuits.hall", "is a second grid connection beside the one in line 3", "exactly one"),
    ("fed by two", site(GRID + "  hall: {fed_by: ‸[grid, grid], limit: 9 A}\n"), "circuits.hall.fed_by", "one circuit is needed", "name of a circuit"),
    ("meter nobody defined", site("circuits:\n  grid: {limit: 9 A, meter: ‸main}\n"), "circuits.grid.meter", "is defined nowhere", "there are no meters yet"),
    # chargers
    ("two circuits in a list", charger("{circuit: ‸[grid, grid]}"), "chargers.CP-1.circuit", "one circuit is needed: a charger hangs on exactly one", ""),
    ("two circuits by two keys", charger("{circuit: grid, ‸circuit: grid}"), "chargers.CP-1.circuit", "is written twice, first in line 5", "keep one"),
    ("no circuit", site(GRID + "chargers:\n  ‸CP-1:\n"), "chargers.CP-1.circuit", "is missing", "name of a circuit"),
    ("unknown circuit", charger("{circuit: ‸grit}"), "chargers.CP-1.circuit", "is defined nowhere", "did you mean grid?"),
    ("same charger twice", site(GRID + "chargers:\n  CP: {circuit: grid}\n  ‸CP: {circuit: grid}\n"), "chargers.CP", "is written twice, first in line 5", ""),
    ("letter case only", site(GRID + "chargers:\n  CP: {circuit: grid}\n  ‸Cp: {circuit: grid}\n"), "chargers.Cp", "differs only in letter case from the charger in line 5", ""),
    ("colon in the id", site(GRID + "chargers:\n  ‸CP:1: {circuit: grid}\n"), "chargers.CP:1", "is not possible here", "without ':'"),
    ("long id", site(f"{GRID}chargers:\n  ‸{'C' * 49}: {{circuit: grid}}\n"), f"chargers.{'C' * 49}", "is 49 characters long", "at most 48"),
    ("fallback above maximum", charger("{circuit: grid, current: 16 A, fallback: ‸20 A}"), "chargers.CP-1.fallback", "the fallback 20 A is above the maximum 16 A", "0 A, or 6 A to 16 A"),
    ("default fallback above own maximum", charger("{circuit: grid, current: ‸10 A}", "charger_defaults: {fallback: 16 A}\n"), "chargers.CP-1.current", "the fallback 16 A is above the maximum 10 A", ""),
    ("defaults contradict themselves", charger("{circuit: grid}", "charger_defaults: {current: 10 A, fallback: ‸16 A}\n"), "charger_defaults.fallback", "the fallback 16 A is above the maximum 10 A", ""),
    ("fallback above the circuit", site("circuits:\n  grid: {limit: 63 A}\n  hall: {fed_by: grid, limit: {L1: 16 A, L2: 10 A, L3: 16 A}}\n" "chargers:\n  CP-1: {circuit: hall, fallback: ‸12 A}\n"), "chargers.CP-1.fallback", "the fallback 12 A is above the limit of circuit hall", "at most 10 A (L2 of hall)"),
    ("fallback above a circuit further up", site("circuits:\n  grid: {limit: 10 A}\n  hall: {fed_by: grid, limit: 16 A}\n" "chargers:\n  CP-1: {circuit: hall, fallback: ‸12 A}\n"), "chargers.CP-1.fallback", "the fallback 12 A is above the limit of circuit grid", "at most 10 A"),
    ("fallback above a power limit", site("circuits:\n  grid: {limit: [63 A, 5 kW]}\nchargers:\n  CP-1: {circuit: grid, fallback: ‸10 A}\n"), "chargers.CP-1.fallback", "the fallback 6.9 kW is above the power limit of circuit grid", "at most 5 kW"),
    ("fallback between", charger("{circuit: grid, fallback: ‸3 A}"), "chargers.CP-1.fallback", "the fallback 3 A is between 0 and the minimum 6 A", "0 A, or 6 A to 32 A"),
    ("fallback in the wrong unit", charger("{circuit: grid, fallback: ‸4 kW}"), "chargers.CP-1.fallback", "the fallback 4 kW does not suit an AC charger", "0 A, or 6 A to 32 A"),
    ("DC fallback in amps", charger("{circuit: grid, power: 5 kW .. 20 kW, fallback: ‸0 A}"), "chargers.CP-1.fallback", "the fallback 0 A does not suit a DC charger", "0 kW, or 5 kW to 20 kW"),
    ("DC without fallback", site(f"{GRID}chargers:\n  ‸CP-1: {{circuit: grid, power: 5 kW .. 9 kW}}\n"), "chargers.CP-1.fallback", "is missing", ""),
    ("range reversed", charger("{circuit: grid, current: ‸32 A .. 6 A}"), "chargers.CP-1.current", "the minimum is above", "`6 A .. 32 A`"),
    ("range without unit", charger("{circuit: grid, current: ‸6 .. 32 A}"), "chargers.CP-1.current", "the first number has no unit", "`6 A .. 32 A`"),
    ("minimum below 6 A", charger("{circuit: grid, current: ‸5 A .. 32 A}"), "chargers.CP-1.current", "is below 6 A", "6 A .. 80 A"),
    ("maximum above 80 A", charger("{circuit: grid, current: ‸125 A}"), "chargers.CP-1.current", "is above 80 A", "for DC write `power`"),
    ("AC and DC", charger("{circuit: grid, current: 16 A, power: ‸5 kW .. 9 kW, fallback: 6 A}"), "chargers.CP-1.power", "stands beside `current`", ""),
    ("single power", charger("{circuit: grid, power: ‸50 kW, fallback: 0 kW}"), "chargers.CP-1.power", "only the maximum", "5 kW .. 50 kW"),
    ("phase twice", charger("{circuit: grid, phases: [L1, L2, ‸L1]}"), "chargers.CP-1.phases[3]", "is named twice", "different phases"),
    ("unknown phase", charger("{circuit: grid, phases: [L1, ‸L4]}"), "chargers.CP-1.phases[2]", "is no phase", "L1, L2 or L3"),
    ("phases as text", charger("{circuit: grid, phases: ‸L2}"), "chargers.CP-1.phases", "a list of phases is needed", "[L2]"),
    ("no EVSE", charger("{circuit: grid, evses: ‸0}"), "chargers.CP-1.evses", "is out of range", "from 1 to 32"),
    ("half an EVSE", charger("{circuit: grid, evses: ‸1.5}"), "chargers.CP-1.evses", "is not a whole number", "from 1 to 32"),
    ("circuit in the defaults", charger("{circuit: grid}", "charger_defaults: {‸circuit: grid}\n"), "charger_defaults.circuit", "is not a known key here", ""),
    # secrets
    ("password in the file", charger("{circuit: grid, password: ‸hunter2}"), "chargers.CP-1.password", "a secret is not written", "credential"),
    ("path as credential", charger("{circuit: grid, password: {credential: ‸../../etc/shadow}}"), "chargers.CP-1.password.credential", "is not possible here", "letters, digits"),
    ("other secret", charger("{circuit: grid, password: {‸file: x, credential: y}}"), "chargers.CP-1.password.file", "is not a known key", ""),
    # meters
    ("no connect", site("meters:\n  ‸main: {model: m}\ncircuits:\n  grid: {limit: 63 A, meter: main}\n"), "meters.main.connect", "is missing", "tcp://"),
    ("no model", site("meters:\n  ‸main: {connect: tcp://h}\ncircuits:\n  grid: {limit: 6 A, meter: main}\n"), "meters.main.model", "is missing", "file:"),
    ("bad URL", meter("{model: m, connect: ‸10.0.0.9}"), "meters.main.connect", "is not the address of a meter", "tcp://host:port"),
    ("bad scheme", meter("{model: m, connect: ‸http://10.0.0.9}"), "meters.main.connect", "is not the address", "rtu+tcp://"),
    ("bad IPv4", meter("{model: m, connect: ‸tcp://10.0.0.299:502}"), "meters.main.connect", "10.0.0.299 is not an IPv4 address", ""),
    ("bad port", meter("{model: m, connect: ‸tcp://h:70000}"), "meters.main.connect", "port 70000 does not exist", "1 to 65535"),
    ("bad baud", meter("{model: m, connect: ‸serial:///dev/ttyS0?baud=9601}"), "meters.main.connect", "baud 9601 is not possible", "9600"),
    ("bad parity", meter("{model: m, connect: ‸serial:///dev/ttyS0?parity=n}"), "meters.main.connect", "parity n is not known", "none, even or odd"),
    ("bad setting", meter("{model: m, connect: ‸serial:///dev/ttyS0?bauds=1}"), "meters.main.connect", "bauds is no setting", "did you mean baud?"),
    ("no device", meter("{model: m, connect: ‸serial://ttyUSB0}"), "meters.main.connect", "names no serial device", "three slashes"),
    ("RTU unit", meter("{model: m, connect: rtu+tcp://h, unit: ‸248}"), "meters.main.unit", "is no unit number on an RTU line", "1 to 247"),
    ("role", meter("{" + TCP + ", role: ‸watch}"), "meters.main.role", "is not known here", "guard or consumer"),
    ("reversed", meter("{" + TCP + ", reversed: ‸yes}"), "meters.main.reversed", "is neither true nor false", "true or false"),
    ("ratio", meter("{" + TCP + ", ct_ratio: ‸200:5}"), "meters.main.ct_ratio", "is not a ratio", "`200/5`"),
    ("inexact ratio", meter("{" + TCP + ", ct_ratio: ‸1/3}"), "meters.main.ct_ratio", "is not exact", "three decimals"),
    ("max_age", meter("{" + TCP + ", max_age: ‸11 s}"), "meters.main.max_age", "is out of range", "1 s to 10 s"),
    ("duration in amps", meter("{" + TCP + ", timeout: ‸3 A}"), "meters.main.timeout", "A is not a unit of duration", "write `3 s`"),
    ("always too old", meter("{" + TCP + ", every: ‸5 s}"), "meters.main.every", "a reading every 5 s would always be too old", "3 s"),
    ("answer too late", meter("{" + TCP + ", timeout: ‸4 s}"), "meters.main.timeout", "a reading that may take 4 s", "`timeout` below"),
    ("register map missing", meter("{connect: tcp://h, file: ‸mine.yaml}"), "meters.main.file", "there is no such file", "mine.yaml"),
    ("two maps", meter("{" + TCP + ", file: ‸site.yaml}"), "meters.main.file", "stands beside `model`", "keep one"),
    ("same device", site("meters:\n  a: {model: m, connect: tcp://h:502, unit: 3}\n  b: {model: m, connect: tcp://H, unit: ‸3}\n" "circuits:\n  grid: {limit: 63 A, meter: a}\n  hall: {fed_by: grid, limit: 9 A, meter: b}\n"), "meters.b.unit", "is the same device as meter a in line 3", "own unit number"),
    ("two speeds", site("meters:\n  a: {model: m, connect: serial:///dev/ttyS0?baud=9600}\n  b: {model: m, connect: ‸serial:///dev/ttyS0?baud=19200&parity=even}\n" "circuits:\n  grid: {limit: 63 A, meter: a}\n  hall: {fed_by: grid, limit: 9 A, meter: b}\n"), "meters.b.connect", "is 19200 baud 8E1, but meter a in line 3 has 9600 baud 8N1", "one speed"),
    ("two protocols", site("meters:\n  a: {model: m, connect: tcp://h:502}\n  b: {model: m, connect: ‸rtu+tcp://h:502}\n" "circuits:\n  grid: {limit: 63 A, meter: a}\n  hall: {fed_by: grid, limit: 9 A, meter: b}\n"), "meters.b.connect", "is rtu+tcp, but meter a in line 3 has tcp", "protocol"),
    # the site
    ("site id", "site: {id: ‸Depot_North}\n" + GRID + OCPP, "site.id", "is not possible here", "a-z, 0-9 and -"),
    ("timezone", "site: {id: n, timezone: ‸Europe/Berln}\n" + GRID + OCPP, "site.timezone", "is not a time zone", "did you mean Europe/Berlin?"),
    ("voltage", "site: {id: n, voltage: ‸400 V}\n" + GRID + OCPP, "site.voltage", "is out of range", "100 V to 300 V"),
    ("wiring", "site: {id: n, wiring: ‸wye}\n" + GRID + OCPP, "site.wiring", "is not known here", "star or delta"),
    ("imbalance between lines", "site: {id: n, wiring: delta}\ncircuits: {grid: {limit: 63 A, imbalance_limit: ‸20 A}}\n" + OCPP, "circuits.grid.imbalance_limit", "is for phases with a neutral", "`none`"),
    ("currency", "site: {id: n, currency: ‸Euro}\n" + GRID + OCPP, "site.currency", "is 4 characters long", "at most 3"),
    # ocpp and the other edges
    ("no listener", HEAD + GRID + "‸ocpp: {}\n", "ocpp.listeners", "is missing", "write `listeners:`"),
    ("empty listeners", HEAD + GRID + "ocpp: {listeners: ‸[]}\n", "ocpp.listeners", "the list is empty", "at least one"),
    ("no port", HEAD + GRID + "ocpp: {listeners: [{address: ‸0.0.0.0, security_profile: 1}]}\n", "ocpp.listeners[1].address", "the port is missing", ""),
    ("TLS without certificate", HEAD + GRID + "ocpp:\n  listeners:\n  - ‸{address: 0.0.0.0:1}\n", "ocpp.listeners[1].certificate", "is missing: security profile 2", ""),
    ("mutual TLS without certificate", HEAD + GRID + "ocpp:\n  listeners:\n  - ‸security_profile: 3\n    address: 0.0.0.0:1\n", "ocpp.listeners[1].certificate", "is missing: security profile 3", ""),
    ("profile", HEAD + GRID + "ocpp: {listeners: [{address: h:1, security_profile: ‸4}]}\n", "ocpp.listeners[1].security_profile", "is out of range", "from 0 to 3"),
    ("same address", HEAD + GRID + "ocpp:\n  listeners:\n  - {address: 10.0.0.1:1, security_profile: 1}\n  - {address: ‸0.0.0.0:1, security_profile: 1}\n", "ocpp.listeners[2].address", "is taken by 10.0.0.1:1 in line 6", "its own address and port"),
    ("web on an OCPP port", site(GRID + "web: {listen: ‸127.0.0.1:8887}\n"), "web.listen", "is taken", ""),
    ("retention", site(GRID + "ledger: {retention: ‸10 days}\n"), "ledger.retention", "is out of range", "30 days to 4000 days"),
    ("retention in other units", site(GRID + "ledger: {retention: ‸400 d}\n"), "ledger.retention", "d is not a unit of number of days", "`400 days`"),
    ("budget", site(GRID + "ledger: {budget: ‸20 MB}\n"), "ledger.budget", "is out of range", "0.1 GB to 100 GB"),
    ("unknown word", HEAD + GRID + "ocpp: {unknown_chargers: ‸accept, listeners: [{address: h:1, security_profile: 1}]}\n", "ocpp.unknown_chargers", "is not known here", "quarantine or refuse"),
    ("heartbeat", HEAD + GRID + "ocpp: {heartbeat: ‸12500 ms, listeners: [{address: h:1, security_profile: 1}]}\n", "ocpp.heartbeat", "is written too finely", "whole s"),
    ("strategy", site(GRID + "balancing: {strategy: ‸fairest}\n"), "balancing.strategy", "is not known here", "fair, priority or departure"),
    ("rotate_every", site(GRID + "balancing: {rotate_every: ‸5 s}\n"), "balancing.rotate_every", "is out of range", "1 min to 24 h"),
    ("lease", site(GRID + "balancing: {lease: ‸10 min}\n"), "balancing.lease", "is out of range", "30 s to 3 min"),
    ("tokens too old", site(GRID + "authorization: {tokens_max_age: ‸400 days}\n"), "authorization.tokens_max_age", "is out of range", "366 days"),
    ("age in other units", site(GRID + "authorization: {tokens_max_age: ‸12 h}\n"), "authorization.tokens_max_age", "h is not a unit of number of days", "days"),
    ("reversed uids", site(GRID + "authorization: {reversed_uids: ‸sometimes}\n"), "authorization.reversed_uids", "", ""),
    ("master group", site(GRID + "authorization: {master_group: ‸[]}\n"), "authorization.master_group", "", ""),
    ("offline", site(GRID + "authorization: {offline: ‸somebody}\n"), "authorization.offline", "is not known here", "known-tokens, anyone or nobody"),
    ("no token file", site(GRID + "authorization: {tokens: ‸none.yaml}\n"), "authorization.tokens", "cannot be read: No such file", "none.yaml"),
    ("broker scheme", site(GRID + "mqtt: {broker: ‸tcp://h}\n"), "mqtt.broker", "is not the address of a broker", "mqtts://host:port"),
    ("broker with password", site(GRID + "mqtt: {broker: ‸'mqtts://me:secret@h'}\n"), "mqtt.broker", "a user or password does not belong", "username"),
    ("role", site(GRID + "mqtt: {broker: mqtt://h, actors: {ops: {role: ‸root}}}\n"), "mqtt.actors.ops.role", "is not known here", "viewer, operator or manager"),
    ("no role", site(GRID + "mqtt: {broker: mqtt://h, actors: {‸ops: {}}}\n"), "mqtt.actors.ops.role", "is missing", "viewer"),
    ("command key", site(GRID + "mqtt: {broker: mqtt://h, command_keys: {k1: {public_key: ‸AAAA}}}\n"), "mqtt.command_keys.k1.public_key", "is not an Ed25519 public key", "32 bytes"),
    ("command key text", site(GRID + "mqtt: {broker: mqtt://h, command_keys: {k1: {public_key: ‸'?'}}}\n"), "mqtt.command_keys.k1.public_key", "is not base64", "PEM file"),
    ("actor of a key", site(GRID + "mqtt: {broker: mqtt://h, actors: {ops: {role: viewer}}, command_keys: {k1: {public_key: " + "A" * 43 + "=, actors: ‸[pos]}}}\n"), "mqtt.command_keys.k1.actors", "names an actor that is not there", "did you mean ops"),
    ("clock", site(GRID + "mqtt: {broker: mqtt://h, clock: ‸ntp}\n"), "mqtt.clock", "is not known here", "synchronised or plausible"),
    ("no broker", site(GRID + "‸mqtt: {keepalive: 30 s}\n"), "mqtt.broker", "is missing", "mqtts://"),
    ("certificate without TLS", site(GRID + "mqtt: {broker: mqtt://h, ‸ca_certificate: {credential: c}}\n"), "mqtt.ca_certificate", "needs TLS", "mqtts://"),
    ("risk", site(GRID + "accept_risk: ‸grid\n"), "accept_risk", "a list is needed", "[one, two]"),
    # YAML itself
    ("tab", HEAD + "circuits:\n‸\tgrid: {limit: 63 A}\n", "", "a tab cannot indent", "use spaces"),
    ("two documents", site(GRID) + "‸---\nmore: 1\n", "", "a second document begins here", "one document"),
    ("alias", site("circuits:\n  grid: &g {limit: 63 A}\n  hall: ‸*g\n"), "", "an alias (*name) is not used", "charger_defaults"),
    ("tag", site("circuits:\n  grid: {limit: ‸!!str 63 A}\n"), "", "a tag (!name) is not used", "the value only"),
    ("open quote", HEAD + "circuits: ‸'grid\n", "", "a quote is opened and never closed", "close it"),
    ("open brace", HEAD + "circuits: ‸{grid: {limit: 6 A}\n" + OCPP, "", "a { or [ is not closed", "close with } or ]"),
    ("two colons", "site: {id: n}\ncircuits: grid‸: 1\n", "", "a colon stands where no key can be", "quote text"),
    ("uneven", "site:\n    id: n\n  ‸name: x\n", "", "the indentation does not fit", "indent keys"),
    ("control character", "site: {id: n‸\x01}\n", "", "a control character is in the text", "remove it"),
    ("too deep", "a: " + "[" * 11 + "‸[" + "]" * 12, "", "is nested too deeply", "at most 12"),
    ("text only", "‸just text\n", "", "keys are needed here", "site, meters"),
    ("nothing", "‸# a comment\n", "", "the file is empty", "edgectl init"),
]  # fmt: skip


@pytest.mark.parametrize(("marked", "key", "message", "allowed"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS])
def test_a_mistake_is_found_where_it_is(tmp_path: Path, marked: str, key: str, message: str, allowed: str) -> None:
    text, line, column = split_mark(marked)

    problems = problems_of(tmp_path, text)

    here = [problem for problem in problems if (problem.line, problem.column, problem.key) == (line, column, key)]
    assert here, [str(problem) for problem in problems]
    assert any(problem.message.startswith(message) and allowed in problem.allowed for problem in here), [str(p) for p in here]
    assert not here[0].is_warning


@pytest.mark.parametrize("marked", [case[1] for case in ERRORS], ids=[case[0] for case in ERRORS])
def test_one_mistake_is_one_problem(tmp_path: Path, marked: str) -> None:
    problems = problems_of(tmp_path, split_mark(marked)[0])

    errors = [str(problem) for problem in problems if not problem.is_warning]
    assert len(errors) == 1, errors


WARNINGS = [
    ("no security", HEAD + GRID + "ocpp: {listeners: [{address: h:1, security_profile: ‸0}]}\n", "ocpp.listeners[1].security_profile", "anyone on this network"),
    ("idle certificate", HEAD + GRID + "ocpp: {listeners: [{address: h:1, security_profile: 1, ‸certificate: {credential: c}}]}\n", "ocpp.listeners[1].certificate", "has no effect with security profile 1"),
    ("credential", charger("{circuit: grid, ‸password: {credential: cp-1}}"), "chargers.CP-1.password", "there is no credential cp-1"),
    ("hold without meter", site("circuits:\n  grid: {limit: 9 A, hold_for: ‸3 s}\n"), "circuits.grid.hold_for", "has no effect on a circuit"),
    ("hold without hold", site(f"meters:\n  main: {{{TCP}}}\ncircuits:\n  grid: {{limit: 9 A, meter: main, hold_for: ‸3 s}}\n"), "circuits.grid.hold_for", "has no effect"),
    ("meter of nothing", site(f"meters:\n  ‸main: {{{TCP}}}\n{GRID}"), "meters.main", "is read but named by no circuit"),
    ("guard of two", site(f"meters:\n  m: {{{TCP}}}\ncircuits:\n  grid: {{limit: 9 A, meter: m}}\n  b: {{fed_by: grid, limit: 9 A, meter: ‸m}}\n"), "circuits.b.meter", "also guards the circuit in line 5"),
    ("never charges", site("circuits:\n  grid: {limit: 8 A}\nchargers:\n  ‸CP-1: {circuit: grid, current: 10 A .. 16 A, fallback: 0 A}\n"), "chargers.CP-1", "can never charge: its minimum 10 A"),
    ("readable password", site(GRID + "mqtt: {broker: mqtt://h, username: u, ‸password: {credential: p}}\n"), "mqtt.password", "travels readable over the network"),
]  # fmt: skip


@pytest.mark.parametrize(("marked", "key", "message"), [case[1:] for case in WARNINGS], ids=[case[0] for case in WARNINGS])
def test_a_doubtful_choice_is_a_warning_and_loads(tmp_path: Path, marked: str, key: str, message: str) -> None:
    text, line, column = split_mark(marked)
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")

    settings, problems = check(path, environ={})

    assert settings is not None, [str(problem) for problem in problems]
    assert all(problem.is_warning for problem in problems)
    found = [(problem.line, problem.column, problem.key) for problem in problems if problem.message.startswith(message)]
    assert found == [(line, column, key)]
    assert settings.warnings == tuple(str(problem) for problem in problems)


def test_security_profile_1_needs_nothing_more(tmp_path: Path) -> None:
    assert problems_of(tmp_path, site(GRID)) == ()


def test_no_root_is_told_beside_the_circle(tmp_path: Path) -> None:
    text, line, column = split_mark(site("‸circuits:\n  a: {fed_by: b, limit: 9 A}\n  b: {fed_by: a, limit: 9 A}\n"))

    messages = {(problem.line, problem.column): problem.message for problem in problems_of(tmp_path, text)}

    assert messages[line, column] == "no circuit is the grid connection"
    assert messages[line + 1, 15] == "is a circle: a is fed by b, fed by a"
    assert len(messages) == 2


def test_a_model_is_checked_against_the_catalogue_when_it_is_given(tmp_path: Path) -> None:
    text, line, column = split_mark(meter("{connect: tcp://h, model: ‸eastron-sdm360}"))

    (problem,) = problems_of(tmp_path, text, known_models=frozenset({"eastron-sdm630", "abb-b21"}))

    assert (problem.line, problem.column, problem.key) == (line, column, "meters.main.model")
    assert problem.allowed == "did you mean eastron-sdm630? models: abb-b21, eastron-sdm630"
    assert problems_of(tmp_path, text) == ()


def test_a_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    text = site(GRID + "mqtt: {broker: 'mqtts://me:s3cret@h', password: s3cret}\n")

    told = "\n".join(str(problem) for problem in problems_of(tmp_path, text))

    assert "mqtt.broker" in told
    assert "mqtt.password" in told
    assert "s3cret" not in told


def test_every_mistake_is_told_in_one_run_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
site:
  id: Depot North
  timezone: Mars/Olympus
circuits:
  grid: {limit: 250}
  hall-a: {fed_by: gird, limit: 125 A}
charger_defaults: {current: 4 A}
chargers:
  CP-1: {circuit: hall-c}
  cp-1: {circuit: hall-a, fallback: 3 A, colour: red}
ocpp:
  listeners:
    - {address: 0.0.0.0:8888}
    - {address: 0.0.0.0:8888, security_profile: 1}
mqtt:
  broker: broker.example.com
"""
    name = str(tmp_path / "site.yaml")

    assert [str(problem).replace(name, "site.yaml") for problem in problems_of(tmp_path, text)] == [
        "site.yaml:2:7: site.id: is not possible here (found Depot North); a-z, 0-9 and -, beginning and ending with a letter or digit",
        "site.yaml:3:13: site.timezone: is not a time zone (found Mars/Olympus); a name of the IANA database such as `Europe/Berlin`",
        "site.yaml:5:17: circuits.grid.limit: the unit is missing (found 250); write `250 A`",
        "site.yaml:6:20: circuits.hall-a.fed_by: is defined nowhere (found gird); did you mean grid? circuits: grid, hall-a",
        "site.yaml:7:29: charger_defaults.current: is below 6 A, which no AC charger can signal (IEC 61851-1) (found 4 A); 6 A .. 80 A",
        "site.yaml:9:19: chargers.CP-1.circuit: is defined nowhere (found hall-c); did you mean hall-a? circuits: grid, hall-a",
        "site.yaml:10:3: chargers.cp-1: differs only in letter case from the charger in line 9; upper and lower case are the same to it: remove or rename one",
        "site.yaml:10:42: chargers.cp-1.colour: is not a known key here; keys: evses, current, power, fallback, fallback_verified, phases, unbalanced_limit, version, assume_version, missing_upgrade, plug, quirks, …",
        "site.yaml:13:7: ocpp.listeners[1].certificate: is missing: security profile 2 uses TLS; write `certificate: {credential: NAME}`",
        "site.yaml:14:17: ocpp.listeners[2].address: is taken by 0.0.0.0:8888 in line 13 (found 0.0.0.0:8888); each listener has its own address and port",
        "site.yaml:16:11: mqtt.broker: is not the address of a broker (found broker.example.com); `mqtts://host:port`, or `mqtt://host:port` without TLS",
    ]  # fmt: skip
