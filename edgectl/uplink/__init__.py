"""The MQTT edge: what is owed to the backend goes up, receipts and commands come down.

From the pure inside to the socket:

- ``topics``     the tree under ``edgectl/v1/{site}/``, and what a topic means
- ``codec``      payloads to our words and back
- ``commands``   the door for commands; ``signatures`` and ``clock`` judge with it, ``orders`` says what each is to the core,
  ``execution`` keeps them and their answers
- ``window``     the sender's policy: what to send next, what an answer means, when to send again, what to set aside
- ``packing``    rows from the disk as the wire wants them, packed or plain
- ``acl``        asks the broker what it lets us do
- ``live``       states and answers, which are worth sending only while they are new
- ``desk``       the questions to the outbox
- ``transport``  the seam to an MQTT client; ``paho`` is the one over a network, ``connection`` one connection of it,
  ``access`` its credentials
- ``uplink``     the task that holds all of it together; implements ``ports.StatePublisher``

May import ``edgectl.domain``, ``edgectl.contract`` and ``edgectl.ports`` only. A broker's PUBACK says that the broker has a
record, not that the backend has stored it: a row leaves the outbox only by a receipt, and the outbox on the disk is the only
truth about what is owed.
Start reading at ``window.py``.
"""

from edgectl.uplink.paho import PahoTransport
from edgectl.uplink.transport import Listener, Message, MqttTransport, Will
from edgectl.uplink.uplink import Uplink, UplinkStatus

__all__ = ["Listener", "Message", "MqttTransport", "PahoTransport", "Uplink", "UplinkStatus", "Will"]
