"""A sealed record is never changed. One that was wrong is cancelled by a second and replaced by a third (OCPI mod_cdrs)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

_NEGATED = ("total_cost",)
"""A credit repeats everything and negates the total alone."""


def credit_and_replace(
    sealed: dict[str, Any], corrected: dict[str, Any], *, credit_id: str, replacement_id: str, at: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two CDRs that follow a sealed one. ``at``: the moment of both, RFC 3339.

    Raises:
        ValueError: for a record that is a credit itself, and for ids that are not three different ones.
    """
    if sealed.get("credit"):
        raise ValueError("a credit is not credited: seal a new record instead")
    if len({sealed["id"], credit_id, replacement_id}) != 3:
        raise ValueError("the sealed record, its credit and its replacement need an id each")
    credit = {**sealed, "id": credit_id, "credit": True, "credit_reference_id": sealed["id"], "last_updated": at}
    for name in _NEGATED:
        credit[name] = {key: _negated(value) for key, value in sealed[name].items()}
    replacement = {**corrected, "id": replacement_id, "last_updated": at}
    return credit, {key: value for key, value in replacement.items() if key not in {"credit", "credit_reference_id"}}


def _negated(value: object) -> object:
    return -value if isinstance(value, Decimal | int) else value
