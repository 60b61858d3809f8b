"""A price in sentences: each line says what was counted, how it was rounded, at which price, and why that price."""

from __future__ import annotations

from edgectl.domain.tariff import Cost, CostLine

_BLOCKS = {"ENERGY": "Wh", "TIME": "s", "PARKING_TIME": "s", "RESERVATION_TIME": "s"}
_WORDS = {
    "ENERGY": "energy",
    "TIME": "charging time",
    "PARKING_TIME": "time without demand",
    "FLAT": "flat fee",
    "RESERVATION_TIME": "reserved time",
    "RESERVATION_FLAT": "reservation fee",
    "MIN_PRICE": "up to the least price",
    "MAX_PRICE": "down to the highest price",
    "DISCOUNT": "discount",
    "INCLUDED": "energy included in the month",
    "FEE": "monthly fee",
}
_NOTES = {
    "tax-rate-unknown": "the tariff does not say at which rate it is taxed",
    "tariff-out-of-date": "the tariff was not valid when the session began",
    "power-is-a-mean": "the tariff asks for power or current, and only the mean of each period is known",
    "energy-estimated": "the energy is an estimate",
    "energy-unknown": "the energy is not known",
}


def explain(cost: Cost) -> tuple[str, ...]:
    """One sentence a line, then the taxes, the total and the doubts."""
    sentences = [sentence(line, cost.currency) for line in cost.lines]
    for percent, net, tax in cost.taxes:
        if percent not in {"MIN_PRICE", "MAX_PRICE"}:
            sentences.append(f"tax: {percent} % of {net} {cost.currency} is {tax} {cost.currency}")
    status = "indicative; the backend's price counts" if cost.is_indicative else "the price"
    sentences.append(
        f"total: {cost.before_taxes} {cost.currency} before taxes, {cost.after_taxes} {cost.currency} after"
        f" ({status}; rules {cost.rules})"
    )
    return (*sentences, *(f"note: {_NOTES.get(note, note)}" for note in cost.notes))


def sentence(line: CostLine, currency: str) -> str:
    """One line."""
    what = _WORDS.get(line.dimension, line.dimension)
    place = f" (element {line.element_number})" if line.element_number else ""
    tax = "" if line.tax_percent is None else f", taxed at {line.tax_percent} %"
    amount = f"{line.amount} {currency}{tax}"
    if line.unit == "1":
        return f"{what}{place}: {amount}"
    if line.unit == "%":
        return f"{what}: {line.quantity} % of {line.unit_price} {currency}: {amount}"
    blocks = ""
    if line.billed != line.quantity:
        blocks = (
            f", billed as {line.billed} {line.unit} in blocks of {line.step_count} {_BLOCKS.get(line.dimension, '')}".rstrip()
        )
    return f"{what}{place}: {line.quantity} {line.unit}{blocks}, at {line.unit_price} {currency}/{line.unit}: {amount}"
