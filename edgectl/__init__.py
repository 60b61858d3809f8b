"""edgectl: the on-site controller for a cluster of EV chargers.

The map of the house, from the inside out:

- ``domain``   the words: units, ids, the site, events, decisions, records
- ``core``     decides; touches no clock, socket, file or random number
- ``ports``    what the runtime needs from the outside, as protocols
- ``runtime``  the one loop: event in, decisions carried out
- ``ocpp``, ``meters``, ``uplink``, ``store``, ``status``, ``config``: the edges, one adapter each
- ``app``      composes everything; ``cli`` is the door for people

Start reading at ``domain/events.py`` and ``core/controller.py``.
"""

__version__ = "0.1.0"
