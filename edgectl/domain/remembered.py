"""What is remembered in the small state file, by kind. The file refuses every other word, so that nothing is kept unseen."""

from __future__ import annotations

from typing import Final

ADOPTED: Final = "adopted-chargers"
"""Who a charger said it was when it booted last."""
FALLBACKS: Final = "fallbacks-written"
"""The fallback each charger has accepted."""
FINGERPRINTS: Final = "fingerprints"
"""What a drill has found."""
RUNGS: Final = "rungs-that-work"
"""In which of the standard's ways a charger obeys, where it is not the first."""
COMMISSIONING: Final = "commissioning"
"""What was read of a charger's configuration, and written."""
TOKEN_LIST: Final = "token-list"  # noqa: S105 - a kind, not a secret
SIGNATURE_KEYS: Final = "signature-keys"
"""The public key a meter's signed values came with first, where none is registered."""
REMOTE_LIMITS: Final = "remote-limits"
TARGETS: Final = "targets"
"""Who must leave when, with how much."""

MANAGED: Final = "managed-by-backend"
"""Tokens and tariffs the backend has given, beside those of the site's file."""

KINDS: Final = (
    ADOPTED,
    FALLBACKS,
    FINGERPRINTS,
    RUNGS,
    COMMISSIONING,
    TOKEN_LIST,
    SIGNATURE_KEYS,
    REMOTE_LIMITS,
    TARGETS,
    MANAGED,
)
