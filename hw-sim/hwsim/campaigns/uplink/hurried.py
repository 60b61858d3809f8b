"""``edgectl-backend``, with shorter pauses between attempts to connect: a fault a second must not teach it patience."""

from edgectl.uplink import paho
from edgectl_backend.cli import main

if __name__ == "__main__":
    paho.FIRST_PAUSE_S = paho.LONGEST_PAUSE_S = 0.5  # type: ignore[misc]
    main()
