"""Where a mosquitto is: the real MQTT 5 broker under the demo and the tests."""

from __future__ import annotations

import sys
from pathlib import Path

from hwsim.tools.debian import PackageError, fetch_program, find_program

# What everything in this checkout fetches lives here; `make clean` removes it.
DEFAULT_CACHE = Path(__file__).resolve().parents[3] / ".cache"


def find_or_fetch_mosquitto(cache: Path = DEFAULT_CACHE) -> Path | None:
    """An executable mosquitto: the installed one, else its Debian package unpacked into ``cache``. ``None`` if there is neither.

    Says on standard error what it fetches, and why nothing could be had.
    """
    installed = find_program("mosquitto")
    if installed is not None:
        return installed
    if not (cache / "debian" / "bin" / "mosquitto").exists():
        print(f"Fetching the Debian package mosquitto into {cache} (nothing is installed)", file=sys.stderr)
    try:
        return fetch_program("mosquitto", "mosquitto", cache)
    except PackageError as error:
        print(f"No mosquitto: {error}. Install it with: sudo apt-get install mosquitto", file=sys.stderr)
        return None
