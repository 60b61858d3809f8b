"""Who may write and read where, by the sample access lists: for each topic its writers and its readers."""

from __future__ import annotations

USERS = ("s1", "s2", "backend", "nobody")
UP = ("status", "state/evse/x", "tele/evse", "event/alarm", "billing/session", "billing/probe", "cmd-ack/x")
DOWN = ("receipt/billing", "receipt/probe", "cmd/stop")

NOBODY: frozenset[str] = frozenset()
BACKEND = frozenset({"backend"})
TABLE: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    **{f"edgectl/v1/{site}/{suffix}": (frozenset({site}), BACKEND) for site in ("s1", "s2") for suffix in UP},
    **{f"edgectl/v1/{site}/{suffix}": (BACKEND, frozenset({site, "backend"})) for site in ("s1", "s2") for suffix in DOWN},
    "edgectl/v1/s1/status/more": (NOBODY, BACKEND),
    "edgectl/v1/s1/receipt/billing/more": (NOBODY, frozenset({"s1", "backend"})),
    "edgectl/v1/s11/status": (NOBODY, BACKEND),
    "edgectl/v1/s1": (NOBODY, BACKEND),
    "edgectl/v2/s1/status": (NOBODY, NOBODY),
    "other": (NOBODY, NOBODY),
}
"""The user ``nobody`` is let in by the broker and is no site of the table."""
