"""The list of tokens that each charger keeps for the time without us: the site's own, in pieces it can take.

The version is made from the content, so that a charger that has the list is known by one question. Only what has changed is sent
where the charger says that it has exactly the list it took from us last; in every other case, and when it does not like that, the
whole (research/ocpp.md Q50). What it has learned of tokens by itself, its cache, it is asked to forget whenever its list was
another: a token that is on no list any more could still charge by it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

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
_CONTENT = 2**24
"""A version is so many times a number that rises, as differences need it, and the checksum of the content."""
_ROUNDS = 100
_OURS = 1_000
"""Versions from here on were made by edgectl."""
_MAX_ENTRIES = ("localauthlistmaxlength",)  # 2.x tells how many there are, not how many there could be
_MAX_PER_MESSAGE = ("sendlocallistmaxlength", "localauthlistctrlr.itemspermessage")
_MAX_BYTES = ("localauthlistctrlr.bytespermessage",)
_HEAD_BYTES, _ENTRY_BYTES, _MORE_BYTES = 200, 50, 50
"""Of a message, of an entry, and of each of its members, on the wire and beside the texts; at most."""

Entry = dict[str, str]


@dataclass(frozen=True, slots=True)
class _List:
    """The tokens as entries, made once for all chargers that take them alike: ten thousand of them take a while."""

    entries: list[Entry]
    checksum: int
    long_bytes: dict[str, int]
    """Of each entry on the wire, at most, by its token."""


@dataclass(slots=True)
class _Sync:
    """A list on its way to one charger."""

    entries: list[Entry]
    whole: _List
    """Of which ``entries`` are what the charger has room for."""
    chunk_count: int
    chunk_bytes: int
    version: int = 0
    is_difference: bool = False
    pieces: list[list[Entry]] = field(default_factory=list)
    sent_count: int = 0
    """Of the pieces."""
    asked_id: str = ""
    asked: str = ""


class LocalLists:
    """At most one list on its way to each charger."""

    def __init__(self, site: Site, chargers: Chargers) -> None:
        self._site = site
        self._chargers = chargers
        self._under_way: dict[ChargerId, _Sync] = {}
        self._words: dict[ChargerId, str] = {}
        self._had: dict[ChargerId, tuple[int, list[Entry]]] = {}
        """What each took from us last, in this run, and under which version."""
        self._made: dict[int | None, _List] = {}
        """By the most characters of a token."""
        self._changed: tuple[list[Entry], list[Entry], list[Entry]] = ([], [], [])
        """The last two lists that were compared, and the changes between them: all chargers come with the same question."""
        self._number = 0

    def reload(self, site: Site) -> None:
        """Chargers are told again when the tokens have changed."""
        if site.tokens != self._site.tokens:
            for state in self._chargers.by_id.values():
                state.is_list_told = False
            self._made.clear()
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
        whole = self._list(state)
        folded = {name.casefold(): value for name, value in facts.items()}
        most = _number(folded, _MAX_ENTRIES)
        sync = _Sync(
            whole.entries[:most] if 0 < most < len(whole.entries) else whole.entries,
            whole,
            _number(folded, _MAX_PER_MESSAGE) or CHUNK_COUNT,
            _number(folded, _MAX_BYTES),
        )
        self._under_way[charger] = sync
        self._words[charger] = "asked for its version"
        return "", [self._ask(charger, sync, "get-local-list-version", ())]

    def lost(self, charger: ChargerId) -> None:
        """The link is gone; it begins anew with the next."""
        self._under_way.pop(charger, None)

    def answered(self, event: RequestAnswered) -> list[Decision]:
        charger = event.charger
        sync = self._under_way.get(charger)
        if sync is None or event.ask_id != sync.asked_id:
            return []
        if sync.asked == "clear-cache":
            return self._end(charger, self._words[charger])  # without a cache there is nothing to forget
        if event.outcome is Outcome.NOT_SUPPORTED:
            return self._forget(charger, sync, _NONE) if self._is_news(charger, sync) else self._end(charger, _NONE)
        if sync.asked == "get-local-list-version":
            return self._compare(event, sync)
        if event.outcome is Outcome.ACCEPTED:
            sync.sent_count += 1
            if sync.sent_count < len(sync.pieces):
                return self._send(charger, sync)
            self._had[charger] = (sync.version, sync.entries)
            return self._forget(charger, sync, f"{len(sync.entries)} tokens, version {sync.version}")
        if event.outcome is Outcome.REJECTED and sync.is_difference:
            return self._begin_whole(charger, sync)
        if event.outcome is Outcome.REJECTED and len(sync.pieces[sync.sent_count]) > 1:
            sync.chunk_count = len(sync.pieces[sync.sent_count]) // 2  # too much at once, or a version it does not like
            return self._begin_whole(charger, sync)
        said = event.status or event.outcome.value
        sent_count = sum(map(len, sync.pieces[: sync.sent_count]))
        return self._end(charger, f"refused after {sent_count} of {len(sync.entries)} tokens: {said}")

    def _compare(self, event: RequestAnswered, sync: _Sync) -> list[Decision]:
        charger = event.charger
        if event.outcome is not Outcome.ACCEPTED:
            return self._end(charger, f"it does not tell its version: {event.outcome.value}")
        text = dict(event.detail).get("version", "")
        version = int(text) if text.isdecimal() else 0  # -1: it keeps none; 0: it has none
        if version >= _CONTENT and version % _CONTENT == sync.whole.checksum:
            self._had[charger] = (version, sync.entries)
            return self._end(charger, f"{len(sync.entries)} tokens, version {version}")
        if version < _OURS and not sync.entries:
            return self._end(charger, "the site names no tokens")  # what it has is somebody else's
        had_version, had = self._had.get(charger, (0, []))
        changes = self._changes(had, sync.entries) if had_version and had_version == version else None
        number = version // _CONTENT
        if changes is None or 2 * len(changes) > len(sync.entries) or number + 2 > _ROUNDS:
            return self._begin_whole(charger, sync)
        sync.is_difference = True
        sync.pieces = _pieces(changes, sync)
        sync.version = (number + 1) * _CONTENT + sync.whole.checksum
        if sync.version - len(sync.pieces) < version:
            sync.version += _CONTENT
        return self._send(charger, sync)

    def _begin_whole(self, charger: ChargerId, sync: _Sync) -> list[Decision]:
        sync.is_difference, sync.sent_count = False, 0
        sync.pieces = _pieces(sync.entries, sync) or [[]]
        sync.version = _CONTENT + sync.whole.checksum
        return self._send(charger, sync)

    def _send(self, charger: ChargerId, sync: _Sync) -> list[Decision]:
        left_count = len(sync.pieces) - sync.sent_count
        arguments = (
            ("version", str(sync.version - left_count + 1)),  # the last piece brings it to the version of the whole
            ("kind", "differential" if sync.sent_count or sync.is_difference else "full"),
            ("list", json.dumps(sync.pieces[sync.sent_count])),
        )
        what = "changes" if sync.is_difference else "tokens"
        sent_count, count = sum(map(len, sync.pieces[: sync.sent_count])), sum(map(len, sync.pieces))
        self._words[charger] = f"sending: {sent_count} of {count} {what}"
        return [self._ask(charger, sync, "send-local-list", arguments)]

    def _is_news(self, charger: ChargerId, sync: _Sync) -> bool:
        """Of one that keeps no list: whether the tokens are others than when it was last asked to forget."""
        is_news = self._had.get(charger) != (0, sync.entries)
        self._had[charger] = (0, sync.entries)
        return is_news

    def _forget(self, charger: ChargerId, sync: _Sync, words: str) -> list[Decision]:
        self._words[charger] = words
        return [self._ask(charger, sync, "clear-cache", ())]

    def _ask(self, charger: ChargerId, sync: _Sync, request: str, arguments: tuple[tuple[str, str], ...]) -> Ask:
        self._number += 1
        sync.asked, sync.asked_id = request, f"{LOCAL_LIST}{charger}/{self._number}"
        return Ask(charger, sync.asked_id, request, arguments)

    def _end(self, charger: ChargerId, words: str) -> list[Decision]:
        del self._under_way[charger]
        self._words[charger] = words
        return []

    def _list(self, state: ChargerState) -> _List:
        most = state.quirks.token_char_count if state.protocol == "ocpp1.6" else None
        if most not in self._made:
            self._made[most] = _made(self._site, most)
        return self._made[most]

    def _changes(self, had: list[Entry], wanted: list[Entry]) -> list[Entry]:
        if self._changed[0] is not had or self._changed[1] is not wanted:
            self._changed = (had, wanted, _changes(had, wanted))
        return self._changed[2]


def _made(site: Site, most: int | None) -> _List:
    entries = []
    long_bytes = {}
    for token in sorted(site.tokens, key=lambda token: (-token.priority, token.uid)):
        if most is not None and len(token.uid) > most:
            continue  # it could not hold it; whoever has this card charges when we can be asked
        entry = {"token": str(token.uid), "status": token.status.value}
        if token.expires_utc_ms is not None:
            entry["expires"] = iso(token.expires_utc_ms)
        if token.group is not None:
            entry["group"] = str(token.group)
        entries.append(entry)
        long_bytes[entry["token"]] = _ENTRY_BYTES + sum(len(json.dumps(text)) + _MORE_BYTES for text in entry.values())
    content = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return _List(entries, zlib.crc32(content.encode()) % _CONTENT, long_bytes)


_NONE = "it keeps no list"


def _changes(had: list[Entry], wanted: list[Entry]) -> list[Entry]:
    """What makes one list of the other: an entry without a status goes."""
    before, after = ({entry["token"]: entry for entry in entries} for entries in (had, wanted))
    return [
        *({"token": token} for token in before if token not in after),
        *(entry for token, entry in after.items() if before.get(token) != entry),
    ]


def _pieces(entries: list[Entry], sync: _Sync) -> list[list[Entry]]:
    """As many in each as the charger takes, by their number and by their length on the wire."""
    pieces: list[list[Entry]] = []
    room_bytes = 0
    for entry in entries:
        long_bytes = sync.whole.long_bytes.get(entry["token"], _ENTRY_BYTES + _MORE_BYTES)
        if not pieces or len(pieces[-1]) >= sync.chunk_count or (sync.chunk_bytes and long_bytes > room_bytes):
            pieces.append([])
            room_bytes = sync.chunk_bytes - _HEAD_BYTES
        pieces[-1].append(entry)
        room_bytes -= long_bytes
    return pieces


def _number(folded: Mapping[str, str], names: tuple[str, ...]) -> int:
    """What the charger says of itself under one of these names; 0 when it does not."""
    for name in names:
        text = folded.get(name, "")
        if text.isdecimal():
            return int(text)
    return 0
