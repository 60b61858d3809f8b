"""What a new file would change, in words: for ``edgectl plan`` and for the log of a reload. Secrets appear only as names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, TypeAlias

from edgectl.config.quantities import CURRENT, DAYS, DURATION, ENERGY, PERCENT, POWER, SIZE, VOLTAGE, show
from edgectl.domain.external import ExternalInput, Level
from edgectl.domain.lines import Wiring
from edgectl.domain.phases import Phase, Phases
from edgectl.domain.settings import (
    Connection,
    InputConnection,
    LedgerSettings,
    Listener,
    MeterConnection,
    MqttSettings,
    Settings,
    Transport,
)
from edgectl.domain.site import Charger, Circuit, Meter, Site, Token
from edgectl.domain.tariff import Pricing
from edgectl.domain.tariff_objects import tariff_text
from edgectl.domain.units import MilliVolts

_Facts: TypeAlias = dict[str, str]
"""What one thing is, by the key of the file that says it."""


def describe_changes(old: Settings, new: Settings) -> tuple[str, ...]:
    """One sentence a change, in the order of the file; empty when both mean the same."""
    return tuple(
        sentence
        for part in (
            _changed("site", _site(old.site), _site(new.site)),
            _things("meter", _meters(old), _meters(new)),
            _things("input", _inputs(old), _inputs(new)),
            _things("circuit", _circuits(old.site), _circuits(new.site), _where_circuit(new.site)),
            _things("charger", _chargers(old), _chargers(new), _where_charger(new.site)),
            _things("OCPP listener", _listeners(old), _listeners(new)),
            _changed("ocpp", _plain(old.ocpp, "listeners", "access"), _plain(new.ocpp, "listeners", "access")),
            _changed("authorization", _authorization(old.site), _authorization(new.site)),
            _tokens(old.site.tokens, new.site.tokens),
            _changed("tariffs", _pricing(old.site.pricing), _pricing(new.site.pricing)),
            _things("tariff", _tariffs(old.site.pricing), _tariffs(new.site.pricing)),
            _things("signature key of meter", _signature_keys(old.site), _signature_keys(new.site)),
            _things("plan of", _plans(old.site.pricing), _plans(new.site.pricing)),
            _changed("balancing", _plain(old.site.balancing), _plain(new.site.balancing)),
            _single("mqtt", old.mqtt, new.mqtt, "actors", "command_keys"),
            _things("actor", _actors(old.mqtt), _actors(new.mqtt)),
            _things("command key", _command_keys(old.mqtt), _command_keys(new.mqtt)),
            _single("web", old.web, new.web),
            _changed("ledger", _ledger(old.ledger), _ledger(new.ledger)),
            _risks(old.accept_risk, new.accept_risk),
        )
        for sentence in part
    )


# --- comparing ---


def _changed(name: str, old: _Facts, new: _Facts) -> Iterator[str]:
    for key in {**old, **new}:
        before, after = old.get(key, "none"), new.get(key, "none")
        if before != after:
            yield f"{name}: {key} {before} -> {after}"


def _things(
    what: str, old: Mapping[str, _Facts], new: Mapping[str, _Facts], where: Callable[[str], str] = lambda _: ""
) -> Iterator[str]:
    for name in old:
        if name not in new:
            yield f"{what} {name} removed"
    for name, facts in new.items():
        if name not in old:
            yield f"{what} {name} added{where(name)}"
        else:
            yield from _changed(f"{what} {name}", old[name], facts)


def _single(name: str, old: object | None, new: object | None, *left_out: str) -> Iterator[str]:
    if old is None and new is not None:
        yield f"{name} added"
    elif old is not None and new is None:
        yield f"{name} removed"
    elif old is not None:
        yield from _changed(name, _plain(old, *left_out), _plain(new, *left_out))


def _tokens(old: Sequence[Token], new: Sequence[Token]) -> Iterator[str]:
    """Counted, not named: a uid can be enough to charge on someone's account."""
    before = {token.uid.casefold(): token for token in old}
    after = {token.uid.casefold(): token for token in new}
    counts = {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "changed": sum(before[uid] != after[uid] for uid in after.keys() & before.keys()),
    }
    if any(counts.values()):
        yield "tokens: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def _risks(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    yield from (f"accept_risk: {name} no longer accepted" for name in old if name not in new)
    yield from (f"accept_risk: {name} accepted" for name in new if name not in old)


# --- facts, named and written as in the file ---


def _site(site: Site) -> _Facts:
    return {
        "id": site.id,
        "name": site.name or "none",
        "timezone": site.timezone,
        "voltage": show(_nominal_mv(site), VOLTAGE),
        "wiring": site.wiring.value,
        "currency": site.currency,
        "location": "none" if site.location is None else ", ".join(_plain(site.location).values()),
    }


def _nominal_mv(site: Site) -> MilliVolts:
    """As the file says it, to a tenth of a volt."""
    return site.voltage_mv if site.wiring is Wiring.STAR else round(site.load_mv(2), -2)


def _meters(settings: Settings) -> dict[str, _Facts]:
    parts = {meter.id: meter for meter in settings.site.meters}
    found: dict[str, _Facts] = {meter.meter: {**_meter(meter), **_part(parts[meter.meter])} for meter in settings.meters}
    for made in settings.virtual_meters:
        found[made.meter] = {"virtual": f"{made.kind.value} of {', '.join(made.parts)}", **_part(parts[made.meter])}
    return found


def _part(meter: Meter) -> _Facts:
    return {"role": meter.role.value, "max_age": show(meter.max_age_ms, DURATION)}


def _meter(meter: MeterConnection) -> _Facts:
    return {
        "model": meter.model or "none",
        "file": meter.file or "none",
        "connect": _connection(meter.connection),
        "unit": str(meter.unit_number),
        "phases": _phase_list(meter.phases),
        "reversed": _text("reversed", meter.is_reversed),
        "ct_ratio": f"{meter.ct_ratio_permille / 1000:g}",
        "every": show(meter.interval_ms, DURATION),
        "timeout": show(meter.timeout_ms, DURATION),
    }


def _inputs(settings: Settings) -> dict[str, _Facts]:
    parts = {part.id: part for part in settings.site.inputs}
    return {one.input: {**_input(one), **_meanings(parts[one.input])} for one in settings.inputs}


def _input(one: InputConnection) -> _Facts:
    return {
        "connect": _connection(one.connection),
        "unit": str(one.unit_number),
        "read": f"{one.table.value} {one.address_number}",
        "every": show(one.interval_ms, DURATION),
        "timeout": show(one.timeout_ms, DURATION),
    }


def _meanings(part: ExternalInput) -> _Facts:
    return {
        "limits": str(part.target),
        "levels": ", ".join(f"{value}: {_level(level)}" for value, level in part.levels) or "none",
        "counts_in": "none" if part.per_count is None else _level(part.per_count),
        "when_lost": _level(part.when_lost),
        "max_age": show(part.max_age_ms, DURATION),
    }


def _level(level: Level) -> str:
    if level.share_percent is not None:
        return show(level.share_percent, PERCENT)
    if level.current_ma is not None:
        return show(level.current_ma, CURRENT)
    return "none" if level.power_w is None else show(level.power_w, POWER)


def _connection(connection: Connection) -> str:
    if connection.transport is Transport.SERIAL:
        parity = {"N": "none", "E": "even", "O": "odd"}[connection.parity]
        return f"serial://{connection.device}?baud={connection.baud}&parity={parity}&stop_bits={connection.stop_bits}"
    return f"{connection.transport.value}://{_host(connection.host)}:{connection.port}"


def _circuits(site: Site) -> dict[str, _Facts]:
    return {circuit.id: _circuit(circuit) for circuit in site.circuits}


def _circuit(circuit: Circuit) -> _Facts:
    return {
        "fed_by": circuit.fed_by or "none",
        "limit": _phases(circuit.limit_ma),
        "power": "none" if circuit.limit_w is None else show(circuit.limit_w, POWER),
        "soft_limit": "none" if circuit.soft_limit_ma is None else _phases(circuit.soft_limit_ma),
        "soft_power": "none" if circuit.soft_limit_w is None else show(circuit.soft_limit_w, POWER),
        "imbalance_limit": "none" if circuit.imbalance_ma is None else show(circuit.imbalance_ma, CURRENT),
        "meter": circuit.meter or "none",
        "margin": show(circuit.margin_ma, CURRENT),
        "other_loads": _phases(circuit.other_loads_ma),
        "protection": str(circuit.protection or "none"),
        "generation": _phases(circuit.generation_ma),
        "on_meter_loss": circuit.on_meter_loss.value,
        "hold_for": show(circuit.hold_ms, DURATION),
    }


def _where_circuit(site: Site) -> Callable[[str], str]:
    feeders = {str(circuit.id): circuit.fed_by for circuit in site.circuits}
    return lambda name: f" under {feeders[name]}" if feeders[name] else ""


def _chargers(settings: Settings) -> dict[str, _Facts]:
    passwords = {access.charger: _credential(access.password) for access in settings.ocpp.access}
    return {
        charger.id: {**_charger(charger), "password": passwords.get(charger.id, "none")} for charger in settings.site.chargers
    }


def _charger(charger: Charger) -> _Facts:
    return {
        "circuit": charger.circuit,
        "kind": charger.kind.value,
        "evses": str(charger.evse_count),
        "minimum": show(charger.min_ma, CURRENT),
        "maximum": show(charger.max_ma, CURRENT),
        "fallback": show(charger.fallback_ma, CURRENT),
        "phases": _phase_list(charger.phases),
        "unbalanced_limit": "none" if charger.unbalanced_ma is None else show(charger.unbalanced_ma, CURRENT),
        "plug": charger.plug.value if charger.plug else "none",
        **{f"quirks.{name}": str(value) for name, value in charger.own_quirks},
    }


def _pricing(pricing: Pricing) -> _Facts:
    return {
        "default": pricing.default or "none",
        "parking_grace": show(pricing.grace_ms, DURATION),
        "price": "binding" if pricing.is_authority else "indicative",
        "operator": "*".join(pricing.sells_as) if pricing.sells_as else "none",
    }


def _tariffs(pricing: Pricing) -> dict[str, _Facts]:
    return {tariff.id: {"object": tariff_text(tariff)} for tariff in pricing.tariffs}


def _actors(mqtt: MqttSettings | None) -> dict[str, _Facts]:
    return {name: {"role": role.value} for name, role in mqtt.actors} if mqtt is not None else {}


def _command_keys(mqtt: MqttSettings | None) -> dict[str, _Facts]:
    keys = mqtt.command_keys if mqtt is not None else ()
    return {key.name: {"public_key": key.public_key.hex()[:16], "actors": ", ".join(key.actors) or "all"} for key in keys}


def _signature_keys(site: Site) -> dict[str, _Facts]:
    return {serial: {"key": key} for serial, key in site.signature_keys}


def _plans(pricing: Pricing) -> dict[str, _Facts]:
    return {
        plan.account: {
            "kind": plan.kind.value,
            "tariff": plan.tariff or "none",
            "included": show(plan.included_wh, ENERGY),
            "discount": f"{plan.discount_percent} %",
            "monthly_fee": str(plan.monthly_fee),
            "fee_tax": "none" if plan.fee_tax_percent is None else f"{plan.fee_tax_percent} %",
            "cost_centre": plan.cost_centre or "none",
        }
        for plan in pricing.plans
    }


def _where_charger(site: Site) -> Callable[[str], str]:
    circuits = {str(charger.id): charger.circuit for charger in site.chargers}
    return lambda name: f" on {circuits[name]}"


def _listeners(settings: Settings) -> dict[str, _Facts]:
    return {f"{_host(listener.host)}:{listener.port}": _listener(listener) for listener in settings.ocpp.listeners}


def _listener(listener: Listener) -> _Facts:
    names = ", ".join(_credential(name) for name in listener.certificates)
    authorities = ", ".join(_credential(name) for name in listener.client_authorities)
    return {
        "security_profile": str(listener.security_profile),
        "certificate": names,
        "client_authorities": authorities,
        "legacy_tls": str(listener.has_legacy_tls).lower(),
    }


def _plain(part: Any, *left_out: str) -> _Facts:
    """The fields of a dataclass without structure of its own, named as in the file."""
    names = [item.name for item in fields(part) if item.name not in left_out]
    return {_KEYS.get(name, name): _text(name, getattr(part, name)) for name in names}


_KEYS = {
    "heartbeat_s": "heartbeat",
    "ping_ms": "ping",
    "call_timeout_ms": "call timeout",
    "rotate_ms": "rotate_every",
    "dead_time_ms": "dead time",
    "raise_after_ms": "raise_after",
    "lease_ms": "lease",
    "answer_timeout_ms": "answer timeout",
    "keepalive_s": "keepalive",
    "receipt_timeout_ms": "receipt_timeout",
    "is_tls": "TLS",
}


def _text(name: str, value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, int) and name.endswith("_ms"):
        return show(value, DURATION)
    if isinstance(value, int) and name.endswith("_s"):
        return show(value * 1_000, DURATION)
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _authorization(site: Site) -> _Facts:
    return {
        "offline": site.offline_policy.value,
        "tokens_max_age": "never" if site.tokens_max_age_ms is None else show(site.tokens_max_age_ms, DAYS),
        "reversed_uids": "true" if site.is_reversed_known else "false",
        "master_group": site.master_group or "none",
    }


def _ledger(ledger: LedgerSettings) -> _Facts:
    return {
        "retention": show(ledger.retention_ms, DAYS),
        "budget": show(ledger.budget_bytes, SIZE),
        "signing_key": _credential(ledger.signing_key),
    }


def _phases(value_ma: Phases) -> str:
    if len(set(value_ma)) == 1:
        return show(value_ma.l1, CURRENT)
    return "{" + ", ".join(f"{phase.name}: {show(value_ma[phase], CURRENT)}" for phase in Phase) + "}"


def _phase_list(phases: Sequence[Phase]) -> str:
    return "[" + ", ".join(phase.name for phase in phases) + "]"


def _credential(name: str | None) -> str:
    return "none" if name is None else f"credential {name}"


def _host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
