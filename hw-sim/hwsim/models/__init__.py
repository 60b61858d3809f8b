"""The plant, modelled: cars, chargers, buildings, breakers. Sans-IO and seeded, so that one model serves real and virtual time.

- ``car``       a battery with a phase count, an appetite, a reaction time and a sleep
- ``profiles``  charging profiles stacked by the rules of OCPP 1.6
- ``evse``      a plug, its register and its current
- ``station16`` an OCPP 1.6 charge point with its offline queue; ``station16_requests`` is what it answers
- ``configuration`` its keys
- ``personalities`` what real charge points do that they should not, by name
- ``building``  the load beside the chargers
- ``breaker``   how close a conductor came to tripping
- ``depot``     all of it on one tree of circuits
"""
