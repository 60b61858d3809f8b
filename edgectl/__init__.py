"""edgectl: the on-site controller for a cluster of EV chargers.

The map of the house, from the inside out:

- ``domain``   the words: units, ids, the site, events, decisions, records
- ``core``     decides; touches no clock, socket, file or random number
- ``ports``    what the runtime needs from the outside, as protocols
- ``runtime``  the one loop: event in, decisions carried out
- ``ocpp``, ``meters``, ``uplink``, ``store``, ``status``, ``config``, ``solver``: the edges, one adapter each
- ``app``      composes everything; ``cli`` is the door for people

Start reading at ``domain/events.py`` and ``core/controller.py``.

For simulators the share-out is one pure call, ``edgectl.allocate``; see ``core/sharing.py`` and docs/ALLOCATION.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from edgectl.core.sharing import Allocation as Allocation
    from edgectl.core.sharing import Limit as Limit
    from edgectl.core.sharing import PluggedIn as PluggedIn
    from edgectl.core.sharing import share_out as allocate
    from edgectl.domain.site import Site
    from edgectl.solver.highs import solve as solve

__version__ = "0.1.0"
__all__ = ["Allocation", "Limit", "PluggedIn", "__version__", "allocate", "load_site", "solve"]

_IN_SHARING = {"Allocation": "Allocation", "Limit": "Limit", "PluggedIn": "PluggedIn", "allocate": "share_out"}


def load_site(path: str | Path) -> Site:
    """The site of a YAML file, for ``allocate``.

    Raises:
        ValueError: the file has mistakes; every one is a line of the message.
    """
    from pathlib import Path

    from edgectl.config import check

    settings, problems = check(Path(path), environ={})
    mistakes = [str(problem) for problem in problems if not problem.is_warning]
    if settings is None or mistakes:
        raise ValueError("\n".join(mistakes))
    return settings.site


def __getattr__(name: str) -> Any:
    # Looked up when asked for, so that `import edgectl` costs nothing.
    if name in _IN_SHARING:
        import edgectl.core.sharing

        return getattr(edgectl.core.sharing, _IN_SHARING[name])
    if name == "solve":
        import edgectl.solver.highs

        return edgectl.solver.highs.solve
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
