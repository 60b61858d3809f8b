"""The last known state of each thing; retained, the newest replaces the one before. Never for billing."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgectl.contract.fields import Count, Id, Moment, Phases, Quality, Word, Words


class ChargerState(Struct, kw_only=True):
    """One charging station."""

    schema: Literal["edgectl/state-charger/1"] = "edgectl/state-charger/1"
    at: Moment
    charger: Id
    circuit: Id
    quality: Quality
    """`stale` while it is not connected."""
    reason: Words
    """Its last trouble in words; empty when there was none."""
    connected: bool
    accepted: bool
    """It has booted, or was connected for long enough without, and is used."""
    protocol: Word | None
    """`ocpp1.6`, `ocpp2.0.1` or `ocpp2.1`; null before its first connection."""
    vendor: Word | None
    model: Word | None
    firmware: Word | None
    fallback: Word
    """What it falls to without us: `verified`, `installed`, `asked`, `unknown`, `differs` or `refused`."""
    limited_by: Words
    """Who outside the site's file limits it; empty when nobody does."""


class WhyInput(Struct, kw_only=True):
    """One number a limit rests on."""

    name: Word
    value: int
    unit: Word
    age_ms: int | None
    """Null for what stands in the site's file."""


class Why(Struct, kw_only=True):
    """Why a limit is what it is."""

    cause: Word
    """`idle`, `full`, `vehicle`, `circuit`, `external`, `soft-limit`, `imbalance`, `turn`, `meter-lost`, `charger-silent`,
    `unconfirmed`, `drill` or `settling`."""
    authority: Word
    """`conductor`, `external`, `policy`, `charger` or `vehicle`."""
    circuit: Id | None
    """The conductor that binds."""
    phase: Literal["L1", "L2", "L3"] | None
    by: Words
    """Whose limit it is, where it comes from outside; else empty."""
    until: Moment | None
    inputs: list[WhyInput]


class Turn(Struct, kw_only=True):
    """How a vehicle stands where not every minimum fits."""

    place: Count | None
    """In the queue while it waits for its turn, from 1."""
    since: Moment
    """When its present run began, or its pause, or its first wait."""
    pauses: Count
    """Times it was stopped for others in this session."""
    owed_wh: Count
    """What it went without while it waited, and has not had since."""


class EvseState(Struct, kw_only=True):
    """One EVSE: what it may draw, what it draws, and why."""

    schema: Literal["edgectl/state-evse/1"] = "edgectl/state-evse/1"
    at: Moment
    evse: Count
    """Its number at its charger, from 1; the topic names the charger."""
    quality: Quality
    reason: Word
    """The cause of the limit, as in `why`."""
    why: Why
    status: Word
    """`available`, `preparing`, `charging`, `suspended_evse`, `suspended_ev`, `finishing`, `reserved`, `occupied`, `unavailable`,
    `faulted` or `unknown`."""
    error_code: Word | None
    session: Id | None
    """Of the session that runs; its billing record has the same id."""
    energy_wh: Count | None
    """In that session so far."""
    limit_ma: Count | None
    """Per phase, as commanded."""
    confirmed_ma: Count | None
    """Per phase, as the charger has accepted."""
    measured_ma: Phases | None
    """On the phases of the site."""
    measured_age_ms: Count | None
    power_w: int | None
    soc_percent: Count | None
    turn: Turn | None = None
    """None without a vehicle."""


class CircuitState(Struct, kw_only=True):
    """One conductor of the site."""

    schema: Literal["edgectl/state-circuit/1"] = "edgectl/state-circuit/1"
    at: Moment
    circuit: Id
    quality: Quality
    reason: Word
    """How it runs: `metered`, `static`, `hold`, `safe` or `stop`."""
    limit_ma: Phases
    allowed_ma: Phases
    """The limit, or less where somebody outside allows less."""
    allowed_w: Count | None
    limited_by: Words
    measured_ma: Phases | None
    background_ma: Phases
    """What everything but the chargers draws, or is assumed to."""
    headroom_ma: Phases
    """What the chargers below it may share."""
    over_limit_ms: Count
    """How long it has been measured above its limit; 0 while it is not."""


class MeterState(Struct, kw_only=True):
    """The last reading of one meter."""

    schema: Literal["edgectl/state-meter/1"] = "edgectl/state-meter/1"
    at: Moment
    meter: Id
    quality: Quality
    reason: Words
    """Why there is no value; empty when there is one."""
    age_ms: Count | None
    current_ma: Phases | None
    """Import is positive."""
    power_w: int | None
    energy_import_wh: int | None
    energy_age_ms: Count | None
