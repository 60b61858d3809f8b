"""``edgectl-backend``. What says where broker and database are can also come from the environment; ``--help`` names it.

Exit codes: 0 ok, 1 failed, 2 bad input.
"""

from edgectl_backend.cli.commands import main

__all__ = ["main"]
