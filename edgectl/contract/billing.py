"""What was charged: one record for each revision of a session, numbered without a gap and chained."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from edgectl.contract.fields import Count, Decimal, Hash, Id, Moment, Word, Words


class Auth(Struct, kw_only=True):
    """How the session was allowed."""

    how: Word
    """`local-list`, `free-vend`, `charger-offline`, `remote` or `unknown`."""
    by: Words
    status: Word
    offline: bool
    """It began while the charger was not connected."""


class Period(Struct, kw_only=True):
    """A span in one state under one cause of limit."""

    from_: Moment = field(name="from")
    to: Moment
    state: Literal["charging", "suspended_ev", "suspended_evse"]
    """At zero it says whose doing that was: `suspended_ev` is the vehicle's. `suspended_evse` is ours, never parking."""
    energy_wh: Count
    limit_reason: Word
    """As `cause` in the state of the EVSE."""


class SignedVerdict(Struct, kw_only=True):
    """What was found out about a signed value; it stands beside the value, never instead of it."""

    verdict: Literal["valid", "invalid", "key-differs", "no-key", "unverifiable", "unreadable", "not-checked"]
    why: Words
    meter: Word
    pagination: Word | None
    doubts: list[Word]


class CostTax(Struct, kw_only=True):
    """The tax of one rate."""

    percent: Decimal
    net: Decimal
    tax: Decimal


class CostLine(Struct, kw_only=True):
    """One line of a price."""

    dimension: Word
    element_number: Count
    quantity: Decimal
    billed: Decimal
    unit: Word
    unit_price: Decimal
    amount: Decimal
    tax_percent: Decimal | None
    step_count: Count


class Cost(Struct, kw_only=True):
    """What it costs by the tariff in the record; amounts are text."""

    rules: Word
    """Which rules of rounding were used."""
    currency: Word
    before_taxes: Decimal
    after_taxes: Decimal
    is_indicative: bool
    taxes: list[CostTax]
    lines: list[CostLine]
    notes: list[Word]


class Correction(Struct, kw_only=True):
    """A sealed record that was wrong is followed by two: one takes all of it back, the other has what should have stood there.

    Both have every member of `session`. A credit repeats what it takes back, its energy too, and negates the amounts of `cost`
    alone; so who adds up records counts its energy as taken away.
    """

    kind: Literal["credit", "replacement"]
    of: Id
    """The `record_id` that is credited or replaced."""
    session: Id
    """The session as it was charged; the same as `of`, unless that was a replacement itself."""
    at: Moment
    by: Words
    reason: Words


class Reservation(Struct, kw_only=True):
    """The place was kept for the driver before.

    `used`: the session began, and ended it. Any other `outcome` is that of a reservation nobody came for: the record then has no
    energy and no periods, and `started_at` and `ended_at` are those of the reservation. `removed`: the charger gave it up; it has
    no price.
    """

    id: Count
    """As in the `reserve` command."""
    from_: Moment = field(name="from")
    """When the charger accepted it."""
    until: Moment
    """When it was to run out."""
    ended_at: Moment
    outcome: Literal["used", "expired", "cancelled", "removed"]


class Session(Struct, kw_only=True):
    """One session with everything known of it."""

    id: Id
    """UUIDv7; also the `record_id`. A credit and a replacement have ids of their own."""
    charger: Id
    evse: Count
    """0 where the charger did not say."""
    connector: Count
    transaction: Word
    """As the charger names it."""
    id_token: Word | None
    auth: Auth
    started_at: Moment
    ended_at: Moment | None
    started_reported_at: Moment | None
    """By the charger's own clock."""
    ended_reported_at: Moment | None
    meter_start_wh: int | None
    meter_stop_wh: int | None
    energy_wh: Count
    status: Literal["active", "completed", "orphan"]
    """`orphan`: an end without a session we know of; for a person to look at."""
    stop_reason: Word | None
    stopped_by: Word | UnsetType = UNSET
    """The token that ended it, where that was another than `id_token`."""
    periods: list[Period]
    signed_values: list[str]
    """Byte for byte as the charger sent them."""
    signed_verdicts: list[SignedVerdict]
    account: Word | None
    tariff: str | None
    """The OCPI tariff as JSON text, as it was when the session began."""
    cost: Cost | None
    clock_quality: Literal["synchronised", "corrected", "unknown"]
    flags: list[Word]
    """Named doubts and derivations, sorted."""
    reservation: Reservation | UnsetType = UNSET
    """Of a session whose place was reserved, and of a reservation nobody came for."""
    correction: Correction | UnsetType = UNSET
    """Of the two records that correct a sealed one."""


class BillingRecord(Struct, kw_only=True):
    """One revision of a session. The highest `rev` of a `record_id` wins. It is sent again until its receipt comes.

    `hash` is SHA-256 over the RFC 8785 form of the record without `hash`; `prev_hash` is the `hash` of the record with the `seq`
    before, 64 zeros for the first.
    """

    schema: Literal["edgectl/billing-session/1"] = "edgectl/billing-session/1"
    site: Id
    epoch: Id
    seq: Count
    """From 1, without a gap in each `epoch`."""
    record_id: Id
    rev: Count
    prev_hash: Hash
    hash: Hash
    signed_by: Word | UnsetType = UNSET
    """Which key of the gateway signed it: 16 digits of the SHA-256 of the public key. Not there where the site has no key."""
    signature: str | UnsetType = UNSET
    """Ed25519, base64, over the RFC 8785 form of the record without `hash` and `signature`."""
    session: Session
