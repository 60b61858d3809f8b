"""DSMR P1: the customer port of Dutch, Belgian and Luxembourg meters, which sends a text telegram each second or each ten.

- ``telegram``  bytes to telegrams: found, checked, never trusted half; sans-IO
- ``values``    a telegram's lines to numbers; a reading on site phases; pure
- ``reader``    one port, read for as long as the daemon runs; start reading here

DSMR 2.2 and 3 speak 9600 baud 7E1, send each 10 s, carry no checksum and know no phases. DSMR 4 and 5 speak 115200 8N1 with a
CRC-16; DSMR 4 sends each 10 s, DSMR 5, Fluvius (Belgium) and Smarty (Luxembourg) each second. Luxembourg encrypts its telegrams
unless the grid operator switches that off; an encrypted one is recognised and named, not read.

Our own 300 lines instead of ndokter/dsmr_parser: its current releases need a second serial library and a DLMS stack, hold
to one version per port, and leave the checks that matter here (parity, duplicates, cut telegrams, bounds) to the caller.
"""

from edgectl.domain.settings import P1_MODEL
from edgectl.meters.p1.reader import P1Reader

__all__ = ["P1_MODEL", "P1Reader"]
