"""The reference backend: takes what any number of gateways send over MQTT 5, keeps it in PostgreSQL, sends receipts.

From the pure inside to the sockets:

- ``judging``      what a message is, what a record means beside what is kept, what a receipt says, whether a chain holds
- ``postgres``     migrations, one transaction for a batch, the chains' state, every question of people
- ``web``          the fleet's page, JSON, ``/metrics``
- ``service``      the pump: a batch from the broker, its transaction, then receipts, then the broker's acknowledgement
- ``conformance``  a difficult site, against any backend that keeps to the contract or does not
- ``cli``          ``edgectl-backend``

It shares the contract and the wire's tools with the gateway and nothing else; the gateway does not know it. More processes share
the load through a shared subscription. They have nothing in common but the database, so whatever spans two records (the chain,
gaps, which revision counts) is decided there. Start reading at ``judging/records.py``.
"""
