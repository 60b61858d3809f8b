"""The command line: the electrician's and the operator's door. Every listing takes ``--json``.

Exit codes: 0 ok, 1 failed, 2 bad input or configuration, 3 valid but unsafe.

- ``commands``  the commands, one function each; start reading here
- ``meter_tools``  scan, identify, read, watch, budget, models: they need no daemon
- ``client``    asks the running daemon over its Unix socket
- ``tables``    what people see
"""

from edgectl.cli.commands import main

__all__ = ["main"]
