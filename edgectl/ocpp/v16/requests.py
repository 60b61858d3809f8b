"""Requests beside limits: names and text arguments to 1.6 calls, and their answers.

| request | arguments |
|---|---|
| ``trigger`` | ``message``, optional ``evse`` |
| ``start-transaction`` (``remote-start``) | ``token``, optional ``evse`` |
| ``stop-transaction`` (``remote-stop``) | ``transaction`` |
| ``reset`` | optional ``kind``: ``soft`` (default) or ``hard`` |
| ``unlock`` | ``evse`` |
| ``availability`` | ``state``: ``operative`` or ``inoperative``, optional ``evse`` (default 0, the whole charger) |
| ``get-configuration`` | any number of ``key`` |
| ``change-configuration`` | ``key``, ``value`` |
| ``clear-cache`` | |
| ``data-transfer`` | ``vendor``, optional ``message``, ``data`` |
"""

from __future__ import annotations

from collections.abc import Callable

from edgectl.domain.decisions import Ask
from edgectl.domain.events import Outcome, RequestAnswered
from edgectl.ocpp.codec import BadRequestError, outcome_of
from edgectl.ocpp.fields import text_of
from edgectl.ocpp.frames import Payload
from edgectl.ocpp.rpc import CallEnded, Ending, OwnCall

_STATUSES = {
    "accepted": Outcome.ACCEPTED,
    "scheduled": Outcome.ACCEPTED,
    "rebootrequired": Outcome.ACCEPTED,
    "unlocked": Outcome.ACCEPTED,
    "rejected": Outcome.REJECTED,
    "unlockfailed": Outcome.REJECTED,
    "notsupported": Outcome.NOT_SUPPORTED,
    "notimplemented": Outcome.NOT_SUPPORTED,
    "unknownmessageid": Outcome.NOT_SUPPORTED,
    "unknownvendorid": Outcome.NOT_SUPPORTED,
}
_CONFIGURATION_KEYS_MAX = 500
"""Keys reported from one answer; the fullest known charger has some 300."""


def request_call(ask: Ask) -> OwnCall:
    """The call for ``ask``.

    Raises:
        BadRequestError: not a request of 1.6, or an argument is missing or not understood.
    """
    build = _BUILDERS.get(ask.request)
    if build is None:
        raise BadRequestError(Outcome.NOT_SUPPORTED, f"OCPP 1.6 has no request {ask.request!r}")
    return build(_Arguments(ask))


def request_answered(ask: Ask, ended: CallEnded) -> RequestAnswered:
    if ended.ending is Ending.ANSWERED and ask.request == "get-configuration":
        return RequestAnswered(ask.charger, ask.ask_id, Outcome.ACCEPTED, detail=_configuration(ended.payload))
    outcome, words = outcome_of(ended, _STATUSES)
    status = text_of(ended.payload.get("status"), 50) or ""
    detail = [("problem", words)] if words and words != status else []
    data = text_of(ended.payload.get("data"))
    if data is not None:
        detail.append(("data", data))
    return RequestAnswered(ask.charger, ask.ask_id, outcome, status, tuple(detail))


class _Arguments:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pairs = dict(ask.arguments)

    def text(self, name: str) -> str:
        value = self._pairs.get(name)
        if not value:
            raise BadRequestError(Outcome.ERROR, f"{self._ask.request} needs {name!r}")
        return value

    def optional(self, name: str) -> str | None:
        return self._pairs.get(name)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self._ask.arguments if key == name]

    def number(self, name: str, default: str | None = None) -> int:
        value = self.text(name) if default is None else self._pairs.get(name, default)
        if not value.isdecimal() or len(value) > 9:
            raise BadRequestError(Outcome.ERROR, f"{name!r} of {self._ask.request} is {value!r}; it must be a number")
        return int(value)

    def word(self, name: str, choices: dict[str, str], default: str | None = None) -> str:
        value = self.text(name) if default is None else self._pairs.get(name, default)
        if value.casefold() not in choices:
            raise BadRequestError(
                Outcome.ERROR, f"{name!r} of {self._ask.request} is {value!r}; allowed are {', '.join(choices)}"
            )
        return choices[value.casefold()]


def _trigger(arguments: _Arguments) -> OwnCall:
    return OwnCall("TriggerMessage", {"requestedMessage": arguments.text("message")} | _connector(arguments))


def _start(arguments: _Arguments) -> OwnCall:
    # Without a profile: some chargers reject the whole request when one is in it; the limit follows on its own.
    return OwnCall("RemoteStartTransaction", {"idTag": arguments.text("token")} | _connector(arguments))


def _stop(arguments: _Arguments) -> OwnCall:
    return OwnCall("RemoteStopTransaction", {"transactionId": arguments.number("transaction")})


def _reset(arguments: _Arguments) -> OwnCall:
    return OwnCall("Reset", {"type": arguments.word("kind", {"soft": "Soft", "hard": "Hard"}, default="soft")})


def _unlock(arguments: _Arguments) -> OwnCall:
    return OwnCall("UnlockConnector", {"connectorId": arguments.number("evse")})


def _availability(arguments: _Arguments) -> OwnCall:
    state = arguments.word("state", {"operative": "Operative", "inoperative": "Inoperative"})
    return OwnCall("ChangeAvailability", {"connectorId": arguments.number("evse", default="0"), "type": state})


def _get_configuration(arguments: _Arguments) -> OwnCall:
    keys = arguments.all("key")
    return OwnCall("GetConfiguration", {"key": keys} if keys else {})


def _change_configuration(arguments: _Arguments) -> OwnCall:
    return OwnCall("ChangeConfiguration", {"key": arguments.text("key"), "value": arguments.optional("value") or ""})


def _clear_cache(_arguments: _Arguments) -> OwnCall:
    return OwnCall("ClearCache", {})


def _data_transfer(arguments: _Arguments) -> OwnCall:
    payload: Payload = {"vendorId": arguments.text("vendor")}
    for name, key in (("message", "messageId"), ("data", "data")):
        value = arguments.optional(name)
        if value is not None:
            payload[key] = value
    return OwnCall("DataTransfer", payload)


def _connector(arguments: _Arguments) -> Payload:
    return {} if arguments.optional("evse") is None else {"connectorId": arguments.number("evse")}


_BUILDERS: dict[str, Callable[[_Arguments], OwnCall]] = {
    "trigger": _trigger,
    "start-transaction": _start,
    "remote-start": _start,
    "stop-transaction": _stop,
    "remote-stop": _stop,
    "reset": _reset,
    "unlock": _unlock,
    "availability": _availability,
    "get-configuration": _get_configuration,
    "change-configuration": _change_configuration,
    "clear-cache": _clear_cache,
    "data-transfer": _data_transfer,
}


def _configuration(payload: Payload) -> tuple[tuple[str, str], ...]:
    """Keys as the charger spells them with their values, then ``read-only`` and ``unknown-key`` for those it marks so."""
    values: list[tuple[str, str]] = []
    marks: list[tuple[str, str]] = []
    entries = payload.get("configurationKey")
    for entry in entries[:_CONFIGURATION_KEYS_MAX] if isinstance(entries, list) else []:
        key = text_of(entry.get("key")) if isinstance(entry, dict) else None
        if key is None:
            continue
        values.append((key, text_of(entry.get("value")) or ""))
        if entry.get("readonly") is True:
            marks.append(("read-only", key))
    unknown = payload.get("unknownKey")
    for raw_key in unknown[:_CONFIGURATION_KEYS_MAX] if isinstance(unknown, list) else []:
        key = text_of(raw_key)
        if key is not None:
            marks.append(("unknown-key", key))
    return tuple(values + marks)
