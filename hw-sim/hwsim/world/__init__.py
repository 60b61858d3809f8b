"""Virtual time: the whole daemon on an event loop whose clock jumps, in memory, the same for the same seed.

- ``loop``    the event loop; ``network`` its connections, with latency and faults
- ``clock``   edgectl's clock and ids on that loop
- ``disk``    the real ledger's tables with a simulated sync: latency, loss of what was not acknowledged, a full disk
- ``broker``  an MQTT broker and a backend that sends receipts
- ``site``    a site of simulated chargers, cars, meters and building around the real daemon; start reading here
"""
