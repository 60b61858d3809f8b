"""OCPP 2.1: the edition of 2.0.1 with more to say.

``codec`` is the entrance, ``edition`` holds the differences as data. Everything else is ``edgectl.ocpp.v201``.
"""

from edgectl.ocpp.v21.codec import V21

__all__ = ["V21"]
