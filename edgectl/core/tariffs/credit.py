"""A credit: everything of a sealed record again, its amounts negated (OCPI mod_cdrs, Credit CDRs)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from edgectl.domain.tariff import Cost

_NEGATED = ("total_cost",)
"""Of a CDR the total alone: what it is made of is repeated."""


def negated(cost: Cost) -> Cost:
    """The same cost, taken back; twice is the cost itself. Quantities stay, amounts change their sign."""
    return replace(
        cost,
        before_taxes=_negated(cost.before_taxes),
        after_taxes=_negated(cost.after_taxes),
        taxes=tuple((percent, _negated(net), _negated(tax)) for percent, net, tax in cost.taxes),
        lines=tuple(replace(line, amount=_negated(line.amount)) for line in cost.lines),
    )


def credit_cdr(cdr: dict[str, Any], of: str) -> dict[str, Any]:
    """The CDR that credits the one with the id ``of``; ``cdr`` says the same as that one, under an id of its own."""
    credit = {**cdr, "credit": True, "credit_reference_id": of}
    for name in _NEGATED:
        credit[name] = {key: _sign(value) for key, value in cdr[name].items()}
    return credit


def _negated(text: str) -> str:
    return format(_sign(Decimal(text)), "f")


def _sign(number: Decimal) -> Decimal:
    return number.copy_negate() if number else number
