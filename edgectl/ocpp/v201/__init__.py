"""OCPP 2.0.1, and what later versions share with it.

``codec`` is the entrance; ``edition`` lists what differs between the editions of OCPP 2, as data. ``inbound``, ``notifications``
and ``meter_values`` read what stations send, ``answers`` writes what we answer, ``profiles`` and ``requests`` write what we ask,
``request_answers`` reads what comes back, ``variables`` spells names of the device model. The words charging station, idToken
and seqNo stop here. May import the shared modules of ``edgectl.ocpp`` and the domain.
"""

from edgectl.ocpp.v201.codec import V201

__all__ = ["V201"]
