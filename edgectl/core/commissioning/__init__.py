"""Commissioning: every charger's configuration read, compared, and brought to what it should be.

Idempotent: a second set-up writes nothing. One question at a time, an outcome for every key, and no end of a charger's
patience: a key after which it restarted is never written again, and one that restarts too often is left alone.

- ``desired``: what the configuration should be, as tables
- ``script``: one set-up, step by step
- ``book``: what is known of each key, and remembered
- ``reconciler``: when a set-up of one charger begins and ends
- ``setups``: all chargers'
"""

from edgectl.core.commissioning.desired import Policy
from edgectl.core.commissioning.reconciler import COMMISSION, Reconciler
from edgectl.core.commissioning.setups import Setups

__all__ = ["COMMISSION", "Policy", "Reconciler", "Setups"]
