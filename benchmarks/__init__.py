"""What edgectl costs, measured: CPU time, beside a baseline in the same run. ``make bench`` runs all of it.

- ``allocation``  the share-out at growing sites, beside the control step that uses it
- ``ocpp``        one 12-sample MeterValues message, beside the path of the plain ``ocpp`` package

Quote ratios, not single times: machines differ, and busy ones drift.
"""
