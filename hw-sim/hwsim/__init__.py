"""The depot in a box: everything around edgectl, simulated, in real and in virtual time.

- ``models``   chargers, cars, buildings, breakers: sans-IO and seeded
- ``meters``   Modbus meters with faults, on TCP, on a pty, in memory
- ``station``  carries a charger model over a WebSocket, real or in memory
- ``world``    virtual time: event loop, network, disk, broker, and a whole site on them
- ``demo``     ``make demo``: the real daemon as its own process, with everything around it on loopback
- ``tools``    real programs (mosquitto ...) from Debian, with or without root
"""
