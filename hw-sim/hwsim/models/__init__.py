"""The plant, modelled: cars, chargers, buildings, breakers. Sans-IO and seeded, so that one model serves real and virtual time.

- ``car``       a battery with a phase count, an appetite and a reaction time
- ``profiles``  charging profiles stacked by the rules of OCPP 1.6
- ``station16`` an OCPP 1.6 charge point with its offline queue and its faults
- ``building``  the load beside the chargers
- ``breaker``   how close a conductor came to tripping
- ``depot``     all of it on one tree of circuits
"""
