"""The database: the only thing that processes share.

- ``migrations``  the schema, a file a step, frozen once released; ``migrating`` applies them
- ``database``    a pool of connections, and which failures are the database's and which a record's
- ``keeping``     one transaction for one batch
- ``chains``      the walk along each ledger, under its row's lock
- ``rechecking``  every kept record once more
- ``questions``   what people ask: sites, sessions, gaps, alarms
- ``partitions``  telemetry's days: made ahead, dropped when old
"""
