"""``python -m edgectl_backend``."""

from edgectl_backend.cli import main

main()
