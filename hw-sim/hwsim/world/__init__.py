"""Virtual time: the whole daemon on an event loop whose clock jumps, in memory, the same for the same seed.

- ``loop``    the event loop; ``network`` its connections, with latency and faults
- ``clock``   edgectl's clock and ids on that loop
- ``disk``    the real ledger's tables with a simulated sync: latency, loss of what was not acknowledged, a full disk
- ``broker``  an MQTT broker and a backend that sends receipts
- ``site``    a site of simulated chargers, cars, meters and building around the real daemon; start reading here
- ``judge``   the promises, checked all the while; ``report`` what became of a run
- ``faults``  the catalogue of what goes wrong, and the mix of one run; ``faults_links``, ``_chargers`` and ``_site`` fill it
- ``single``  one fault alone on a busy site; ``yard`` a charger or two and a script
"""
