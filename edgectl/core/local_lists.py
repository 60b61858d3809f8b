"""The list of tokens that each charger keeps for the time without us: the site's own, always whole, in pieces it can take.

The version is made from the content, so that a charger that has the list is known by one question. Differences are never sent:
chargers disagree about versions, and a list that is wrong lets the wrong people charge (research/ocpp.md Q50).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from edgectl.core.chargers import Chargers, ChargerState
from edgectl.domain.decisions import Ask, Decision
from edgectl.domain.events import Outcome, RequestAnswered
from edgectl.domain.ids import ChargerId
from edgectl.domain.site import Site
from edgectl.domain.time import iso

LOCAL_LIST = "local-list/"
"""How the asks of a synchronisation are named."""
CHUNK_COUNT = 50
"""Entries of one message where the charger does not say how many it takes."""
_FIRST_VERSION = 1_000
_VERSIONS = 2**30
_MAX_ENTRIES = ("localauthlistmaxlength",)  # 2.x tells how many there are, not how many there could be
_MAX_PER_MESSAGE = ("sendlocallistmaxlength", "localauthlistctrlr.itemspermessage")


@dataclass(slots=True)
class _Sync:
    """A list on its way to one charger."""

    entries: list[dict[str, str]]
    version: int
    chunk_count: int
    sent_count: int = 0
    asked_id: str = ""
    going_count: int = 0
    """Entries of the message under way; 0 while the version is asked for."""


class LocalLists:
    """At most one list on its way to each charger."""

    def __init__(self, site: Site, chargers: Chargers) -> None:
        self._site = site
        self._chargers = chargers
        self._under_way: dict[ChargerId, _Sync] = {}
        self._words: dict[ChargerId, str] = {}
        self._number = 0

    def reload(self, site: Site) -> None:
        """Chargers are told again when the tokens have changed."""
        if site.tokens != self._site.tokens:
            for state in self._chargers.by_id.values():
                state.is_list_told = False
        self._site = site

    def words(self, charger: ChargerId) -> str:
        """How it stands, for people."""
        return self._words.get(charger, "")

    def begin(self, state: ChargerState, facts: Mapping[str, str]) -> tuple[str, list[Decision]]:
        """Ask which version it has; the rest follows. Why not, or nothing, and the first request."""
        charger = state.charger.id
        if charger in self._under_way:
            return "the list is on its way", []
        state.is_list_told = True
        if not self._site.tokens:
            return "the site's file names no tokens", []
        entries = self._entries(state)
        folded = {name.casefold(): value for name, value in facts.items()}
        most = _number(folded, _MAX_ENTRIES)
        content = json.dumps(entries, sort_keys=True, separators=(",", ":"))
        version = _FIRST_VERSION + len(entries) + zlib.crc32(content.encode()) % _VERSIONS
        chunk_count = _number(folded, _MAX_PER_MESSAGE) or CHUNK_COUNT
        sync = _Sync(entries[: most or None], version, chunk_count)
        self._under_way[charger] = sync
        self._words[charger] = "asked for its version"
        return "", [self._ask(charger, sync, "get-local-list-version", ())]

    def lost(self, charger: ChargerId) -> None:
        """The link is gone; it begins anew with the next."""
        self._under_way.pop(charger, None)

    def answered(self, event: RequestAnswered) -> list[Decision]:
        sync = self._under_way.get(event.charger)
        if sync is None or event.ask_id != sync.asked_id:
            return []
        if event.outcome is Outcome.NOT_SUPPORTED:
            return self._end(event.charger, "it keeps no list")
        if not sync.going_count:
            return self._compare(event, sync)
        if event.outcome is Outcome.ACCEPTED:
            sync.sent_count += sync.going_count
            if sync.sent_count >= len(sync.entries):
                return self._end(event.charger, f"{sync.sent_count} tokens, version {sync.version}")
            return self._send(event.charger, sync)
        if event.outcome is Outcome.REJECTED and sync.going_count > 1:
            sync.chunk_count = sync.going_count // 2  # too much at once, or a version it does not like: whole again, in less
            sync.sent_count = 0
            return self._send(event.charger, sync)
        said = event.status or event.outcome.value
        return self._end(event.charger, f"refused after {sync.sent_count} of {len(sync.entries)} tokens: {said}")

    def _compare(self, event: RequestAnswered, sync: _Sync) -> list[Decision]:
        if event.outcome is not Outcome.ACCEPTED:
            return self._end(event.charger, f"it does not tell its version: {event.outcome.value}")
        if dict(event.detail).get("version") == str(sync.version):
            return self._end(event.charger, f"{len(sync.entries)} tokens, version {sync.version}")
        return self._send(event.charger, sync)

    def _send(self, charger: ChargerId, sync: _Sync) -> list[Decision]:
        part = sync.entries[sync.sent_count : sync.sent_count + sync.chunk_count]
        sync.going_count = max(1, len(part))
        left_count = -(-(len(sync.entries) - sync.sent_count) // sync.chunk_count)
        version = sync.version - max(0, left_count - 1)  # the last piece brings it to the version of the whole
        arguments = (
            ("version", str(version)),
            ("kind", "differential" if sync.sent_count else "full"),
            ("list", json.dumps(part)),
        )
        self._words[charger] = f"sending: {sync.sent_count} of {len(sync.entries)} tokens"
        return [self._ask(charger, sync, "send-local-list", arguments)]

    def _ask(self, charger: ChargerId, sync: _Sync, request: str, arguments: tuple[tuple[str, str], ...]) -> Ask:
        self._number += 1
        sync.asked_id = f"{LOCAL_LIST}{charger}/{self._number}"
        return Ask(charger, sync.asked_id, request, arguments)

    def _end(self, charger: ChargerId, words: str) -> list[Decision]:
        del self._under_way[charger]
        self._words[charger] = words
        return []

    def _entries(self, state: ChargerState) -> list[dict[str, str]]:
        most = state.quirks.token_char_count if state.protocol == "ocpp1.6" else None
        entries = []
        for token in sorted(self._site.tokens, key=lambda token: (-token.priority, token.uid)):
            if most is not None and len(token.uid) > most:
                continue  # it could not hold it; whoever has this card charges when we can be asked
            entry = {"token": str(token.uid), "status": token.status.value}
            if token.expires_utc_ms is not None:
                entry["expires"] = iso(token.expires_utc_ms)
            if token.group is not None:
                entry["group"] = str(token.group)
            entries.append(entry)
        return entries


def _number(folded: Mapping[str, str], names: tuple[str, ...]) -> int:
    """What the charger says of itself under one of these names; 0 when it does not."""
    for name in names:
        text = folded.get(name, "")
        if text.isdecimal():
            return int(text)
    return 0
