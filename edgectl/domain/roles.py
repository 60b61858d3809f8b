"""What somebody outside may ask for."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What an actor may ask; each includes those before it."""

    VIEWER = "viewer"
    """Looks."""
    OPERATOR = "operator"
    """Runs the site: sessions, limits, targets."""
    MANAGER = "manager"
    """Changes it: tokens, tariffs, configuration, firmware, certificates."""

    def includes(self, other: Role) -> bool:
        """Whether who has this one may do what needs ``other``."""
        order = tuple(Role)
        return order.index(self) >= order.index(other)
