"""How quirks are written: the words of the file for the fields of ``domain.quirks.Quirks``, in one table.

The same keys stand under ``set:`` in a table of quirks and under ``quirks:`` of a charger.
"""

# Sections are tables: their fields are made by the functions of ``sections`` (RUF009 knows only dataclasses.field).
# ruff: noqa: RUF009
from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from edgectl.config.kinds import Choice, Flag, Integer, ListOf, Quantity, ScalarKind, Schema, Text, duration
from edgectl.config.problems import Refused
from edgectl.config.quantities import CURRENT
from edgectl.config.sections import Section, keys_of, optional
from edgectl.domain.quirks import ProfileKind, ProfilePurpose, QuirkValue, RateUnit, RegisterBehaviour, StatusTrigger

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
_CHARGER_CURRENT = Quantity(CURRENT, 6_000, 80_000)
_KEY_NAME = Text("the name of a configuration key or variable", r"[^\x00-\x20\x7f=]+", longest=120)


class Factor(ScalarKind[int]):
    """A factor from 0.001 to 1000, as permille."""

    def expected(self) -> str:
        return "a factor from 0.001 to 1000; 1000 where kilowatt-hours are labelled watt-hours"

    def parse(self, text: str) -> int:
        try:
            permille = Decimal(text) * 1000
        except InvalidOperation:
            raise Refused("is not a number", self.expected()) from None
        if not 1 <= permille <= 1_000_000 or permille != permille.to_integral_value():
            raise Refused("is out of range", self.expected())
        return int(permille)

    def schema(self) -> Schema:
        return {"type": "number", "minimum": 0.001, "maximum": 1000}


@dataclass(frozen=True, kw_only=True)
class QuirkKeys(Section):
    settle: int | None = optional(duration(0, 5 * MINUTE), "How long to keep quiet after it has booted.")
    offline_grace: int | None = optional(duration(1 * SECOND, 24 * HOUR), "A link gone for less than this raises no alarm.")
    configure: bool | None = optional(Flag(), "false: its configuration is neither read nor written.")
    reads_all_keys: bool | None = optional(Flag(), "false: it does not answer when asked for all its keys at once.")
    keys_per_read: int | None = optional(Integer(1, 100), "The most keys it can be asked for at once.")
    skip_keys: tuple[str, ...] | None = optional(ListOf(_KEY_NAME), "Keys that are never written.")
    set_keys: tuple[str, ...] | None = optional(
        ListOf(Text("`Key=Value`", r"[^\x00-\x20\x7f=]+=[^\x00-\x1f\x7f]*", longest=600)),
        "Keys of its maker that must be written, as `Key=Value`.",
    )
    boot_trigger_restarts: bool | None = optional(Flag(), "false: it can be asked to boot again without restarting.")
    status_trigger: StatusTrigger | None = optional(Choice(StatusTrigger), "How it can be asked for its connectors' status.")
    availability: bool | None = optional(Flag(), "false: it refuses to be taken out of service.")
    energy_scale: int | None = optional(Factor(), "Factor on its energy registers.")
    local_time: bool | None = optional(Flag(), "true: its timestamps mean the site's local time.")
    register: RegisterBehaviour | None = optional(Choice(RegisterBehaviour), "When its energy register begins again at zero.")
    currents: bool | None = optional(Flag(), "false: the currents it reports are not those that flow.")
    purpose: ProfilePurpose | None = optional(Choice(ProfilePurpose), "The kind of charging profile it obeys.")
    profile_kind: ProfileKind | None = optional(Choice(ProfileKind), "How its profiles are dated.")
    stack_level: int | None = optional(Integer(0, 999), "The stack level of its limits.")
    unit: RateUnit | None = optional(Choice(RateUnit), "The unit it takes: A or W.")
    minimum: int | None = optional(_CHARGER_CURRENT, "The least it can really be told.")
    steps: tuple[int, ...] | None = optional(ListOf(_CHARGER_CURRENT, is_empty_allowed=False), "The only currents it follows.")
    can_pause: bool | None = optional(Flag(), "false: 0 A ends the transaction, or the vehicle does not wake again.")
    wakes_at: int | None = optional(_CHARGER_CURRENT, "What a paused vehicle needs on it to wake.")
    lease: bool | None = optional(Flag(), "false: it ignores the end of a limit.")
    offline_end: bool | None = optional(Flag(), "true: it ends a limit when its link has been gone for the time it was told.")
    keeps_profiles: bool | None = optional(Flag(), "false: it forgets its limits with its link or its power.")
    write_interval: int | None = optional(duration(0, 1 * HOUR), "The least time between two raises, where they wear memory.")
    token_length: int | None = optional(Integer(4, 255), "The longest token it can take.")
    reversed_uid: bool | None = optional(Flag(), "true: it reads the bytes of a card in reverse.")
    checklist: tuple[str, ...] | None = optional(
        ListOf(Text("a sentence", longest=300)), "What a person sets on the device itself."
    )


FIELDS = {
    "settle": "settle_ms",
    "offline_grace": "offline_grace_ms",
    "configure": "is_configured",
    "reads_all_keys": "reads_all_keys",
    "keys_per_read": "keys_per_read_count",
    "skip_keys": "skip_keys",
    "set_keys": "set_keys",
    "boot_trigger_restarts": "boot_trigger_restarts",
    "status_trigger": "status_trigger",
    "availability": "takes_availability",
    "energy_scale": "energy_scale_permille",
    "local_time": "has_local_time",
    "register": "register",
    "currents": "has_currents",
    "purpose": "purpose",
    "profile_kind": "kind",
    "stack_level": "stack_level",
    "unit": "unit",
    "minimum": "min_ma",
    "steps": "steps_ma",
    "can_pause": "can_pause",
    "wakes_at": "wakes_at_ma",
    "lease": "has_lease",
    "offline_end": "ends_offline",
    "keeps_profiles": "keeps_profiles",
    "write_interval": "write_interval_ms",
    "token_length": "token_char_count",
    "reversed_uid": "has_reversed_uid",
    "checklist": "checklist",
}
"""Word of the file to field of ``Quirks``."""


def quirk_values(keys: QuirkKeys | None) -> tuple[tuple[str, QuirkValue], ...]:
    """What is written, as fields of ``Quirks``; broken values are left out, they have been reported."""
    if keys is None:
        return ()
    values: list[tuple[str, QuirkValue]] = []
    for key in keys_of(QuirkKeys):
        value = getattr(keys, key.name)
        if key.name in keys.written and value is not None:
            values.append((FIELDS[key.name], tuple(sorted(value)) if key.name == "steps" else value))
    return tuple(values)
