"""Sessions as others want them. Pure: records in, text out.

- ``select``     which sessions, and in steps from a ledger
- ``cdr``        the OCPI 2.2.1 CDR of a session, and the rules of that object
- ``sheet``      CSV, one session a line
- ``statement``  a month of each token, account or cost centre, as CSV or as a page to print
- ``render``     what was asked for, by its name. Start reading here
"""
