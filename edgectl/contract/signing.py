"""Which bytes a signature of a command is over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import rfc8785


def signed_bytes(command: Mapping[str, Any]) -> bytes:
    """The RFC 8785 form of the command's payload without its member ``signature``, in UTF-8.

    All other members count, known or not: at least ``id``, ``issued_at``, ``expires_at``, ``actor``, ``args``, ``site``, ``name``
    and ``key``. The signature is plain Ed25519 (RFC 8032) over these bytes, in base64.

    Raises:
        ValueError: for what JSON cannot carry safely: NaN, integers of 2**53 and above, lone surrogates.
    """
    return rfc8785.dumps({name: value for name, value in command.items() if name != "signature"})
