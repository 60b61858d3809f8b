"""OCPP listeners, broker and web page: the checks that need more than one key, and the settings of these adapters."""

from __future__ import annotations

from edgectl.config.addresses import Address
from edgectl.config.keys import ChargerDefaultKeys, ChargerKeys, ListenerKeys, MqttKeys, OcppKeys, WebKeys
from edgectl.config.problems import Place, excerpt, one_of
from edgectl.config.sections import Entries
from edgectl.domain.ids import ChargerId
from edgectl.domain.settings import BrokerAddress, ChargerAccess, CommandKey, Listener, MqttSettings, OcppSettings, WebSettings

_TLS_PROFILES = (2, 3)
_CERTIFICATE_PROFILE = 3


def compose_ocpp(ocpp: OcppKeys, chargers: Entries[ChargerKeys], defaults: ChargerDefaultKeys) -> OcppSettings:
    """The OCPP server. Every charger of the file gets an access entry, so that the server knows whom to expect."""
    listeners = tuple(listener for keys in ocpp.listeners or () if (listener := _listener(keys)) is not None)
    return OcppSettings(
        listeners=listeners,
        unknown_chargers=ocpp.unknown_chargers,
        access=tuple(_access(name, keys, defaults) for name, keys in chargers),
        heartbeat_s=ocpp.heartbeat // 1_000,
        ping_ms=ocpp.ping,
    )


def _access(name: str, keys: ChargerKeys, defaults: ChargerDefaultKeys) -> ChargerAccess:
    return ChargerAccess(
        ChargerId(name),
        keys.password,
        assume_version=keys.assume_version or defaults.assume_version,
        pin_version=keys.version or defaults.version,
        tolerates_missing_upgrade=bool(defaults.missing_upgrade if keys.missing_upgrade is None else keys.missing_upgrade),
    )


def _listener(keys: ListenerKeys) -> Listener | None:
    profile = keys.security_profile
    if keys.is_sound("security_profile", "certificate"):
        if profile in _TLS_PROFILES and keys.certificate is None:
            keys.place.inside("certificate").wrong(
                f"is missing: security profile {profile} uses TLS", "write `certificate: {credential: NAME}`", found=""
            )
        if profile not in _TLS_PROFILES and keys.certificate is not None:
            keys.at("certificate").warn(f"has no effect with security profile {profile}", "profiles 2 and 3 use TLS", found="")
        if profile == 0:
            keys.at("security_profile").warn(
                "anyone on this network can pretend to be any charger", "profile 1, 2 or 3; 0 only on a network of its own"
            )
        if profile != _CERTIFICATE_PROFILE and keys.client_authorities:
            words = f"has no effect with security profile {profile}"
            keys.at("client_authorities").warn(words, "profile 3 asks for certificates", found="")
        if keys.legacy_tls and profile in _TLS_PROFILES:
            keys.at("legacy_tls").warn(
                "TLS 1.0 and 1.1 can be read and changed by others on this network", "only on a network of its own", found=""
            )
        elif keys.legacy_tls:
            keys.at("legacy_tls").warn(f"has no effect with security profile {profile}", "profiles 2 and 3 use TLS", found="")
    if keys.address is None:
        return None
    return Listener(
        keys.address.host,
        keys.address.port,
        profile,
        certificates=keys.certificate or (),
        client_authorities=keys.client_authorities or (),
        has_legacy_tls=keys.legacy_tls,
    )


def check_addresses(ocpp: OcppKeys, web: WebKeys) -> None:
    """No two servers on one address."""
    taken: list[tuple[Address, Place]] = []
    wanted = [(keys.address, keys.at("address")) for keys in ocpp.listeners or ()] + [(web.listen, web.at("listen"))]
    for address, place in wanted:
        if address is None:
            continue
        clash = next((other for other, _ in taken if address.overlaps(other)), None)
        if clash is not None:
            where = next(earlier for other, earlier in taken if other is clash)
            place.wrong(f"is taken by {clash} in line {where.mark.line}", "each listener has its own address and port")
        taken.append((address, place))


def compose_mqtt(mqtt: MqttKeys) -> MqttSettings | None:
    """None for an empty section."""
    broker = mqtt.broker
    if broker is None:
        return None
    if not all(one.is_tls for one in (broker, *(mqtt.fallbacks or ()))):
        for key in ("client_certificate", "ca_certificate"):
            if key in mqtt.written:
                mqtt.at(key).wrong("needs TLS", "a broker address that begins with `mqtts://`", found="")
        if "password" in mqtt.written:
            mqtt.at("password").warn(
                "travels readable over the network", "a broker address that begins with `mqtts://`", found=""
            )
    if "password" in mqtt.written and "username" not in mqtt.written:
        mqtt.at("password").warn("is sent without a user name", "write `username:`, unless the broker wants it so", found="")
    known = [name for name, _ in mqtt.actors]
    for _, keys in mqtt.command_keys:
        for actor in keys.actors or ():
            if known and actor not in known:
                keys.at("actors").wrong("names an actor that is not there", one_of(actor, known, "actors"), found=excerpt(actor))
    return MqttSettings(
        host=broker.host,
        port=broker.port,
        is_tls=broker.is_tls,
        client_certificate=mqtt.client_certificate,
        ca_certificate=mqtt.ca_certificate,
        username=mqtt.username,
        password=mqtt.password,
        keepalive_s=mqtt.keepalive // 1_000,
        receipt_timeout_ms=mqtt.receipt_timeout,
        actors=tuple((name, keys.role) for name, keys in mqtt.actors if keys.role is not None),
        command_keys=tuple(
            CommandKey(name, keys.public_key, keys.actors or ())
            for name, keys in mqtt.command_keys
            if keys.public_key is not None
        ),
        clock=mqtt.clock,
        packs_telemetry=mqtt.pack_telemetry,
        packs_billing=mqtt.pack_billing,
        fallbacks=tuple(BrokerAddress(one.host, one.port, one.is_tls) for one in mqtt.fallbacks or ()),
    )


def compose_web(web: WebKeys) -> WebSettings | None:
    """None for an empty section."""
    return None if web.listen is None else WebSettings(web.listen.host, web.listen.port, web.token)
