"""Simulated Modbus meters. Their framing is written apart from edgectl's, because they are its judge.

- ``registers``   a model's registers from true volts, amps, watts and energy
- ``device``      a unit that answers read requests, and its faults
- ``generated``   a device from a catalogue entry alone
- ``faulty``      a bus on which everything goes wrong, seeded; ``timed_line``  one as slow as a real one
- ``tcp_server``  Modbus TCP; ``rtu_server`` RTU on a pseudo terminal or through TCP
"""
