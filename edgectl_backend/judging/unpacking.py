"""Payloads that travel as one zstd frame. Pure."""

from __future__ import annotations

import zstandard


def unpacked(body: bytes, most_bytes: int) -> bytes:
    """Whatever the content type said: a zstd frame says itself what it is, and JSON never begins like one.

    Raises:
        ValueError: it is damaged, or unpacks to more than ``most_bytes``.
    """
    if not body.startswith(zstandard.FRAME_HEADER):
        return body
    try:
        if zstandard.frame_content_size(body) > most_bytes:
            raise ValueError(f"it unpacks to more than {most_bytes} bytes")
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=most_bytes)
    except zstandard.ZstdError as error:
        raise ValueError(f"no whole zstd frame: {error}") from None
