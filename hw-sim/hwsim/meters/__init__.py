"""Simulated Modbus meters. Their framing is written apart from edgectl's, because they are its judge.

- ``registers``   a model's registers from true volts, amps, watts and energy
- ``device``      a unit that answers read requests, and its faults
- ``tcp_server``  Modbus TCP; ``rtu_server`` RTU on a pseudo terminal or through TCP
"""
