"""Campaigns: very many short trials of one promise each. The first three are quick: no process, no socket, no disk.

- ``histories``   charging histories that an adversary repeats, reorders, interrupts and crashes, through real frames and the core
- ``fuzz``        frames of all versions, mutated, through the engine of a link and the core
- ``meter_bus``   reads on a fault-injecting bus in virtual time; this one has a loop and connections, in memory
- ``crashes``     the real daemon, or its ledger alone, killed (-9) at every narrow window and at random
- ``power_cuts``  the real ledger on what a power cut leaves of its writes; ``recorder`` notes those
- ``uplink``      real processes, wires and disks, faults between a gateway's ledger and the backend's database

The first two are made of the same parts: ``line`` (a link without its socket), ``server`` (the core that can be killed),
``ledger`` (what a server has committed), ``charger`` (one that is scripted) and ``promises`` (what must hold). ``keeping`` is the
work and the judge of the last two.
"""
