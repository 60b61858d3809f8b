"""Who speaks, and whether it still does."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from edgectl.contract.fields import Count, Id, Moment, Word


class Status(Struct, kw_only=True):
    """Birth, death and will of a gateway; retained. A will is written before its moment, so what it cannot know is null."""

    schema: Literal["edgectl/status/1"] = "edgectl/status/1"
    state: Literal["online", "offline"]
    epoch: Id
    """Random name of the gateway's ledger. A new one says that `seq` of every stream begins again."""
    boot_id: Id
    """Random name of this start of the daemon."""
    version: Word
    since: Moment | None
    """Since when it is online or offline, by its own clock."""
    backlog: Count | None
    """Records of billing and events that wait for a receipt."""
    oldest_unacked_s: Count | None
    """For how long the oldest of them has waited."""
    nonce: Id | None
    """While the gateway cannot trust its clock, commands must carry this in `nonce`; each is good for one command. Null while it
    can."""
