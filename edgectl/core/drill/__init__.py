"""The drill: ten minutes in which a charger shows what it does with a limit, so that nothing about it need be assumed.

"Accepted" proves nothing. The drill tells a charger, while a vehicle charges, one limit after another and watches the current:
which purposes and units it obeys, how long it takes, how it rounds, what it does after 0 A, when a lease ends, when its link
goes, and on demand when it restarts. What it shows is remembered as its *fingerprint* and applied like a quirk profile.

- ``script``: the questions, one after another, as a generator: it yields what is to be done or waited for, and gets what was seen
- ``findings``: what was found, and which quirks follow from it
- ``drills``: the drills under way, between the script and the rest of the core

Pure, as all of the core: no clock, no socket; time comes in with every call.
"""

from edgectl.core.drill.drills import DRILL, Drills

__all__ = ["DRILL", "Drills"]
