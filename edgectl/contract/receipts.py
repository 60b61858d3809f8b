"""The backend's word that it has stored something itself. Only this lets a record go."""

from __future__ import annotations

from msgspec import Struct

from edgectl.contract.fields import Count, Note, RecordId


class Acked(Struct, kw_only=True):
    """The backend has committed this revision."""

    record_id: RecordId
    rev: Count


class Rejected(Struct, kw_only=True):
    """The backend will not have this revision as it is. It is set aside at the gateway, with the reason, for a person."""

    record_id: RecordId
    rev: Count
    code: Note = ""
    reason: Note = ""


class Receipt(Struct, kw_only=True):
    """Sent after the backend's own commit, and again for a record that comes again. One bad entry refuses it whole.

    Members that are not known are passed over.
    """

    schema: Note = "edgectl/receipt/1"
    """Not judged: the version is in the topic."""
    epoch: RecordId
    """Of the records it speaks of."""
    acked_through: Count | None = None
    """Everything up to this `seq` is stored. On a reconnect alone it is enough to settle what was sent before."""
    acked: list[Acked] = []
    rejected: list[Rejected] = []
