"""What a session costs, exactly and with its reasons. Pure: quantities and a tariff in, lines out.

- ``usage``    a session's periods, or a CDR's, as quantities that can be cut at any moment
- ``match``    when an element of a tariff is active, in local time over the clock change; where a period must be cut for it
- ``price``    the lines: first match per dimension, blocks, rounding, taxes, limits. Start reading here
- ``plans``    what an account has agreed on: a discount, energy included in the month, a fee, a cost centre
- ``explain``  a price in sentences
- ``book``     which tariff a session has, and its price when it ends
- ``credit``   the record that takes a sealed one back

Amounts are exact fractions until they are rounded, once, by the rule set that the record names.
"""
