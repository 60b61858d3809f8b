"""``tokens.yaml``: who is known. A mapping ``UID: {status: ...}``, or under ``tokens:`` a list of entries with ``uid``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from edgectl.config.keys import TOKEN_LIST, TOKEN_MAP, ListedTokenKeys, TokenKeys
from edgectl.config.problems import Mark, Place, Refused, excerpt
from edgectl.config.tree import Mapping, Scalar, Sequence, parse
from edgectl.domain.ids import IdToken
from edgectl.domain.site import Token
from edgectl.domain.time import utc_ms
from edgectl.domain.units import UtcMillis

EXPIRES_ALLOWED = "`2027-12-31` (to the end of that day) or `2027-12-31T18:00:00+01:00`"


def read_tokens(data: bytes, place: Place, timezone: str) -> tuple[Token, ...]:
    """The tokens of a file's bytes, in its order. ``timezone`` says when a day ends. Reports all that is wrong."""
    root = parse(data, place)
    if root is None or (isinstance(root, Scalar) and root.is_null):
        return ()
    if isinstance(root, Mapping) and [key.text for key, _ in root.entries] == ["tokens"]:
        key, root = root.entries[0]
        place = place.inside("tokens", key.mark)
    if isinstance(root, Sequence):
        listed = TOKEN_LIST.read(root, place) or ()
        entries = [(entry.uid, entry) for entry in listed if entry.uid is not None]
        _check_repeats(entries)
        return tuple(_token(uid, entry, timezone) for uid, entry in entries)
    return tuple(_token(uid, entry, timezone) for uid, entry in TOKEN_MAP.read(root, place))


def _check_repeats(entries: list[tuple[str, ListedTokenKeys]]) -> None:
    first: dict[str, Mark] = {}
    for uid, entry in entries:
        mark = entry.at("uid").mark
        seen = first.setdefault(uid.strip().casefold(), mark)
        if seen != mark:
            entry.at("uid").wrong(
                f"is the token of line {seen.line} again",
                "upper and lower case are the same to a reader: remove one",
                found=excerpt(uid),
            )


def _token(uid: str, keys: TokenKeys, timezone: str) -> Token:
    return Token(
        uid=IdToken(uid.strip()),
        status=keys.status,
        expires_utc_ms=_expiry(keys, timezone),
        group=None if keys.group is None else IdToken(keys.group.strip()),
        priority=keys.priority,
        account=keys.account,
        tariff=keys.tariff,
        is_never_paused=keys.never_paused,
    )


def _expiry(keys: TokenKeys, timezone: str) -> UtcMillis | None:
    if keys.expires is None:
        return None
    try:
        return parse_expiry(keys.expires, timezone)
    except Refused as refused:
        keys.at("expires").wrong(refused.message, refused.allowed)
        return None


def parse_expiry(text: str, timezone: str) -> UtcMillis:
    """The end of a day at the site, or an exact moment with its offset.

    Raises:
        Refused: no such day or moment, or a moment whose offset is missing.
    """
    try:
        if re.fullmatch(r"2\d{3}-\d\d-\d\d", text, re.ASCII):
            after = date.fromisoformat(text) + timedelta(days=1)
            return utc_ms(datetime.combine(after, time.min, ZoneInfo(timezone)))
        if re.fullmatch(r"2\d{3}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?", text, re.ASCII):
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise Refused("has no offset, so its moment is unknown", f"`{text}Z` or `{text}+01:00`")
            return utc_ms(moment.astimezone(UTC))
    except ValueError:
        raise Refused("is not in the calendar", EXPIRES_ALLOWED) from None
    raise Refused("is not a date", EXPIRES_ALLOWED)
