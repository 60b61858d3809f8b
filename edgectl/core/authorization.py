"""Who may charge. Answers are constant for equal questions; the clock comes in with the question."""

from __future__ import annotations

from edgectl.domain.decisions import TokenVerdict
from edgectl.domain.ids import IdToken
from edgectl.domain.records import Authorisation
from edgectl.domain.site import OfflinePolicy, Site, Token, TokenStatus
from edgectl.domain.units import UtcMillis

GRANTS_COUNT = 64
"""Starts without a token at once; each is a person or the backend waiting for a charger."""


class Authorization:
    """The site's token list and its policy for tokens that are not on it."""

    def __init__(self, site: Site) -> None:
        self._by_uid: dict[str, Token] = {}
        self._granted: dict[str, tuple[UtcMillis, str]] = {}
        self._policy = site.offline_policy
        self.reload(site)

    def reload(self, site: Site) -> None:
        self._policy = site.offline_policy
        self._by_uid = {_key(token.uid): token for token in site.tokens}

    def verdict(self, uid: IdToken, utc_ms: UtcMillis) -> TokenVerdict:
        token = self._by_uid.get(_key(uid))
        if token is None and self._granted.get(_key(uid), (0, ""))[0] > utc_ms:
            return TokenVerdict(TokenStatus.ACCEPTED)
        if token is None:
            is_free = self._policy is OfflinePolicy.ANYONE
            return TokenVerdict(TokenStatus.ACCEPTED if is_free else TokenStatus.UNKNOWN)
        status = token.status
        if status is TokenStatus.ACCEPTED and token.expires_utc_ms is not None and token.expires_utc_ms <= utc_ms:
            status = TokenStatus.EXPIRED
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


def _key(uid: IdToken) -> str:
    # Chargers change the case of a uid and pad it between messages.
    return uid.strip().casefold()
