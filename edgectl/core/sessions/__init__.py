"""Sessions: transactions as chargers tell them become one record each, whatever is repeated, reordered or forgotten.

- ``sessions``: starts and progress
- ``endings``: ends, orphans, and what comes late
- ``correcting``: the credit and the replacement of a sealed record that was wrong
- ``reservations``: places kept for somebody: used by a session, or a record of their own
- ``book``: which session is meant: by reference, by place, by content
- ``evidence``: what a message says and how far it can be believed
- ``registers``: energy from registers that may lie, and how a charger's register behaves
- ``periods``: the spans of a session
"""

from edgectl.core.sessions.evidence import Source
from edgectl.core.sessions.registers import RegisterWatch
from edgectl.core.sessions.sessions import Sessions

__all__ = ["RegisterWatch", "Sessions", "Source"]
