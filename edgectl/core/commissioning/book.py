"""What is known of one charger's configuration: each key as it was, as it should be, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgectl.domain.units import UtcMillis
from edgectl.domain.views import KeyView

CHANGED = frozenset({"accepted", "reboot-required", "differs"})
"""Outcomes after which the charger's value may be ours."""
SETTLED = frozenset({"rejected", "not-supported", "read-only", "differs", "timeout"})
"""Outcomes that are not tried again by themselves, until the firmware is another."""
NEVER_AGAIN = "caused-reboot"


@dataclass(slots=True)
class Book:
    """The keys by folded name. ``keys`` holds what is out of the ordinary; a key that was right all along is in ``right``."""

    firmware: str = ""
    is_done: bool = False
    has_reset: bool = False
    """It has been restarted once for this configuration; not again by itself."""
    keys: dict[str, KeyView] = field(default_factory=dict)
    right: dict[str, KeyView] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    def note(self, view: KeyView) -> None:
        folded = view.key.casefold()
        if view.outcome == "unchanged" and folded not in self.keys:
            self.right[folded] = view
            return
        self.right.pop(folded, None)
        earlier = self.keys.get(folded)
        if view.outcome == "unchanged" and earlier is not None:
            return  # what we changed earlier still holds: its story stays
        if earlier is not None and earlier.outcome in CHANGED:
            view = KeyView(view.key, earlier.before, view.wanted, view.after, view.outcome, view.at_utc_ms)
        self.keys[folded] = view

    def outcome(self, key: str) -> str:
        view = self.keys.get(key.casefold())
        return "" if view is None else view.outcome

    def changed(self) -> list[KeyView]:
        """What can be taken back: the latest first."""
        return [view for view in reversed(self.keys.values()) if view.outcome in CHANGED and view.before is not None]

    def views(self) -> tuple[KeyView, ...]:
        return (*self.keys.values(), *self.right.values())

    def document(self) -> dict[str, object]:
        """As it is remembered: without the keys that were right, which are read again at every boot."""
        return {
            "firmware": self.firmware,
            "is_done": self.is_done,
            "has_reset": self.has_reset,
            "facts": dict(self.facts),
            "keys": [[v.key, v.before, v.wanted, v.after, v.outcome, v.at_utc_ms] for v in self.keys.values()],
        }


def read_document(document: Mapping[str, object] | None) -> Book:
    """A fresh book where nothing usable is remembered."""
    if document is None:
        return Book()
    firmware, keys, facts = document.get("firmware"), document.get("keys"), document.get("facts")
    if not isinstance(firmware, str) or not isinstance(keys, list) or not isinstance(facts, dict):
        return Book()
    book = Book(firmware, document.get("is_done") is True, document.get("has_reset") is True)
    book.facts = {str(name): str(value) for name, value in facts.items()}
    for entry in keys:
        view = _view(entry)
        if view is not None:
            book.keys[view.key.casefold()] = view
    return book


def _view(entry: object) -> KeyView | None:
    if not isinstance(entry, list) or len(entry) != 6:
        return None
    key, before, wanted, after, outcome, at = entry
    if not (isinstance(key, str) and isinstance(wanted, str) and isinstance(outcome, str) and isinstance(at, int)):
        return None
    return KeyView(key, _text(before), wanted, _text(after), outcome, UtcMillis(at))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
