"""A charging station of OCPP 2.0.1 or 2.1 by the book (Part 2 of the standard), and by name what others do instead.

- ``station``       boot, connectors, drivers, current; what carries it sees only this
- ``wire``          frames: one call at a time, what is queued for good and what is not
- ``transactions``  TransactionEvent: numbers, states, meter values
- ``tokens``        who may charge: the server's word, the local list, the cache
- ``charging``      charging profiles: which are taken, which of them hold
- ``current``       what flows, and what is said about it
- ``drivers``       cards, starts from afar, reservations
- ``service``       values by the clock, logs, firmware
- ``device_model``  its variables; ``variables`` is the table of them
- ``requests``      what it answers; ``requests_charging`` and ``requests_upkeep`` hold the parts for profiles and for service
- ``faults``        what it does that it should not
"""

from hwsim.models.ocpp2.faults import FAULTS_20
from hwsim.models.ocpp2.station import Station20

__all__ = ["FAULTS_20", "Station20"]
