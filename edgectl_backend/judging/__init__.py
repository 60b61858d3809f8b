"""What arrives, and what it means. Pure: no clock, no socket, no database.

- ``topics``    whose message it is, and of what kind
- ``bills``     a billing message to a ``Bill``, or the reason why it is none
- ``records``   a bill beside what is kept under its name: new, a repeat, a conflict
- ``chain``     a walk along the numbers of one ledger: how far they reach without a gap, and where the chain is broken
- ``rechecking`` what is kept, held once more against every hash, the chain, and the gateway's signatures
- ``receipts``  what the gateway is told
- ``telling``   events, states, statuses and telemetry
"""
