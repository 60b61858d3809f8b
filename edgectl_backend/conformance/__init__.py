"""A difficult site against any backend: what the contract asks of a consumer, played, and judged by its receipts alone.

- ``scenarios``  what is sent, and what must become of it; pure
- ``judging``    what a receipt may say, beside what was sent; pure
- ``playing``    over a broker, one scenario after the other, each as a site of its own

What no receipt can show stays open: whether a commit came first, and which revision of a session is billed.
"""
