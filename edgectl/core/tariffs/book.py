"""Which tariff a session has, and what it costs when it ends."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from edgectl.core.tariffs.price import price
from edgectl.core.tariffs.usage import Usage, of_periods, with_rest
from edgectl.domain.ids import IdToken
from edgectl.domain.records import Session
from edgectl.domain.site import Site, Token
from edgectl.domain.tariff import Cost, Plan, Tariff
from edgectl.domain.tariff_objects import tariff_of_text, tariff_text

_DOUBTS = frozenset({"energy-estimated", "energy-unknown"})
"""Flags of a session that are doubts of its price as well."""


class PriceBook:
    """The site's tariffs and plans, with who has which."""

    def __init__(self, site: Site) -> None:
        self.reload(site)

    def reload(self, site: Site) -> None:
        """Sessions that run keep the tariff they began with; new ones get what is written now."""
        self._site = site
        self._zone = ZoneInfo(site.timezone)
        self._texts = {tariff.id: tariff_text(tariff) for tariff in site.pricing.tariffs}
        self._tokens: dict[str, Token] = {token.uid.strip().casefold(): token for token in site.tokens}

    def account_of(self, token: IdToken | None) -> str | None:
        known = self._tokens.get(token.strip().casefold()) if token is not None else None
        return known.account if known is not None else None

    def plan_of(self, token: IdToken | None) -> Plan | None:
        return self._site.pricing.plan(self.account_of(token))

    def tariff_of(self, token: IdToken | None) -> str | None:
        """The tariff object for a session with this token, as text: its own, its account's, the site's. None: no price."""
        if not self._texts:
            return None
        known = self._tokens.get(token.strip().casefold()) if token is not None else None
        plan = self.plan_of(token)
        names = (known.tariff if known else None, plan.tariff if plan else None, self._site.pricing.default)
        return next((self._texts[name] for name in names if name in self._texts), None)

    def priced(self, session: Session) -> Session:
        """The session with its account and its cost, by the tariff it began with; without a cost when it has none."""
        account = self.account_of(session.id_token)
        if account is not None:
            session = replace(session, account=account)
        text = session.tariff if session.tariff is not None else self.tariff_of(session.id_token)
        if text is None:
            return session
        cost = self.cost(session, tariff_of_text(text))
        return replace(session, tariff=text, cost=cost)

    def priced_again(self, session: Session) -> Session:
        """A session with the cost by the tariff and the account that it names; without where it names no tariff."""
        if session.tariff is None:
            return replace(session, cost=None)
        plan = self._site.pricing.plan(session.account)
        return replace(session, cost=self._cost(session, tariff_of_text(session.tariff), plan))

    def cost(self, session: Session, tariff: Tariff) -> Cost:
        """What a session costs by any tariff, for the record or for a question."""
        return self._cost(session, tariff, self.plan_of(session.id_token))

    def _cost(self, session: Session, tariff: Tariff, plan: Plan | None) -> Cost:
        return price(
            tariff,
            usages_of(session, self._site.voltage_mv),
            self._zone,
            reservation=session.reservation,
            grace_ms=self._site.pricing.grace_ms,
            plan=plan,
            is_indicative=not self._site.pricing.is_authority,
            notes=_DOUBTS & frozenset(session.flags),
        )


def usages_of(session: Session, voltage_mv: int | None) -> tuple[Usage, ...]:
    """The quantities of a session; none of a reservation that nobody came for."""
    if session.is_reservation:
        return ()
    end_ms = session.periods[-1].to_utc_ms if session.periods else session.started_utc_ms
    return with_rest(of_periods(session.periods, voltage_mv), session.energy_wh, end_ms)
