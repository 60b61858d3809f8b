"""What the backend manages beside the site's file: its tokens and tariffs. For the same uid or id the file counts.

They are remembered over a restart in the small state file, so their number is bounded; a fleet's whole card base stays with
the backend.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgectl.domain.decisions import ActionAnswered, Decision, Keep, Remember, WakeUplink
from edgectl.domain.events import Outcome, TariffsGiven, TokensGiven
from edgectl.domain.ids import IdToken
from edgectl.domain.records import EventKept
from edgectl.domain.remembered import MANAGED
from edgectl.domain.site import Site, Token, TokenStatus
from edgectl.domain.tariff import Tariff
from edgectl.domain.tariff_objects import TariffError, tariff_of_text, tariff_text
from edgectl.domain.time import Instant
from edgectl.domain.units import UtcMillis

TOKENS_COUNT = 2_000
"""Some 350 kB of the state file's 1 MB."""
TARIFFS_BYTES = 200_000
TOKENS, TARIFFS = "tokens", "tariffs"
_CARD = re.compile(r"[0-9A-Fa-f]{8}|[0-9A-Fa-f]{14}|[0-9A-Fa-f]{20}")
"""The uid of a card has 4, 7 or 10 bytes (ISO 14443-3)."""


class Managed:
    """The backend's part of the site."""

    def __init__(self, remembered: Mapping[str, Mapping[str, Any]]) -> None:
        self._tokens: dict[str, Token] = {}
        self._tariffs: tuple[Tariff, ...] = ()
        self._default: str | None = None
        tokens, tariffs = remembered.get(TOKENS, {}), remembered.get(TARIFFS, {})
        self._versions = {TOKENS: tokens.get("version", -1), TARIFFS: tariffs.get("version", -1)}
        told_utc_ms = tokens.get("told_utc_ms")
        self.told_utc_ms: UtcMillis | None = told_utc_ms if isinstance(told_utc_ms, int) else None
        """When the backend last told its tokens; None: never, or by a release that did not note it."""
        self.unreadable_count = 0
        """Remembered entries that could not be understood: somebody may be refused who should not be."""
        for row in tokens.get("tokens", ()):
            try:
                token = _token(row)
            except (KeyError, TypeError, ValueError):
                self.unreadable_count += 1
            else:
                self._tokens[_key(token.uid)] = token
        try:
            self._tariffs = tuple(tariff_of_text(text) for text in tariffs.get("tariffs", ()))
            self._default = tariffs.get("default")
        except (TariffError, TypeError):
            self.unreadable_count += 1

    def applied(self, site: Site) -> Site:
        """The site of the file with the backend's part."""
        own = {_key(token.uid) for token in site.tokens}
        known = {tariff.id for tariff in site.pricing.tariffs}
        tariffs = tuple(tariff for tariff in self._tariffs if tariff.id not in known and tariff.currency == site.currency)
        pricing = replace(site.pricing, tariffs=(*site.pricing.tariffs, *tariffs), default=site.pricing.default or self._default)
        tokens = (*site.tokens, *(token for key, token in self._tokens.items() if key not in own))
        tokens = _in_their_groups(tokens)
        return replace(site, tokens=_with_reversed(tokens) if site.is_reversed_known else tokens, pricing=pricing)

    @property
    def has_tokens(self) -> bool:
        return bool(self._tokens)

    def tokens_given(self, event: TokensGiven, now: Instant) -> tuple[bool, list[Decision]]:
        """Whether anything changes, and the answer."""
        problem = self._why_not(TOKENS, event.version_number)
        given = {_key(token.uid): replace(token, is_managed=True) for token in event.tokens}
        if event.mode == "replace":
            after = given
        elif event.mode == "merge":
            after = {**self._tokens, **given}
        else:
            after = {key: token for key, token in self._tokens.items() if key not in given}
        if not problem and len(after) > TOKENS_COUNT:
            problem = ("too-many", f"they would be {len(after)}; at most {TOKENS_COUNT} are kept here")
        if problem:
            return False, _answered(event, "set-tokens", problem, {}, now)
        self._tokens = after
        self._versions[TOKENS] = event.version_number
        self.told_utc_ms = now.utc_ms
        document: dict[str, object] = {
            "version": event.version_number,
            "told_utc_ms": now.utc_ms,
            "tokens": [_row(token) for token in after.values()],
        }
        answer = _answered(event, "set-tokens", None, {"version": event.version_number, "tokens": len(after)}, now)
        return True, [Remember(MANAGED, TOKENS, document), *answer]

    def tariffs_given(self, event: TariffsGiven, site: Site, now: Instant) -> tuple[bool, list[Decision]]:
        """The same for tariffs. Sessions that run keep the one they began with."""
        problem = self._why_not(TARIFFS, event.version_number)
        ids = {tariff.id for tariff in (*event.tariffs, *site.pricing.tariffs)}
        foreign = next((tariff for tariff in event.tariffs if tariff.currency != site.currency), None)
        texts = [tariff_text(tariff) for tariff in event.tariffs]
        if not problem and foreign is not None:
            problem = ("bad-arguments", f"tariff {foreign.id} is in {foreign.currency}; the site's currency is {site.currency}")
        elif not problem and event.default is not None and event.default not in ids:
            problem = ("bad-arguments", f"the default {event.default!r} is none of the tariffs")
        elif not problem and sum(map(len, texts)) > TARIFFS_BYTES:
            problem = ("too-many", f"they are longer than the {TARIFFS_BYTES} bytes that are kept here")
        if problem:
            return False, _answered(event, "set-tariffs", problem, {}, now)
        self._tariffs, self._default = event.tariffs, event.default
        self._versions[TARIFFS] = event.version_number
        document: dict[str, object] = {"version": event.version_number, "tariffs": texts, "default": event.default}
        answer = _answered(event, "set-tariffs", None, {"version": event.version_number, "tariffs": len(texts)}, now)
        return True, [Remember(MANAGED, TARIFFS, document), *answer]

    def _why_not(self, kind: str, version: int) -> tuple[str, str] | None:
        known = self._versions[kind]
        return ("older", f"version {known} is here already, and {version} is older") if version < known else None


def _answered(
    event: TokensGiven | TariffsGiven, action: str, problem: tuple[str, str] | None, detail: Mapping[str, int], now: Instant
) -> list[Decision]:
    outcome = Outcome.REJECTED if problem else Outcome.ACCEPTED
    code, words = problem or ("set", "")
    pairs = tuple((name, str(value)) for name, value in detail.items())
    body: dict[str, object] = {
        "action": action,
        "actor": event.actor,
        "outcome": outcome.value,
        "status": code,
        "problem": words,
    }
    subject = action.removeprefix("set-")
    return [
        ActionAnswered(event.action_id, outcome, code, words, pairs),
        Keep(EventKept("action", subject, now.utc_ms, body)),
        WakeUplink(),
    ]


def _row(token: Token) -> list[object]:
    """Short, since the state file is written as a whole."""
    return [
        token.uid,
        token.status.value,
        token.expires_utc_ms,
        token.group,
        token.priority,
        token.account,
        token.tariff,
        token.is_never_paused,
    ]


def _token(row: Any) -> Token:
    uid, status, expires_utc_ms, group, priority, account, tariff, is_never_paused = row
    return Token(
        IdToken(str(uid)),
        TokenStatus(status),
        None if expires_utc_ms is None else int(expires_utc_ms),
        None if group is None else IdToken(str(group)),
        int(priority),
        account,
        tariff,
        bool(is_never_paused),
        is_managed=True,
    )


def _in_their_groups(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """A token whose uid is the group of others is of that group too, so that chargers let it end what they began."""
    groups = {_key(token.group): token.group for token in tokens if token.group is not None}
    return tuple(
        replace(token, group=groups[_key(token.uid)]) if token.group is None and _key(token.uid) in groups else token
        for token in tokens
    )


def _key(uid: IdToken) -> str:
    return uid.strip().casefold()


def _with_reversed(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """Each card also under its bytes the other way round, as some readers tell them, unless that is somebody else's."""
    known = {_key(token.uid) for token in tokens}
    found = list(tokens)
    for token in tokens:
        if _CARD.fullmatch(token.uid.strip()):
            turned = bytes.fromhex(token.uid.strip())[::-1].hex().upper()
            if turned.casefold() not in known:
                found.append(replace(token, uid=IdToken(turned)))
    return tuple(found)
