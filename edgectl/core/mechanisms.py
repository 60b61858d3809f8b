"""What lowers a charger when we are gone, one mechanism after the other, and how sure each of them is.

Limits that decay are only as good as what the charger makes of them, so for each charger it is said what was measured on it, what
it has merely agreed to, and what it is known not to do.
"""

from __future__ import annotations

from edgectl.core.chargers import ChargerState, Evidence, Fallback
from edgectl.domain.views import DrillView, MechanismView

ENDS = "ends by itself"
"""What a drill says of a limit that was not renewed, and after which the fallback was measured."""
_FALLBACK_WORDS = {
    Fallback.UNKNOWN: "not written on this link yet",
    Fallback.ASKED: "written, not answered yet",
    Fallback.INSTALLED: "accepted; it does not tell what it made of it",
    Fallback.VERIFIED: "accepted, and its own schedule ends in it",
    Fallback.DIFFERS: "accepted, and its own schedule ends in something else",
    Fallback.REFUSED: "refused",
}


def mechanisms(state: ChargerState, drill: DrillView) -> tuple[MechanismView, ...]:
    """In the order in which they act."""
    probes = {probe.name: (probe.value, probe.evidence) for probe in drill.probes}
    fell = next((probes[name] for name in ("lease", "offline end") if probes.get(name, ("",))[0] == ENDS), None)
    found = [_lease(state, probes.get("lease")), _fallback(state, fell), _kept(state, probes.get("reconnect"))]
    if state.protocol == "ocpp2.1":
        found.insert(1, _offline_end(probes.get("offline end")))
    return tuple(found)


def _offline_end(probe: tuple[str, str] | None) -> MechanismView:
    """What the drill saw of it by the values that the charger kept while it was alone."""
    if probe is not None and probe[0] == ENDS:
        return MechanismView("maxOfflineDuration", Evidence.PROVEN.value, f"drill: {probe[1]}")
    if probe is not None and probe[0] == "does not end":
        return MechanismView("maxOfflineDuration", Evidence.NONE.value, f"drill: {probe[1]}")
    seen = "`commission --drill` measures it" if probe is None else f"the drill could not tell: {probe[0]}, {probe[1]}"
    return MechanismView("maxOfflineDuration", Evidence.ASSUMED.value, f"sent with every limit; {seen}")


def _lease(state: ChargerState, probe: tuple[str, str] | None) -> MechanismView:
    if probe is not None and probe[0] == ENDS:
        return MechanismView("lease", Evidence.PROVEN.value, f"drill: {probe[1]}")
    if not state.quirks.has_lease:
        return MechanismView("lease", Evidence.NONE.value, "it is known to keep a limit beyond its end")
    return MechanismView("lease", Evidence.ASSUMED.value, "every limit is sent with its end; `commission --drill` measures it")


def _fallback(state: ChargerState, probe: tuple[str, str] | None) -> MechanismView:
    words = _FALLBACK_WORDS[state.fallback]
    if state.configured.is_fallback_vouched:
        words = "the site's file answers for it; " + words
    elif probe is not None and state.fallback_evidence is not Evidence.NONE:
        return MechanismView("fallback", Evidence.PROVEN.value, f"drill: {probe[1]}")
    elif state.is_fallback_verified and state.fallback is not Fallback.VERIFIED:
        words = "read back earlier; " + words
    elif state.fallback_evidence is Evidence.NONE and not state.fallback.is_void:
        words = "never confirmed; " + words
    return MechanismView("fallback", state.fallback_evidence.value, words)


def _kept(state: ChargerState, probe: tuple[str, str] | None) -> MechanismView:
    if probe is not None and probe[0] == "keeps its limit":
        return MechanismView("limit kept without link", Evidence.PROVEN.value, f"drill: {probe[1]}")
    if not state.quirks.keeps_profiles:
        return MechanismView("limit kept without link", Evidence.NONE.value, "it forgets limits with its link")
    return MechanismView("limit kept without link", Evidence.ASSUMED.value, "as the standard has it")
