"""The one loop that connects the edges with the core. May import ``ports``, ``core`` and ``domain``.

- ``engine``      takes an event, asks the core, carries the decisions out; the only caller of the core
- ``inbox``       where adapters put events; bounded by letting newer values replace older ones
- ``clock``       the real clock and id source: the only place that reads time or randomness
- ``housekeeping``  keeps the ledger small
- ``supervisor``  runs the adapters' tasks; restarts what fails, with back-off, and says so
- ``notify``      systemd's notification socket
- ``health``      what ``/healthz``, the watchdog and ``/readyz`` go by

Start reading at ``engine``.
"""
