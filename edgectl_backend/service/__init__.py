"""The running backend: the pump between broker and database, and what keeps the database in order.

- ``pump``     a batch from the broker, its transaction, then receipts, then the broker's acknowledgement; start reading here
- ``outgoing`` what waits to be published
- ``upkeep``   walks along the chains, telemetry's days
- ``process``  all of it as one process
- ``sending``  a command to one gateway, and its answer
"""
