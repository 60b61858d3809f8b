"""Names of things. Text ids are distinct types so that a circuit is never passed where a charger is meant."""

from __future__ import annotations

from typing import NamedTuple, NewType

SiteId = NewType("SiteId", str)
CircuitId = NewType("CircuitId", str)
ChargerId = NewType("ChargerId", str)
"""One charging station, by the identity it uses in the URL; the YAML, the CLI and MQTT say *charger*."""
MeterId = NewType("MeterId", str)
InputId = NewType("InputId", str)
"""A contact or register through which somebody outside limits the site."""
SessionId = NewType("SessionId", str)
"""UUIDv7 of a session; the ``record_id`` of its billing records."""
TransactionRef = NewType("TransactionRef", str)
"""A transaction as the charger names it: our integer as text on OCPP 1.6, the station's own id on 2.x."""
IdToken = NewType("IdToken", str)
"""The uid a driver presents, as received (matching ignores case)."""


class EvseId(NamedTuple):
    """One EVSE: a charger and its number there, from 1. OCPP 1.6 calls it a connector.

    A tuple, because it is the key of every table of the control step and tuples hash and compare in C.
    """

    charger: ChargerId
    number: int

    def __str__(self) -> str:
        return f"{self.charger}/{self.number}"


def same_token(a: IdToken, b: IdToken) -> bool:
    """Chargers change the case of a uid between messages, so equality ignores it."""
    return a.strip().casefold() == b.strip().casefold()
