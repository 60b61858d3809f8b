"""What a drill has found, and which quirks follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgectl.domain.quirks import ProfileKind, ProfilePurpose, QuirkValue, RateUnit
from edgectl.domain.time import Instant
from edgectl.domain.units import UtcMillis
from edgectl.domain.views import ProbeView


@dataclass(slots=True)
class Findings:
    """The fingerprint as it grows: findings in words for people, quirks for the machine."""

    probes: list[ProbeView] = field(default_factory=list)
    quirks: dict[str, QuirkValue] = field(default_factory=dict)

    def note(self, name: str, value: str, evidence: str = "") -> None:
        self.probes.append(ProbeView(name, value, evidence))

    def follows(self, name: str, value: QuirkValue) -> None:
        """A quirk that was measured; ``name`` is a field of ``quirks.Quirks``."""
        self.quirks[name] = value

    def document(self, firmware: str | None, now: Instant) -> dict[str, object]:
        """As it is remembered."""
        return {
            "firmware": firmware or "",
            "at_utc_ms": now.utc_ms,
            "probes": [[probe.name, probe.value, probe.evidence] for probe in self.probes],
            "quirks": {name: str(value) if isinstance(value, str) else value for name, value in self.quirks.items()},
        }


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A remembered result."""

    firmware: str
    at_utc_ms: UtcMillis
    probes: tuple[ProbeView, ...]
    quirks: tuple[tuple[str, QuirkValue], ...]


_WORDS = {"purpose": ProfilePurpose, "unit": RateUnit, "kind": ProfileKind}
_FLAGS = frozenset({"can_pause", "has_lease", "ends_offline", "keeps_profiles"})
_NUMBERS = frozenset({"wakes_at_ma", "min_ma"})


def read_document(document: Mapping[str, object]) -> Fingerprint | None:
    """None when it is no fingerprint: the file may have been edited by hand, and half a fingerprint is worse than none."""
    firmware, at_utc_ms = document.get("firmware"), document.get("at_utc_ms")
    raw_probes, raw_quirks = document.get("probes"), document.get("quirks")
    if not (isinstance(firmware, str) and isinstance(at_utc_ms, int)):
        return None
    if not (isinstance(raw_probes, list) and isinstance(raw_quirks, dict)):
        return None
    probes = tuple(ProbeView(*map(str, probe)) for probe in raw_probes if isinstance(probe, list) and len(probe) == 3)
    quirks: list[tuple[str, QuirkValue]] = []
    for name, value in raw_quirks.items():
        known = _quirk(name, value)
        if known is None:
            return None
        quirks.append((name, known))
    return Fingerprint(firmware, at_utc_ms, probes, tuple(quirks))


def _quirk(name: str, value: object) -> QuirkValue:
    if name in _WORDS and value in {str(word) for word in _WORDS[name]}:
        return _WORDS[name](value)
    if name in _FLAGS and isinstance(value, bool):
        return value
    if name in _NUMBERS and isinstance(value, int) and not isinstance(value, bool):
        return value
    return None
