"""The MQTT contract: every payload that goes up or comes down, as a type; and the documents made from these types.

- ``fields``         kinds of values that many payloads share
- ``status``, ``states``, ``events``, ``billing``, ``telemetry``   what goes up
- ``receipts``, ``commands``, ``arguments``   what comes down; ``commands`` also has the answer to a command
- ``channels``       the table: each topic, its direction and rules, its payloads
- ``schemas``        JSON Schema 2020-12 of the types
- ``asyncapi``       the AsyncAPI 3.0 document of all of it; ``page`` shows that to people
- ``differences``    which changes of the contract break who relies on it

A type's docstring and the docstrings below its fields are the descriptions in the documents. Pure, and without imports of
other rooms than ``edgectl.domain``, so that a backend can use it as a library. Start reading at ``channels.py``.
"""

from edgectl.contract.channels import CHANNELS, Channel, Direction, message_of
from edgectl.contract.commands import Answer, Command
from edgectl.contract.receipts import Receipt

__all__ = ["CHANNELS", "Answer", "Channel", "Command", "Direction", "Receipt", "message_of"]
