"""Campaigns: very many short trials of one promise each, quick because there is no loop, no socket and no disk.

- ``histories``  charging histories that an adversary repeats, reorders, interrupts and crashes, through real frames and the core
- ``fuzz``       frames of all versions, mutated, through the engine of a link and the core
- ``meter_bus``  reads on a fault-injecting bus in virtual time; this one has a loop and connections, in memory
- ``uplink``     the exception: real processes, wires and disks, faults between a gateway's ledger and the backend's database

The first two are made of the same parts: ``line`` (a link without its socket), ``server`` (the core that can be killed),
``ledger`` (what a server has committed), ``charger`` (one that is scripted) and ``promises`` (what must hold).
"""
