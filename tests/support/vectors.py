"""The shared vectors, read where they lie: ``$EDGECTL_VECTORS``, or ``shared/vectors`` beside or above the checkout.

They are not part of the project (some may not be copied). Where they are absent the project's own cases stand alone.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def vectors(name: str) -> Path | None:
    """The folder of one kind, or None."""
    given = os.environ.get("EDGECTL_VECTORS")
    places = [Path(given)] if given else [ROOT.parent / "shared" / "vectors", ROOT.parent / "vectors"]
    return next((place / name for place in places if (place / name).is_dir()), None)
