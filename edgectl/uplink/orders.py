"""What each command is to the core: its arguments, understood, as an event. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from edgectl.contract import arguments as a
from edgectl.contract.commands import Command
from edgectl.domain.events import ActionRequested, Event, LimitRequested, ReplayRequested, TariffsGiven, TokensGiven
from edgectl.domain.external import LimitSource, WishError, read_wish
from edgectl.domain.ids import ChargerId, IdToken
from edgectl.domain.site import Token, TokenStatus
from edgectl.domain.tariff_objects import TariffError, tariff_of_text
from edgectl.domain.time import utc_ms

MakeEvent: TypeAlias = Callable[[str], Event]
"""Given the id under which the answer will come."""
Build: TypeAlias = Callable[[Any, Command, bool], MakeEvent]
"""From arguments, envelope and whether it is signed. Raises ``WishError`` for what cannot be meant."""


def order_of(name: str, args: a.Args, command: Command, *, is_signed: bool) -> MakeEvent:
    """The event of a command that may run.

    Raises:
        WishError: its arguments contradict each other, or are absurd.
    """
    return _BUILDERS.get(name, _action(name))(args, command, is_signed)


def _actor(command: Command) -> str:
    return f"backend:{command.actor}"


def _set_limit(_args: a.SetLimitArgs, command: Command, is_signed: bool) -> MakeEvent:
    wish = read_wish(command.args)
    issued_utc_ms = utc_ms(command.issued_at)
    return lambda action_id: LimitRequested(
        action_id, LimitSource.BACKEND, command.actor, wish, command.id, issued_utc_ms, may_raise=is_signed
    )


def _action(name: str) -> Build:
    """One of the actions on a charger: members become its arguments under the same names."""

    def build(args: Any, command: Command, _is_signed: bool) -> MakeEvent:
        pairs = tuple(
            (field.name.replace("_", "-"), _text(value))
            for field in msgspec.structs.fields(type(args))
            if field.name != "charger" and (value := getattr(args, field.name)) is not None
        )
        return _request(args.charger, name, pairs, command)

    return build


def _request(charger: str, name: str, pairs: tuple[tuple[str, str], ...], command: Command) -> MakeEvent:
    return lambda action_id: ActionRequested(action_id, ChargerId(charger), name, pairs, _actor(command))


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(msgspec.to_builtins(value)) if isinstance(value, msgspec.Struct) else str(value)


def _get_configuration(args: a.GetConfigurationArgs, command: Command, _is_signed: bool) -> MakeEvent:
    return _request(args.charger, "get-configuration", tuple(("key", key) for key in args.keys), command)


def _target(name: str, more: Callable[[Any], tuple[tuple[str, str], ...]]) -> Build:
    def build(args: a.TargetPlace, command: Command, _is_signed: bool) -> MakeEvent:
        if (args.charger is None) == (args.token is None):
            raise WishError("name one `charger` or one `token`")
        place = (("token", args.token),) if args.token is not None else ()
        evse = (("evse", str(args.evse)),) if args.evse is not None else ()
        return _request(args.charger or "", name, (*place, *evse, *more(args)), command)

    return build


def _energy_and_moment(args: a.SetTargetArgs) -> tuple[tuple[str, str], ...]:
    return ("energy", f"{args.energy_wh} Wh"), ("by", args.depart_at.isoformat())


def _set_tokens(args: a.SetTokensArgs, command: Command, _is_signed: bool) -> MakeEvent:
    tokens = tuple(
        Token(
            IdToken(entry.uid.strip()),
            TokenStatus(entry.status),
            None if entry.expires is None else utc_ms(entry.expires),
            None if entry.group is None else IdToken(entry.group),
            entry.priority,
            entry.account,
            entry.tariff,
            entry.never_paused,
        )
        for entry in args.tokens
    )
    if not all(token.uid for token in tokens):
        raise WishError("`uid` is printable text")
    return lambda action_id: TokensGiven(action_id, _actor(command), args.version, args.mode, tokens)


def _set_tariffs(args: a.SetTariffsArgs, command: Command, _is_signed: bool) -> MakeEvent:
    tariffs = []
    for number, found in enumerate(args.tariffs):
        try:
            tariffs.append(tariff_of_text(json.dumps(found)))
        except TariffError as error:
            first = error.problems[0]
            where = ".".join(str(step) for step in ("tariffs", number, *first.path))
            raise WishError(f"`{where}`: {first.message}; {first.allowed}") from error
    if len({tariff.id for tariff in tariffs}) != len(tariffs):
        raise WishError("each tariff has an id of its own")
    return lambda action_id: TariffsGiven(action_id, _actor(command), args.version, tuple(tariffs), args.default)


def _replay(args: a.ReplayArgs, command: Command, _is_signed: bool) -> MakeEvent:
    return lambda action_id: ReplayRequested(action_id, _actor(command), args.stream, args.from_seq, args.to_seq)


_BUILDERS: Final[dict[str, Build]] = {
    "set-limit": _set_limit,
    "get-configuration": _get_configuration,
    "set-target": _target("set-target", _energy_and_moment),
    "set-priority": _target("set-priority", lambda args: (("priority", str(args.priority)),)),
    "clear-target": _target("clear-target", lambda _args: ()),
    "set-tokens": _set_tokens,
    "set-tariffs": _set_tariffs,
    "replay": _replay,
}
"""Those that are no plain action on a charger."""
