"""Actions: what people and the backend may ask to be done with a charger, checked and turned into requests.

An action names what is wanted in the words of the command line; what the charger is asked is the business of its version's codec.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from edgectl.core.authorization import Authorization
from edgectl.core.chargers import ChargerState
from edgectl.core.departures import ACTIONS as TARGET_ACTIONS
from edgectl.core.sessions import Sessions
from edgectl.domain.decisions import ActionAnswered, Ask, Decision, Keep, WakeUplink
from edgectl.domain.events import ActionRequested, Outcome, RequestAnswered
from edgectl.domain.ids import EvseId, IdToken
from edgectl.domain.records import EventKept
from edgectl.domain.time import Instant, utc_ms
from edgectl.domain.units import Millis, UtcMillis

ACTION = "action/"
"""How the asks of an action are named; what follows is the action's id."""

GRANTED_MS: Millis = 10 * 60_000
"""How long a start without a token may take to begin: a driver walks to his car."""

REQUESTS = {
    "start": "start-transaction",
    "stop": "stop-transaction",
    "configure": "change-configuration",
    **{
        name: name
        for name in (
            "reset", "unlock", "availability", "trigger", "get-configuration", "change-configuration", "get-report",
            "clear-cache", "data-transfer", "get-diagnostics", "get-log", "update-firmware", "send-local-list",
            "get-local-list-version", "reserve", "cancel-reservation", "clear-profile", "get-composite-schedule",
            "get-profiles", "get-transaction-status", "install-certificate", "delete-certificate", "get-certificates",
            "certificate-signed", "set-network-profile", "customer-information", "set-monitoring",
            "clear-monitoring", "get-monitoring",
        )
    },
}  # fmt: skip
"""The request behind each action."""

Own: TypeAlias = Callable[[ChargerState, Instant], tuple[str, list[Decision]]]
"""An action that the core begins itself: why not, or nothing, and what is decided."""


class Actions:
    """Actions under way."""

    def __init__(self, sessions: Sessions, own: Mapping[str, Own], authorization: Authorization) -> None:
        self._sessions = sessions
        self._authorization = authorization
        self._own = own
        self._under_way: dict[str, ActionRequested] = {}

    def begin(self, event: ActionRequested, state: ChargerState | None, now: Instant) -> list[Decision]:
        """Ask the charger, or say at once why not. Every action is recorded, with its actor."""
        problem = self._problem(event, state)
        if problem is None and state is not None and event.name in self._own:
            problem, decisions = self._own[event.name](state, now)
            answer = ActionAnswered(event.action_id, Outcome.REJECTED if problem else Outcome.ACCEPTED, problem=problem)
            return [answer, *decisions, *recorded(event, answer, now)]
        if problem is not None:
            answer = ActionAnswered(event.action_id, Outcome.REJECTED, problem=problem)
            return [answer, *recorded(event, answer, now)]
        arguments = event.arguments
        if event.name == "stop":
            arguments = self._stop_arguments(event)
            if not arguments:
                answer = ActionAnswered(event.action_id, Outcome.REJECTED, problem="nothing is charging there")
                return [answer, *recorded(event, answer, now)]
        if event.name == "reserve" and _moment_ms(dict(event.arguments).get("expires", "")) is None:
            words = f"expires is {dict(event.arguments).get('expires')!r}; a moment like 2026-03-01T18:00:00Z is allowed"
            answer = ActionAnswered(event.action_id, Outcome.REJECTED, problem=words)
            return [answer, *recorded(event, answer, now)]
        if event.name == "reserve" and state is not None and state.charger.evse_count == 1 and "evse" not in dict(arguments):
            # Any EVSE, connector 0 of 1.6, is what most chargers refuse (ReserveConnectorZeroSupported).
            arguments = (*arguments, ("evse", "1"))
        if event.name == "start" and not dict(event.arguments).get("token"):
            # 20 characters at most (OCPP 1.6 IdToken), and not to be guessed at another charger within its time.
            name = f"{event.charger}/{event.action_id}/{now.utc_ms}/{now.mono_ms}"
            token = IdToken("EDGE" + hashlib.sha256(name.encode()).hexdigest()[:16])
            self._authorization.grant(token, now.utc_ms + GRANTED_MS, event.actor)
            arguments = (*(pair for pair in arguments if pair[0] != "token"), ("token", token))
        self._under_way[event.action_id] = replace(event, arguments=arguments)
        return [Ask(event.charger, ACTION + event.action_id, REQUESTS[event.name], arguments)]

    def answered(self, event: RequestAnswered, now: Instant) -> list[Decision]:
        """The charger's answer, to whoever asked."""
        action_id = event.ask_id.removeprefix(ACTION)
        begun = self._under_way.pop(action_id, None)
        if begun is None:
            return []
        detail = dict(event.detail)
        problem = detail.pop("problem", "") if event.outcome is not Outcome.ACCEPTED else ""
        if event.outcome is Outcome.DISCONNECTED:
            problem = "the charger is not connected"
        pairs = tuple(pair for pair in event.detail if pair[0] != "problem")
        answer = ActionAnswered(action_id, event.outcome, event.status, problem, pairs)
        return [answer, *self._reserved(begun, event, now), *recorded(begun, answer, now)]

    def _reserved(self, begun: ActionRequested, event: RequestAnswered, now: Instant) -> list[Decision]:
        """What the charger's answer makes of a reservation. One that is not accepted was not made, or stays."""
        arguments, held = dict(begun.arguments), self._sessions.reservations
        until_utc_ms = _moment_ms(arguments.get("expires", ""))
        if begun.name == "reserve" and event.outcome is Outcome.ACCEPTED and until_utc_ms is not None:
            return held.made(begun.charger, arguments, until_utc_ms, now)
        if begun.name == "cancel-reservation" and event.outcome in {Outcome.ACCEPTED, Outcome.REJECTED}:
            number = int(arguments["reservation"])
            return held.cancelled(begun.charger, number, now, was_known=event.outcome is Outcome.ACCEPTED)
        return []

    def _problem(self, event: ActionRequested, state: ChargerState | None) -> str | None:
        if state is None:
            return f"no charger is called {event.charger}"
        names = {*REQUESTS, *self._own, *TARGET_ACTIONS}
        if event.name not in names:
            return f"there is no action {event.name!r}; there are {', '.join(sorted(names))}"
        if not state.is_connected:
            return f"{event.charger} is not connected ({state.detail or 'it never was'})"
        token = dict(event.arguments).get("token", "")
        if len(token) > state.quirks.token_char_count and state.protocol == "ocpp1.6":
            return f"the token is longer than the {state.quirks.token_char_count} characters {event.charger} can take"
        if event.name == "availability" and not state.quirks.takes_availability:
            return f"{event.charger} is known to be a charger that refuses ChangeAvailability"
        return None

    def _stop_arguments(self, event: ActionRequested) -> tuple[tuple[str, str], ...]:
        """The transaction that runs there, when none is named."""
        given = dict(event.arguments)
        if "transaction" in given:
            return (("transaction", given["transaction"]),)
        number = given.get("evse", "")
        for session in self._sessions.open.values():
            is_there = session.evse == EvseId(event.charger, int(number)) if number.isdecimal() else True
            if session.charger == event.charger and is_there:
                return (("transaction", session.transaction),)
        return ()


def _moment_ms(text: str) -> UtcMillis | None:
    """Of an ISO 8601 text; UTC where it names no offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return utc_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def recorded(event: ActionRequested, answer: ActionAnswered, now: Instant) -> list[Decision]:
    """Who asked for what, and what became of it: part of the site's history. Arguments may be secrets and stay out."""
    body: dict[str, object] = {
        "action": event.name,
        "actor": event.actor,
        "outcome": answer.outcome.value,
        "status": answer.status,
        "problem": answer.problem,
    }
    return [Keep(EventKept("action", event.charger, now.utc_ms, body)), WakeUplink()]
