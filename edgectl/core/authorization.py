"""Who may charge. Answers are constant for equal questions; the clock comes in with the question.

An answer takes the same effort for every card, known or not, and however long the list is.
"""

from __future__ import annotations

from edgectl.domain.decisions import TokenVerdict
from edgectl.domain.ids import IdToken
from edgectl.domain.records import Authorisation
from edgectl.domain.site import OfflinePolicy, Site, Token, TokenStatus
from edgectl.domain.units import Millis, UtcMillis

GRANTS_COUNT = 64
"""Starts without a token at once; each is a person or the backend waiting for a charger."""


class Authorization:
    """The site's token list and its policy for tokens that are not on it."""

    def __init__(self, site: Site, told_utc_ms: UtcMillis | None = None) -> None:
        self._by_uid: dict[str, Token] = {}
        self._granted: dict[str, tuple[UtcMillis, str]] = {}
        self._policy = site.offline_policy
        self._max_age_ms: Millis | None = None
        self._told_utc_ms: UtcMillis | None = None
        self._master: str | None = None
        self.reload(site, told_utc_ms)

    def reload(self, site: Site, told_utc_ms: UtcMillis | None) -> None:
        """``told_utc_ms``: when the backend last said what its tokens are; None: not known."""
        self._policy = site.offline_policy
        self._max_age_ms, self._told_utc_ms = site.tokens_max_age_ms, told_utc_ms
        self._master = None if site.master_group is None else _key(site.master_group)
        self._by_uid = {_key(token.uid): token for token in site.tokens}

    def is_stale(self, utc_ms: UtcMillis) -> bool:
        """The backend's list is older than the site allows. A list without a time is; one from the future is not."""
        if self._max_age_ms is None:
            return False
        return self._told_utc_ms is None or utc_ms - self._told_utc_ms >= self._max_age_ms

    def verdict(self, uid: IdToken, utc_ms: UtcMillis) -> TokenVerdict:
        key = _key(uid)
        token, (granted_until_ms, _) = self._by_uid.get(key), self._granted.get(key, (0, ""))  # both, whoever asks
        if token is None and granted_until_ms > utc_ms:
            return TokenVerdict(TokenStatus.ACCEPTED)
        if token is None:
            is_free = self._policy is OfflinePolicy.ANYONE
            return TokenVerdict(TokenStatus.ACCEPTED if is_free else TokenStatus.UNKNOWN)
        status = token.status
        if status is TokenStatus.ACCEPTED and token.expires_utc_ms is not None and token.expires_utc_ms <= utc_ms:
            status = TokenStatus.EXPIRED
        is_trusted = self._policy is not OfflinePolicy.NOBODY or not token.is_managed or not self.is_stale(utc_ms)
        if status is TokenStatus.ACCEPTED and not is_trusted:
            status = TokenStatus.UNKNOWN
        return TokenVerdict(status, token.expires_utc_ms, token.group)

    def grant(self, uid: IdToken, until_utc_ms: UtcMillis, actor: str) -> None:
        """Somebody who may has started a session that no token pays for: this one is good for beginning it, not after."""
        self._granted[_key(uid)] = (until_utc_ms, actor)
        while len(self._granted) > GRANTS_COUNT:
            del self._granted[next(iter(self._granted))]

    def of(self, uid: IdToken | None, utc_ms: UtcMillis) -> TokenVerdict:
        """The verdict; whoever names no token is nobody we know."""
        return TokenVerdict(TokenStatus.UNKNOWN) if uid is None else self.verdict(uid, utc_ms)

    def priority(self, uid: IdToken | None) -> int:
        """Larger is served first; an unknown or absent token has 0."""
        token = self._by_uid.get(_key(uid)) if uid is not None else None
        return token.priority if token else 0

    def is_never_paused(self, uid: IdToken | None) -> bool:
        """Not stopped for somebody else's turn."""
        token = self._by_uid.get(_key(uid)) if uid is not None else None
        return token is not None and token.is_never_paused

    def account_of(self, uid: IdToken | None, utc_ms: UtcMillis, *, is_offline: bool) -> Authorisation:
        """How a session came to be allowed, for its record."""
        if uid is None:
            return Authorisation(how="none", by="charger", status=TokenStatus.UNKNOWN.value, is_offline=is_offline)
        status = self.verdict(uid, utc_ms).status.value
        is_listed = _key(uid) in self._by_uid
        granted = self._granted.get(_key(uid))
        if granted is not None and not is_listed:
            return Authorisation(how="remote", by=granted[1], status=status, is_offline=is_offline)
        how = "local-list" if is_listed else "free-vend" if self._policy is OfflinePolicy.ANYONE else "unknown"
        return Authorisation(how=how, by="charger" if is_offline else "edgectl", status=status, is_offline=is_offline)

    def flags_of(self, uid: IdToken | None, utc_ms: UtcMillis, *, is_offline: bool) -> set[str]:
        """What its session is flagged with when it was allowed without the backend's present word (docs/BILLING.md)."""
        if uid is None:
            return set()
        token = self._by_uid.get(_key(uid))
        is_stale = token is not None and token.is_managed and self.is_stale(utc_ms)
        is_free = token is None and self._policy is OfflinePolicy.ANYONE and _key(uid) not in self._granted
        flags = {"token-stale"} if is_stale else set()
        return flags | ({"rate-again"} if is_stale or is_free or is_offline else set())

    def stopped_by(self, uid: IdToken | None, starter: IdToken | None) -> set[str]:
        """What a session is flagged with that another token ended. Chargers allow it by the group, so it is not refused here."""
        if uid is None or starter is None or _key(uid) == _key(starter):
            return set()
        group = self._group_of(uid)
        if group is not None and group in (self._master, self._group_of(starter)):
            return {"stopped-by-group"}
        return {"stopped-by-other"}

    def _group_of(self, uid: IdToken) -> str | None:
        token = self._by_uid.get(_key(uid))
        return None if token is None or token.group is None else _key(token.group)


def _key(uid: IdToken) -> str:
    # Chargers change the case of a uid and pad it between messages.
    return uid.strip().casefold()
