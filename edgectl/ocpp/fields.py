"""Lenient readers of single JSON values. Each gives a value or None; what None costs is the caller's to decide."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

TEXT_MAX_CHARS = 4096
"""No text we keep is longer, except signed meter values; DataTransfer may carry a page of vendor JSON."""
_WHOLE_MAX = 2**53
"""Beyond this a JSON number is not exact any more; no register or id comes near."""


def text_of(value: object, max_chars: int = TEXT_MAX_CHARS) -> str | None:
    """A text, or a number as text; None for anything else and for the empty text.

    NUL characters are removed: no store likes them.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    return value.replace("\x00", "").strip()[:max_chars] or None


def whole_of(value: object) -> int | None:
    """An integer from a number or its text, rounded down; None when it is not finite or not a number."""
    if isinstance(value, str):
        try:
            value = int(value) if len(value) <= 20 else float(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or abs(value) > _WHOLE_MAX:
        return None
    return math.floor(value)


def id_of(value: object) -> str | None:
    """A transaction or other id as text: integers without a fraction, texts trimmed."""
    if isinstance(value, str):
        return text_of(value, 64)
    number = whole_of(value)
    return None if number is None else str(number)


def pairs_of(payload: Mapping[str, object], **fields: str) -> tuple[tuple[str, str], ...]:
    """The values under the named keys as text pairs, in that order; what is no plain text is JSON, key for key as received."""
    pairs = []
    for name, key in fields.items():
        value = payload.get(key)
        if isinstance(value, dict | list | bool):
            value = json.dumps(value)
        text = text_of(value)
        if text is not None:
            pairs.append((name, text))
    return tuple(pairs)
