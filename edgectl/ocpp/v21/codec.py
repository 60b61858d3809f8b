"""The entrance of OCPP 2.1."""

from __future__ import annotations

from edgectl.ocpp.v21.edition import EDITION_21
from edgectl.ocpp.v201.codec import V201


class V21(V201):
    """``ocpp.codec.Codec`` for OCPP 2.1. ``accepted_vendors``: vendor ids whose DataTransfer is accepted."""

    subprotocol = "ocpp2.1"
    edition = EDITION_21
