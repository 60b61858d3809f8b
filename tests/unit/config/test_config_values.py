"""What a correct file becomes."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgectl.config import ConfigError, check, load
from edgectl.config.problems import Refused
from edgectl.config.quantities import CURRENT, DURATION, POWER, Dimension, parse, show
from edgectl.domain.ids import ChargerId, CircuitId, MeterId
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import ALL_PHASES, Phase, Phases
from edgectl.domain.settings import (
    Connection,
    LedgerSettings,
    Listener,
    MqttSettings,
    Settings,
    Transport,
    UnknownChargers,
    WebSettings,
)
from edgectl.domain.site import (
    Balancing,
    Charger,
    Circuit,
    MeterLoss,
    MeterRole,
    OfflinePolicy,
    PowerKind,
    Site,
    Strategy,
    TokenStatus,
)
from edgectl.domain.time import utc_ms

LEAST = "site: {id: n}\ncircuits: {grid: {limit: 63 A}}\nocpp: {listeners: [{address: 0.0.0.0:8887, security_profile: 1}]}\n"


def loaded(tmp_path: Path, text: str, **files: str) -> Settings:
    for name, content in files.items():
        (tmp_path / f"{name}.yaml").write_text(content, encoding="utf-8")
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, environ={})


def charger(tmp_path: Path, keys: str, defaults: str = "{}") -> Charger:
    text = f"{LEAST}charger_defaults: {defaults}\nchargers: {{CP-1: {{circuit: grid, {keys}}}}}\n"
    return loaded(tmp_path, text).site.chargers[0]


def test_the_least_file_gets_the_domain_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path, LEAST)

    assert settings.site == Site(id="n", circuits=(Circuit(CircuitId("grid"), Phases.uniform(63_000)),), chargers=())
    assert settings.ocpp.listeners == (Listener("0.0.0.0", 8887, 1),)
    assert settings.ocpp.heartbeat_s == 300
    assert settings.ocpp.ping_ms == 20_000
    assert settings.mqtt is None
    assert settings.web is None
    assert settings.ledger == LedgerSettings(400 * 86_400_000, 4_000_000_000)
    assert settings.warnings == ()
    assert settings.source == str(tmp_path / "site.yaml")


def test_a_charger_without_keys_gets_the_domain_defaults(tmp_path: Path) -> None:
    assert loaded(tmp_path, LEAST + "chargers: {CP-1: {circuit: grid}}\n").site.chargers == (
        Charger(ChargerId("CP-1"), CircuitId("grid")),
    )


@pytest.mark.parametrize(
    "empty", ["mqtt:\nweb:\n", "mqtt: {}\nweb: {}\n", "mqtt: ~\nchargers:\nmeters:\n", "accept_risk: []\nbalancing:\n"]
)
def test_empty_sections_are_legal(tmp_path: Path, empty: str) -> None:
    settings = loaded(tmp_path, LEAST + empty)

    assert settings == loaded(tmp_path, LEAST)


def test_every_key_reaches_its_place(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        """\
site: {id: depot-1, name: Depot, timezone: Europe/Berlin, voltage: 240 V, currency: GBP}
meters:
  main:
    file: own.yaml
    connect: serial:///dev/serial/by-id/usb-FTDI_1?baud=19200&parity=even&stop_bits=2
    unit: 7
    role: consumer
    phases: [L3, L1, L2]
    reversed: true
    ct_ratio: 200/5
    every: 200 ms
    timeout: 150 ms
    max_age: 2 s
circuits:
  hall: {fed_by: grid, limit: {L1: 32 A, L2: 25.5 A, L3: 0 A}, other_loads: {L1: 1 A, L2: 2 A, L3: 0 A}}
  grid: {limit: [125 A, 80 kW], meter: main, margin: 1500 mA, other_loads: 10 A, on_meter_loss: hold, hold_for: 2 min}
  yard: {fed_by: hall, limit: 16 A, power: 9.5 kW}
chargers:
  DE*ABC*E1: {circuit: yard, phases: [L2], current: 16 A, fallback: 0 A, evses: 2, password: {credential: e1}}
ocpp:
  listeners: [{address: '[::1]:9000', security_profile: 3, certificate: {credential: tls}}]
  unknown_chargers: refuse
  heartbeat: 1 h
  ping: 30 s
authorization: {offline: anyone, tokens_max_age: 7 days, master_group: GUARDS, reversed_uids: true}
balancing: {strategy: departure, rotate_every: 1 h, lease: 90 s, raise_after: 0 s}
mqtt:
  broker: mqtts://Broker.Example.com
  client_certificate: {credential: c}
  ca_certificate: {credential: ca}
  username: u
  password: {credential: p}
  keepalive: 1 min
  receipt_timeout: 500000 ms
web: {listen: localhost:8080}
ledger: {retention: 700 days, budget: 12 GB}
accept_risk: [grid]
""",
        own="points: {}",
    )

    site = settings.site
    assert (site.id, site.name, site.timezone, site.voltage_mv, site.currency) == (
        "depot-1",
        "Depot",
        "Europe/Berlin",
        240_000,
        "GBP",
    )
    assert site.circuits == (
        Circuit(
            CircuitId("grid"),
            Phases.uniform(125_000),
            limit_w=80_000,
            meter=MeterId("main"),
            margin_ma=1_500,
            other_loads_ma=Phases.uniform(10_000),
            on_meter_loss=MeterLoss.HOLD,
            hold_ms=120_000,
        ),
        Circuit(CircuitId("hall"), Phases(32_000, 25_500, 0), CircuitId("grid"), other_loads_ma=Phases(1_000, 2_000, 0)),
        Circuit(CircuitId("yard"), Phases.uniform(16_000), CircuitId("hall"), limit_w=9_500),
    )
    assert site.chargers == (Charger(ChargerId("DE*ABC*E1"), CircuitId("yard"), PowerKind.AC, 2, 6_000, 16_000, 0, (Phase.L2,)),)
    assert site.offline_policy is OfflinePolicy.ANYONE
    assert (site.tokens_max_age_ms, site.master_group, site.is_reversed_known) == (7 * 86_400_000, "GUARDS", True)
    assert site.balancing == Balancing(Strategy.DEPARTURE, rotate_ms=3_600_000, lease_ms=90_000, raise_after_ms=0)
    (part,), (meter,) = site.meters, settings.meters
    assert (part.id, part.role, part.max_age_ms) == ("main", MeterRole.CONSUMER, 2_000)
    assert meter.connection == Connection(
        Transport.SERIAL, device="/dev/serial/by-id/usb-FTDI_1", baud=19200, parity="E", stop_bits=2
    )
    assert (meter.unit_number, meter.model, meter.file) == (7, None, str(tmp_path / "own.yaml"))
    assert (meter.phases, meter.is_reversed, meter.ct_ratio_permille) == ((Phase.L3, Phase.L1, Phase.L2), True, 40_000)
    assert (meter.interval_ms, meter.timeout_ms) == (200, 150)
    assert settings.ocpp.listeners == (Listener("::1", 9000, 3, ("tls",)),)
    assert settings.ocpp.unknown_chargers is UnknownChargers.REFUSE
    assert (settings.ocpp.heartbeat_s, settings.ocpp.ping_ms) == (3_600, 30_000)
    assert [(access.charger, access.password) for access in settings.ocpp.access] == [("DE*ABC*E1", "e1")]
    assert settings.mqtt == MqttSettings("broker.example.com", 8883, True, "c", "ca", "u", "p", 60, 500_000)
    assert settings.web == WebSettings("localhost", 8080)
    assert settings.ledger == LedgerSettings(700 * 86_400_000, 12_000_000_000)
    assert settings.accept_risk == ("grid",)


def test_circuits_come_parents_first_whatever_their_order(tmp_path: Path) -> None:
    body = "{c: {fed_by: b, limit: 1 A}, b: {fed_by: grid, limit: 1 A}, d: {fed_by: c, limit: 1 A}, grid: {limit: 1 A}}"

    site = loaded(tmp_path, LEAST.replace("{grid: {limit: 63 A}}", body)).site

    assert [circuit.id for circuit in site.circuits] == ["grid", "b", "c", "d"]


def test_a_single_current_is_the_maximum(tmp_path: Path) -> None:
    made = charger(tmp_path, "current: 16 A")

    assert (made.min_ma, made.max_ma, made.fallback_ma) == (6_000, 16_000, 6_000)


def test_without_a_fallback_the_minimum_is_the_fallback(tmp_path: Path) -> None:
    assert charger(tmp_path, "current: 10 A .. 16 A").fallback_ma == 10_000


def test_defaults_fill_what_a_charger_does_not_say(tmp_path: Path) -> None:
    made = charger(
        tmp_path, "fallback: 0 A, phases: [L3]", "{evses: 2, current: 8 A .. 20 A, fallback: 8 A, phases: [L2, L3, L1]}"
    )

    assert made == Charger(ChargerId("CP-1"), CircuitId("grid"), PowerKind.AC, 2, 8_000, 20_000, 0, (Phase.L3,))


def test_an_ac_charger_among_dc_defaults_keeps_its_own_rating(tmp_path: Path) -> None:
    made = charger(tmp_path, "current: 16 A", "{power: 10 kW .. 50 kW, fallback: 0 kW}")

    assert (made.kind, made.max_ma, made.fallback_ma) == (PowerKind.AC, 16_000, 6_000)


def test_a_dc_charger_becomes_currents_rounded_to_the_honest_side(tmp_path: Path) -> None:
    made = charger(tmp_path, "power: 10 kW .. 20 kW, fallback: 11 kW, evses: 2")

    # 10 kW / (3 x 230 V) = 14.4927... A, 20 kW = 28.9855... A, 11 kW = 15.9420... A
    assert (made.kind, made.evse_count) == (PowerKind.DC, 2)
    assert (made.min_ma, made.max_ma, made.fallback_ma) == (14_493, 28_985, 15_942)


def test_a_dc_fallback_at_the_minimum_stays_possible(tmp_path: Path) -> None:
    made = charger(tmp_path, "power: 10 kW .. 20 kW, fallback: 10 kW")

    assert made.fallback_ma == made.min_ma


def test_a_dc_charger_may_pause_without_us(tmp_path: Path) -> None:
    assert charger(tmp_path, "power: 10 kW .. 20 kW, fallback: 0 kW").fallback_ma == 0


@given(low_w=st.integers(0, 400_000), more_w=st.integers(0, 400_000), volts=st.integers(100, 300), data=st.data())
def test_dc_currents_keep_their_order(
    tmp_path_factory: pytest.TempPathFactory, low_w: int, more_w: int, volts: int, data: st.DataObject
) -> None:
    high_w = max(1, low_w + more_w)
    fallback_w = data.draw(st.just(0) | st.integers(low_w, high_w))
    text = LEAST.replace("63 A", "10000 A").replace("id: n", f"id: n, voltage: {volts} V") + (
        f"chargers: {{CP-1: {{circuit: grid, power: {low_w} W .. {high_w} W, fallback: {fallback_w} W}}}}\n"
    )

    made = loaded(tmp_path_factory.getbasetemp(), text).site.chargers[0]

    assert 0 <= made.min_ma <= made.max_ma
    assert made.fallback_ma == 0 or made.min_ma <= made.fallback_ma <= made.max_ma
    assert made.max_ma * volts * 3 <= high_w * 1_000


# --- units ---


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("32 A", CURRENT, 32_000),
        ("16.5 A", CURRENT, 16_500),
        ("32A", CURRENT, 32_000),
        ("  6   A ", CURRENT, 6_000),
        ("500 mA", CURRENT, 500),
        ("150 kW", POWER, 150_000),
        ("4200 W", POWER, 4_200),
        ("1.2 MW", POWER, 1_200_000),
        ("15 min", DURATION, 900_000),
        ("3 s", DURATION, 3_000),
        ("500 ms", DURATION, 500),
        ("2 h", DURATION, 7_200_000),
        ("0.5 s", DURATION, 500),
    ],
)
def test_units_are_read(text: str, dimension: Dimension, value: int) -> None:
    assert parse(text, dimension).value == value


@pytest.mark.parametrize(
    "text",
    ["", "A", "32", "32 V", "thirty A", "3,5 A", "1e3 A", "0x20 A", "٣ A", "1 A A", "--1 A", "1. A", ".5 A", "9" * 40 + " A"],
)
def test_what_is_no_current_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        parse(text, CURRENT)


@given(st.integers(0, 10_000_000), st.sampled_from([CURRENT, POWER, DURATION]))
def test_what_is_shown_reads_back_as_the_same(value: int, dimension: Dimension) -> None:
    assert parse(show(value, dimension), dimension).value == value


# --- addresses ---


@pytest.mark.parametrize(
    ("text", "connection"),
    [
        ("tcp://192.168.10.20:502", Connection(Transport.TCP, host="192.168.10.20", port=502)),
        ("tcp://Meter-1.lan", Connection(Transport.TCP, host="meter-1.lan", port=502)),
        ("tcp://[fe80::1]:503/", Connection(Transport.TCP, host="fe80::1", port=503)),
        ("rtu+tcp://10.0.0.1:4001", Connection(Transport.RTU_OVER_TCP, host="10.0.0.1", port=4001)),
        ("serial:///dev/ttyUSB0", Connection(Transport.SERIAL, device="/dev/ttyUSB0")),
        (
            "serial:///dev/ttyAMA0?baud=115200&parity=odd",
            Connection(Transport.SERIAL, device="/dev/ttyAMA0", baud=115200, parity="O"),
        ),
    ],
)
def test_meter_addresses_are_read(tmp_path: Path, text: str, connection: Connection) -> None:
    body = f"meters: {{m: {{model: x, connect: '{text}'}}}}\n" + LEAST.replace("63 A", "63 A, meter: m")

    assert loaded(tmp_path, body).meters[0].connection == connection


def test_meters_on_one_bus_share_an_equal_connection(tmp_path: Path) -> None:
    body = (
        "meters:\n  a: {model: x, connect: tcp://GATEWAY:502, unit: 1}\n  b: {model: x, connect: tcp://gateway, unit: 2}\n"
        + LEAST.replace("{grid: {limit: 63 A}}", "{grid: {limit: 63 A, meter: a}, b: {fed_by: grid, limit: 9 A, meter: b}}")
    )

    first, second = loaded(tmp_path, body).meters

    assert first.connection == second.connection
    assert first.phases == ALL_PHASES


def test_mqtt_without_tls_has_its_own_port(tmp_path: Path) -> None:
    mqtt = loaded(tmp_path, LEAST + "mqtt: {broker: mqtt://10.0.0.1}\n").mqtt

    assert mqtt == MqttSettings("10.0.0.1", 1883, is_tls=False)


def test_port_0_takes_free_ports_and_never_clashes(tmp_path: Path) -> None:
    listeners = "[{address: 127.0.0.1:0, security_profile: 1}, {address: 127.0.0.1:0, security_profile: 1}]"

    assert len(loaded(tmp_path, LEAST.replace("[{address: 0.0.0.0:8887, security_profile: 1}]", listeners)).ocpp.listeners) == 2


# --- tokens ---

WITH_TOKENS = LEAST.replace("id: n", "id: n, timezone: Europe/Berlin") + "authorization: {tokens: tokens.yaml}\n"


def test_tokens_are_a_mapping_or_a_list(tmp_path: Path) -> None:
    as_mapping = "04A2: {status: blocked, group: g, priority: 3, account: fleet}\n0042:\n'0815': {}\n"
    as_list = "tokens:\n- {uid: 04A2, status: blocked, group: g, priority: 3, account: fleet}\n- uid: 0042\n- uid: '0815'\n"

    first = loaded(tmp_path, WITH_TOKENS, tokens=as_mapping).site.tokens
    second = loaded(tmp_path, WITH_TOKENS, tokens=as_list).site.tokens
    third = loaded(tmp_path, WITH_TOKENS, tokens="tokens:\n  " + as_mapping.replace("\n", "\n  ")).site.tokens

    assert first == second == third
    assert [(token.uid, token.status, token.group, token.priority, token.account) for token in first] == [
        ("04A2", TokenStatus.BLOCKED, "g", 3, "fleet"),
        ("0042", TokenStatus.ACCEPTED, None, 0, None),
        ("0815", TokenStatus.ACCEPTED, None, 0, None),
    ]


@pytest.mark.parametrize(
    "uid", ["0815", "1234567890123", "1e5", "0x1F", "12:30", "true", "null", "~", "007.50", "2027-01-01", "0o17", ".inf"]
)
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_uid_is_text_as_it_stands(tmp_path: Path, uid: str, quote: str) -> None:
    assert loaded(tmp_path, WITH_TOKENS, tokens=f"{quote}{uid}{quote}: {{}}\n").site.tokens[0].uid == uid


@pytest.mark.parametrize(
    ("expires", "moment"),
    [
        ("2027-12-31", datetime(2027, 12, 31, 23, tzinfo=UTC)),  # Berlin's midnight in winter
        ("2027-06-30", datetime(2027, 6, 30, 22, tzinfo=UTC)),  # and in summer
        ("2027-12-31T18:00:00+01:00", datetime(2027, 12, 31, 17, tzinfo=UTC)),
        ("2027-12-31T18:00Z", datetime(2027, 12, 31, 18, tzinfo=UTC)),
        ("2027-12-31 18:00:00.250Z", datetime(2027, 12, 31, 18, 0, 0, 250_000, tzinfo=UTC)),
    ],
)
def test_expiry_is_the_end_of_a_local_day_or_an_exact_moment(tmp_path: Path, expires: str, moment: datetime) -> None:
    token = loaded(tmp_path, WITH_TOKENS, tokens=f"04A2: {{expires: '{expires}'}}\n").site.tokens[0]

    assert token.expires_utc_ms == utc_ms(moment)


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ("A1:\n  status: lost\n", "2:11: A1.status: is not known here (found lost); accepted, blocked or expired"),
        ("A1: {expires: 2027-02-30}\n", "1:15: A1.expires: is not in the calendar (found 2027-02-30); `2027-12-31`"),
        ("A1: {expires: tomorrow}\n", "1:15: A1.expires: is not a date (found tomorrow); `2027-12-31`"),
        ("A1: {expires: 2027-02-03T10:00:00}\n", "1:15: A1.expires: has no offset, so its moment is unknown"),
        ("A1: {}\na1: {}\n", "2:1: a1: differs only in letter case from the token in line 1"),
        ("A1: {}\nA1: {}\n", "2:1: A1: is written twice, first in line 1"),
        ("tokens:\n- {uid: A1}\n- {uid: a1}\n", "3:9: tokens[2].uid: is the token of line 2 again (found a1)"),
        ("tokens:\n- {status: accepted}\n", "2:3: tokens[1].uid: is missing"),
        ("A1: {priority: high}\n", "1:16: A1.priority: is not a whole number (found high); a whole number from 0 to 100"),
        ("A1: {prio: 1}\n", "1:6: A1.prio: is not a known key here; did you mean priority?"),
        ("A1: accepted\n", "1:5: A1: keys are needed here (found accepted)"),
        ("A1: {\n", "2:1: a { or [ is not closed here"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_token_file_is_found_there(tmp_path: Path, tokens: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, WITH_TOKENS, tokens=tokens)

    (found,) = error.value.problems
    assert str(found).startswith(f"{tmp_path}/tokens.yaml:{problem}")


def test_problems_of_the_token_file_come_after_those_of_the_site(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(WITH_TOKENS.replace("63 A", "63") + "mqtt: {broker: x}\n", encoding="utf-8")
    (tmp_path / "tokens.yaml").write_text("A1: {prio: 1}\n", encoding="utf-8")

    problems = check(path, environ={})[1]

    assert [(Path(problem.file).name, problem.key) for problem in problems] == [
        ("site.yaml", "circuits.grid.limit"),
        ("site.yaml", "mqtt.broker"),
        ("tokens.yaml", "A1.prio"),
    ]


def test_an_empty_token_file_knows_nobody(tmp_path: Path) -> None:
    assert loaded(tmp_path, WITH_TOKENS, tokens="# nobody yet\n").site.tokens == ()


def test_an_error_tells_every_problem_in_its_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, LEAST.replace("63 A", "63").replace("id: n", "id: N"))

    assert str(error.value).splitlines() == [str(problem) for problem in error.value.problems]
    assert len(error.value.problems) == 2


def test_a_site_between_lines_names_their_voltage_and_powers_follow_it(tmp_path: Path) -> None:
    text = LEAST.replace("id: n", "id: n, wiring: delta, voltage: 208 V, country: DE") + (
        "chargers:\n"
        "  pair: {circuit: grid, phases: [L1, L2], power: 0 kW .. 6.24 kW, fallback: 0 kW}\n"
        "  whole: {circuit: grid, power: 0 kW .. 18 kW, fallback: 0 kW}\n"
    )
    site = loaded(tmp_path, text).site
    assert (site.wiring, site.voltage_mv) == (Wiring.DELTA, 120_089)
    pair, whole = site.chargers
    assert pair.max_ma == pytest.approx(6_240_000 / 208, abs=1)
    assert whole.max_ma == pytest.approx(18_000_000 / (208 * 3**0.5), abs=5)
    assert site.circuits[0].imbalance_ma is None, "between lines there is no phase to neutral to balance"


def test_a_fallback_between_lines_fits_a_power_limit_as_it_is(tmp_path: Path) -> None:
    """16 A at 208 V are 3.33 kW; to neutral on each of the two they would be 3.84."""
    text = LEAST.replace("id: n", "id: n, wiring: delta, voltage: 208 V").replace("63 A", "[63 A, 3.4 kW]")
    charger = "chargers:\n  pair: {circuit: grid, phases: [L1, L2], current: 16 A .. 16 A, fallback: 16 A}\n"
    assert loaded(tmp_path, text + charger).site.chargers[0].fallback_ma == 16_000
