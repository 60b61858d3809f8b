"""The OCPP edge: edgectl is the server of the site's chargers.

From the pure inside to the socket:

- ``frames``      one text frame to one typed frame, and back; limits on size, depth and numbers; error codes per version
- ``rpc``         the OCPP-J engine of one connection, sans-IO: who is owed an answer, which own call is in flight
- ``codec``       what a protocol version has to translate: ``v16``, ``v201``, ``v21``; adding a version is adding such a folder
- ``samples``, ``meter_values``, ``timestamps``, ``fields``, ``schemas``   lenient readers and strict checks that versions share
- ``profiles``, ``asks``   what charging profiles and other requests of all versions have in common
- ``credentials`` the identity in the path and the password in the header
- ``link``        one connected charger: a reader, a writer, and the engine between them
- ``listeners``   the sockets and the opening handshake
- ``server``      all links; implements ``ports.ChargerLinks``

May import ``edgectl.domain`` and ``edgectl.ports`` only. It translates and decides nothing: who may charge, at what current, and
what is answered is the core's business. Start reading at ``codec.py``, then ``rpc.py``, then ``link.py``.
"""

from edgectl.ocpp.server import OcppServer

__all__ = ["OcppServer"]
