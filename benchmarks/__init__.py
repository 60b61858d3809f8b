"""What edgectl costs, measured: CPU time, beside a baseline in the same run. ``make bench`` runs all of it.

- ``allocation``  the share-out at growing sites, beside a linear solver that finds the same
- ``quality``     days of a workplace and a depot: energy and departures, beside other rules and the optimum
- ``ocpp``        one 12-sample MeterValues message, beside the path of the plain ``ocpp`` package
- ``server``      messages per CPU second of the real daemon, beside other servers and bare transports
- ``storm``       everybody connects at once: time, CPU, memory per connection
- ``flood``       one charger misbehaves: what the others notice
- ``replay``      200 chargers deliver the backlog of a night at once
- ``reaction``    from a conductor over its limit to the first lowered limit on the wire

``wire`` is the chargers' side, ``daemon`` and ``process`` start what is measured, ``servers`` and ``node`` are the others.
A benchmark whose subject did not do its work says so and gives no figures. ``--json FILE`` writes all of them.

Quote ratios, not single times: machines differ, and busy ones drift.
"""
