"""What requests beside limits have in common: their text arguments, the words of their answers, entries of a local list.

An ``Ask`` names a request in neutral words and brings text pairs; what has structure is JSON in one of them. Each version has a
table of the requests it can express.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from typing import Any

from edgectl.domain.decisions import Ask
from edgectl.domain.events import Outcome, RequestAnswered
from edgectl.domain.quirks import ProfilePurpose
from edgectl.domain.site import TokenStatus
from edgectl.domain.time import iso
from edgectl.ocpp.codec import BadRequestError
from edgectl.ocpp.fields import text_of
from edgectl.ocpp.profiles import FALLBACK_IDS, lease_number
from edgectl.ocpp.rpc import CallEnded
from edgectl.ocpp.timestamps import read_timestamp

STATUSES: dict[str, Outcome] = {
    **dict.fromkeys(("accepted", "acceptedcanceled", "scheduled", "rebootrequired", "unlocked"), Outcome.ACCEPTED),
    **dict.fromkeys(
        (
            "duplicate", "emptyresultset", "failed", "faulted", "invalid", "invalidcertificate", "noprofiles", "notfound",
            "occupied", "ongoingauthorizedtransaction", "rejected", "revokedcertificate", "unavailable", "unknown",
            "unknowncomponent", "unknownconnector", "unknownvariable", "unlockfailed", "versionmismatch",
        ),
        Outcome.REJECTED,
    ),
    **dict.fromkeys(
        (
            "notimplemented", "notsupported", "notsupportedattributetype", "unknownmessageid", "unknownvendorid",
            "unsupportedmonitortype",
        ),
        Outcome.NOT_SUPPORTED,
    ),
}  # fmt: skip
"""Every status word a charger may answer a request with, case-folded."""

_AMOUNT = re.compile(r"-?\d{1,12}(\.\d{1,6})?", re.ASCII)
_NUMBER_MAX = 2**31 - 1
"""An integer of OCPP has 32 bits."""


class Arguments:
    """The text pairs of one ``Ask``. Every reader raises ``BadRequestError`` that names the argument and what is allowed."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pairs = dict(ask.arguments)

    def text(self, name: str) -> str:
        value = self._pairs.get(name)
        if not value:
            raise BadRequestError(Outcome.REJECTED, f"{self._ask.request} needs {name!r}")
        return value

    def optional(self, name: str) -> str | None:
        return self._pairs.get(name)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._ask.arguments if key == name]

    def number(self, name: str, default: str | None = None) -> int:
        value = self.text(name) if default is None else self._pairs.get(name, default)
        if not (value.isascii() and value.isdecimal()) or len(value) > 10 or int(value) > _NUMBER_MAX:
            raise self.unfit(name, value, f"it must be a number up to {_NUMBER_MAX}")
        return int(value)

    def amount(self, name: str) -> float | int:
        """A number that may be negative or have a fraction."""
        value = self.text(name)
        if _AMOUNT.fullmatch(value) is None:
            raise self.unfit(name, value, "it must be a number such as 16 or -0.5")
        return float(value) if "." in value else int(value)

    def word(self, name: str, choices: dict[str, str], default: str | None = None) -> str:
        value = self.text(name) if default is None else self._pairs.get(name, default)
        if value.casefold() not in choices:
            raise self.unfit(name, value, f"allowed are {', '.join(choices)}")
        return choices[value.casefold()]

    def flag(self, name: str, default: str) -> bool:
        return self.word(name, {"true": "true", "false": "false"}, default) == "true"

    def moment(self, name: str) -> str:
        """A moment as we write it on the wire."""
        utc_ms = read_timestamp(self.text(name))
        if utc_ms is None:
            raise self.unfit(name, self.text(name), "it must be a moment such as 2025-06-01T10:00:00Z")
        return iso(utc_ms)

    def json(self, name: str, kind: type[Any]) -> Any:
        """The JSON object (``dict``) or array (``list``) in one argument."""
        try:
            value = json.loads(self.text(name))
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, kind):
            raise self.unfit(name, self.text(name)[:50], f"it must be a JSON {'object' if kind is dict else 'array'}")
        return value

    def numbers_in(self, **keys: str) -> dict[str, int]:
        """The optional numbers that are there, under their keys of the standard."""
        return {key: self.number(name.replace("_", "-")) for name, key in keys.items() if self._has(name)}

    def moments_in(self, **keys: str) -> dict[str, str]:
        """The same for moments."""
        return {key: self.moment(name.replace("_", "-")) for name, key in keys.items() if self._has(name)}

    def texts_in(self, **keys: str) -> dict[str, str]:
        """The same for texts as they are."""
        return {key: self.text(name.replace("_", "-")) for name, key in keys.items() if self._has(name)}

    def profile_id(self) -> int:
        """``profile``; never one of the fallback, which must stay when we are gone."""
        number = self.number("profile")
        if number in FALLBACK_IDS:
            raise self.unfit("profile", str(number), "1 to 9 are the persistent fallback and stay")
        return number

    def lease_id(self) -> int:
        """Of the lease named by ``purpose`` and ``evse``."""
        purpose = self.word("purpose", {word.value: word.value for word in ProfilePurpose})
        return lease_number(ProfilePurpose(purpose), self.number("evse"))

    def request_id(self) -> int:
        """``request``, or a number made of the ask's own id: later notifications carry it, and it is told in the answer."""
        if self._has("request"):
            return self.number("request")
        return zlib.crc32(self._ask.ask_id.encode()) & _NUMBER_MAX

    def local_list(self) -> list[ListEntry]:
        """``list``: a JSON array of objects with ``token`` and, unless it is to be deleted, ``status``.

        ``status`` is a word of ``TokenStatus``; optional are ``type`` (2.x), ``expires`` and ``group``.
        """
        return [self._list_entry(entry) for entry in self.json("list", list)]

    def _list_entry(self, entry: object) -> ListEntry:
        token = text_of(entry.get("token")) if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or token is None:
            raise self.unfit("list", json.dumps(entry)[:50], "each entry must be an object with a token")
        status = entry.get("status")
        if status is not None and status not in list(TokenStatus):
            raise self.unfit("list", str(status)[:50], f"allowed as status are {', '.join(TokenStatus)}")
        expires_utc_ms = read_timestamp(entry.get("expires"))
        if entry.get("expires") is not None and expires_utc_ms is None:
            raise self.unfit("list", str(entry["expires"])[:50], "expires must be a moment such as 2025-06-01T10:00:00Z")
        return ListEntry(
            token,
            text_of(entry.get("type")),
            None if status is None else TokenStatus(status),
            None if expires_utc_ms is None else iso(expires_utc_ms),
            text_of(entry.get("group")),
        )

    def _has(self, name: str) -> bool:
        return self._pairs.get(name.replace("_", "-")) is not None

    def unfit(self, name: str, value: str, allowed: str) -> BadRequestError:
        """The error that says what an argument is and what it could have been."""
        return BadRequestError(Outcome.REJECTED, f"{name!r} of {self._ask.request} is {value!r}; {allowed}")


@dataclass(frozen=True, slots=True)
class ListEntry:
    """A token of a local list, in neutral words."""

    token: str
    type: str | None
    status: TokenStatus | None
    """None deletes the token, in a differential update."""
    expires: str | None
    group: str | None


def last_limit(schedule: object) -> tuple[tuple[str, str], ...]:
    """Limit and unit of the last period of a composite schedule: what holds when everything that ends has ended."""
    periods = schedule.get("chargingSchedulePeriod") if isinstance(schedule, dict) else None
    last = periods[-1] if isinstance(periods, list) and periods else None
    if not isinstance(schedule, dict) or not isinstance(last, dict):
        return ()
    limit, unit = text_of(last.get("limit"), 20), text_of(schedule.get("chargingRateUnit"), 2)
    return (("last-limit", limit), ("rate-unit", unit)) if limit is not None and unit is not None else ()


def answered(
    ask: Ask, ended: CallEnded, outcome: Outcome, words: str, detail: tuple[tuple[str, str], ...] = ()
) -> RequestAnswered:
    """The answer with the charger's own status word; ``words`` are added when they say more than that."""
    status = text_of(ended.payload.get("status"), 50) or ""
    problem = (("problem", words),) if words and words != status else ()
    return RequestAnswered(ask.charger, ask.ask_id, outcome, status, problem + detail)
