"""Faults between a gateway's ledger and the backend's database: ``python -m hwsim uplink-faults --faults 2000 --records 100000``.

Real parts, each a process of its own: a gateway (its ledger and its uplink as the daemon runs them, fed with records at speed
instead of by chargers), mosquitto, two processes of the reference backend, PostgreSQL. Every wire goes through a proxy that can
cut it, let it hang half-open, or slow it down.

With ``--daemon`` the gateway is the whole daemon, and simulated chargers have one short session after another on real sockets.

- ``gateway``   the gateway's process
- ``daemon``    the whole daemon's process, with a clock that can be put
- ``depot``     the stage with that and its chargers
- ``hurried``   the backend's process, with shorter pauses between attempts to connect
- ``proxy``     the wires
- ``stage``     all of the processes: start, kill, restart
- ``faults``    what can happen, and how often
- ``campaign``  does it all, compares the two books at the end, prints the figures
"""
