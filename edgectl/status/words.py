"""Why a limit is what it is, in a sentence an operator understands. Shared by the page, the API and the command line."""

from __future__ import annotations

from edgectl.domain.phases import Phase
from edgectl.domain.reasons import Authority, Cause, Input, Reason
from edgectl.domain.units import MilliAmps, Millis
from edgectl.domain.views import EvseView
from edgectl.status.moments import local_minutes


def explain(
    name: str, limit_ma: MilliAmps | None, reason: Reason, since_ms: Millis | None = None, *, timezone: str = "UTC"
) -> str:
    """E.g. "CP-01/1 may draw 9.0 A because hall L2 is full: limit 125 A, other loads 61.2 A ..."."""
    if reason.cause is Cause.IDLE or limit_ma is None:
        return f"{name}: no vehicle is charging here; only the charger's own fallback stands."
    may = f"{name} may draw {amps(limit_ma)}" if limit_ma > 0 else f"{name} waits at 0 A"
    sentence = f"{may} {_because(reason, timezone)}."
    return sentence if since_ms is None else f"{sentence} Set {_seconds(since_ms)} ago."


_RUNGS = {
    "tx": "the profile of its transaction",
    "tx-default": "the default profile of transactions",
    "station-max": "the maximum of the whole station",
}


def climbed(evse: EvseView, timezone: str = "UTC") -> str:
    """In which other way an EVSE is told since its first did not work, and why; nothing where the first does."""
    if evse.rung_since_utc_ms is None:
        return ""
    since = local_minutes(evse.rung_since_utc_ms, timezone)
    if evse.rung in _RUNGS:
        return f"It is told by {_RUNGS[evse.rung]} since {since}; before: {evse.rung_detail}."
    return f"Since {since} nothing it is told has any effect ({evse.rung_detail}); where there is no room it stops."


def _because(reason: Reason, timezone: str) -> str:
    inputs = {item.name: item for item in reason.inputs}
    place = _place(reason)
    facts = _facts(inputs)
    match reason.cause:
        case Cause.FULL:
            return "because that is all the charger can give; nothing else limits it"
        case Cause.VEHICLE:
            return "because the vehicle takes no more; the rest was released to others"
        case Cause.CIRCUIT:
            return f"because {place} is full: {facts}"
        case Cause.EXTERNAL:
            return f"because {_outside(reason, inputs, timezone)}" + (f": {facts}" if facts else "")
        case Cause.TURN if reason.authority is Authority.EXTERNAL:
            words = _outside(reason, inputs, timezone)
            return f"because others are served first of what is allowed: {words}" + (f"; {facts}" if facts else "")
        case Cause.SOFT_LIMIT:
            return f"because {place} is at its soft limit, which only a departure may break: {facts}"
        case Cause.IMBALANCE:
            return f"because {place} would carry too much more than another phase: {facts}"
        case Cause.TURN if reason.circuit is None:
            return "because it has just been paused for others, and a pause lasts some minutes"
        case Cause.TURN:
            return f"because not every vehicle's minimum fits on {place} and others are served first: {facts}"
        case Cause.METER_LOST:
            return (
                f"because the meter of {reason.circuit} is silent{_age(inputs.get('meter-silent'))}, so only the fallback is safe"
            )
        case Cause.CHARGER_SILENT:
            kept = inputs.get("reserved")
            silent = "" if kept is None or kept.age_ms is None else f" for {_seconds(kept.age_ms)}"
            free = "what it may draw at worst is" if kept is None else f"{_quantity(kept)}, what it may draw at worst, are"
            falls = "" if (fallback := inputs.get("fallback")) is None else f", and it falls to {_quantity(fallback)} by itself"
            return f"because the charger has not been reachable{silent}; {free} kept free for it{falls}"
        case Cause.UNCONFIRMED:
            if reason.authority is Authority.EXTERNAL:
                return f"for the moment, until all lower limits are confirmed; {_outside(reason, inputs, timezone)}"
            return f"for the moment: {place} has room for more once all lower limits are confirmed"
        case Cause.DRILL:
            return "because a drill finds out what the charger does with a limit"
        case Cause.SETTLING:
            return "for the moment: there is room for more, and it is given when it has lasted for a while"
        case _:
            return f"({reason.cause.value})"


def _outside(reason: Reason, inputs: dict[str, Input], timezone: str) -> str:
    """Whose limit, on what, how much, until when."""
    limit = inputs.get("external-limit")
    place = "this charger" if reason.circuit is None else _place(reason)
    much = "" if limit is None else f" to {_quantity(limit)}"
    until = "" if reason.until_utc_ms is None else f" until {local_minutes(reason.until_utc_ms, timezone)}"
    return f"{reason.by} limits {place}{much}{until}"


def _place(reason: Reason) -> str:
    if reason.circuit is None:
        return "a conductor"
    return reason.circuit if reason.phase is None else f"{reason.circuit} {Phase(reason.phase).name}"


def _facts(inputs: dict[str, Input]) -> str:
    parts = []
    if (limit := inputs.get("limit")) is not None:
        parts.append(f"{'limit of the file' if 'external-limit' in inputs else 'limit'} {_quantity(limit)}")
    if (other := inputs.get("other-loads")) is not None:
        parts.append(f"other loads {_quantity(other)}{_age(other)}")
    if (reserved := inputs.get("reserved")) is not None and reserved.value:
        parts.append(f"{_quantity(reserved)} kept free for silent chargers")
    if (vehicles := inputs.get("vehicles")) is not None:
        parts.append(f"shared by {vehicles.value} vehicle" + ("" if vehicles.value == 1 else "s"))
    return ", ".join(parts)


def _quantity(item: Input) -> str:
    return amps(item.value) if item.unit == "mA" else f"{item.value / 1000:.1f} kW" if item.unit == "W" else str(item.value)


def _age(item: Input | None) -> str:
    if item is None or item.age_ms is None:
        return ""
    return f" for {_seconds(item.age_ms)}" if item.name == "meter-silent" else f" (measured {_seconds(item.age_ms)} ago)"


def amps(value_ma: MilliAmps) -> str:
    return f"{value_ma / 1000:.1f} A"


def _seconds(value_ms: Millis) -> str:
    seconds = value_ms / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
