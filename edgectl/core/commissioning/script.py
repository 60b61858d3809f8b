"""One set-up of a charger, step by step: read, compare, write what differs, read back. A generator, as the drill's.

It yields what is to be asked and is sent what was answered; time, links and the order of events are others' business.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from edgectl.core.commissioning.book import NEVER_AGAIN, SETTLED, Book
from edgectl.core.commissioning.desired import FACTS, Policy, Wanted, is_as_good, wanted_2, wanted_16
from edgectl.domain.events import Outcome
from edgectl.domain.quirks import Quirks, StatusTrigger
from edgectl.domain.units import Millis, UtcMillis
from edgectl.domain.views import KeyView

CHUNK_COUNT = 8
"""Keys asked for at once where the charger does not say how many it can: the least any was seen to take is 4."""
REPORT_MS: Millis = 15_000
"""Between two parts of a report."""


@dataclass(frozen=True, slots=True)
class AskFor:
    """A request to the charger."""

    request: str
    arguments: tuple[tuple[str, str], ...] = ()
    key: str = ""
    """The key it writes, if it writes one."""


@dataclass(frozen=True, slots=True)
class AwaitReport:
    """The next part of a report."""

    at_most_ms: Millis = REPORT_MS


@dataclass(frozen=True, slots=True)
class Told:
    """What came back. ``outcome`` is ``TIMEOUT`` when nothing did."""

    outcome: Outcome
    status: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    at_utc_ms: UtcMillis = 0


Step: TypeAlias = AskFor | AwaitReport
Script: TypeAlias = Generator[Step, Told, None]
_MARKS = frozenset({"read-only", "unknown-key", "request", "sequence", "more", "problem"})


@dataclass(slots=True)
class Found:
    """The charger's keys by folded name: its own spelling and its value."""

    values: dict[str, tuple[str, str]]
    read_only: set[str]

    def take(self, pairs: Iterable[tuple[str, str]]) -> None:
        for name, value in pairs:
            if name == "read-only":
                self.read_only.add(value.casefold())
            elif name not in _MARKS and ":" not in name.rpartition("]")[2].partition("@")[0]:
                self.values[name.casefold()] = (name, value)


def setup(book: Book, policy: Policy, protocol: str, quirks: Quirks, evse_count: int, *, is_on_demand: bool) -> Script:
    """Everything; ``is_on_demand`` tries again what was refused before."""
    is_16 = protocol == "ocpp1.6"
    table = wanted_16(policy) if is_16 else wanted_2(policy)
    table = (*table, *(Wanted(key, value, "of its maker") for key, _, value in (one.partition("=") for one in quirks.set_keys)))
    found = Found({}, set())
    yield from _read(found, [wanted.key for wanted in table], quirks, is_16=is_16)
    for folded, (name, value) in found.values.items():
        if folded in FACTS:
            book.facts[name] = value
    changed = []
    skipped = {key.casefold() for key in quirks.skip_keys}
    for wanted in table:
        is_written = yield from _settle(book, wanted, found, skipped, is_on_demand=is_on_demand)
        if is_written:
            changed.append(wanted)
    if changed:
        yield from _read_back(book, changed, quirks)
    if quirks.status_trigger is not StatusTrigger.NONE:
        for number in range(1, evse_count + 1) if quirks.status_trigger is StatusTrigger.CONNECTOR else (None,):
            place = () if number is None else (("evse", str(number)),)
            yield AskFor("trigger", (("message", "StatusNotification"), *place))
    book.is_done = True


def restore(book: Book) -> Script:
    """Every key we changed, back to what it was, the latest first."""
    for view in book.changed():
        told = yield AskFor("change-configuration", (("key", view.key), ("value", view.before or "")), view.key)
        outcome = "restored" if told.outcome is Outcome.ACCEPTED else _outcome(told)
        after = view.before if told.outcome is Outcome.ACCEPTED else view.after
        book.keys[view.key.casefold()] = KeyView(view.key, view.before, view.wanted, after, outcome, told.at_utc_ms)


# --- reading ----------------------------------------------------------------------------------------------------------


def _read(found: Found, keys: list[str], quirks: Quirks, *, is_16: bool) -> Script:
    if is_16:
        if quirks.reads_all_keys:
            told = yield AskFor("get-configuration")
            if told.outcome is Outcome.ACCEPTED:
                found.take(told.pairs)
                if len(found.values) > 1:
                    return
        told = yield AskFor("get-configuration", (("key", "GetConfigurationMaxKeys"),))
        found.take(told.pairs)
    else:
        told = yield AskFor("get-report")
        if told.outcome is Outcome.ACCEPTED:
            is_whole = yield from _report(found)
            if is_whole:
                return
    said = found.values.get("getconfigurationmaxkeys", ("", ""))[1]
    count = quirks.keys_per_read_count or (int(said) if said.isdecimal() and int(said) > 0 else CHUNK_COUNT)
    missing = [key for key in keys if key.casefold() not in found.values]
    for start in range(0, len(missing), count):
        yield from _read_some(found, missing[start : start + count])


def _report(found: Found) -> Generator[Step, Told, bool]:
    while True:
        told = yield AwaitReport()
        if told.outcome is not Outcome.ACCEPTED:
            return bool(found.values)
        found.take(told.pairs)
        if dict(told.pairs).get("more", "false").casefold() != "true":
            return True


def _read_some(found: Found, keys: list[str]) -> Script:
    told = yield AskFor("get-configuration", tuple(("key", key) for key in keys))
    if told.outcome is Outcome.ACCEPTED:
        found.take(told.pairs)
    elif len(keys) > 1:  # it has choked on the many, or on one of them
        for key in keys:
            yield from _read_some(found, [key])


# --- writing ----------------------------------------------------------------------------------------------------------


def _settle(book: Book, wanted: Wanted, found: Found, skipped: set[str], *, is_on_demand: bool) -> Generator[Step, Told, bool]:
    """Compare one key, and write it if it differs. Returns whether the charger has taken a new value."""
    folded = wanted.key.casefold()
    known = found.values.get(folded)
    name, before = known if known is not None else (wanted.key, None)
    earlier = book.outcome(wanted.key)

    def note(outcome: str, after: str | None, at_utc_ms: UtcMillis = 0) -> None:
        book.note(KeyView(name, before, wanted.value, after, outcome, at_utc_ms))

    if is_as_good(wanted, before):
        note("unchanged", before)
    elif folded in skipped:
        note("skipped", before)
    elif earlier == NEVER_AGAIN and not is_on_demand:
        pass
    elif folded in found.read_only:
        note("read-only", before)
    elif known is None:
        note("not-supported", None)
    elif earlier in SETTLED and not is_on_demand:
        pass
    elif wanted.is_probed and earlier == "accepted" and before == book.keys[folded].after and not is_on_demand:
        pass  # the part of the list that it can take
    else:
        told = yield AskFor("change-configuration", (("key", name), ("value", wanted.value)), name)
        if wanted.is_probed and told.outcome is Outcome.REJECTED:
            return (yield from _probe(book, wanted, name, before, found))
        outcome = _outcome(told)
        note(outcome, wanted.value if outcome in {"accepted", "reboot-required"} else before, told.at_utc_ms)
        return outcome in {"accepted", "reboot-required"}
    return False


def _probe(book: Book, wanted: Wanted, name: str, before: str | None, found: Found) -> Generator[Step, Told, bool]:
    """One bad name makes a charger reject the whole list, so each is tried alone, and the good ones together."""
    good: list[str] = []
    told = Told(Outcome.REJECTED)
    for member in wanted.value.split(","):
        told = yield AskFor("change-configuration", (("key", name), ("value", member)), name)
        if told.outcome is Outcome.ACCEPTED:
            good.append(member)
    longest = found.values.get("metervaluessampleddatamaxlength", ("", ""))[1]
    if longest.isdecimal() and 0 < int(longest) < len(good):
        good = good[: int(longest)]
    while good:
        told = yield AskFor("change-configuration", (("key", name), ("value", ",".join(good))), name)
        if told.outcome is not Outcome.REJECTED:
            break
        good.pop()  # the list is too long for it: the least important goes
    outcome = _outcome(told) if good else "rejected"
    value = ",".join(good) if outcome in {"accepted", "reboot-required"} else before
    book.note(KeyView(name, before, wanted.value, value, outcome, told.at_utc_ms))
    return False  # what it holds now is what it took; there is nothing to compare it with


def _read_back(book: Book, changed: list[Wanted], quirks: Quirks) -> Script:
    after = Found({}, set())
    count = quirks.keys_per_read_count or CHUNK_COUNT
    for start in range(0, len(changed), count):
        yield from _read_some(after, [wanted.key for wanted in changed[start : start + count]])
    for wanted in changed:
        view = book.keys.get(wanted.key.casefold())
        found = after.values.get(wanted.key.casefold())
        if view is None or found is None or view.outcome != "accepted" or is_as_good(wanted, found[1]):
            continue
        book.note(KeyView(view.key, view.before, view.wanted, found[1], "differs", view.at_utc_ms))


def _outcome(told: Told) -> str:
    if told.outcome is Outcome.ACCEPTED:
        return "reboot-required" if told.status.casefold() == "rebootrequired" else "accepted"
    if told.outcome in {Outcome.REJECTED, Outcome.NOT_SUPPORTED, Outcome.TIMEOUT}:
        return told.outcome.value
    return "rejected"
