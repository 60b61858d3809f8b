"""OCPP 1.6J, with the security extension.

``codec`` is the entrance and lists the actions; ``inbound`` and ``meter_values`` read what chargers send, ``answers`` writes what
we answer, ``profiles`` and ``requests`` write what we ask and read what they answer. The words charge point, connectorId and
idTag stop here. May import the shared modules of ``edgectl.ocpp`` and the domain.
"""

from edgectl.ocpp.v16.codec import V16

__all__ = ["V16"]
